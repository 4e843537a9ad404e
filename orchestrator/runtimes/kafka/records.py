"""Kafka records as arrivals."""

from __future__ import annotations

from typing import cast

from faust.types import EventT

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
    try:
        raw = envelope_of(message.key, message.value, cast(Headers, message.headers or ()))
    except Unreadable as error:
        return Arrival(at, message.value or b"", error, offset=message.offset)
    return pipeline.arrival(raw, at)._replace(offset=message.offset)


def home_of(given: Arrival, partition: int, partitions: int) -> int:
    """The partition an arrival belongs to; an unreadable one, which names nobody, stays where it is."""
    if not isinstance(given.event, Event):
        return partition
    return partition_of(given.event.subject, partitions)
