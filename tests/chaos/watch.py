"""Looks at the database all the time: who holds which partition, and how far the reading is."""

from __future__ import annotations

import threading
import time
from typing import Any, NamedTuple

import psycopg

EVERY_S = 0.1
# a worker's session bears its name
STATE = """
SELECT progress.partition, epoch, next_offset, coalesce(activity.application_name, '')
  FROM progress LEFT JOIN pg_stat_activity AS activity ON activity.pid = progress.backend"""
MISPLACED = "SELECT coalesce(sum(count), 0)::int FROM totals WHERE name = 'misplaced'"
DECIDED = "SELECT EXISTS (SELECT FROM log WHERE kind = 'decision')"


class Holding(NamedTuple):
    """One worker's time with a partition."""

    epoch: int
    # seconds, by time.monotonic: when it was first seen
    since: float
    worker: str


class Watch:
    """What it saw; `run` in a thread of its own until `stop`."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._stop = threading.Event()
        # partition -> who held it, one after the other
        self._holdings: dict[int, list[Holding]] = {}
        # records of the topic that are applied, copies of misplaced ones left out
        self.applied = 0
        # when the first decision was seen
        self.decided_at: float | None = None

    def run(self) -> None:
        """Looks, and looks again where the database is away."""
        while not self._stop.is_set():
            try:
                with psycopg.connect(self._database, autocommit=True, connect_timeout=5) as connection:
                    while not self._stop.wait(EVERY_S):
                        self._look(connection)
            except psycopg.Error:
                self._stop.wait(EVERY_S)

    def stop(self) -> None:
        """Looks no more."""
        self._stop.set()

    def held_by(self, workers: tuple[str, ...], at: float) -> dict[int, int]:
        """The partitions that these workers held at this time, by time.monotonic, with their epochs."""
        found: dict[int, int] = {}
        for partition, holdings in list(self._holdings.items()):
            then = [holding for holding in holdings if holding.since <= at]
            if then and then[-1].worker in workers:
                found[partition] = then[-1].epoch
        return found

    def taken_over_at(self, held: dict[int, int]) -> float | None:
        """When the last of these partitions was seen under a later epoch; None while one is not."""
        later = [
            next((holding.since for holding in self._holdings[partition] if holding.epoch > epoch), None)
            for partition, epoch in held.items()
        ]
        return None if None in later else max((since for since in later if since is not None), default=None)

    def _look(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        rows = connection.execute(STATE).fetchall()
        at = time.monotonic()
        for partition, epoch, _, worker in rows:
            holdings = self._holdings.setdefault(partition, [])
            if not holdings or holdings[-1].epoch < epoch:
                holdings.append(Holding(epoch, at, worker))
            elif worker and not holdings[-1].worker:
                holdings[-1] = holdings[-1]._replace(worker=worker)
        (misplaced,) = connection.execute(MISPLACED).fetchall()[0]
        self.applied = sum(row[2] for row in rows) - misplaced
        if self.decided_at is None and connection.execute(DECIDED).fetchall()[0][0]:
            self.decided_at = time.monotonic()
