"""Workers as processes have them, several on one PostgreSQL, each with sessions and a cache of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import psycopg

from orchestrator.decide.content import Content
from orchestrator.errors import Interrupted
from orchestrator.events.envelope import Event, write_event
from orchestrator.events.partition import partition_of
from orchestrator.pipeline import Arrival, Pipeline
from orchestrator.stores.contract import Progress, Store
from orchestrator.testing.world import us
from orchestrator.vault import Vault

PARTITIONS = 4
Opened = Callable[[], "Worker"]


class Worker:
    """A pipeline with sessions and a cache of its own, as a process has them."""

    def __init__(self, store: Store, vault: Vault, content: Content) -> None:
        self.store, self.pipeline = store, Pipeline(store, vault, content)
        self.held: dict[int, Progress] = {}
        self.interrupted = 0

    def take(self, *partitions: int) -> None:
        self.held = self.store.take(partitions)

    def arrivals(self, events: Sequence[Event]) -> dict[int, list[Arrival]]:
        found: dict[int, list[Arrival]] = {}
        for given in events:
            partition = partition_of(given.subject, PARTITIONS)
            found.setdefault(partition, []).append(self.pipeline.arrival(write_event(given)))
        return found

    def run(self, events: Sequence[Event], tick: str | None = None) -> None:
        """One batch, tried again as an engine does."""
        while True:
            try:
                ran = self.pipeline.run(self.held, self.arrivals(events), None if tick is None else us(tick))
            except Interrupted:
                self.interrupted += 1
                self.pipeline.forget()
                stands = {row.partition: row for row in self.store.progress()}
                self.held = {partition: stands[partition] for partition in self.held}
            else:
                self.held = ran.progress
                return


def somebody(partition: int, number: int) -> str:
    """A name in a partition."""
    return next(
        name for n in range(10_000) if partition_of(name := f"m{partition}-{number}-{n}", PARTITIONS) == partition
    )


def deadlocks(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as session:
        session.execute("SELECT pg_stat_clear_snapshot()")
        asked = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int(session.execute(asked).fetchall()[0][0])


def wait_for_a_waiter(url: str) -> None:
    """Returns when a session waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with psycopg.connect(url, autocommit=True) as looking:
        until = time.monotonic() + 30
        while not looking.execute(waiting).fetchall()[0][0]:
            assert time.monotonic() < until, "nobody waits"
