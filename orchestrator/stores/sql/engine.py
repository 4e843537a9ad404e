"""Connections to a SQLite file: one that writes, in turn, and a few that read."""

# ruff: noqa: D102 - what each method promises stands once: in stores/contract, and in Sessions

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from sqlite3 import Connection as SqliteConnection
from typing import TypeVar, cast

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from orchestrator.errors import SetupError
from orchestrator.stores.sql.statements import SQLITE, Shared, Words
from orchestrator.stores.turnstile import Turnstile

T = TypeVar("T")

# How a SQLite file is used; `make bench` shows what the figures are worth.
PRAGMAS = (
    # read by a new file only. Each batch touches some 1,500 random leaves: the smallest usual page writes the least
    "page_size = 4096",
    "journal_mode = WAL",
    # a commit that returned survives a power cut; NORMAL would lose the last ones
    "synchronous = FULL",
    "foreign_keys = ON",
    # milliseconds that one process waits for another; within a process writers queue in order
    "busy_timeout = 30000",
    # KiB, as a negative number
    "cache_size = -65536",
    "temp_store = MEMORY",
    # pages: 64 MB of log before it is worked into the file, so that a page written often is copied once
    "wal_autocheckpoint = 16384",
    # a destroyed key is overwritten, not just unlinked
    "secure_delete = ON",
)


def connect(url: str) -> Engine:
    """An engine whose transactions are explicit; raises SetupError for an address that can't be served."""
    try:
        address = make_url(url)
    except ArgumentError:
        raise SetupError('the store\'s url is not an address; write: url = "sqlite:///orchestrator.db"') from None
    if address.get_backend_name() == "postgresql":
        # its driver takes longer to load than a SQLite store to open
        from orchestrator.stores.sql.postgres import connecting

        return connecting.connect(address)
    if address.get_backend_name() != "sqlite" or address.database in {None, "", ":memory:"}:
        raise SetupError(
            f"{address.render_as_string()} is no store that this version keeps; "
            'set in orchestrator.toml, [store]: url = "sqlite:///orchestrator.db" or "postgresql://user@host/database"'
        )
    return _sqlite(address)


def _sqlite(address: URL) -> Engine:
    # parameters hold personal data and stay out of error texts; the newest connection has the warmest cache
    engine = create_engine(
        address,
        hide_parameters=True,
        pool_use_lifo=True,
        max_overflow=-1,
        # look-ups come in several lengths: more texts than the driver keeps prepared by itself
        connect_args={"cached_statements": 512},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: SqliteConnection, _record: object) -> None:
        # the driver would begin transactions of its own, and later than the first statement
        connection.isolation_level = None
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # a writer takes the lock at once: a lock taken half way can fail, and would have read old rows
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


class Sessions(ABC):
    """Who may talk to the database, and when."""

    # the dialect's own words
    _words: Shared

    @abstractmethod
    def _write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, in one transaction; an exception leaves nothing. It may be asked more than once."""

    @abstractmethod
    def _read(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns from one snapshot, beside any writer. It may be asked more than once."""

    def wait_with(  # noqa: B027 - a file is never away: nothing to do is right for it
        self, stop: Callable[[], bool], pause: Callable[[float], None]
    ) -> None:
        """How a database that is away is waited for; one that can't be away has no use for it.

        `pause` waits so many seconds, and may show a watchdog that somebody lives. `stop` is asked before each wait:
        True ends it with Interrupted.
        """

    @abstractmethod
    def close(self) -> None:
        """Gives back connections; whoever writes a batch is waited for."""


class FileSessions(Sessions):
    """One connection that writes and some that read."""

    _words: Words = SQLITE

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turnstile = Turnstile()
        # one connection for all that writes keeps its page cache: another writer's commit would empty it
        self._writer = engine.connect().execution_options(writes=True)
        self._driver = cast(SqliteConnection, self._writer.connection.driver_connection)

    @contextmanager
    def _writing(self, *, lasting: bool = True) -> Iterator[SqliteConnection]:
        """A transaction that writes, on the driver's own connection; an exception leaves nothing.

        The hot path talks to the driver itself: around a statement that takes ten microseconds SQLAlchemy spends forty.
        What is not `lasting` does not wait for the disk: a power cut may take it back, the next lasting commit takes it
        along. Commits are never lost out of order.
        """
        with self._turnstile.held():
            driver = self._driver
            if not lasting:
                # a script, since the driver would keep the statement prepared, and this one acts when it is prepared
                driver.executescript("PRAGMA synchronous = NORMAL")
            try:
                # takes the lock at once, as in `begin` above
                driver.execute("BEGIN IMMEDIATE")
                yield driver
                if driver.in_transaction:
                    driver.execute("COMMIT")
            except BaseException:
                driver.rollback()
                raise
            finally:
                if not lasting:
                    driver.executescript("PRAGMA synchronous = FULL")

    def _write(self, work: Callable[[Connection], T]) -> T:
        with self._turnstile.held(), self._writer.begin():
            return work(self._writer)

    def _read(self, work: Callable[[Connection], T]) -> T:
        with self._engine.connect() as connection, connection.begin():
            return work(connection)

    def close(self) -> None:
        with self._turnstile.held():
            self._writer.close()
        self._engine.dispose()
