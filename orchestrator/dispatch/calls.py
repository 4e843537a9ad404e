"""Calls under way: each will have an answer within its limit, whatever its adapter does.

From the attempt to the call a deadline runs, measured by `elapsed`: see `dispatcher`. Who comes later than that does
not call, and says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress

from orchestrator.channels.contract import Answer, Message
from orchestrator.dispatch.outlets import Outlet, Outlets
from orchestrator.stores.contract import Claim, TouchRow

log = logging.getLogger(__name__)

# a call waits for its turn in an account's rate for at most this part of the lease
_TURN = 4
# what a call comes to where its adapter does not answer, or raises
_TIMEOUT, _BROKEN = Answer(kind="unknown", code="timeout"), Answer(kind="unknown", code="adapter_error")


class _Together:
    """Somebody waits until all of some calls are answered: one future for them all."""

    __slots__ = ("left", "over")

    def __init__(self, calls: int) -> None:
        self.left, self.over = calls, asyncio.get_running_loop().create_future()

    def one(self) -> None:
        """One of them is answered."""
        self.left -= 1
        if not self.left and not self.over.done():
            self.over.set_result(None)


class Call:
    """A call under way, or answered and not yet recorded."""

    __slots__ = ("answer", "answered", "claim", "limit", "outlet", "outlets", "sending", "told")

    def __init__(self, claim: Claim, outlets: Outlets, outlet: Outlet) -> None:
        self.claim, self.outlets, self.outlet = claim, outlets, outlet
        self.answered = False
        # once answered; None: it was too late, no call was made
        self.answer: Answer | None = None
        self.sending: asyncio.Task[Answer | None] | None = None
        # ends it where the adapter does not
        self.limit: asyncio.TimerHandle | None = None
        # somebody waits for its answer, and others'
        self.told: _Together | None = None


class Calls:
    """The calls of one dispatcher that are under way, or answered and not yet recorded."""

    def __init__(
        self, lease: int, limit_s: float, elapsed: Callable[[], int] | None, calling: Callable[[TouchRow], None]
    ) -> None:
        """`lease` of a claim in microseconds; `limit_s`: after so many seconds a call is given up.

        `elapsed` and `calling` are as the dispatcher has them.
        """
        self._lease, self._limit_s, self._elapsed, self._calling = lease, limit_s, elapsed, calling
        # in the order of the claims; a touch may be called anew while the former call is still being recorded
        self._under_way: dict[Call, None] = {}
        self._unanswered = 0
        # somebody waits for any answer
        self._told: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        """How many they are."""
        return len(self._under_way)

    def begin(self, call: Call, message: Message, began: int) -> None:
        """One call, which will have an answer within its limit, whatever the adapter does."""
        self._under_way[call] = None
        self._unanswered += 1
        call.outlet.busy += 1
        call.sending = asyncio.ensure_future(self._send(call, message, began))
        call.sending.add_done_callback(lambda sending: self._sent(call, sending))

    async def _send(self, call: Call, message: Message, began: int) -> Answer | None:
        """The adapter's answer; None where it is too late to call.

        `began`: what had passed before the attempt was asked for. What passed since is at least what has passed since
        the instant of the attempt, so that an early deadline is all that an unlucky measurement can do.
        """
        touch, outlet = call.claim.touch, call.outlet
        over = min(touch.valid_until, touch.call_by or touch.valid_until, touch.lease_until - self._lease // 2)
        # most often it has its turn already: it was leased before the attempt
        if outlet.pace is not None and not await outlet.pace.begin(began + self._lease // _TURN):
            return None
        # unlike `asyncio.timeout` this gives an answer even where the adapter swallows its cancellation
        call.limit = asyncio.get_running_loop().call_later(self._limit_s, self._answer, call, _TIMEOUT)
        # nothing of this program's comes between this look and the adapter's own first step
        if self._elapsed is not None and self._elapsed() - began >= over - touch.attempted_at:
            return None
        self._calling(touch)
        return await outlet.adapter.send(message)

    def _sent(self, call: Call, sending: asyncio.Task[Answer | None]) -> None:
        """The adapter has answered, or raised: a broken adapter may have sent, which leaves doubt as any other call."""
        if sending.cancelled():
            self._answer(call, _BROKEN)
        elif (error := sending.exception()) is None:
            self._answer(call, sending.result())
        else:
            if not call.answered:
                log.error("adapter %s raised %s", type(call.outlet.adapter).__name__, type(error).__name__)
            self._answer(call, _BROKEN)

    def _answer(self, call: Call, answer: Answer | None) -> None:
        """The first answer counts; a call that goes on nevertheless is cut off."""
        if call.answered:
            return
        call.answered, call.answer = True, answer
        self._unanswered -= 1
        if call.limit is not None:
            call.limit.cancel()
        if call.sending is not None:
            call.sending.cancel()
        if call.told is not None:
            call.told.one()
        if self._told is not None and not self._told.done():
            self._told.set_result(None)

    def answered(self) -> list[Call]:
        """Those that are answered and not yet recorded, in the order of the claims."""
        return [call for call in self._under_way if call.answered]

    def drop(self, calls: Iterable[Call]) -> None:
        """These are recorded."""
        for call in calls:
            del self._under_way[call]
            call.outlet.busy -= 1

    async def all_answered(self) -> None:
        """Waits until all that are under way now are answered."""
        await self._all(list(self._under_way))

    async def some_answered(self, gather_s: float) -> None:
        """Waits until a call is answered that is not yet recorded, and a moment longer for others.

        There has to be a call.
        """
        under_way = list(self._under_way)
        await self._first()
        with suppress(TimeoutError):
            async with asyncio.timeout(gather_s):
                await self._all(under_way)

    async def _first(self) -> None:
        """Waits until a call is answered that is not yet recorded; there has to be a call."""
        while self._unanswered == len(self._under_way):
            self._told = asyncio.get_running_loop().create_future()
            await self._told

    async def _all(self, calls: list[Call]) -> None:
        """Waits until all of these are answered."""
        if awaited := [call for call in calls if not call.answered]:
            together = _Together(len(awaited))
            for call in awaited:
                call.told = together
            await together.over
