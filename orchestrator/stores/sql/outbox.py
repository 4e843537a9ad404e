"""The dispatcher's side in a SQLite file: each method is one transaction, alone."""

# ruff: noqa: D102 - what each method promises stands once, in stores/contract.py

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sqlalchemy import Connection

from orchestrator.stores.contract import Claim, NewInbox, OutcomeRow, SuppressionRow, SwitchRow, TouchRow
from orchestrator.stores.outbox import ALL, CALLED, RELEASED, known, known_scope
from orchestrator.stores.sql.batch import suppress
from orchestrator.stores.sql.engine import FileSessions

_BELOW_ANY_RANK = -(2**63)


class SqlOutbox(FileSessions):
    """Claims and what becomes of them."""

    def claim(self, now: int | None, lease_until: int, token: str, limit: int, channel: str = "") -> list[Claim]:
        with self._writing() as connection:
            connection.exec_driver_sql(self._words.give_back, (now,))
            claims: dict[bytes, Claim] = {}
            for touch in self._claimable(connection, now, channel):
                if len(claims) >= limit:
                    break
                claimed = touch._replace(state="claimed", token=token, lease_until=lease_until)
                claims.setdefault(touch.member, Claim(claimed, token))
            held = list(claims.values())
            if held:
                connection.exec_driver_sql(
                    self._words.claim, [(token, lease_until, claim.touch.touch_id) for claim in held]
                )
            return held

    def _claimable(self, connection: Connection, now: int | None, channel: str) -> Iterator[TouchRow]:
        """Rank by rank, so that what is due later is never read, however much of it waits."""
        if connection.exec_driver_sql(self._words.switched, (ALL,)).first():
            return
        until = connection.exec_driver_sql(self._words.latest_clock).scalar() if now is None else now
        rank: int | None = _BELOW_ANY_RANK
        while (rank := connection.exec_driver_sql(self._words.next_rank, (rank,)).scalar()) is not None:
            with connection.exec_driver_sql(self._words.claimable, (rank, until, now, now, channel, channel)) as rows:
                yield from map(TouchRow._make, rows)

    def attempt(self, claims: Sequence[Claim], now: int) -> list[Claim]:
        called: list[Claim] = []
        with self._writing() as connection:
            for claim in claims:
                found = connection.exec_driver_sql(
                    self._words.attempt, (now, claim.touch.touch_id, claim.token)
                ).first()
                if found:
                    called.append(Claim(TouchRow._make(found), claim.token))
        return called

    def release(self, touch_id: str, token: str, state: str, due: int, inbox: NewInbox | None) -> bool:
        known(state, RELEASED)
        with self._writing() as connection:
            released = self._settle(connection, touch_id, token, ("claimed", state), due)
            if released and inbox:
                connection.exec_driver_sql(self._words.add_inbox, inbox)
            return released

    def outcomes(self, rows: Sequence[OutcomeRow]) -> list[bool]:
        for row in rows:
            known(row.state, CALLED)
        with self._writing() as connection:
            return [self._outcome(connection, row) for row in rows]

    def _outcome(self, connection: Connection, row: OutcomeRow) -> bool:
        held = self._settle(connection, row.touch_id, row.token, ("attempting", row.state), row.due)
        if held:
            connection.exec_driver_sql(self._words.add_inbox, row.inbox)
        return held

    def lapse(self, now: int, describe: Callable[[TouchRow], NewInbox]) -> int:
        with self._writing() as connection:
            # sorted here: asked for an order, the planner would walk through all touches there ever were
            lapsed = sorted(map(TouchRow._make, connection.exec_driver_sql(self._words.lapsed, (now,))))
            for touch in lapsed:
                self._settle(connection, touch.touch_id, touch.token, ("attempting", "unknown"), touch.due)
                connection.exec_driver_sql(self._words.add_inbox, describe(touch))
            return len(lapsed)

    def suppress(self, rows: Sequence[SuppressionRow], inbox: Sequence[NewInbox]) -> list[str]:
        with self._writing() as connection:
            if inbox:
                connection.exec_driver_sql(self._words.add_inbox, list(inbox))
            return suppress(connection, self._words, rows)

    def switch(self, row: SwitchRow, on: bool) -> None:
        known_scope(row.scope)
        with self._writing() as connection:
            if on:
                connection.exec_driver_sql(self._words.put_switch, row)
            else:
                connection.exec_driver_sql(self._words.lift_switch, (row.scope,))

    def _settle(self, connection: Connection, touch_id: str, token: str, way: tuple[str, str], due: int) -> bool:
        """One way from state to state, by compare-and-set; whether it was gone."""
        before, after = way
        row = (after, after, due, touch_id, token, before)
        return connection.exec_driver_sql(self._words.settle, row).rowcount == 1
