"""Transactions of a few statements: each on a session from the pool, tried until it went through."""

# ruff: noqa: D102 - what each method promises stands once: in stores/contract, and in Sessions

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from orchestrator.stores.sql.engine import Sessions
from orchestrator.stores.sql.postgres import statements as words
from orchestrator.stores.sql.postgres.connecting import cause, is_away
from orchestrator.stores.sql.postgres.patience import Lost, Patience, fate_of
from orchestrator.stores.sql.postgres.statements import SHARED, SharedWords
from orchestrator.stores.sql.postgres.trips import Session
from orchestrator.stores.sql.postgres.writer import Writer
from orchestrator.stores.turnstile import Turnstile

T = TypeVar("T")


class PostgresSessions(Sessions):
    """One session that writes batches, in turn; a pool for everything else, side by side."""

    _words: SharedWords = SHARED

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.patience = Patience()
        self._turnstile = Turnstile()
        self._writer = Writer(engine, lambda: self.patience, self._fate)

    def wait_with(self, stop: Callable[[], bool], pause: Callable[[float], None]) -> None:
        self.patience = Patience(stop, pause)

    def _write(self, work: Callable[[Connection], T]) -> T:
        self._turnstile.stay_outside()
        while True:
            try:
                return self.patience.until_done(lambda: self._once(work))
            except Lost as lost:
                if fate_of(lost.transaction, self._fate, self.patience):
                    result: T = lost.result
                    return result

    def _once(self, work: Callable[[Connection], T]) -> T:
        """One transaction; raises Lost where nobody said whether it was committed."""
        with self._engine.connect() as connection:
            transaction = connection.begin()
            result = work(connection)
            ((number,),) = driver(connection).execute(words.NUMBER)
            try:
                transaction.commit()
            except DBAPIError as error:
                said = cause(error)
                if number is None or said is None or not is_away(said):
                    raise
                raise Lost(number, result) from None
            return result

    def _read(self, work: Callable[[Connection], T]) -> T:
        # one statement each, so it needs no transaction around it
        return self.patience.until_done(lambda: self._alone(work))

    def _alone(self, work: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection:
            return work(connection.execution_options(isolation_level="AUTOCOMMIT"))

    def _fate(self, transaction: str) -> str | None:
        return self._alone(lambda connection: connection.exec_driver_sql(words.FATE, (transaction,)).scalar())

    def close(self) -> None:
        with self._turnstile.held():
            self._writer.close()
        self._engine.dispose()


def driver(connection: Connection) -> Session:
    """The driver's session below; what it raises is the driver's own."""
    return cast(Session, connection.connection.driver_connection)
