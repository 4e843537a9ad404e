"""How far the workers are behind: the store's offsets against the ends of the log.

Offsets committed to Kafka are a courtesy to its own tools and may stand behind, or even ahead after a dropped batch;
the store's are what was really applied.
"""

from __future__ import annotations

from msgspec import Struct

from orchestrator.dispatch.standing import AccountStanding, accounts
from orchestrator.project import Project
from orchestrator.runtimes.kafka.cluster import Ends, find_ends, find_logs
from orchestrator.stores.contract import Backlog, Progress
from orchestrator.times import instant, rfc3339


class PartitionLag(Struct, frozen=True, kw_only=True):
    """How one partition stands."""

    partition: int
    # offset of the next event to apply
    next_offset: int
    # offset after the last readable record
    end: int
    # records not yet applied; markers of transactions count as well
    lag: int
    # the partition's own time, RFC 3339; None before its first input
    clock: str | None
    # times its ownership changed hands
    epoch: int
    # inbox rows whose moment has come, and those that wait for theirs
    due: int
    waiting: int
    # touches that wait for their call, and those claimed or being called
    reserved: int
    in_flight: int
    # log rows that the topics have not been told yet
    untold: int


class LagReport(Struct, frozen=True, kw_only=True):
    """How all of it stands."""

    topic: str
    group: str
    # sums over the partitions
    lag: int
    due: int
    reserved: int
    untold: int
    partitions: list[PartitionLag]
    accounts: list[AccountStanding]


def lag(project: Project, now: int) -> LagReport:
    """The lag of each partition, and how each provider account stands.

    `now` (microseconds since 1970) says which inbox rows are due.
    Raises SetupError where the cluster does not answer or the topic is missing.
    """
    kafka, store = project.settings.kafka, project.store
    found = find_logs(kafka, [kafka.events])[kafka.events]
    # offsets first: what is applied between the two questions would else look like less than nothing
    rows = {row.partition: row for row in store.progress()}
    waits = store.backlog(now)
    ends = find_ends(kafka, kafka.events, found.partitions)
    cursors, told = store.cursors(), (kafka.decisions, kafka.touches)
    partitions = [
        _partition(
            rows.get(partition) or Progress(partition, 0, 0, 0, 0, 0, b""),
            end,
            waits.get(partition) or Backlog(0, 0, 0, 0),
            min(cursors.get((partition, topic), 0) for topic in told),
        )
        for partition, end in sorted(ends.items())
    ]
    return LagReport(
        topic=kafka.events,
        group=kafka.group,
        lag=sum(row.lag for row in partitions),
        due=sum(row.due for row in partitions),
        reserved=sum(row.reserved for row in partitions),
        untold=sum(row.untold for row in partitions),
        partitions=partitions,
        accounts=accounts(store, project.settings.dispatch),
    )


def _partition(row: Progress, ends: Ends, waits: Backlog, cursor: int) -> PartitionLag:
    return PartitionLag(
        partition=row.partition,
        next_offset=row.next_offset,
        end=ends.end,
        lag=max(0, ends.end - max(row.next_offset, ends.first)),
        clock=rfc3339(instant(row.clock)) if row.clock else None,
        epoch=row.epoch,
        due=waits.due,
        waiting=waits.later,
        reserved=waits.reserved,
        in_flight=waits.in_flight,
        untold=row.log_n - cursor,
    )
