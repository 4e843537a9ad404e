"""The dispatcher's side of the memory store."""

# ruff: noqa: D102 - what each method promises stands once, in stores/contract

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from orchestrator.clocks import wall_clock
from orchestrator.stores.contract import (
    HEARD_DAYS,
    Claim,
    Clock,
    HeardBefore,
    HeardRow,
    NewInbox,
    OutcomeRow,
    SuppressionRow,
    SwitchRow,
    TouchRow,
)
from orchestrator.stores.memory.tables import Tables
from orchestrator.stores.outbox import (
    CALLED,
    RELEASED,
    at_account,
    covering,
    known,
    known_scope,
    reserved_again,
    scopes,
    still_open,
    told,
)
from orchestrator.stores.turnstile import Turnstile


class MemoryOutbox:
    """Claims and what becomes of them."""

    def __init__(self) -> None:
        self._tables = Tables()
        self._turnstile = Turnstile()
        # held for as long as rows are looked at or changed, never while a caller's batch is open
        self._looking = threading.RLock()

    @contextmanager
    def _writing(self) -> Iterator[Tables]:
        with self._turnstile.held(), self._looking:
            yield self._tables

    def clock(self) -> int:
        return wall_clock()

    def _times(self, now: int | Clock) -> tuple[int, Callable[[TouchRow], int]]:
        """The latest time of any touch, and what time it is for one; a clock is read now."""
        if now is Clock.partition:
            clocks = {row.partition: row.clock for row in self._tables.progress.values()}
            return max(clocks.values(), default=0), lambda touch: clocks[touch.partition]
        instant = wall_clock() if now is Clock.store else now
        return instant, lambda _: instant

    def claim(self, now: int | Clock, lease: int, token: str, limit: int, channel: str = "") -> list[Claim]:
        with self._writing() as tables:
            outbox, (latest, at) = tables.outbox, self._times(now)
            for touch in outbox.in_flight():
                if touch.state == "claimed" and touch.lease_until < at(touch):
                    outbox.put(reserved_again(touch))
            busy = {touch.member for touch in outbox.in_flight()}
            claims: list[Claim] = []
            for touch in outbox.due(latest):
                if len(claims) >= limit:
                    break
                callable_now = touch.due <= at(touch) < touch.valid_until and channel in {"", touch.channel}
                if callable_now and touch.member not in busy and not self._stopped(touch):
                    busy.add(touch.member)
                    held_until = at(touch) + lease
                    claims.append(Claim(touch._replace(state="claimed", token=token, lease_until=held_until), token))
            for held in claims:
                outbox.put(held.touch)
            return claims

    def attempt(self, claims: Sequence[Claim], now: int | Clock, account: str = "") -> list[Claim]:
        called: list[Claim] = []
        with self._writing() as tables:
            if at_account(account) in tables.switches:
                return []
            _, at = self._times(now)
            for claim in claims:
                touch = self._held(claim.touch.touch_id, claim.token, "claimed")
                if touch and still_open(touch, at(touch)) and not self._stopped(touch):
                    touch = touch._replace(
                        state="attempting", attempts=touch.attempts + 1, attempted_at=at(touch), account=account
                    )
                    tables.outbox.put(touch)
                    called.append(Claim(touch, claim.token))
        return called

    def release(self, touch_id: str, token: str, state: str, due: int, inbox: NewInbox | None) -> bool:
        known(state, RELEASED)
        with self._writing() as tables:
            touch = self._held(touch_id, token, "claimed")
            if touch is None:
                return False
            self._settle(touch, state, due)
            if inbox:
                tables.inbox.add(inbox)
            return True

    def outcomes(self, rows: Sequence[OutcomeRow], *, lasting: bool = True) -> list[bool]:  # noqa: ARG002 - see contract
        for row in rows:
            known(row.state, CALLED)
        with self._writing():
            return [self._outcome(row) for row in rows]

    def _outcome(self, row: OutcomeRow) -> bool:
        touch = self._held(row.touch_id, row.token, "attempting")
        if touch is None:
            return False
        self._settle(touch, row.state, row.due)
        self._tables.inbox.add(row.inbox)
        return True

    def lapse(self, now: int | Literal[Clock.store], describe: Callable[[TouchRow, int], NewInbox]) -> int:
        with self._writing() as tables:
            at = wall_clock() if now is Clock.store else now
            lapsed = [
                (touch, describe(touch, at))
                for touch in tables.outbox.in_flight()
                if touch.state == "attempting" and touch.lease_until < at
            ]
            for touch, inbox in lapsed:
                self._settle(touch, "unknown", touch.due)
                tables.inbox.add(inbox)
            return len(lapsed)

    def suppress(
        self, rows: Sequence[SuppressionRow], inbox: Sequence[NewInbox], heard: Sequence[HeardRow] = ()
    ) -> list[str]:
        cancelled: list[str] = []
        with self._writing() as tables:
            if heard:
                if any(word.key in tables.heard for word in heard):
                    raise HeardBefore
                oldest = heard[0].day - HEARD_DAYS
                tables.heard = {key: day for key, day in tables.heard.items() if day >= oldest} | dict(heard)
            for new in inbox:
                tables.inbox.add(new)
            for row in rows:
                tables.suppress(row)
                for touch in tables.outbox.covered(row):
                    self._settle(touch, "cancelled", touch.due)
                    tables.inbox.add(told(touch, row))
                    cancelled.append(touch.touch_id)
        return sorted(cancelled)

    def switch(self, row: SwitchRow, on: bool, inbox: Sequence[NewInbox]) -> None:
        known_scope(row.scope)
        with self._writing() as tables:
            for new in inbox:
                tables.inbox.add(new)
            if on:
                tables.switches[row.scope] = row
            else:
                tables.switches.pop(row.scope, None)

    def _held(self, touch_id: str, token: str, state: str) -> TouchRow | None:
        touch = self._tables.outbox.rows.get(touch_id)
        return touch if touch and (touch.token, touch.state) == (token, state) else None

    def _settle(self, touch: TouchRow, state: str, due: int) -> None:
        due = due if state == "reserved" else touch.due
        self._tables.outbox.put(touch._replace(state=state, due=due, token="", lease_until=0))

    def _stopped(self, touch: TouchRow) -> bool:
        tables = self._tables
        return any(scope in tables.switches for scope in scopes(touch)) or any(
            key in tables.suppressions for key in covering(touch)
        )
