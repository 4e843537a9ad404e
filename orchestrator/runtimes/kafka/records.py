"""Kafka records as arrivals."""

from __future__ import annotations

from typing import cast

from faust.types import EventT, Message

from orchestrator.errors import Unreadable
from orchestrator.events.envelope import Event
from orchestrator.events.kafka_binding import Headers, envelope_of
from orchestrator.events.partition import partition_of
from orchestrator.pipeline import Arrival, Pipeline


def arrival(pipeline: Pipeline, event: EventT[bytes]) -> Arrival:
    """The arrival of a record, structured or binary: at the broker's append time, numbered by its offset."""
    message = event.message
    # Kafka says milliseconds, Faust divides them by 1000
    at = round(message.timestamp * 1000) * 1000
    return read(pipeline, at, message.key, message.value, headers_of(message))._replace(offset=message.offset)


def headers_of(message: Message) -> tuple[tuple[str, bytes], ...]:
    """The headers of a record as Kafka has them: in their order, names that stand there twice included."""
    return cast("tuple[tuple[str, bytes], ...]", message.headers or ())


def read(pipeline: Pipeline, at: int, key: bytes | None, value: bytes | None, headers: Headers) -> Arrival:
    """What a record says, as an arrival at `at` (microseconds); one that can't be read says why."""
    try:
        raw = envelope_of(key, value, headers)
    except Unreadable as error:
        return Arrival(at, value or b"", error)
    return pipeline.arrival(raw, at)


def home_of(given: Arrival, partition: int, partitions: int) -> int:
    """The partition an arrival belongs to; an unreadable one, which names nobody, stays where it is."""
    if not isinstance(given.event, Event):
        return partition
    return partition_of(given.event.subject, partitions)
