"""Kafka records as arrivals."""

from __future__ import annotations

from faust.types import EventT

from orchestrator.events.envelope import Event
from orchestrator.events.partition import partition_of
from orchestrator.pipeline import Arrival, Pipeline


def arrival(pipeline: Pipeline, event: EventT[bytes]) -> Arrival:
    """The arrival of a record: at the broker's append time, numbered by its offset.

    A record without a value is unreadable, as any other that is no CloudEvent.
    """
    message = event.message
    # Kafka says milliseconds, Faust divides them by 1000
    at = round(message.timestamp * 1000) * 1000
    return pipeline.arrival(message.value or b"", at)._replace(offset=message.offset)


def home_of(given: Arrival, partition: int, partitions: int) -> int:
    """The partition an arrival belongs to; an unreadable one, which names nobody, stays where it is."""
    if not isinstance(given.event, Event):
        return partition
    return partition_of(given.event.subject, partitions)
