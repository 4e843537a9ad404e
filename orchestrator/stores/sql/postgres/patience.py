"""Waiting for a database that is away: workers wait, they neither fail nor skip.

What was asked may have been done although the answer was lost. So every transaction knows its own number, and after a
lost commit the server is asked what became of that number, before anything is tried again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any, TypeVar

import psycopg
from sqlalchemy.exc import DBAPIError

from orchestrator.errors import Interrupted
from orchestrator.stores.sql.postgres.connecting import cause, is_away, may_go_through, named, plain

log = logging.getLogger(__name__)

T = TypeVar("T")

# seconds before the second try, the third, …; the last one from then on
PAUSES_S = (0.02, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)


class Patience:
    """How long and in what way the database is waited for."""

    def __init__(self, stop: Callable[[], bool] = lambda: False, pause: Callable[[float], None] = time.sleep) -> None:
        """`stop` is asked before each wait: True ends it with Interrupted. `pause` waits so many seconds."""
        self.stop, self.pause = stop, pause

    def until_done(self, work: Callable[[], T]) -> T:
        """What `work` returns, tried again while the database is away or asks for it.

        `work` leaves nothing behind when it raises. Other errors of the database are raised without the values in them.
        """
        pauses = self.pauses()
        while True:
            try:
                return work()
            except (psycopg.Error, DBAPIError) as error:
                self.wait(error, pauses)

    def pauses(self) -> Iterator[float]:
        """Seconds to wait before each further try."""
        return chain(PAUSES_S, repeat(PAUSES_S[-1]))

    def wait(self, error: Exception, pauses: Iterator[float]) -> None:
        """Waits where the same may go through later; else raises."""
        said = cause(error)
        if said is None:
            raise error
        if not may_go_through(said):
            raise plain(said) from None
        if self.stop():
            raise Interrupted(f"the wait for the database was ended ({named(said)})") from None
        seconds = next(pauses)
        what = "the database is away" if is_away(said) else "the database asks to be tried again"
        log.warning("%s: %s; next try in %s s", what, named(said), seconds)
        self.pause(seconds)


class Lost(Exception):
    """The answer to a commit was lost; `fate_of` finds out what it was. It never leaves this package."""

    def __init__(self, transaction: str, result: Any) -> None:
        """`result` is what the transaction's work gave."""
        self.transaction, self.result = transaction, result
        super().__init__("the answer to a commit was lost")


def fate_of(transaction: str, ask: Callable[[str], str | None], patience: Patience) -> bool:
    """Whether this transaction was committed; waits while the server is away or still at it.

    `ask` gives pg_xact_status. Raises Interrupted where the server no longer knows, or never did: it was restored, or
    another one took over.
    """
    pauses = patience.pauses()
    while True:
        try:
            status = patience.until_done(lambda: ask(transaction))
        except ValueError:
            status = None
        if status != "in progress":
            break
        if patience.stop():
            break
        patience.pause(next(pauses))
    if status in {"committed", "aborted"}:
        return status == "committed"
    raise Interrupted("whether the last transaction was committed is not known; read progress again")
