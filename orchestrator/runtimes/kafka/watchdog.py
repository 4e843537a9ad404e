"""Ends a process in which something that must end does not: a batch, a call of the store, the event loop itself.

A hung handler would keep its partitions for good, since it also holds up the group's next rebalance. Time is the
machine's uptime including suspension (CLOCK_BOOTTIME): a worker that was frozen or suspended beyond the limit is ended
as soon as it wakes.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import structlog

from orchestrator.runtimes.kafka.ending import FAULT

log = structlog.get_logger()


def uptime() -> float:
    """Seconds since the machine started, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Watch:
    """One thing that must show life."""

    __slots__ = ("limit_s", "seen", "what")

    def __init__(self, what: str, limit_s: float) -> None:
        self.what, self.limit_s = what, limit_s
        self.seen = uptime()

    def beat(self) -> None:
        """It lives."""
        self.seen = uptime()


class Watchdog:
    """Looks every second at what is being watched."""

    def __init__(self, limit_s: float, end: Callable[[str, float], None] | None = None) -> None:
        """`limit_s`: how long something may show no life. `end` is told what and for how long; None: exit 70."""
        self.limit_s = limit_s
        self._end = end or _exit
        self._watches: dict[int, Watch] = {}
        self._numbers = count()

    def start(self) -> None:
        """Begins to look, in a thread of its own."""
        threading.Thread(target=self._run, name="watchdog", daemon=True).start()

    @contextmanager
    def watching(self, what: str, limit_s: float | None = None) -> Iterator[Watch]:
        """Watches the block; it must end, or beat, within the limit."""
        number = next(self._numbers)
        watch = self._watches[number] = Watch(what, limit_s or self.limit_s)
        try:
            yield watch
        finally:
            del self._watches[number]

    def beat(self) -> None:
        """Everything lives: called by whoever waits for a database that is away, since others wait for it in turn."""
        for watch in list(self._watches.values()):
            watch.beat()

    def look(self) -> None:
        """Ends the process if anything watched has been silent for longer than its limit."""
        now = uptime()
        for watch in list(self._watches.values()):
            if now - watch.seen > watch.limit_s:
                self._end(watch.what, now - watch.seen)

    def _run(self) -> None:
        while True:
            before = uptime()
            time.sleep(1)
            self.look_after(uptime() - before)

    def look_after(self, passed_s: float) -> None:
        """Looks, when so long has passed since the last time: if that is beyond the limit, the process stood still.

        Whoever is watched may wake first, and show life.
        """
        if passed_s > self.limit_s:
            self._end("this process stood still", passed_s)
        self.look()


def _exit(what: str, silent_s: float) -> None:
    log.critical("no sign of life", what=what, seconds=round(silent_s, 1), exit=FAULT)
    os._exit(FAULT)
