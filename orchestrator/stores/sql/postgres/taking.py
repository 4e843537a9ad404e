"""Taking partitions: the former owner's session is ended, then the epoch raised, both again until it is committed.

A frozen client was seen to keep its row lock past every time-out of the server's, since the server was waiting for it
to read; so nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from orchestrator.errors import SetupError
from orchestrator.stores.contract import Progress
from orchestrator.stores.partitions import same_source
from orchestrator.stores.sql.postgres import statements as words
from orchestrator.stores.sql.postgres.covering import Ask
from orchestrator.stores.sql.postgres.writer import Backend

# each waits for the lock as long as lock_timeout says: a minute in all
TRIES = 12

_HELD = (
    "a session that is not a worker's holds their rows in progress. Find it with: SELECT pid, usename, "
    "application_name, query FROM pg_stat_activity WHERE state <> 'idle', and end it with: "
    "SELECT pg_terminate_backend(pid)"
)
_LOCKED = "55P03"
_NO_PLACE = "23502"
_FORBIDDEN = "42501"


def take(ask: Ask, partitions: Sequence[int], source: str, mine: Backend) -> list[Progress] | None:
    """One try: the rows as they now stand, or None where somebody still holds one of them.

    `ask` commits each statement by itself. Raises SetupError for a partition fed from another log.
    """
    try:
        ask(words.END_FORMER, (list(partitions), mine.pid))
    except psycopg.Error as error:
        if error.sqlstate != _FORBIDDEN:
            raise
        raise SetupError(
            "the session of a partition's former owner may not be ended: let all workers log in as the same role, or: "
            "GRANT pg_signal_backend TO the role of each worker"
        ) from None
    try:
        return [Progress._make(row) for row in ask(words.TAKE, (source, *mine, list(partitions)))]
    except psycopg.Error as error:
        if error.sqlstate == _LOCKED:
            return None
        if error.sqlstate == _NO_PLACE:
            for partition, kept in ask(words.SOURCES, (list(partitions),)):
                same_source(partition, kept, source)
        raise


def held_by_another(partitions: Sequence[int]) -> SetupError:
    """What to do where a lock outlasts all tries."""
    numbers = ", ".join(map(str, partitions))
    return SetupError(f"partitions {numbers} can't be taken: {_HELD}")
