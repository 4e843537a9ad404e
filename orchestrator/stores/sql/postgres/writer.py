"""The session that writes batches: opened, put on record beside the partitions it writes, opened anew when it is lost.

Whoever takes a partition ends this session first. So its process and start stand in `progress` before it locks a row
there, committed by a statement of its own: from then on nothing that this client does or fails to do, frozen as it may
be, can hold a lock longer than a taker wants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import psycopg
from sqlalchemy import Engine

from orchestrator.errors import Interrupted, Refused
from orchestrator.stores.contract import Progress
from orchestrator.stores.sql.postgres import statements as words
from orchestrator.stores.sql.postgres.connecting import WRITER_IDLE, is_away
from orchestrator.stores.sql.postgres.patience import Patience, fate_of
from orchestrator.stores.sql.postgres.trips import BEGIN, ROLLBACK, Asked, Session, Trips


class Backend(NamedTuple):
    """A session as the server knows it."""

    pid: int
    # micros since 1970 at which it began
    started: int


class Writer:
    """One session at a time; used by one thread at a time."""

    def __init__(self, engine: Engine, patience: Callable[[], Patience], fate: Callable[[str], str | None]) -> None:
        """`fate` asks, on a session of its own, what became of a transaction."""
        self._engine, self._patience, self._fate = engine, patience, fate
        self._session: Session | None = None
        self._trips: Trips | None = None
        self._backend = Backend(0, 0)
        # (partition, epoch) beside which this session stands on record
        self._on_record: set[tuple[int, int]] = set()

    def backend(self) -> Backend:
        """The session as the server knows it, opened if it is not; raises what the driver raises."""
        self._opened()
        return self._backend

    def stands_beside(self, held: Sequence[Progress]) -> None:
        """`take` has put this session on record beside these rows."""
        self._on_record = {(row.partition, row.epoch) for row in held} | self._on_record

    def begin(self, held: Sequence[Progress]) -> tuple[Trips, str]:
        """What to ask in a transaction that has locked these rows, and its number; waits while the database is away.

        Raises Refused unless each row still has the epoch, offset and turn that the worker took.
        """
        return self._patience().until_done(lambda: self._begin(held))

    def commit(self, transaction: str) -> None:
        """Commits; where the answer is lost, waits for the server to say. Raises Interrupted if nothing was written."""
        session = self._session
        assert session is not None, "a batch is open"  # noqa: S101 - of this module's own making
        try:
            session.commit()
        except psycopg.Error as error:
            self.drop()
            if is_away(error) and transaction and fate_of(transaction, self._fate, self._patience()):
                return
            raise Interrupted("the batch was not written; read progress again, then do it anew") from None

    def rollback(self) -> None:
        """Ends the transaction, leaving nothing; a session that can't is given up, which leaves nothing either."""
        if self._trips is not None and self._trips.go([Asked(ROLLBACK)]).error is not None:
            self.drop()

    def drop(self) -> None:
        """Gives the session up."""
        if self._session is not None:
            self._session.close()
        self._session = self._trips = None
        self._on_record = set()

    close = drop

    def _begin(self, held: Sequence[Progress]) -> tuple[Trips, str]:
        try:
            session = self._opened()
            new = [row for row in held if (row.partition, row.epoch) not in self._on_record]
            if new:
                columns = [row.partition for row in new], [row.epoch for row in new]
                _alone(session, words.NAME_SESSION, (*self._backend, *columns))
                self.stands_beside(new)
            if self._trips is None:
                self._trips = Trips(session)
            trips = self._trips
            asked = [Asked(BEGIN)]
            if held:
                asked.append(Asked(words.GUARD, list(zip(*(row[:4] for row in held), strict=True))))
            answers, error = trips.go(asked)
            if error is not None:
                raise error
        except psycopg.Error:
            self.drop()
            raise
        locked = {row[0]: row[1] for row in answers[-1]}
        for row in held:
            if row.partition not in locked:
                self.rollback()
                raise refused(row.partition)
        return trips, next(iter(locked.values()), "")

    def _opened(self) -> Session:
        if self._session is not None and not self._session.closed:
            return self._session
        former = self._backend
        pooled = self._engine.raw_connection()
        session = cast(Session, pooled.driver_connection)
        pooled.detach()
        try:
            session.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", (WRITER_IDLE,))
            session.commit()
            if former.pid:
                # the server may not have noticed yet that it is gone, and keep its locks
                _alone(session, words.END_SESSION, former)
            (row,) = session.execute(words.SESSION).fetchall()
            session.commit()
        except BaseException:
            session.close()
            raise
        self._session, self._trips = session, None
        self._backend, self._on_record = Backend(*row), set()
        return session


def refused(partition: int) -> Refused:
    """Says so without naming anything but the partition."""
    return Refused(f"partition {partition} is no longer at the epoch, offset and turn of this worker")


def _alone(session: Session, statement: str, values: Sequence[Any]) -> None:
    """One statement that commits itself."""
    session.autocommit = True
    try:
        session.execute(statement, values)
    finally:
        if not session.closed:
            session.autocommit = False
