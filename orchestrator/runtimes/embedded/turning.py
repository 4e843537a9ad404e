"""The embedded engine in a thread of its own, for a process that is handed events one by one and answers for them.

An event that `take` was given has been applied, with all that follows from it, when it returns: it waits for the
transaction. What falls due by itself is turned as well. The outbox is another's (`Dispatcher`, beside it).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import NamedTuple

from orchestrator.clocks import wall_clock
from orchestrator.events.envelope import Event, write_event
from orchestrator.orders import activate
from orchestrator.runtimes.embedded.engine import Engine
from orchestrator.runtimes.embedded.sources import Delivery, partition_for

# how long the engine sleeps when nothing came and nothing was due
IDLE_S = 0.2
# events of several callers that share a transaction, at most
TOGETHER = 1_000
# events that wait for the engine at most; beyond, callers are asked to come again
ROOM = 20_000


class Full(Exception):
    """More events wait than the engine should be asked to remember."""


class Stopped(Exception):
    """The engine has ended; what it was given last may have been applied or not."""


class _Handed(NamedTuple):
    events: Sequence[Event]
    done: Future[None]


class Turning:
    """An engine that goes round until it is stopped, or fails."""

    def __init__(self, engine: Engine, failed: Callable[[BaseException], None]) -> None:
        """`failed` is told, in the engine's thread, of the error that ended it."""
        self.engine = engine
        self._failed = failed
        self._handed: SimpleQueue[_Handed] = SimpleQueue()
        self._waiting = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Puts the content in force and begins to turn."""
        activate(self.engine.store, self.engine.pipeline.content.revision, "engine")
        self._thread.start()

    def stop(self) -> None:
        """Finishes what was handed to it, and returns."""
        self._stop.set()
        self._thread.join()

    def well(self) -> bool:
        """Whether it turns, and has room."""
        return self._thread.is_alive() and not self._stop.is_set() and self._waiting < ROOM

    async def take(self, events: Sequence[Event]) -> None:
        """Returns when all of them are applied; raises Full or Stopped."""
        done: Future[None] = Future()
        with self._lock:
            if self._stop.is_set():
                raise Stopped
            if self._waiting + len(events) > ROOM:
                raise Full
            self._waiting += len(events)
            self._handed.put(_Handed(events, done))
        await asyncio.wrap_future(done)

    # --- the engine's thread

    def _run(self) -> None:
        taken: list[_Handed] = []
        try:
            while True:
                ending = self._stop.is_set()
                taken = self._gather()
                self._turn(taken)
                if ending and not taken:
                    return
        except BaseException as error:  # noqa: BLE001 - whoever waits for it must hear of it, whatever it is
            with self._lock:
                self._stop.set()
            self._end(taken)
            self._failed(error)

    def _gather(self) -> list[_Handed]:
        """What was handed over by now; waits a little where nothing was."""
        taken: list[_Handed] = []
        count = 0
        try:
            while count < TOGETHER:
                taken.append(self._handed.get(timeout=IDLE_S) if not taken else self._handed.get_nowait())
                count += len(taken[-1].events)
        except Empty:
            pass
        return taken

    def _turn(self, taken: Sequence[_Handed]) -> None:
        engine, now = self.engine, wall_clock()
        deliveries = [self._delivery(event, now) for handed in taken for event in handed.events]
        more = engine.feed(deliveries, now).more_due
        # after a failure only a part is consumed; and much may be due at once
        while any(engine.queues.values()) or more:
            more = engine.feed([], now).more_due
        with self._lock:
            self._waiting -= len(deliveries)
        for handed in taken:
            handed.done.set_result(None)

    def _delivery(self, event: Event, now: int) -> Delivery:
        arrival = self.engine.pipeline.arrival(write_event(event), now)
        return Delivery(partition_for(arrival, self.engine.store.partitions), arrival)

    def _end(self, taken: list[_Handed]) -> None:
        """Everybody who waits is told that it is over."""
        try:
            while True:
                taken.append(self._handed.get_nowait())
        except Empty:
            pass
        for handed in taken:
            if not handed.done.done():
                handed.done.set_exception(Stopped())
