"""One writer at a time, first come first served, within this process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Turnstile:
    """A fair lock. SQLite's own is not: a busy batch writer would starve a dispatcher that polls for its turn.

    A thread that asks again while it is inside gets RuntimeError at once instead of waiting for itself.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._inside: int | None = None

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Waits for its turn; gives it to whoever has waited longest on leaving."""
        self._enter()
        try:
            yield
        finally:
            self._leave()

    def stay_outside(self) -> None:
        """Raises RuntimeError in the thread that is inside."""
        if self._inside == threading.get_ident():
            raise RuntimeError("this thread has a batch or a write open on this store; leave it first")

    def _enter(self) -> None:
        me = threading.get_ident()
        with self._guard:
            if self._inside is None:
                self._inside = me
                return
            self.stay_outside()
            ticket = threading.Lock()
            ticket.acquire()
            self._waiting.append(ticket)
        ticket.acquire()
        self._inside = me

    def _leave(self) -> None:
        with self._guard:
            if not self._waiting:
                self._inside = None
                return
            # stays occupied: the next in line enters, nobody overtakes
            self._inside = -1
            self._waiting.popleft().release()
