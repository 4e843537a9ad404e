"""An account's rate, over all workers: never more calls begun within any second than it may have.

Workers lease calls in blocks from one document of the store, by compare-and-set. A block is good for `USE` from before
its instant was asked for; what was not begun by then is forfeit. So with g the instant of a block, its calls begin in
[g, g + USE), and the blocks whose calls can meet within a period P lie within P + USE of each other. The sum of those
is kept at the rate's: hence no second has more, whoever calls, and P / (P + USE) of the rate can be had.

The bound is on when calls begin here; how evenly they reach the provider is the network's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from orchestrator.stores.contract import Store

KIND = "pace"
SECOND = 1_000_000
# microseconds
USE = 100_000
# a worker leases at most this part of a period's calls at once, so that others have theirs
SHARE = 4
# others were faster so many times in a row: later
_TRIES = 5
# blocks are kept by instants so far apart, the later one: they count a little longer, and are few
_GRAIN = 10_000
_LATER = 10_000

# (instant, calls) of each block that still counts
_Blocks = list[tuple[int, int]]
_decode = msgspec.json.Decoder(_Blocks).decode
_encode = msgspec.json.Encoder().encode


def span_of(per_second: float) -> tuple[int, int]:
    """(calls, microseconds): so many lie in blocks that close to each other at most. A rate below one is one call."""
    most = max(1, int(per_second))
    return most, int(most / per_second * SECOND) + USE


def leased(store: Store, account: str, per_second: float, at: int) -> int:
    """Calls that workers hold or began and that still count at `at`, the store's clock, in microseconds."""
    raw, span = store.get_document(KIND, account), span_of(per_second)[1]
    return 0 if raw is None else sum(calls for since, calls in _decode(raw) if at - span < since < at + span)


class Pace:
    """One account's rate, as one dispatcher leases from it; its async methods belong to one event loop."""

    def __init__(
        self,
        store: Store,
        account: str,
        per_second: float,
        elapsed: Callable[[], int],
        do: Callable[..., Awaitable[Any]],
    ) -> None:
        """`elapsed` gives microseconds that pass always; `do` carries out a synchronous call."""
        self._store, self._account, self._elapsed, self._do = store, account, elapsed, do
        self._most, self._span = span_of(per_second)
        self._block = max(1, self._most // SHARE)
        # (good until, calls) leased and not begun
        self._held: list[tuple[int, int]] = []
        self._next = 0
        self._waiting = 0
        self._lock = asyncio.Lock()

    def room(self) -> int:
        """How many calls it is of use to ask for now."""
        return self._block if self._elapsed() >= self._next else 0

    async def lease(self, wanted: int) -> int:
        """Leases up to `wanted` calls; how many are held and good now, `wanted` at most."""
        held = self._good()
        if held >= wanted:
            return wanted
        granted, good_until, wait = await self._do(self._ask, min(wanted - held, self._block))
        if granted:
            self._held.append((good_until, granted))
        self._next = self._elapsed() + wait
        return min(self._good(), wanted)

    async def begin(self, deadline: int) -> bool:
        """Waits for a call of its own and begins it: nothing may come between this and the call.

        False where none is to be had before `elapsed` comes to `deadline`.
        """
        self._waiting += 1
        try:
            while not self._spend():
                async with self._lock:
                    if self._spend():
                        break
                    if self._elapsed() >= deadline:
                        return False
                    if self._elapsed() < self._next:
                        await asyncio.sleep(min(self._next - self._elapsed(), USE) / SECOND)
                    else:
                        await self.lease(self._waiting)
            return True
        finally:
            self._waiting -= 1

    def _good(self) -> int:
        now = self._elapsed()
        self._held = [(until, calls) for until, calls in self._held if calls and now < until]
        return sum(calls for _, calls in self._held)

    def _spend(self) -> bool:
        if not self._good():
            return False
        until, calls = self._held[0]
        self._held[0] = (until, calls - 1)
        return True

    def _ask(self, wanted: int) -> tuple[int, int, int]:
        """(calls granted, good until, microseconds in which there is none)."""
        for _ in range(_TRIES):
            # before the instant is asked for: what passed since then is at least what has passed since that
            began = self._elapsed()
            at, raw = self._store.clock(), self._store.get_document(KIND, self._account)
            # a block from ahead of any of these was made by a clock that has been put back
            blocks = [] if raw is None else [b for b in _decode(raw) if at - self._span < b[0] < at + self._span]
            left = self._most - sum(calls for _, calls in blocks)
            if left <= 0:
                return 0, 0, max(min(at_ for at_, _ in blocks) + self._span - at, 1)
            granted = min(wanted, left)
            body = _encode(_with(blocks, -(-at // _GRAIN) * _GRAIN, granted))
            if self._store.replace_document(KIND, self._account, raw, body, []):
                return granted, began + USE, 0
        return 0, 0, _LATER


def _with(blocks: _Blocks, at: int, calls: int) -> _Blocks:
    """These blocks and one more."""
    if blocks and blocks[-1][0] == at:
        return [*blocks[:-1], (at, blocks[-1][1] + calls)]
    return [*blocks, (at, calls)]
