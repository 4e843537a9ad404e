"""The dispatcher's side in a SQLite file: each method is one transaction, alone."""

# ruff: noqa: D102 - what each method promises stands once, in stores/contract

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from sqlite3 import Connection
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
from orchestrator.stores.outbox import ALL, CALLED, RELEASED, at_account, known, known_scope
from orchestrator.stores.sql.batch import suppress
from orchestrator.stores.sql.engine import FileSessions

_BELOW_ANY_RANK = -(2**63)


class SqlOutbox(FileSessions):
    """Claims and what becomes of them."""

    def clock(self) -> int:
        return wall_clock()

    def claim(self, now: int | Clock, lease: int, token: str, limit: int, channel: str = "") -> list[Claim]:
        # a claim that a power cut takes back is a touch that waits to be claimed
        with self._writing(lasting=False) as connection:
            at = _instant(now)
            connection.execute(self._words.give_back, (at,))
            claims: dict[bytes, Claim] = {}
            with closing(self._claimable(connection, at, channel)) as found:
                for touch, asked_at in found:
                    if len(claims) >= limit:
                        break
                    claimed = touch._replace(state="claimed", token=token, lease_until=asked_at + lease)
                    claims.setdefault(touch.member, Claim(claimed, token))
            held = list(claims.values())
            rows = [(token, claim.touch.lease_until, claim.touch.touch_id) for claim in held]
            connection.executemany(self._words.claim, rows)
            return held

    def _claimable(self, connection: Connection, now: int | None, channel: str) -> Generator[tuple[TouchRow, int]]:
        """Rank by rank, so that what is due later is never read, however much of it waits; each with its instant."""
        if connection.execute(self._words.switched, (ALL,)).fetchone():
            return
        (until,) = connection.execute(self._words.latest_clock).fetchone() if now is None else (now,)
        rank: int | None = _BELOW_ANY_RANK
        while True:
            (rank,) = connection.execute(self._words.next_rank, (rank,)).fetchone()
            if rank is None:
                return
            rows = connection.execute(self._words.claimable, (now, rank, until, now, now, channel, channel))
            yield from ((TouchRow._make(row[:-1]), row[-1]) for row in rows)

    def attempt(self, claims: Sequence[Claim], now: int | Clock, account: str = "") -> list[Claim]:
        called: list[Claim] = []
        with self._writing() as connection:
            if connection.execute(self._words.switched, (at_account(account),)).fetchone():
                return []
            at = _instant(now)
            for claim in claims:
                touch, token = claim
                found = connection.execute(self._words.attempt, (at, account, touch.touch_id, token, at, at)).fetchone()
                if found:
                    # nothing else of a claimed touch can have changed
                    attempts, attempted_at = found
                    touch = touch._replace(
                        state="attempting", attempts=attempts, attempted_at=attempted_at, account=account
                    )
                    called.append(Claim(touch, token))
        return called

    def release(self, touch_id: str, token: str, state: str, due: int, inbox: NewInbox | None) -> bool:
        known(state, RELEASED)
        with self._writing() as connection:
            released = self._settle(connection, touch_id, token, ("claimed", state), due)
            if released and inbox:
                connection.execute(self._words.add_inbox, inbox)
            return released

    def outcomes(self, rows: Sequence[OutcomeRow], *, lasting: bool = True) -> list[bool]:
        for row in rows:
            known(row.state, CALLED)
        with self._writing(lasting=lasting) as connection:
            return [self._outcome(connection, row) for row in rows]

    def _outcome(self, connection: Connection, row: OutcomeRow) -> bool:
        held = self._settle(connection, row.touch_id, row.token, ("attempting", row.state), row.due)
        if held:
            connection.execute(self._words.add_inbox, row.inbox)
        return held

    def lapse(self, now: int | Literal[Clock.store], describe: Callable[[TouchRow, int], NewInbox]) -> int:
        with self._writing() as connection:
            at = wall_clock() if now is Clock.store else now
            # sorted here: asked for an order, the planner would walk through all touches there ever were
            lapsed = sorted(map(TouchRow._make, connection.execute(self._words.lapsed, (at,))))
            for touch in lapsed:
                self._settle(connection, touch.touch_id, touch.token, ("attempting", "unknown"), touch.due)
                connection.execute(self._words.add_inbox, describe(touch, at))
            return len(lapsed)

    def suppress(
        self, rows: Sequence[SuppressionRow], inbox: Sequence[NewInbox], heard: Sequence[HeardRow] = ()
    ) -> list[str]:
        with self._writing() as connection:
            if heard:
                connection.execute(self._words.forget_heard, (heard[0].day - HEARD_DAYS,))
                if connection.executemany(self._words.hear, heard).rowcount != len(heard):
                    raise HeardBefore
            connection.executemany(self._words.add_inbox, inbox)
            return suppress(connection, self._words, rows)

    def switch(self, row: SwitchRow, on: bool, inbox: Sequence[NewInbox]) -> None:
        known_scope(row.scope)
        with self._writing() as connection:
            connection.executemany(self._words.add_inbox, inbox)
            if on:
                connection.execute(self._words.put_switch, row)
            else:
                connection.execute(self._words.lift_switch, (row.scope,))

    def _settle(self, connection: Connection, touch_id: str, token: str, way: tuple[str, str], due: int) -> bool:
        """One way from state to state, by compare-and-set; whether it was gone."""
        before, after = way
        row = (after, after, due, touch_id, token, before)
        return connection.execute(self._words.settle, row).rowcount == 1


def _instant(now: int | Clock) -> int | None:
    """Read while the file's write lock is held; None: the clock of the touch's partition, which the statement reads."""
    if isinstance(now, Clock):
        return wall_clock() if now is Clock.store else None
    return now
