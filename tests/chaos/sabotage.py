"""Safeguards taken out one at a time, to see that the checker misses them. Lives with the tests, never in the wheel.

epoch         a batch no longer asks whether the partition is still its own: it goes on from whatever it finds
recheck       neither the dispatcher nor the attempt's statement asks any longer whether the hours are still open
dedupe        the index of duplicates is neither asked nor kept
cas           the token and state of a claim no longer matter: whoever comes, writes
suppression   nobody asks any longer who opted out, and an opt-out cancels nothing that waits to be called
attempt       the attempt goes on record after the call instead of before it
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from orchestrator.errors import Refused
from orchestrator.pipeline import Pipeline
from orchestrator.stores.contract import Changes, Claim, Clock, OutcomeRow, Progress
from orchestrator.stores.sql.postgres import statements

# sabotage -> the violations of which one at least must be found: the promises that the safeguard stands for
FOUND_BY = {
    "epoch": {"decided_once"},
    "recheck": {"hours"},
    "dedupe": {"decided_once"},
    "cas": {"call_after_final", "one_end"},
    "suppression": {"after_optout"},
    "attempt": {"call_after_final", "call_without_attempt"},
}
KINDS = tuple(FOUND_BY)
_HOURS = re.compile(r"call_by = 0 OR call_by > coalesce\(moment\.at, \(.*?\)\)")
_SUPPRESSIONS = re.compile(r"\b(FROM|JOIN)\s+suppressions\b", re.IGNORECASE)


class Passing:
    """A store that passes everything on."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Unfenced(Passing):
    """`epoch`: the guard always sees what it wants to see."""

    @contextmanager
    def batch(self, held: Sequence[Progress]) -> Iterator[Any]:
        now = {row.partition: row for row in self._store.progress()}
        if any(now[row.partition].turn != row.turn for row in held):
            raise Refused("it went on in between: to be numbered anew")
        with self._store.batch([now[row.partition] for row in held]) as tx:
            yield _Rebased(tx, now)


class _Rebased(Passing):
    """A batch whose progress is written over whatever stands there."""

    def __init__(self, tx: Any, now: dict[int, Progress]) -> None:
        super().__init__(tx)
        self._now = now

    def write(self, changes: Changes) -> None:
        progress = [
            (self._now[before.partition], after._replace(epoch=self._now[before.partition].epoch))
            for before, after in changes.progress
        ]
        self._store.write(changes._replace(progress=progress))


class Forgetful(Passing):
    """`dedupe`: every event is new."""

    @contextmanager
    def batch(self, held: Sequence[Progress]) -> Iterator[Any]:
        with self._store.batch(held) as tx:
            yield _Unseen(tx)


class _Unseen(Passing):
    def seen(self, buckets: Sequence[int], identities: Any) -> dict[bytes, bytes]:  # noqa: ARG002 - the contract's
        return {}

    def write(self, changes: Changes) -> None:
        self._store.write(changes._replace(seen=()))


class Late(Passing):
    """`attempt`: a call is made on a claim alone; its attempt and its outcome are written together afterwards."""

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self._owed: dict[str, tuple[Claim, int | Clock, str]] = {}

    def attempt(self, claims: Sequence[Claim], now: int | Clock, account: str = "") -> list[Claim]:
        held, at = [], self._store.clock()
        for claim in claims:
            self._owed[claim.touch.touch_id] = (claim, now, account)
            touch = claim.touch._replace(state="attempting", attempts=claim.touch.attempts + 1, attempted_at=at)
            held.append(Claim(touch, claim.token))
        return held

    def outcomes(self, rows: Sequence[OutcomeRow], *, lasting: bool = True) -> list[bool]:
        for row in rows:
            if owed := self._owed.pop(row.touch_id, None):
                self._store.attempt([owed[0]], owed[1], owed[2])
        found: list[bool] = self._store.outcomes(rows, lasting=lasting)
        return found


class Trusting(Passing):
    """`cas`: whoever comes holds the claim, whatever became of it meanwhile."""

    def attempt(self, claims: Sequence[Claim], now: int | Clock, account: str = "") -> list[Claim]:
        self._force("claimed", [(claim.touch.touch_id, claim.token) for claim in claims])
        held: list[Claim] = self._store.attempt(claims, now, account)
        return held

    def outcomes(self, rows: Sequence[OutcomeRow], *, lasting: bool = True) -> list[bool]:
        self._force("attempting", [(row.touch_id, row.token) for row in rows])
        found: list[bool] = self._store.outcomes(rows, lasting=lasting)
        return found

    def _force(self, state: str, held: Sequence[tuple[str, str]]) -> None:
        with psycopg.connect(os.environ["ORCHESTRATOR_STORE_URL"]) as connection, connection.cursor() as cursor:
            cursor.executemany(
                "UPDATE touches SET state = %s, token = %s WHERE touch_id = %s",
                [(state, token, touch) for touch, token in held],
            )


class Sleepless(Passing):
    """`recheck`: no hours bind what is claimed."""

    def claim(self, *args: Any, **more: Any) -> list[Claim]:
        claims = self._store.claim(*args, **more)
        return [claim._replace(touch=claim.touch._replace(call_by=0)) for claim in claims]


def keep_open() -> None:
    """`recheck`, the attempt's half: its statement takes all hours for open."""
    for name, statement in vars(statements).items():
        if isinstance(statement, str) and "touches" in statement:
            setattr(statements, name, _HOURS.sub("true", statement))


def unfence_pipeline() -> None:
    """`epoch`, the engine's half: a batch numbers its turns from what stands in the store, not from what it took."""
    run = Pipeline.run

    def unfenced(self: Pipeline, held: Any, arrivals: Any, until: int, **more: Any) -> Any:
        while True:
            now = {row.partition: row for row in self.store.progress()}
            mine = {p: now[p]._replace(next_offset=row.next_offset) for p, row in held.items()}
            # another owner who is at work right now would have us refused by chance, after all
            with suppress(Refused):
                return run(self, mine, arrivals, until, **more)

    Pipeline.run = unfenced  # type: ignore[method-assign]  # that is the sabotage


def deafen() -> None:
    """`suppression`: whoever reserves, claims, attempts or cancels finds the table empty, though it is written."""
    for name, statement in vars(statements).items():
        if isinstance(statement, str) and "suppressions" in statement and "touches" in statement:
            setattr(statements, name, _SUPPRESSIONS.sub(r"\1 (SELECT * FROM suppressions WHERE false)", statement))
    statements.SUPPRESSIONS_OF = statements.SUPPRESSIONS_OF.replace("WHERE", "WHERE false AND")


def apply(kind: str, store: Any) -> Any:
    """Takes a safeguard out of this process; the store to work with from now on. "" takes out none."""
    if kind == "epoch":
        unfence_pipeline()
        return Unfenced(store)
    if kind == "recheck":
        keep_open()
    elif kind == "suppression":
        deafen()
    elif kind and kind not in KINDS:
        raise SystemExit(f"SABOTAGE={kind}: known are {', '.join(KINDS)}")
    wrap = {"recheck": Sleepless, "dedupe": Forgetful, "cas": Trusting, "attempt": Late}.get(kind)
    return store if wrap is None else wrap(store)
