"""A worker of its own for the tests of faults: `postgres_child.py URL WHAT`.

`loop`: batch after batch, each acknowledged by its turn on a line; `patient`: the same, and after an interruption it
reads progress again and goes on, as a worker does; `frozen`: says that its rows are locked, then goes on slowly until
it is interrupted, then tries once more.
"""

from __future__ import annotations

import sys
import time

from orchestrator.errors import Interrupted, Refused
from orchestrator.stores.sql import SqlStore
from orchestrator.testing.store_rows import Owner, digest, journal_row, log_row, member_row, seen_row, touch_row


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def loop(store: SqlStore, *, patient: bool) -> None:
    owner = Owner(store)
    while True:
        before, _ = owner.step()
        turn = before.turn + 1
        rows = range(before.log_n + 1, before.log_n + 51)
        try:
            owner.commit(
                owner.step(log_n=rows[-1], clock=turn, head=digest(f"head-{turn}", 32)),
                members=[member_row(f"m{i}", state=b"%d" % turn) for i in range(50)],
                journal=[journal_row(0, turn, i) for i in range(50)],
                seen=[seen_row(f"{turn}/{i}") for i in range(50)],
                log=[log_row(0, n, turn=turn) for n in rows],
                reserved=[touch_row(f"{turn}", f"m{turn}")],
                totals={(0, "inputs"): 50},
            )
        except Interrupted:
            if not patient:
                raise
            owner.held = {row.partition: row for row in store.progress()}
            continue
        say(turn)


def frozen(store: SqlStore) -> None:
    owner = Owner(store)
    try:
        with store.batch([owner.held[0]]) as batch:
            say("locked")
            while True:
                batch.due({0: 1}, 1)
                time.sleep(0.01)
    except Interrupted:
        say("interrupted")
    try:
        owner.commit()
    except Refused:
        say("refused")


if __name__ == "__main__":
    opened = SqlStore.open(sys.argv[1], 4)
    if sys.argv[2] == "frozen":
        frozen(opened)
    else:
        loop(opened, patient=sys.argv[2] == "patient")
