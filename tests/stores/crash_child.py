"""Writes batches for the crash tests.

`each FOLDER POINT…`: one process a point on the store FOLDER/POINT.db. A point is a field of Changes: the process kills
itself when that table's turn comes; `commit`: after all was written; `after`: once the commit returned.
`loop URL`: batch after batch, each acknowledged by its number on a line, until killed.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
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


def each(folder: Path, points: list[str]) -> None:
    """One process for each point, begun from here: loading the libraries once is enough."""
    for where in points:
        if not (child := os.fork()):
            once(SqlStore.open(f"sqlite:///{folder}/{where}.db", 4), where)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{where} {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["loop", url]:
            loop(SqlStore.open(url, 4))
        case ["each", folder, *points]:
            each(Path(folder), points)
