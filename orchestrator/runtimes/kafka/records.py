"""Kafka records as arrivals."""

from __future__ import annotations

from typing import cast

from aiokafka import ConsumerRecord

from orchestrator.errors import Unreadable
from orchestrator.events.envelope import Event
from orchestrator.events.kafka_binding import envelope_of
from orchestrator.events.partition import partition_of
from orchestrator.pipeline import Arrival, Pipeline


def arrival(pipeline: Pipeline, record: ConsumerRecord) -> Arrival:
    """The arrival of a record, structured or binary: at the broker's append time, numbered by its offset."""
    at = record.timestamp * 1_000
    try:
        raw = envelope_of(record.key, record.value, headers_of(record))
    except Unreadable as error:
        return Arrival(at, record.value or b"", error, offset=record.offset)
    return pipeline.arrival(raw, at, offset=record.offset)


def headers_of(record: ConsumerRecord) -> tuple[tuple[str, bytes], ...]:
    """The headers of a record as Kafka has them: in their order, names that stand there twice included."""
    return cast("tuple[tuple[str, bytes], ...]", record.headers)


def home_of(given: Arrival, partition: int, partitions: int) -> int:
    """The partition an arrival belongs to; an unreadable one, which names nobody, stays where it is."""
    if not isinstance(given.event, Event):
        return partition
    return partition_of(given.event.subject, partitions)
