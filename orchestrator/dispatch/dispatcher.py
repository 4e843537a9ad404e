"""Sends what is in the outbox.

    claim ─▶ still permitted? ─▶ which account? ─▶ attempting, on record ─▶ in time? ─▶ call ─▶ outcome and inbox row
                  │ no               │ none now            │ suppressed,        │ no         │ refused by the account
                  ▼                  ▼                     ▼ off or over        ▼            ▼
            back to the member   reserved again       claimed anew     not called, on record  another account, anew

What is promised: **no call without an attempt on record before it, and no call after one that was accepted or left in
doubt** (touches declared at least once apart), whatever accounts a channel has. It holds by the order of the lines in
`_start`, and because every write names the token of the claim: whoever was frozen and wakes finds its token gone. A
dispatcher decides nothing anew; a moment that has closed goes back to the member.

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
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, ParamSpec, TypeVar

from msgspec.structs import asdict

from orchestrator.channels.accounts import Accounts, in_order
from orchestrator.channels.contract import Message
from orchestrator.counters import CALLS
from orchestrator.dispatch.calls import Call, Calls
from orchestrator.dispatch.opening import Closed
from orchestrator.dispatch.outlets import Outlet, Outlets
from orchestrator.dispatch.report import RoundReport
from orchestrator.dispatch.retry import Next, after, fault
from orchestrator.events.inputs import Cancelled, InternalInput, Outcome, Returned, write_input
from orchestrator.settings import DispatchSettings
from orchestrator.stores.contract import Claim, Clock, NewInbox, OutcomeRow, Store, TouchRow
from orchestrator.times import instant

# real clock: how long a round waits for further answers after the first, so that they share a transaction
GATHER_S = 0.02
# real clock: how often accounts are looked after, in microseconds
LOOK = 500_000
# real clock: a touch that waits for an account of its own is left alone for so long, in microseconds
PUT_OFF = 1_000_000
# on the virtual clock a round ends all that it claims, in a process that is alone: a claim that is still there at the
# next one was cut off, and lapses
_CUT_OFF = -1

_P = ParamSpec("_P")
_T = TypeVar("_T")


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
        accounts: Accounts,
        open_message: Callable[[TouchRow], Message | None],
        permitted: Callable[[TouchRow, int], Closed | None],
        settings: DispatchSettings,
        token_source: Callable[[], str],
        *,
        elapsed: Callable[[], int] | None = None,
        calling: Callable[[TouchRow], None] = lambda touch: None,  # noqa: ARG005 - the type names it
        prepare: Callable[[Sequence[TouchRow]], None] = lambda touches: None,  # noqa: ARG005 - the type names it
        at_least_once: Callable[[TouchRow], bool] = lambda touch: False,  # noqa: ARG005 - the type names it
    ) -> None:
        """`accounts`: channel -> its accounts in the order in which they are tried, or a lone adapter.

        `open_message` gives None where the member's key is gone; `permitted` judges hours at an instant.

        `token_source` gives a new unguessable token each time. `elapsed` gives microseconds that pass whether this
        process or machine runs or not (CLOCK_BOOTTIME); None: nothing passes within a round. `calling` is told of a
        touch right before it is called, `prepare` is shown all touches of a claim before they are opened one by one.
        `at_least_once` says which touches may be called again after an unknown outcome; never ask that of marketing.
        """
        self._store = store
        self._open_message, self._permitted = open_message, permitted
        self._token_source, self._elapsed, self._at_least_once = token_source, elapsed, at_least_once
        self._prepare = prepare
        self._max_attempts = settings.max_attempts
        self._lease = int(settings.lease_s * 1_000_000)
        # a call never outlives its claim
        self._calls = Calls(self._lease, settings.lease_s / 2, elapsed, calling)
        # accounts are chosen, or judged by what their calls came to
        self._judging = asyncio.Lock()
        self._outlets = [
            Outlets(channel, each, store, elapsed, self._do) for channel, each in in_order(accounts).items()
        ]
        self._lapse_at = 0
        # when accounts are looked after next, and what the store's clock said then: microseconds
        self._look_at, self._looked_at, self._looked = 0, 0, 0
        self._look_now = True

    @property
    def in_flight(self) -> int:
        """Calls under way, or answered and not yet recorded."""
        return len(self._calls)

    @property
    def paced(self) -> bool:
        """Whether an account has no call left in its rate just now: it will in a moment."""
        return any(outlet.pace is not None and not outlet.pace.room() for each in self._outlets for outlet in each.all)

    async def round(self, now: int | Clock) -> RoundReport:
        """Fills the free call slots and records what has been answered; `now` is what the outbox is asked at."""
        report = RoundReport()
        passed = self._passed(now)
        if now is not Clock.partition and passed >= self._lapse_at:
            report += RoundReport(lapsed=await self.lapse(now))
            self._lapse_at = passed + self._lease // 4
        at = await self._look(now, passed)
        more = True
        if not self._calls:
            filled, more = await self._fill(now, at, passed)
            report += filled
        if self._elapsed is None or not more:
            return report + await self._record(now, everything=self._elapsed is None)
        # while some are called and recorded, the next are claimed
        recorded, further = await asyncio.gather(
            self._record(now, everything=False), self._fill(now, at, passed), return_exceptions=True
        )
        if isinstance(recorded, BaseException):
            raise recorded
        if isinstance(further, BaseException):
            raise further
        return report + recorded + further[0]

    async def drain(self, now: int | Clock) -> RoundReport:
        """Rounds until nothing can be claimed and no call is under way."""
        total = RoundReport()
        while True:
            report = await self.round(now)
            total += report
            if report.claimed == report.expired + report.deferred and not self._calls:
                if self._elapsed is None or not self.paced:
                    return total
                await asyncio.sleep(GATHER_S)

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
                    account=touch.account,
                ),
            )

        return await self._do(self._store.lapse, now, describe)

    async def _look(self, now: int | Clock, passed: int) -> int:
        """Looks after the accounts where it is time to; the instant that their breakers go by."""
        if now is Clock.partition:
            # this process is alone, and an account that is well stays so by what it learns itself
            if not self._look_now and all(outlet.well for each in self._outlets for outlet in each.all):
                return 0
            at = self._looked = max((row.clock for row in self._store.progress()), default=0)
        elif now is Clock.store:
            if not self._look_now and passed < self._look_at:
                return self._looked + passed - self._looked_at
            at = await self._do(self._store.clock)
            self._look_at, self._looked_at, self._looked = passed + LOOK, passed, at
        else:
            at = now
        self._look_now = False
        for outlets in self._outlets:
            await self._do(outlets.refresh, at)
        return at

    async def _fill(self, now: int | Clock, at: int, passed: int) -> tuple[RoundReport, bool]:
        """Begins calls in free slots, and whether there may be more to call than there was room for.

        On the real clock at most half of an account's slots are filled at once: while the calls of one half are under
        way, those of the other are recorded and claimed anew.
        """
        report, more = RoundReport(), False
        for outlets in self._outlets:
            outlets.passed = passed
            free = {outlet.name: self._free(outlet, at, passed) for outlet in outlets.all}
            limit = outlets.limit(free) if any(free.values()) else 0
            if limit:
                started = await self._start(outlets, free, limit, now, at, passed)
                report, more = report + started, more or started.claimed >= limit
        return report, more

    def _free(self, outlet: Outlet, at: int, passed: int) -> int:
        free = outlet.free(at, passed)
        return free if self._elapsed is None else min(free, -(-outlet.adapter.slots // 2))

    async def _start(
        self, outlets: Outlets, free: dict[str, int], limit: int, now: int | Clock, at: int, passed: int
    ) -> RoundReport:
        """Claims so many touches and begins to call those that may be called."""
        lease = _CUT_OFF if now is Clock.partition else self._lease
        claims = await self._do(self._store.claim, now, lease, self._token_source(), limit, outlets.channel)
        if not claims:
            return RoundReport()
        try:
            ready = await self._do(self._sort, claims, lease)
        except BaseException:
            await self._do(self._give_back, claims)
            raise
        if ready.back:
            await self._do(self._hand_back, ready.back)
        async with self._judging:
            by_outlet, put_off, late = await self._share(outlets, free, ready.call, at, passed)
        called, stopped = 0, list[Claim]()
        for outlet, calls in by_outlet:
            began = self._passed(now)
            # the attempt goes on record, durably, before the first byte of the call
            held = await self._do(self._store.attempt, [claim for claim, _ in calls], now, outlet.name)
            attempted = {claim.touch.touch_id: claim for claim in held}
            for claim, message in calls:
                if touch := attempted.get(claim.touch.touch_id):
                    self._calls.begin(Call(touch, outlets, outlet), message, began)
                else:
                    stopped.append(claim)
            called += len(held)
        if stopped:
            # an account may have been paused
            self._look_now = True
        if unused := stopped + ready.expired + late:
            await self._do(self._give_back, unused)
        if put_off:
            await self._do(self._give_back, put_off, at + PUT_OFF if now is Clock.store else 0)
        returned = sum(isinstance(why, Returned) for _, _, why in ready.back)
        return RoundReport(
            claimed=len(claims),
            returned=returned,
            stopped=len(stopped) + len(ready.back) - returned,
            expired=len(ready.expired),
            deferred=len(put_off) + len(late),
            called=called,
        )

    async def _share(
        self, outlets: Outlets, free: dict[str, int], ready: list[tuple[Claim, Message]], at: int, passed: int
    ) -> tuple[list[tuple[Outlet, list[tuple[Claim, Message]]]], list[Claim], list[Claim]]:
        """Which account calls which touches, in the order of the claims.

        Then those that wait for another account than others do, and those for which there was no room after all.
        """
        # an answer that came since the claim may have shown an account not to be well
        free |= {outlet.name: 0 for outlet in outlets.all if outlet.rests(at, passed)}
        shares: dict[str, list[tuple[Claim, Message]]] = {outlet.name: [] for outlet in outlets.all}
        put_off, late = list[Claim](), list[Claim]()
        for claim, message in ready:
            outlet = outlets.choose(claim.touch.touch_id, free)
            if outlet is None:
                (put_off if outlets.hops(claim.touch.touch_id) else late).append(claim)
            else:
                shares[outlet.name].append((claim, message))
        for outlet in outlets.all:
            share = shares[outlet.name]
            if not share:
                continue
            keep = len(share)
            if outlet.breaker.stands.since and not await self._do(outlet.breaker.seize, at):
                keep = 0
            elif outlet.pace is not None:
                keep = await outlet.pace.lease(keep)
            late += [claim for claim, _ in share[keep:]]
            del share[keep:]
        return [(outlet, shares[outlet.name]) for outlet in outlets.all if shares[outlet.name]], put_off, late

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

    def _give_back(self, claims: list[Claim], due: int = 0) -> None:
        """Claims that were not used are reserved again, not before `due`; one that was cancelled meanwhile stays so."""
        for touch, token in claims:
            self._store.release(touch.touch_id, token, "reserved", max(touch.due, due), None)

    async def _record(self, now: int | Clock, *, everything: bool) -> RoundReport:
        """Writes the outcomes of answered calls in one transaction; a call stays ours until they are written."""
        if not self._calls:
            return RoundReport()
        if everything:
            await self._calls.all_answered()
        else:
            await self._calls.some_answered(GATHER_S)
        answered = self._calls.answered()
        at = await self._do(self._store.clock) if now is Clock.store else now
        # on the virtual clock no time passes between an attempt and its outcome
        ats = [call.claim.touch.attempted_at if isinstance(at, Clock) else at for call in answered]
        passed = None if now is Clock.partition else self._passed(now)
        async with self._judging:
            if any(_moves(call) for call in answered):
                await self._do(self._learn, answered, ats, passed)
            else:
                self._learn(answered, ats, passed)
            follows = [self._next(call, at) for call, at in zip(answered, ats, strict=True)]
        rows = [self._outcome(call, following, at) for call, following, at in zip(answered, follows, ats, strict=True)]
        # on the virtual clock the batch that follows waits for the disk, for both
        held = await self._do(self._store.outcomes, rows, lasting=now is not Clock.partition)
        states = ["late" if not holds else follow.state for holds, follow in zip(held, follows, strict=True)]
        for call, follow, holds in zip(answered, follows, held, strict=True):
            touch = call.claim.touch
            CALLS.labels(touch.channel, touch.account, follow.kind if holds else "late").inc()
        self._calls.drop(answered)
        return RoundReport(
            accepted=states.count("accepted"),
            rejected=states.count("rejected"),
            unknown=states.count("unknown"),
            again=states.count("reserved"),
            late=states.count("late"),
        )

    def _next(self, call: Call, at: int) -> Next:
        touch, answer = call.claim.touch, call.answer
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
            accounts=len(call.outlets.all),
            elsewhere=call.outlets.elsewhere(touch.touch_id),
            out=call.outlets.out,
        )

    def _outcome(self, call: Call, following: Next, at: int) -> OutcomeRow:
        (touch, token), answer = call.claim, call.answer
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
            account=touch.account,
        )
        due = touch.due if following.final else following.retry_at
        return OutcomeRow(touch.touch_id, token, following.state, due, _told(touch, at, outcome))

    def _learn(self, answered: list[Call], ats: list[int], passed: int | None) -> None:
        """Accounts rest, are left alone or are well again by what their calls came to."""
        for call, at in zip(answered, ats, strict=True):
            answer = call.answer
            if answer is not None:
                # partitions' clocks differ: a rest is counted from the latest, by which its end is judged
                known = max(at, self._looked) if passed is None else at
                call.outlets.learn(call.outlet, call.claim.touch.touch_id, answer, known, passed)

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


def _moves(call: Call) -> bool:
    """Whether what a call came to may be told to the store at once: an account opens its breaker, or closes it."""
    answer = call.answer
    return call.outlet.breaker.probing or (answer is not None and fault(answer))


def _told(touch: TouchRow, at: int, what: InternalInput) -> NewInbox:
    """The inbox row that tells the touch's member."""
    return NewInbox(touch.partition, at, touch.member, write_input(what))
