"""Writes batches for the crash tests: `crash_child.py URL WHERE`.

WHERE is a field of Changes: the process kills itself when that table's turn comes; `commit`: after all was written;
`after`: once the commit returned; `loop`: never, batch after batch, each acknowledged by its number on a line.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any

from orchestrator.stores.contract import Changes
from orchestrator.stores.sql import SqlStore
from orchestrator.testing.store_rows import (
    Owner,
    digest,
    full_changes,
    journal_row,
    log_row,
    member_row,
    seen_row,
    touch_row,
)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Deadly(list[Any]):
    """Rows whose reader dies on the way to the second."""

    def __iter__(self) -> Iterator[Any]:
        yield self[0]
        die()


def once(store: SqlStore, where: str) -> None:
    owner = Owner(store)
    changes = full_changes(owner)
    if where in Changes._fields:
        changes = changes._replace(**{where: Deadly(getattr(changes, where))})
    with store.batch([owner.held[0]]) as batch:
        batch.write(changes)
        if where == "commit":
            die()
    die()


def loop(store: SqlStore) -> None:
    owner = Owner(store)
    while True:
        before, _ = owner.step()
        turn = before.turn + 1
        rows = range(before.log_n + 1, before.log_n + 51)
        owner.commit(
            owner.step(log_n=rows[-1], clock=turn, head=digest(f"head-{turn}", 32)),
            members=[member_row(f"m{i}", state=b"%d" % turn) for i in range(50)],
            journal=[journal_row(0, turn, i) for i in range(50)],
            seen=[seen_row(f"{turn}/{i}") for i in range(50)],
            log=[log_row(0, n, turn=turn) for n in rows],
            reserved=[touch_row(f"{turn}", f"m{turn}")],
            totals={(0, "inputs"): 50},
        )
        sys.stdout.write(f"{turn}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    opened = SqlStore.open(sys.argv[1], 4)
    loop(opened) if sys.argv[2] == "loop" else once(opened, sys.argv[2])
