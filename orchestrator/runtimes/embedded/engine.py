"""The embedded engine: one process turns all partitions, on the virtual clock or on the real one.

Virtual clock: an event arrives at its own time; what falls due before it is taken first; after a turn that reserved a
touch its partition waits until the outbox is drained, so that the outcome comes before anything later. How events are
cut into batches changes nothing: each partition's turns follow from its own arrivals and rows alone. What an alias
sends on to another partition is there before anything later: an event of an alias, or that makes one, is a batch alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import islice
from pathlib import Path
from statistics import mean

from msgspec import Struct

from orchestrator.decide.content import Content
from orchestrator.orders import activate
from orchestrator.pipeline import Arrival, Pipeline, Ran, all_approved, nothing_kept
from orchestrator.runtimes.embedded.aliases import Aliases
from orchestrator.runtimes.embedded.sources import Delivery, Known, merged, read_file, recognise
from orchestrator.runtimes.turner import Turner
from orchestrator.stores.contract import Clock, FilePosition, Progress, Store
from orchestrator.vault import Vault

# what feeds the partitions here: arrivals are counted, so these offsets mean nothing to a log of Kafka's, nor its to us
SOURCE = "files and standard input"
# arrivals read ahead, and how many of one partition go into a batch
WINDOW = 4_096
SLICE = 40

# the outbox's turn: calls what may be called now, until nothing is
Drain = Callable[[Clock], int]
Progressed = Callable[[int, int], None]


class Totals(Struct, kw_only=True):
    """What a run did."""

    # arrivals consumed in this run
    arrivals: int = 0
    turns: int = 0
    batches: int = 0
    # calls made
    calls: int = 0
    quarantined: int = 0
    # seconds
    took: float = 0.0
    # seconds of it in the outbox
    dispatch_took: float = 0.0


class Engine:
    """All partitions of one store, turned by this process alone."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        content: Content,
        *,
        horizon_days: int = 35,
        unapproved: Callable[[Content], frozenset[str]] = all_approved,
        revisions: Callable[[str], Content | None] = nothing_kept,
    ) -> None:
        """Takes every partition; whoever held them before is refused from now on.

        `unapproved`, `revisions`: see `Pipeline`. Raises FedElsewhere, and takes none, where workers feed the store
        from a topic.
        """
        self.store = store
        self.pipeline = Pipeline(store, vault, content, timedelta(days=horizon_days), unapproved, revisions)
        self.turner = Turner(store, self.pipeline)
        self.held: dict[int, Progress] = store.take(range(store.partitions), source=SOURCE)
        self.queues: dict[int, deque[Arrival]] = {p: deque() for p in self.held}
        self.marks: dict[int, deque[_Mark]] = {p: deque() for p in self.held}
        self.outstanding: deque[_Mark] = deque()
        # file -> position up to which every partition has consumed, not written yet
        self.low_water: dict[bytes, FilePosition] = {}
        self.totals = Totals()
        self.aliases = Aliases(store, vault)
        # when the event arrives that has the engine to itself; None: none does
        self.alone: int | None = None
        # read, and to have the engine to itself when all before it is consumed
        self.kept: Delivery | None = None

    # --- virtual clock

    def run_files(
        self,
        paths: list[Path],
        *,
        until: int | None,
        drain: Drain | None,
        progressed: Progressed | None = None,
    ) -> Totals:
        """Runs files of events on the virtual clock, then everything due up to `until` (inclusive).

        `until` None: the time of the last event. `drain` None: touches stay reserved (dispatch off).
        `progressed` is told (bytes read, bytes in all).
        """
        files = [(path, recognise(path, self.store.positions())) for path in paths]
        first = [row for _, known in files for row in known.positions()]
        sources = [read_file(path, known, self._virtual, self.store.partitions) for path, known in files]
        return self.run_virtual(
            merged(sources) if sources else iter(()), until, drain, first, _report(files, progressed)
        )

    def run_virtual(
        self,
        source: Iterator[Delivery],
        until: int | None,
        drain: Drain | None,
        positions: list[FilePosition] | None = None,
        progressed: Callable[[Arrival], None] | None = None,
    ) -> Totals:
        """As `run_files`, from any source of deliveries in time order."""
        started = time.perf_counter()
        stop = drain is not None
        extra = list(positions or ())
        self._drain(drain, Clock.partition)
        if self._refill(source):
            self._activate()
        size = SLICE
        while self._refill(source):
            given = {p: list(islice(queue, size)) for p, queue in self.queues.items() if queue}
            ran = self._run(given, None, stop=stop, positions=extra + self._low_water())
            extra = []
            if progressed is not None and self.outstanding:
                progressed(next(iter(given.values()))[-1])
            if ran.touched:
                self._drain(drain, Clock.partition)
            if self.alone is not None:
                self._deliver(ran.elsewhere, self.alone, drain)
            # partitions stop at a touch: what a batch looks up for arrivals that it does not consume is for nothing
            size = min(SLICE, 1 + 2 * round(mean(ran.consumed.values() or (1,))))
        end = until if until is not None else max(p.clock for p in self.held.values())
        self._finish(end, drain, extra + self._low_water())
        self.totals.took += time.perf_counter() - started
        return self.totals

    def _virtual(self, raw: bytes, file: bytes, length: int, byte: int) -> Arrival:
        return self.pipeline.arrival(raw, None, file, length, byte)

    def _deliver(self, to: frozenset[int], at: int, drain: Drain | None) -> None:
        """What an event sent on to other partitions, and all else that is due there by then."""
        while to:
            held = {partition: self.held[partition] for partition in to}
            ran = self.turner.run(held, {}, at, stop_at_touch=drain is not None)
            self._took(ran)
            if ran.touched:
                self._drain(drain, Clock.partition)
            to = ran.elsewhere | (to if ran.turns else frozenset())

    def _finish(self, end: int, drain: Drain | None, positions: list[FilePosition]) -> None:
        """The last tick: everything due at or before `end`, and what follows from it."""
        while True:
            ran = self._run({}, end, stop=drain is not None, positions=positions)
            positions = []
            if ran.touched:
                self._drain(drain, Clock.partition)
                continue
            due = self.store.next_due()
            if not ran.more_due and (due is None or due > end or not ran.turns):
                return

    # --- real clock

    def run_real(
        self,
        source: Iterator[Delivery | None],
        drain: Drain | None,
        clock: Callable[[], int],
        *,
        follow: bool = False,
        until: int | None = None,
    ) -> Totals:
        """Runs deliveries as they come on the real clock; ends with its input unless `follow`.

        A source may yield None to say that nothing has come for now. `until`: stops at this instant.
        """
        started = time.perf_counter()
        self._activate()
        going = True
        while going:
            batch: dict[int, list[Arrival]] = {}
            for delivery in islice(source, 500):
                if delivery is None:
                    break
                self._enqueue(delivery)
            else:
                going = follow or any(self.queues.values())
            now = clock()
            batch = {p: list(islice(queue, SLICE)) for p, queue in self.queues.items() if queue}
            ran = self._run(batch, now, stop=False, positions=self._low_water())
            self._drain(drain, Clock.store)
            going = (going or bool(batch) or ran.more_due) and (until is None or now < until)
        self._run({}, clock(), stop=False, positions=self._low_water())
        self.totals.took += time.perf_counter() - started
        return self.totals

    # --- both

    def carry_out(self) -> None:
        """Applies what was ordered, and what follows from it; no clock goes further than the one that is furthest."""
        self._finish(max(row.clock for row in self.held.values()), None, [])

    def feed(self, arrivals: list[Delivery], now: int) -> Ran:
        """Applies these arrivals now, with what is due: for single events."""
        for delivery in arrivals:
            self._enqueue(delivery)
        batch = {p: list(queue) for p, queue in self.queues.items() if queue}
        return self._run(batch, now, stop=False, positions=self._low_water())

    def _activate(self) -> None:
        activate(self.store, self.pipeline.content.revision, "engine")

    def _refill(self, source: Iterator[Delivery]) -> bool:
        """Reads on while the window has room; whether anything waits. What was consumed makes room first."""
        self._settle()
        while len(self.outstanding) < WINDOW and (self.alone is None or not self.outstanding):
            self.alone = None
            delivery, self.kept = self.kept or next(source, None), None
            if delivery is None:
                break
            if self.aliases.concerned(delivery.arrival):
                if self.outstanding:
                    self.kept = delivery
                    break
                self.alone = delivery.arrival.at
            self._enqueue(delivery)
        return any(self.queues.values())

    def _enqueue(self, delivery: Delivery) -> None:
        partition, arrival = delivery
        mark = _Mark(arrival)
        self.queues[partition].append(arrival)
        self.marks[partition].append(mark)
        self.outstanding.append(mark)

    def _settle(self) -> None:
        while self.outstanding and self.outstanding[0].done:
            arrival = self.outstanding.popleft().arrival
            if arrival.file:
                self.low_water[arrival.file] = FilePosition(arrival.file, arrival.length, -1, arrival.byte)

    def _low_water(self) -> list[FilePosition]:
        """Positions of files up to which every partition has consumed, for the next batch to write."""
        self._settle()
        rows = list(self.low_water.values())
        self.low_water.clear()
        return rows

    def _run(
        self,
        given: dict[int, list[Arrival]],
        tick: int | None,
        *,
        stop: bool,
        positions: list[FilePosition],
    ) -> Ran:
        held = {p: self.held[p] for p in given} if tick is None else self.held
        ran = self.turner.run(held, given, tick, stop_at_touch=stop, positions=positions)
        self.totals.quarantined = self.turner.quarantined
        self._took(ran)
        return ran

    def _took(self, ran: Ran) -> None:
        self.held.update(ran.progress)
        for partition, n in ran.consumed.items():
            queue, marks = self.queues[partition], self.marks[partition]
            for _ in range(n):
                queue.popleft()
                marks.popleft().done = True
            self.totals.arrivals += n
        self.totals.turns += ran.turns
        self.totals.batches += 1

    def _drain(self, drain: Drain | None, now: Clock) -> None:
        if drain is not None:
            started = time.perf_counter()
            self.totals.calls += drain(now)
            self.totals.dispatch_took += time.perf_counter() - started


class _Mark:
    """Whether an arrival that was read has been consumed."""

    __slots__ = ("arrival", "done")

    def __init__(self, arrival: Arrival) -> None:
        self.arrival, self.done = arrival, False


def _report(files: list[tuple[Path, Known]], progressed: Progressed | None) -> Callable[[Arrival], None] | None:
    if progressed is None:
        return None
    total = sum(known.length for _, known in files)
    at: dict[bytes, int] = {known.content: 0 for _, known in files}

    def tell(arrival: Arrival) -> None:
        at[arrival.file] = arrival.byte
        progressed(sum(at.values()), total)

    return tell
