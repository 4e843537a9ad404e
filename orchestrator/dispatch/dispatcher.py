"""Sends what is in the outbox.

    claim ─▶ still permitted? ─▶ attempting, on record ─▶ in time? ─▶ call ─▶ outcome and inbox row
                  │ no                   │ suppressed,        │ no
                  ▼                      ▼ off or over        ▼
            back to the member       claimed anew        not called, on record

What is promised: **no call without an attempt on record before it, and no call after one that was accepted or left in
doubt** (touches declared at least once apart). It holds by the order of the lines in `_start`, and because every write
names the token of the claim: whoever was frozen and wakes finds its token gone. A dispatcher decides nothing anew; a
moment that has closed goes back to the member.

No attempt is on record that was not permitted at its instant: the statement that writes it reads the clock and judges.
From there to the call a deadline runs, measured by `elapsed`, from before that statement was sent to the first of: the
end of validity, of the hours, of half the lease. Who comes later than that (frozen, or slow) does not call, and says
so: the touch is reserved again. What no program can bound is a freeze between that look and the provider's socket.

Two clocks. On the real one (`elapsed` is given) every instant is the store's (`Clock.store`), store calls run in
threads, and each round waits only for the calls that answer soon; a call that hangs holds its own slot and no other. On
the virtual one (`Clock.partition`) every instant is that of the touch's own partition, each round waits for all its
calls, and outcomes are recorded in the order of the claims, so that the same inputs give the same record.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal, NamedTuple, ParamSpec, TypeVar

from msgspec import Struct
from msgspec.structs import asdict

from orchestrator.channels.contract import Adapter, Answer, Message
from orchestrator.dispatch.retry import Next, after, gap
from orchestrator.events.inputs import Cancelled, InternalInput, Outcome, Returned, write_input
from orchestrator.settings import DispatchSettings
from orchestrator.stores.contract import Claim, Clock, NewInbox, OutcomeRow, Store, TouchRow
from orchestrator.switches import switch
from orchestrator.times import instant

log = logging.getLogger(__name__)

# real clock: how long a round waits for further answers after the first, so that they share a transaction
GATHER_S = 0.02
# so many refusals of the sender in a row, with nothing accepted between, stop the channel until a person acts
BREAKER = 10
# on the virtual clock a round ends all that it claims, in a process that is alone: a claim that is still there at the
# next one was cut off, and lapses
_CUT_OFF = -1

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Closed(Struct, frozen=True):
    """The moment is not permitted any more: which rule says so, and the closed window, half-open."""

    rule: str
    closed_from: datetime
    closed_until: datetime


class RoundReport(Struct, frozen=True, kw_only=True):
    """What one or more rounds did, in touches."""

    claimed: int = 0
    # handed back to the member: the moment had closed
    returned: int = 0
    # no attempt was made: suppressed, switched off, erased or over between claim and attempt
    stopped: int = 0
    # no attempt was made: `valid_until` came with the claim
    expired: int = 0
    # attempts on record
    called: int = 0
    accepted: int = 0
    rejected: int = 0
    unknown: int = 0
    # reserved again after a throttled or passing refusal, or because it was too late to call
    again: int = 0
    # answers that came after the claim had lapsed: the record says unknown
    late: int = 0
    # attempts of another dispatcher, or of an earlier life, that were left in doubt
    lapsed: int = 0

    def __add__(self, other: RoundReport) -> RoundReport:
        """Both together."""
        mine, theirs = asdict(self), asdict(other)
        return RoundReport(**{name: mine[name] + theirs[name] for name in mine})


class _Call(NamedTuple):
    """A call under way."""

    claim: Claim
    # None: it was too late, no call was made
    answer: asyncio.Task[Answer | None]


class _Ready(NamedTuple):
    """Claims sorted by what may happen to them now."""

    call: list[tuple[Claim, Message]]
    # (claim, when it was found, why it is handed back)
    back: list[tuple[Claim, int, InternalInput]]
    # out of time: the end of `valid_until` cancels them
    expired: list[Claim]


class Dispatcher:
    """One dispatcher: several may work on one store. Its methods are called from one event loop, one at a time."""

    def __init__(
        self,
        store: Store,
        adapters: Mapping[str, Adapter],
        open_message: Callable[[TouchRow], Message | None],
        permitted: Callable[[TouchRow, int], Closed | None],
        settings: DispatchSettings,
        token_source: Callable[[], str],
        *,
        elapsed: Callable[[], int] | None = None,
        calling: Callable[[TouchRow], None] = lambda touch: None,  # noqa: ARG005 - the type names it
        prepare: Callable[[Sequence[TouchRow]], None] = lambda touches: None,  # noqa: ARG005 - the type names it
        at_least_once: Callable[[TouchRow], bool] = lambda touch: False,  # noqa: ARG005 - the type names it
        breaker: int = BREAKER,
    ) -> None:
        """`open_message` gives None where the member's key is gone; `permitted` judges hours at an instant.

        `token_source` gives a new unguessable token each time. `elapsed` gives microseconds that pass whether this
        process or machine runs or not (CLOCK_BOOTTIME); None: nothing passes within a round. `calling` is told of a
        touch right before it is called, `prepare` is shown all touches of a claim before they are opened one by one.
        `at_least_once` says which touches may be called again after an unknown outcome; never ask that of marketing.
        """
        self._store, self._adapters = store, dict(adapters)
        self._open_message, self._permitted = open_message, permitted
        self._token_source, self._elapsed, self._at_least_once = token_source, elapsed, at_least_once
        self._calling, self._prepare = calling, prepare
        self._max_attempts, self._breaker = settings.max_attempts, breaker
        self._lease = int(settings.lease_s * 1_000_000)
        # a call never outlives its claim
        self._call_limit_s = settings.lease_s / 2
        self._calls: dict[str, _Call] = {}
        self._rests_until: dict[str, int] = {}
        self._refusals: dict[str, int] = {}
        self._lapse_at = 0

    @property
    def in_flight(self) -> int:
        """Calls under way, or answered and not yet recorded."""
        return len(self._calls)

    async def round(self, now: int | Clock) -> RoundReport:
        """Fills the free call slots and records what has been answered; `now` is what the outbox is asked at."""
        report = RoundReport()
        passed = self._passed(now)
        if now is not Clock.partition and passed >= self._lapse_at:
            report += RoundReport(lapsed=await self.lapse(now))
            self._lapse_at = passed + self._lease // 4
        for channel, adapter in self._adapters.items():
            busy = sum(call.claim.touch.channel == channel for call in self._calls.values())
            if busy < adapter.slots and passed >= self._rests_until.get(channel, 0):
                report += await self._start(channel, adapter, adapter.slots - busy, now)
        return report + await self._record(now, everything=self._elapsed is None)

    async def drain(self, now: int | Clock) -> RoundReport:
        """Rounds until nothing can be claimed and no call is under way."""
        total = RoundReport()
        while True:
            report = await self.round(now)
            total += report
            if report.claimed == report.expired and not self._calls:
                return total

    async def finish(self, now: int | Clock) -> RoundReport:
        """Claims nothing more, waits for the calls under way (each has its time-out) and records them."""
        return await self._record(now, everything=True)

    async def lapse(self, now: int | Literal[Clock.store], at_of: Callable[[TouchRow], int] | None = None) -> int:
        """Attempts whose lease lapsed become unknown, finally, and their members are told; how many.

        They are told of it at `now`, or at what `at_of` gives for a touch.
        """

        def describe(touch: TouchRow, now: int) -> NewInbox:
            at = now if at_of is None else at_of(touch)
            return _told(
                touch,
                at,
                Outcome(
                    touch_id=touch.touch_id,
                    kind="unknown",
                    attempt=touch.attempts,
                    attempted_at=instant(touch.attempted_at),
                    occurred_at=instant(at),
                    final=True,
                    code="lapsed",
                ),
            )

        return await self._do(self._store.lapse, now, describe)

    async def _start(self, channel: str, adapter: Adapter, free: int, now: int | Clock) -> RoundReport:
        """Claims up to `free` touches and begins to call those that may be called."""
        lease = _CUT_OFF if now is Clock.partition else self._lease
        claims = await self._do(self._store.claim, now, lease, self._token_source(), free, channel)
        if not claims:
            return RoundReport()
        try:
            ready = await self._do(self._sort, claims, lease)
        except BaseException:
            await self._do(self._give_back, claims)
            raise
        await self._do(self._hand_back, ready.back)
        began = self._passed(now)
        # the attempt goes on record, durably, before the first byte of the call
        held = await self._do(self._store.attempt, [claim for claim, _ in ready.call], now) if ready.call else []
        attempted = {claim.touch.touch_id: claim for claim in held}
        stopped = [claim for claim, _ in ready.call if claim.touch.touch_id not in attempted]
        for claim, message in ready.call:
            if touch := attempted.get(claim.touch.touch_id):
                call = self._call(adapter, message, touch.touch, began)
                self._calls[claim.touch.touch_id] = _Call(touch, asyncio.ensure_future(call))
        await self._do(self._give_back, stopped + ready.expired)
        returned = sum(isinstance(why, Returned) for _, _, why in ready.back)
        return RoundReport(
            claimed=len(claims),
            returned=returned,
            stopped=len(stopped) + len(ready.back) - returned,
            expired=len(ready.expired),
            called=len(held),
        )

    def _sort(self, claims: list[Claim], lease: int) -> _Ready:
        """Which claims may be called at the instant they were made, with their messages opened."""
        ready = _Ready([], [], [])
        self._prepare([claim.touch for claim in claims])
        for claim in claims:
            touch = claim.touch
            at = touch.lease_until - lease
            if touch.valid_until <= at:
                ready.expired.append(claim)
            elif closed := self._permitted(touch, at):
                ready.back.append((claim, at, Returned(touch_id=touch.touch_id, **asdict(closed))))
            elif (message := self._open_message(touch)) is None:
                why = Cancelled(touch_id=touch.touch_id, reason="erased", occurred_at=instant(at))
                ready.back.append((claim, at, why))
            else:
                ready.call.append((claim, message))
        return ready

    def _hand_back(self, back: list[tuple[Claim, int, InternalInput]]) -> None:
        """Cancels touches and tells their members why."""
        for (touch, token), at, why in back:
            self._store.release(touch.touch_id, token, "cancelled", touch.due, _told(touch, at, why))

    def _give_back(self, claims: list[Claim]) -> None:
        """Claims that were not used are reserved again; one that was cancelled meanwhile stays so."""
        for touch, token in claims:
            self._store.release(touch.touch_id, token, "reserved", touch.due, None)

    async def _call(self, adapter: Adapter, message: Message, touch: TouchRow, began: int) -> Answer | None:
        """One call within its limit, whatever the adapter does; None where it is too late to make it.

        `began`: what had passed before the attempt was asked for. What passed since is at least what has passed since
        the instant of the attempt, so that an early deadline is all that an unlucky measurement can do.
        """
        over = min(touch.valid_until, touch.call_by or touch.valid_until, touch.lease_until - self._lease // 2)

        async def send_in_time() -> Answer | None:
            # nothing of this program's comes between this look and the adapter's own first step
            if self._elapsed is not None and self._elapsed() - began >= over - touch.attempted_at:
                return None
            self._calling(touch)
            return await adapter.send(message)

        sending = asyncio.ensure_future(send_in_time())
        try:
            # unlike `asyncio.timeout` this ends even where the adapter swallows its cancellation
            await asyncio.wait({sending}, timeout=self._call_limit_s)
            if not sending.done():
                return Answer(kind="unknown", code="timeout")
            return sending.result()
        except Exception as error:  # noqa: BLE001 - a broken adapter may have sent: in doubt, as any other call
            log.error("adapter %s raised %s", type(adapter).__name__, type(error).__name__)
            return Answer(kind="unknown", code="adapter_error")
        finally:
            sending.cancel()

    async def _record(self, now: int | Clock, *, everything: bool) -> RoundReport:
        """Writes the outcomes of answered calls in one transaction; a call stays ours until they are written."""
        if not self._calls:
            return RoundReport()
        under_way = {call.answer for call in self._calls.values()}
        if everything:
            await asyncio.wait(under_way)
        else:
            await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(under_way, timeout=GATHER_S)
        answered = [call for call in self._calls.values() if call.answer.done()]
        at = await self._do(self._store.clock) if now is Clock.store else now
        # on the virtual clock no time passes between an attempt and its outcome
        ats = [call.claim.touch.attempted_at if isinstance(at, Clock) else at for call in answered]
        follows = [self._next(call, at) for call, at in zip(answered, ats, strict=True)]
        rows = [self._outcome(call, following, at) for call, following, at in zip(answered, follows, ats, strict=True)]
        # on the virtual clock the batch that follows waits for the disk, for both
        held = await self._do(self._store.outcomes, rows, lasting=now is not Clock.partition)
        states = ["late" if not holds else follow.state for holds, follow in zip(held, follows, strict=True)]
        for call, at in zip(answered, ats, strict=True):
            del self._calls[call.claim.touch.touch_id]
            await self._learn(call, at, now)
        return RoundReport(
            accepted=states.count("accepted"),
            rejected=states.count("rejected"),
            unknown=states.count("unknown"),
            again=states.count("reserved"),
            late=states.count("late"),
        )

    def _next(self, call: _Call, at: int) -> Next:
        touch, answer = call.claim.touch, call.answer.result()
        if answer is None:
            return Next("reserved", "not_called", at)
        return after(
            answer,
            touch_id=touch.touch_id,
            attempt=touch.attempts,
            max_attempts=self._max_attempts,
            at_least_once=self._at_least_once(touch),
            now=at,
            valid_until=touch.valid_until,
        )

    def _outcome(self, call: _Call, following: Next, at: int) -> OutcomeRow:
        (touch, token), answer = call.claim, call.answer.result()
        outcome = Outcome(
            touch_id=touch.touch_id,
            kind=following.kind,
            attempt=touch.attempts,
            attempted_at=instant(touch.attempted_at),
            occurred_at=instant(at),
            final=following.final,
            provider_id="" if answer is None else answer.provider_id,
            code="" if answer is None else answer.code,
            retry_at=None if following.final else instant(following.retry_at),
            opted_out=answer is not None and answer.opted_out,
        )
        due = touch.due if following.final else following.retry_at
        return OutcomeRow(touch.touch_id, token, following.state, due, _told(touch, at, outcome))

    async def _learn(self, call: _Call, at: int, now: int | Clock) -> None:
        """A throttled channel rests; one that refuses us again and again is switched off until a person acts."""
        touch, answer = call.claim.touch, call.answer.result()
        if answer is None:
            return
        if answer.kind == "throttled" and now is not Clock.partition:
            rest = gap("throttled", touch.touch_id, 1, answer.retry_after)
            until = self._passed(now) + int(rest.total_seconds() * 1_000_000)
            self._rests_until[touch.channel] = max(self._rests_until.get(touch.channel, 0), until)
        if answer.kind == "accepted":
            self._refusals[touch.channel] = 0
        elif answer.kind == "rejected_sender":
            self._refusals[touch.channel] = refusals = self._refusals.get(touch.channel, 0) + 1
            if refusals == self._breaker:
                log.error(
                    "channel %s is switched off: its provider refuses the sender (%s)", touch.channel, answer.code
                )
                await self._do(
                    switch, self._store, f"channel:{touch.channel}", off=True, actor="dispatch", at=instant(at)
                )
                self._refusals[touch.channel] = 0

    def _passed(self, now: int | Clock) -> int:
        """Microseconds that rests, lapses and deadlines are measured by."""
        if self._elapsed is not None:
            return self._elapsed()
        return 0 if isinstance(now, Clock) else now

    async def _do(self, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """A synchronous call: in a thread on the real clock, so that calls under way go on; else at once."""
        if self._elapsed is None:
            return work(*args, **kwargs)
        return await asyncio.to_thread(work, *args, **kwargs)


def _told(touch: TouchRow, at: int, what: InternalInput) -> NewInbox:
    """The inbox row that tells the touch's member."""
    return NewInbox(touch.partition, at, touch.member, write_input(what))
