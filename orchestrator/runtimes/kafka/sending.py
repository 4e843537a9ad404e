"""A file of events into the topic that workers read: in order, each acknowledged, each in its member's partition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from aiokafka.errors import KafkaError

from orchestrator.errors import SetupError
from orchestrator.events.catalogue import EventTypes
from orchestrator.events.envelope import Event, read_event
from orchestrator.project import Project
from orchestrator.runtimes.kafka.producing import NotAcknowledged, Producer
from orchestrator.runtimes.kafka.roles import Role, check

# events that are on their way at once
TOGETHER = 1_000


def send_file(project: Project, path: Path, types: EventTypes, sent: Callable[[int], None] = lambda _: None) -> str:
    """Sends the events of a CloudEvents JSON Lines file, and returns the topic's name when all are acknowledged.

    `sent` is told of each further number. Raises SetupError where the cluster or the topic is not as it must be, or
    does not acknowledge: some may be in the topic then, and sending all of them again does no harm.
    """
    check(project, [Role.decide])
    topic = project.settings.kafka.events
    try:
        asyncio.run(_send(Producer(project.settings.kafka, project.settings.store.partitions), path, types, sent))
    except (KafkaError, NotAcknowledged) as error:
        why = type(error).__name__ if isinstance(error, KafkaError) else str(error)
        raise SetupError(f"topic {topic} did not acknowledge all events ({why}); run the same command again") from None
    return topic


async def _send(producer: Producer, path: Path, types: EventTypes, sent: Callable[[int], None]) -> None:
    try:
        await producer.start()
        for events in _batches(path, types):
            await producer.put(events)
            sent(len(events))
    finally:
        await producer.stop()


def _batches(path: Path, types: EventTypes) -> Iterator[tuple[Event, ...]]:
    with path.open("rb") as file:
        while lines := tuple(islice(file, TOGETHER)):
            yield tuple([read_event(line, types) for line in lines])
