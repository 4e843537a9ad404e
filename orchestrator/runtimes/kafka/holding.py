"""The partitions this worker holds, and the one thread that takes and turns them.

Everything here that touches the store runs in that thread, one thing at a time: so a partition is taken only after the
batch before it ended, no two batches meet, and the event loop and its heartbeats go on meanwhile.

Refused for a partition that is no longer ours: the batch is dropped, its new owner does it. Refused for one that is:
somebody took it while Kafka still says that it is ours; only a fresh start can tell who is right.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, ParamSpec, TypeVar

import structlog

from orchestrator.errors import Refused, SetupError
from orchestrator.pipeline import Arrival, Pipeline, Ran
from orchestrator.runtimes.kafka.patience import patiently
from orchestrator.runtimes.kafka.watchdog import Watchdog
from orchestrator.runtimes.turner import Turner
from orchestrator.stores.contract import Progress, Store

# partitions -> offset, from the log
Offsets = Mapping[int, int]

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")


class Turned(NamedTuple):
    """What turning a batch did."""

    consumed: int
    turns: int
    more_due: bool


class Holding:
    """Which partitions are ours, how far each is, and how they are turned."""

    def __init__(self, store: Store, pipeline: Pipeline, source: str, watchdog: Watchdog) -> None:
        """`source` names the log that feeds the store: "<cluster id>/<topic id>"."""
        self.store, self.pipeline, self.source = store, pipeline, source
        self.turner = Turner(store, pipeline)
        self.watchdog = watchdog
        # read from anywhere, written in the thread
        self.held: dict[int, Progress] = {}
        # True from the moment a rebalance takes our partitions away until the next assignment is known
        self.losing: Callable[[], bool] = lambda: False
        # True while a rebalance waits for the batch under way, after which every partition is sought anew
        self.awaited = False
        # where a partition that was never fed begins
        self._floor: dict[int, int] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="turning")

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs `work` in the thread, after whatever was given to it before."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))

    def next_offset(self, partition: int) -> int:
        """The offset of the next arrival of a partition we hold."""
        return max(self.held[partition].next_offset, self._floor.get(partition, 0))

    def next_offsets(self) -> dict[int, int]:
        """The offset of the next arrival of each partition we hold."""
        return {p: max(row.next_offset, self._floor.get(p, 0)) for p, row in self.held.copy().items()}

    # --- in the thread

    def keep(self, partitions: Iterable[int]) -> None:
        """Lets go of all other partitions, unwritten: their new owner may have taken them by now."""
        kept = set(partitions)
        if lost := sorted(self.held.keys() - kept):
            for partition in lost:
                del self.held[partition]
                self._floor.pop(partition, None)
            self.pipeline.forget()
            log.info("partitions lost", partitions=lost)

    def take(self, partitions: Iterable[int]) -> list[int]:
        """Takes those of these partitions that are new to us; which they were. Former owners are refused from now on.

        Raises SetupError where a partition was fed from another log.
        """
        new = sorted(set(partitions) - self.held.keys())
        if not new:
            return []
        with self.watchdog.watching("taking partitions"):
            taken = patiently(lambda: self.store.take(new, source=self.source), beat=self.watchdog.beat)
        self.pipeline.forget()
        with self.watchdog.watching("reading what is in force"):
            patiently(self.pipeline.follow, beat=self.watchdog.beat)
        self.held.update(taken)
        log.info("partitions taken", partitions=new)
        return new

    def begin(self, new: Iterable[int], first: Offsets, end: Offsets) -> None:
        """Sees that the log still holds what each new partition needs next; raises SetupError where it does not.

        `first` and `end` are the log's first offset and the one after its last. A partition that was never fed begins
        where the log does.
        """
        for partition in new:
            row = self.held[partition]
            if row.next_offset == 0 and row.turn == 0:
                self._floor[partition] = first[partition]
            elif first[partition] > row.next_offset:
                raise SetupError(
                    f"partition {partition}: the log begins at offset {first[partition]} and the store needs "
                    f"{row.next_offset}: events were deleted before they were read. Load them from elsewhere, then "
                    "start with an empty store, or restore the topic; retention must outlast any outage"
                )
            elif end[partition] < row.next_offset:
                raise SetupError(
                    f"partition {partition}: the log ends at offset {end[partition]} and the store has read up to "
                    f"{row.next_offset}: the topic lost events or was made anew. Restore it, or begin with an empty "
                    "store"
                )

    def next_due(self) -> int | None:
        """The earliest due of any inbox row, ours or another worker's."""
        with self.watchdog.watching("asking for what is due"):
            return patiently(self.store.next_due, beat=self.watchdog.beat)

    def turn(
        self,
        given: Mapping[int, Sequence[Arrival]],
        ended: Iterable[int],
        now: int,
        alive: Callable[[], object] = lambda: None,
    ) -> Turned:
        """Applies these arrivals, all of them; with what is due by `now` for partitions that stand at their end.

        `alive` is called after each transaction: there are many where an order about all members comes before the
        arrivals. A rebalance does not wait for all of them: what is left is dropped and fetched again, by its owner
        then. Arrivals of partitions that we don't hold are dropped, and so is everything when the store refuses us
        while partitions are being lost. Raises Refused otherwise.
        """
        done = Turned(0, 0, False)
        pending = {p: list(arrivals) for p, arrivals in given.items() if p in self.held}
        at_end = {p for p in ended if p in self.held}
        idle = at_end - pending.keys()
        while pending or idle:
            through = {p: pending.pop(p) for p in list(pending) if p not in at_end}
            final = {p: pending.pop(p, []) for p in at_end & (pending.keys() | idle)}
            idle = set()
            for part, tick in ((through, None), (final, now)):
                if not part:
                    continue
                ran = self._run(part, tick)
                if ran is None:
                    return done
                alive()
                done = Turned(done.consumed + sum(ran.consumed.values()), done.turns + ran.turns, ran.more_due)
                rest = {p: arrivals[ran.consumed.get(p, 0) :] for p, arrivals in part.items()}
                pending |= {p: arrivals for p, arrivals in rest.items() if arrivals}
                if not ran.turns and not any(ran.consumed.values()) and any(rest.values()):
                    raise RuntimeError("a batch did nothing")
                if self.awaited:
                    return done
        return done

    def _run(self, part: Mapping[int, Sequence[Arrival]], tick: int | None) -> Ran | None:
        """One transaction; None where it was refused and the partitions are no longer ours."""

        def once() -> Ran:
            held = {p: self.held[p] for p in part}
            ran = self.turner.run(held, {p: a for p, a in part.items() if a}, tick)
            self.held.update(ran.progress)
            return ran

        try:
            with self.watchdog.watching("a batch"):
                return patiently(once, again=self._read_again, beat=self.watchdog.beat)
        except Refused:
            self.pipeline.forget()
            if not self.losing():
                raise
            log.warning("batch dropped: its partitions have another owner", partitions=sorted(part))
            return None

    def _read_again(self) -> None:
        """After a lost connection: how far the store really is. Rows of another owner are left, and will be refused."""
        self.pipeline.forget()
        for row in self.store.progress():
            mine = self.held.get(row.partition)
            if mine is not None and mine.epoch == row.epoch:
                self.held[row.partition] = row
