"""Calls of client libraries that block, from a loop, each within a hard deadline.

    async with a free client: work(client) in a thread of its own ─▶ its result, or Overdue at the deadline

A thread can't be ended from outside. One that outlives its deadline keeps its client, and its slot, until the library
lets go; what waits for a slot in vain has surely not been sent (`Busy`). A client is used by one call at a time, since
those of sendgrid and twilio share headers and sessions between calls.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

C = TypeVar("C")
T = TypeVar("T")


class Busy(Exception):
    """No slot came free in time: the call was not begun."""


class Overdue(Exception):
    """The deadline passed while the library worked: what it did is not known."""


class Slots(Generic[C]):
    """So many clients at most, made when they are first needed and used again, the last one first."""

    def __init__(self, count: int, make: Callable[[], C], timeout_s: float) -> None:
        """`make` gives a new client; `timeout_s` is how long a slot is waited for, and how long a call may take."""
        self._make, self._timeout_s = make, timeout_s
        self._free = asyncio.Semaphore(count)
        self._kept: list[C] = []

    async def call(self, work: Callable[[C], T]) -> T:
        """What `work` returns or raises; Busy, or Overdue, where time runs out before or while it runs."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._free.acquire()
        except TimeoutError:
            raise Busy from None
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[T | None, Exception | None]] = loop.create_future()
        client = self._kept.pop() if self._kept else self._make()

        def finish(result: T | None, error: Exception | None) -> None:
            self._kept.append(client)
            self._free.release()
            if not done.done():
                done.set_result((result, error))

        def run() -> None:
            result: T | None = None
            failed: Exception | None = None
            try:
                result = work(client)
            except Exception as error:  # noqa: BLE001 - handed to whoever waits
                failed = error
            # the loop may have ended meanwhile
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(finish, result, failed)

        threading.Thread(target=run, name="provider call", daemon=True).start()
        await asyncio.wait({done}, timeout=self._timeout_s)
        if not done.done():
            raise Overdue
        result, failed = done.result()
        if failed is not None:
            raise failed
        return result  # type: ignore[return-value] # None only where T allows it

    def take(self) -> list[C]:
        """The clients that no call uses, for whoever closes them; they are not used again."""
        kept, self._kept = self._kept, []
        return kept
