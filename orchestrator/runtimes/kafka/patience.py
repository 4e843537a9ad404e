"""Waiting for a database that is away.

Whatever was asked may have been done: the answer can be lost as well as the question. So `again` comes before each new
try, to read anew what the try builds on. A PostgreSQL store waits by itself (`wait_with`), and says Interrupted only
where the caller has to look again.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from orchestrator.errors import Interrupted

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
# then the process ends with what was wrong: a supervisor's restart tells set-up errors in full
PATIENCE_S = 120.0

log = structlog.get_logger()

T = TypeVar("T")


def away(error: BaseException) -> bool:
    """Whether an error says that the database or the connection to it is gone, or that it asks to be tried again."""
    return isinstance(error, OperationalError | InterfaceError | Interrupted) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )


def named(error: BaseException) -> str:
    """What a log line may say of an error: the driver's kind of it, without its text."""
    return type(error.orig if isinstance(error, DBAPIError) else error).__name__


def patiently(
    work: Callable[[], T],
    *,
    again: Callable[[], object] = lambda: None,
    beat: Callable[[], object] = lambda: None,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """What `work` returns, tried until the database is there; raises its error after PATIENCE_S of pauses.

    `again` is called before each further try, `beat` before each pause.
    """
    pause, waited = FIRST_PAUSE_S, 0.0
    retrying = False
    while True:
        try:
            if retrying:
                again()
            return work()
        except (DBAPIError, Interrupted) as error:
            if not away(error) or waited >= PATIENCE_S:
                raise
            log.warning("the database is away", error=named(error), next_try_s=round(pause, 1))
        beat()
        sleep(pause)
        waited += pause
        pause = min(pause * 2, LONGEST_PAUSE_S)
        retrying = True
