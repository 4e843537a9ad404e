"""The events: a month of the grocer's real baskets, households enrolled at their first one, as if it happened just now.

Order, households, amounts and the share of enrolments are the grocer's. What is altered: there are copies of the
households under other names until there are events enough, the month is laid into the last hour (events older than the
horizon would be dead letters), and members live where it is noon, so that the hour at which somebody measures plays no
part in what is decided.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks import grocer
from orchestrator.events.envelope import Event, write_event
from orchestrator.events.partition import partition_of
from orchestrator.times import rfc3339
from tests.kafka.workers import where_it_is_noon

# the month is laid into so much time before now
LAID_INTO = timedelta(hours=1)


class Record(NamedTuple):
    """One event as it is produced."""

    partition: int
    key: bytes
    value: bytes


class Load(NamedTuple):
    """A topic's worth of events."""

    records: list[Record]
    source: str


def month(folder: Path, events: int, partitions: int, days: int = 30) -> Load:
    """So many events of as many households as it takes; `folder` holds the files they are made by."""
    made = grocer.year(folder, grocer.HOUSEHOLDS, days)
    with made.events.open("rb") as lines:
        of_one = sum(1 for _ in lines)
    path = grocer.more_members(made.events, -(-events // of_one), folder / "copies.jsonl")
    with path.open("rb") as lines:
        given = [msgspec.json.decode(line) for line in islice(lines, events)]
    now = datetime.now(UTC)
    first, zone = now - LAID_INTO, where_it_is_noon(now)
    step = LAID_INTO / (len(given) + 1)
    records = [_laid(event, first + step * i, zone, partitions) for i, event in enumerate(given)]
    return Load(records, made.source)


def record(event: Event, partitions: int) -> Record:
    """The record of an event."""
    return Record(partition_of(event.subject, partitions), event.subject.encode(), write_event(event))


def _laid(event: dict[str, Any], at: datetime, zone: str, partitions: int) -> Record:
    event["time"] = rfc3339(at)
    if "zone" in event["data"]:
        event["data"]["zone"] = zone
    subject: str = event["subject"]
    return Record(partition_of(subject, partitions), subject.encode(), msgspec.json.encode(event))
