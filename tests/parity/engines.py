"""One recording through both engines: a SQLite file turned by this process; Kafka, Faust workers and PostgreSQL.

**The clock.** A worker knows two times: a record's, which in production is the broker's append time, and the wall's, by
which it fires what is due while it stands at the end of its input. Here the topic of events is `CreateTime`, so that
each record brings the instant at which it arrived when it was recorded; and everything happens years ahead, where the
wall's time makes nothing due. So time is virtual, and the workers are those that ship, without a seam for tests:
arrivals alone move the clocks, on both sides. (`test_wall_clock.py` has the wall's time.)

What a dispatcher or a provider said lies in both inboxes under the instant at which it was heard; no dispatcher runs.
Timers, expiries and cancellations are in no recording: they must come out by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
from kafka.admin import ConfigResource

from orchestrator.decide.content import Content
from orchestrator.runtimes.embedded.engine import Engine
from orchestrator.runtimes.kafka.cluster import find_ends
from orchestrator.stores.contract import Store
from orchestrator.stores.sql.store import SqlStore
from orchestrator.topics import Admin
from orchestrator.vault import Vault
from tests.kafka.workers import Send, Town, owners, until
from tests.parity.recording import Record, Recording, delivery

VIRTUAL = {
    "message.timestamp.type": "CreateTime",
    # a broker refuses what is dated more than an hour ahead, unless told otherwise
    "message.timestamp.after.max.ms": str(2**63 - 1),
    # and begins a new file each week, by the time of the records
    "segment.ms": str(2**63 - 1),
}


@contextmanager
def embedded(
    file: Path, partitions: int, recording: Recording, vault: Vault, content: Content, end: int | None = None
) -> Iterator[Store]:
    """The store, a new `file`, of an embedded engine that has lived a recording, and what was due by `end`.

    None: by the last record. `end` is inclusive.
    """
    store = SqlStore.open(f"sqlite:///{file}", partitions)
    try:
        store.suppress([], recording.heard)
        engine = Engine(store, vault, content)
        told = [delivery(engine.pipeline, record, partitions) for record in recording.records]
        engine.run_virtual(iter(told), end, None)
        yield store
    finally:
        store.close()


def start(town: Town, workers: int) -> None:
    """Starts workers that only decide, on a topic whose records say themselves when they arrived."""
    admin = Admin(bootstrap_servers=town.kafka.bootstrap)
    admin.alter_configs([ConfigResource("topic", town.settings.kafka.events, VIRTUAL)])
    admin.close()
    for _ in range(workers):
        town.worker("decide")


def until_shared(town: Town) -> None:
    """Returns when each worker holds as many partitions as the others."""
    share = [town.partitions // len(town.workers)] * len(town.workers)
    until(lambda: owners(town) == share, "each had its share of the partitions", workers=town.workers)


def tell(town: Town, records: Sequence[Record]) -> None:
    """Produces records in this order."""
    town.send([Send(r.value, r.key, r.partition, r.at // 1_000, r.headers) for r in records])


def until_applied(town: Town, misplaced: int, within_s: float) -> None:
    """Returns when all that was produced is applied, with so many misplaced events sent on to their own partitions."""
    workers, kafka = town.workers, town.settings.kafka
    until(lambda: town.totals().get("misplaced", 0) == misplaced, "all was sent on", within_s, workers)
    ends = {partition: log.end for partition, log in find_ends(kafka, kafka.events, town.partitions).items()}
    until(lambda: town.next_offsets() == ends, "all was applied", within_s, workers)


def told(town: Town) -> tuple[Record, ...]:
    """What the topic of events holds, partition by partition, with the copies of what was sent on."""
    return tuple(
        Record(row.partition, row.timestamp * 1_000, row.key, row.value, tuple(row.headers))
        for row in town.read(town.settings.kafka.events)
    )


def writers(town: Town) -> dict[int, int]:
    """Partition -> the database's session that writes it, as PostgreSQL says."""
    with psycopg.connect(town.settings.store.url) as session:
        return dict(session.execute("SELECT partition, backend FROM progress").fetchall())
