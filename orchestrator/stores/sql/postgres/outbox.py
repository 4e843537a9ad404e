"""The dispatcher's side on PostgreSQL: several dispatchers and owners at once, none of which waits for a frozen one.

At most one touch of a member is claimed or attempting: `claim` takes a member's advisory lock before it asks, in a
statement of its own and so with a newer sight, whether something of the member's is in flight. Only `claim` brings a
touch in flight, so nothing can slip between. A unique index (`ix_touches_one_in_flight`) would refuse it if it did.

What dispatchers wait for is never what a client holds while it thinks: rows that somebody else has locked are skipped
where there will be another round, and waited for one at a time where there won't, so that waits can't cross.
"""

# ruff: noqa: D102 - what each method promises stands once, in stores/contract

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Literal

from sqlalchemy import Connection

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
from orchestrator.stores.outbox import CALLED, RELEASED, at_account, known, known_scope
from orchestrator.stores.sql.postgres import statements as words
from orchestrator.stores.sql.postgres.covering import Ask, add_inbox, after_commit, suppress
from orchestrator.stores.sql.postgres.sessions import PostgresSessions, driver

# candidates are asked for at least so many at a time
_PAGE = 16


class PostgresOutbox(PostgresSessions):
    """Claims and what becomes of them."""

    def clock(self) -> int:
        return self._read(lambda connection: _clock(asking(connection)))

    def claim(self, now: int | Clock, lease: int, token: str, limit: int, channel: str = "") -> list[Claim]:
        def work(connection: Connection) -> list[str]:
            ask = asking(connection)
            # a claim that a crash takes back is a touch that waits to be claimed; an attempt is never on disk before it
            ((server,),) = ask(words.NOT_LASTING, ())
            at = None if now is Clock.partition else int(server) if now is Clock.store else now
            ask(words.GIVE_BACK, (at,))
            candidates = _claimable(ask, at, limit, channel)
            claimed = {row[0] for row in ask(words.CLAIM, (token, at, lease, candidates))} if candidates else ()
            return [touch_id for touch_id in candidates if touch_id in claimed]

        ids = self._write(work)
        if not ids:
            return []
        # the messages are sent once nothing is locked any more; what was cancelled meanwhile is left out
        rows = self._read(lambda connection: asking(connection)(words.CLAIMED, (ids, token)))
        touches = {touch.touch_id: touch for touch in map(TouchRow._make, rows)}
        return [Claim(touches[touch_id], token) for touch_id in ids if touch_id in touches]

    def keys(self, refs: Collection[str]) -> dict[str, bytes]:
        return dict(self._read(lambda connection: asking(connection)(words.KEYS_OF, (sorted(set(refs)),))))

    def attempt(self, claims: Sequence[Claim], now: int | Clock, account: str = "") -> list[Claim]:
        asked = list({(claim.touch.touch_id, claim.token): claim for claim in claims}.values())
        called: dict[tuple[str, str], TouchRow] = {}
        for token in dict.fromkeys(claim.token for claim in asked):
            ids = [claim.touch.touch_id for claim in asked if claim.token == token]
            called |= self._attempt(words.ATTEMPT_FREE, ids, token, now, account)
        for claim in asked:
            if (claim.touch.touch_id, claim.token) not in called:
                # stopped, no longer held, or just being looked at by somebody: they decide, then we see
                called |= self._attempt(words.ATTEMPT, [claim.touch.touch_id], claim.token, now, account)
        return [
            Claim(called[key]._replace(message=claim.touch.message), claim.token)
            for claim in asked
            if (key := (claim.touch.touch_id, claim.token)) in called
        ]

    def _attempt(
        self, statement: str, ids: list[str], token: str, now: int | Clock, account: str
    ) -> dict[tuple[str, str], TouchRow]:
        at = None if isinstance(now, Clock) else now
        values = (ids, token, at, now is Clock.store, account, at_account(account))
        rows = self._write(lambda connection: asking(connection)(statement, values))
        return {(touch.touch_id, token): touch for touch in map(TouchRow._make, rows)}

    def release(self, touch_id: str, token: str, state: str, due: int, inbox: NewInbox | None) -> bool:
        known(state, RELEASED)

        def work(connection: Connection) -> bool:
            ask = asking(connection)
            released = bool(_settle(ask, "claimed", [(state, due, touch_id, token)]))
            if released and inbox:
                add_inbox(ask, [inbox])
            return released

        return self._write(work)

    def outcomes(self, rows: Sequence[OutcomeRow], *, lasting: bool = True) -> list[bool]:  # noqa: ARG002 - see contract
        for row in rows:
            known(row.state, CALLED)
        # of outcomes of one call the first counts
        first = {(row.touch_id, row.token): i for i, row in reversed(list(enumerate(rows)))}

        def work(connection: Connection) -> set[int]:
            ask = asking(connection)
            called = [(rows[i].state, rows[i].due, *key) for key, i in sorted(first.items())]
            held = {first[key] for key in _settle(ask, "attempting", called)}
            add_inbox(ask, [rows[i].inbox for i in sorted(held)])
            return held

        held = self._write(work) if rows else set()
        return [i in held for i in range(len(rows))]

    def lapse(self, now: int | Literal[Clock.store], describe: Callable[[TouchRow, int], NewInbox]) -> int:
        def work(connection: Connection) -> int:
            ask = asking(connection)
            at = _clock(ask) if now is Clock.store else now
            lapsed = sorted(map(TouchRow._make, ask(words.LAPSED, (at,))))
            if lapsed:
                _settle(ask, "attempting", [("unknown", touch.due, touch.touch_id, touch.token) for touch in lapsed])
                add_inbox(ask, [describe(touch, at) for touch in lapsed])
            return len(lapsed)

        return self._write(work)

    def suppress(
        self, rows: Sequence[SuppressionRow], inbox: Sequence[NewInbox], heard: Sequence[HeardRow] = ()
    ) -> list[str]:
        def work(connection: Connection) -> list[str]:
            ask = asking(connection)
            if heard:
                ask(words.FORGET_HEARD, (heard[0].day - HEARD_DAYS,))
                if len(ask(words.HEAR, [list(column) for column in zip(*heard, strict=True)])) != len(heard):
                    raise HeardBefore
            add_inbox(ask, inbox)
            return suppress(ask, rows)

        return sorted(self._write(work) + self._look_again(rows))

    def _look_again(self, rows: Sequence[SuppressionRow]) -> list[str]:
        """After the commit of these: see covering.py."""
        return self._write(lambda connection: after_commit(asking(connection), rows)) if rows else []

    def switch(self, row: SwitchRow, on: bool, inbox: Sequence[NewInbox]) -> None:
        known_scope(row.scope)

        def work(connection: Connection) -> None:
            ask = asking(connection)
            add_inbox(ask, inbox)
            if on:
                ask(words.PUT_SWITCH, row)
            else:
                ask(words.LIFT_SWITCH, (row.scope,))

        self._write(work)
        if on:
            self._write(lambda connection: asking(connection)(words.AFTER_ATTEMPTS, ()))


def asking(connection: Connection) -> Ask:
    """Statements on a session of the pool: the driver's own, in binary, since messages travel this way too."""
    session = driver(connection)

    def ask(statement: str, values: Sequence[Any]) -> list[Any]:
        cursor = session.execute(statement, tuple(values), binary=True)
        return cursor.fetchall() if cursor.description else []

    return ask


def _clock(ask: Ask) -> int:
    ((at,),) = ask(words.CLOCK, ())
    return int(at)


def _claimable(ask: Ask, now: int | None, limit: int, channel: str) -> list[str]:
    """Touches whose rows and members' locks this transaction holds, one of a member, by (rank, due, touch_id)."""
    chosen: list[str] = []
    if limit <= 0 or ask(words.ALL_STOPPED, ()):
        return chosen
    until = ask(words.LATEST_CLOCK, ())[0][0] if now is None else now
    passed: set[bytes] = set()
    # rank by rank, so that what is due later is never read, however much of it waits
    for (rank,) in ask(words.RANKS, ()):
        while True:
            # whatever is looked at is locked until the commit: no more than is likely to be of use
            page = max(limit - len(chosen), _PAGE)
            values = (rank, until, now, now, channel, channel, list(passed), page)
            rows = ask(words.CLAIMABLE, values)
            for touch_id, member, locked in rows:
                if member not in passed and locked and len(chosen) < limit:
                    chosen.append(touch_id)
                passed.add(member)
            if len(chosen) >= limit:
                return chosen
            if len(rows) < page:
                break
    return chosen


def _settle(ask: Ask, before: str, rows: Sequence[tuple[str, int, str, str]]) -> list[tuple[str, str]]:
    """(state, due, touch_id, token) by compare-and-set from one state; (touch_id, token) of those that were held."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    return [(row[0], row[1]) for row in ask(words.SETTLE, (*columns, before))]
