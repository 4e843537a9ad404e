"""Sessions with the server: how they are opened and set, and what their errors mean.

Every session is our own from end to end: what holds for one (time-outs, prepared statements, the process that `take`
ends) does not survive a pooler that lends sessions by the transaction.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import Connection
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from orchestrator.errors import SetupError

# any session, any statement: name -> value
SETTINGS = {
    # the reasoning of outbox.py is about this level: each statement sees what was committed before it began
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "statement_timeout": "60s",
    "lock_timeout": "5s",
    # a client that was frozen between two statements lets go of its locks
    "idle_in_transaction_session_timeout": "15s",
    # every statement here has its index, in the order it wants; what a planner thinks of a table that it has not
    # counted yet, or of how soon a limit will be reached, must not lead it through a whole backlog
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "client_encoding": "UTF8",
}
# a batch computes between its statements
WRITER_IDLE = "60s"
# seconds; a peer that is gone without a word is noticed within half a minute
KEEPALIVE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "orchestrator",
}
# a weaker setting could lose what was acknowledged; a stronger one of the server's is left as it is
_DURABLE = """SELECT set_config('synchronous_commit', 'on', false)
 WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"""

# nothing was written, and the same may go through now: serialisation failure, deadlock, lock not available
AGAIN = {"40001", "40P01", "55P03"}
# the session or the server is gone, going or not yet there; or lacks memory, disk or connections; or became a standby
_AWAY_CLASSES = ("08", "53", "58")
_AWAY = {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "25006"}

_NO_RIGHT = (
    "the role of orchestrator.toml, [store]: url is not made for this work: let it be a member of the one that is "
    "(owner decides, inbox_writer dispatches and takes orders, server serves, relay tells, reader reads), and see that "
    "they have their rights with: orchestrator store grants"
)


def connect(address: URL) -> Engine:
    """An engine whose sessions are set as above; options in the address win over KEEPALIVE."""
    options: dict[str, Any] = {name: value for name, value in KEEPALIVE.items() if name not in address.query}
    engine = create_engine(
        address.set(drivername="postgresql+psycopg"),
        # parameters hold personal data and stay out of error texts
        hide_parameters=True,
        pool_size=4,
        max_overflow=28,
        pool_use_lifo=True,
        connect_args=options,
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Connection[Any], _record: object) -> None:
        asked = ", ".join(["set_config(%s, %s, false)"] * len(SETTINGS))
        connection.execute(f"SELECT {asked}", [word for setting in SETTINGS.items() for word in setting])
        connection.execute(_DURABLE)
        connection.commit()

    return engine


def cause(error: BaseException) -> psycopg.Error | None:
    """What the driver said; None for an error that is not the driver's."""
    if isinstance(error, DBAPIError):
        return error.orig if isinstance(error.orig, psycopg.Error) else None
    return error if isinstance(error, psycopg.Error) else None


def is_away(error: psycopg.Error) -> bool:
    """Whether the session or the server is gone: nothing can be said of a commit that was under way."""
    code = error.sqlstate
    if code is None:
        # libpq's own: refused, reset, closed
        return isinstance(error, psycopg.OperationalError)
    return code in _AWAY or code.startswith(_AWAY_CLASSES)


def may_go_through(error: psycopg.Error) -> bool:
    """Whether the same work may go through when tried again."""
    return is_away(error) or error.sqlstate in AGAIN


def plain(error: psycopg.Error) -> Exception:
    """The error without the values that the server quotes in its details; a ValueError for rows that can't be."""
    text = f"{error.diag.message_primary or 'refused by the driver'} ({named(error)})"
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return SetupError(f"{text}; {_NO_RIGHT}")
    if isinstance(error, psycopg.IntegrityError | psycopg.DataError):
        return ValueError(text)
    return type(error)(text)


def named(error: psycopg.Error) -> str:
    """What a log line may say of it: no values, no addresses."""
    return type(error).__name__ + (f" [{error.sqlstate}]" if error.sqlstate else "")
