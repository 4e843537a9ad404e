"""(d) Ours: one worker process with all its roles on a PostgreSQL store, watched from outside.

What is timed begins when the worker has taken its partitions, before it has fetched anything, and ends when every event
is applied, every message handed over and every decision told to the topics.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from msgspec import Struct

from benchmarks.kafka.sink import Sink
from benchmarks.kafka.stage import Stage, children, cpu_s
from benchmarks.kafka.worker import PORT
from tests.kafka.workers import Running, Town

# of one process, and of two
TOGETHER, APART = ("decide,dispatch,relay",), ("decide", "dispatch,relay")
WITHIN_S = 1_200.0
POLL_S = 0.02

_TAKEN = "SELECT coalesce(sum(epoch), 0)::int8 FROM progress"
_APPLIED = "SELECT coalesce(sum(next_offset), 0)::int8 FROM progress"
# what must be nothing in the end: messages not handed over, decisions not told to one of the topics
_LEFT = """
SELECT (SELECT count(*) FROM touches WHERE state = 'reserved')
     + (SELECT count(*) FROM touches WHERE state IN ('claimed', 'attempting'))
     + (SELECT 2 * coalesce(sum(log_n), 0) FROM progress) - (SELECT coalesce(sum(n), 0) FROM cursors)"""


class Ran(Struct, frozen=True, kw_only=True):
    """What a worker did with so many events."""

    # from the process's start to the first batch in the store
    start_s: float
    events: int
    # until all were applied, and until everything that follows from them was done
    applied_s: float
    wall_s: float
    # processor time of the worker, of PostgreSQL and of Kafka
    cpu_s: float
    postgres_cpu_s: float
    kafka_cpu_s: float
    decisions: int
    touches: int


class Ours(Town):
    """A project of the shipped content whose workers hand their messages to the sink."""

    module = "benchmarks.kafka.worker"

    def __init__(self, stage: Stage, sink: Sink, name: str, topic: str, partitions: int) -> None:
        """On a fresh database; reads `topic`, which exists, and tells topics of its own."""
        self.stage, self.sink, self.database = stage, sink, stage.postgres.fresh_database()
        super().__init__(
            stage.folder / name, stage.kafka, self.database, partitions, events=topic, session_timeout_s=15.0
        )
        # made before anything looks into it
        _ = self.store
        self._begun: list[Running] = []
        self._watching = psycopg.connect(self.database, autocommit=True)

    def begin(self, roles: Sequence[str] = TOGETHER) -> list[Running]:
        """A worker of one process for each group of roles, started."""
        self._begun = [self.worker(each, **{PORT: str(self.sink.port)}) for each in roles]
        return self._begun

    def run(self, events: int, meanwhile: Callable[[Running], object] = lambda _: None) -> Ran:
        """Starts a worker on `events` that wait in the topic, until it has done everything; then ends it in order.

        `meanwhile` is called when the watch has begun.
        """
        before, at_first, epochs = self.decided(), self.applied(), self._number(_TAKEN)
        started = time.perf_counter()
        (worker,) = self.begin()
        self._wait(_TAKEN, lambda n: n > epochs)
        begun, busy = time.perf_counter(), self._busy(worker)
        meanwhile(worker)
        self._wait(_APPLIED, lambda n: n > at_first)
        decides = time.perf_counter()
        self.until_applied(at_first + events)
        applied = time.perf_counter()
        self.until_done()
        ended = time.perf_counter()
        spent = [now - then for now, then in zip(self._busy(worker), busy, strict=True)]
        worker.end()
        decided = self.decided() - before
        return Ran(
            start_s=decides - started,
            events=events,
            applied_s=applied - begun,
            wall_s=ended - begun,
            cpu_s=spent[0],
            postgres_cpu_s=spent[1],
            kafka_cpu_s=spent[2],
            decisions=decided["decisions"],
            touches=decided["touches"],
        )

    def applied(self) -> int:
        """How many events are applied."""
        return self._number(_APPLIED)

    def until_applied(self, events: int) -> None:
        """Returns when so many events in all are applied."""
        self._wait(_APPLIED, lambda n: n >= events)

    def until_done(self) -> None:
        """Returns when nothing waits to be handed over or told."""
        self._wait(_LEFT, lambda n: n <= 0)

    def decided(self) -> Counter[str]:
        """Decisions so far, and those of them that came to a touch."""
        counts = Counter[str]()
        for (_, _, _, verdict, _), n in self.store.daily().items():
            counts["decisions"] += n
            counts["touches"] += n if verdict == "send" else 0
        return counts

    def close(self) -> None:
        """Ends the workers and drops the database."""
        self._watching.close()
        super().close()
        self.stage.postgres.drop(self.database)

    def _busy(self, worker: Running) -> tuple[float, float, float]:
        server = self.stage.postgres.pid
        return cpu_s([worker.process.pid]), cpu_s([server, *children(server)]), cpu_s([self.stage.kafka.pid])

    def _wait(self, query: str, holds: Callable[[int], bool]) -> int:
        deadline = time.monotonic() + WITHIN_S
        while not holds(found := self._number(query)):
            for worker in self._begun:
                if worker.process.poll() is not None or time.monotonic() > deadline:
                    said = worker.log.read_text(encoding="utf-8")[-3000:]
                    raise RuntimeError(f"the worker did not get there:\n{said}")
            time.sleep(POLL_S)
        return found

    def _number(self, query: str) -> int:
        row: Any = self._watching.execute(query.encode()).fetchone()
        return int(row[0])
