"""What taking the due ones costs when a million members wait: it must follow those due, not those waiting.

`python benchmarks/waiting.py [ROWS] [--url URL]`: the store's inbox filled with timers of the coming year, one a
member, then one moment after another in which some are due, asked for and consumed as a batch of the pipeline does.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from orchestrator.stores.contract import Changes, NewInbox, Progress
from orchestrator.stores.sql import SqlStore

PARTITIONS = 32
# microseconds
SECOND = 1_000_000
YEAR = 365 * 24 * 3600 * SECOND
# bytes of a sealed timer
SEALED = 120
FILL = 20_000
MEASURED = 15
# at each moment measured, and for a moment at which nothing is
DUE = 1_000


class Taken(NamedTuple):
    """Milliseconds a moment took, medians."""

    waiting: int
    # with DUE rows due: asked for, and consumed in a batch
    due_ms: float
    # of it, asking for them
    asked_ms: float
    # nothing due in any partition
    nothing_ms: float


def measure(rows: int, url: str, moments: int = MEASURED) -> Taken:
    """The cost of a moment in the empty store at `url`, with `rows` rows that wait for later."""
    store = SqlStore.open(url, PARTITIONS)
    try:
        held = store.take(range(PARTITIONS))
        for many in _later(rows):
            held = _put(store, held, many)
        whole, asked, nothing = [], [], []
        for moment in range(1, moments + 1):
            at = moment * SECOND
            soon = [NewInbox(n % PARTITIONS, at, _member(n), bytes(SEALED)) for n in range(DUE)]
            held = _put(store, held, soon)
            began = time.perf_counter()
            _ask(store, held, at - 1)
            nothing.append((time.perf_counter() - began) * 1000)
            began = time.perf_counter()
            with store.batch(list(held.values())) as batch:
                due = batch.due(dict.fromkeys(range(PARTITIONS), at), DUE)
                asked.append((time.perf_counter() - began) * 1000)
                assert len(due) == DUE, f"{len(due)} rows were due"
                consumed = [(row.partition, row.seq) for row in due]
                held = _moved(held)
                batch.write(Changes(consumed=consumed, progress=_steps(held)))
            whole.append((time.perf_counter() - began) * 1000)
        return Taken(rows, *(round(median(each), 1) for each in (whole, asked, nothing)))
    finally:
        store.close()


def _later(rows: int) -> Iterator[Sequence[NewInbox]]:
    """One timer a member, spread evenly over a year that begins in an hour."""
    step = YEAR // max(rows, 1)
    for first in range(0, rows, FILL):
        yield [
            NewInbox(n % PARTITIONS, 3600 * SECOND + n * step, _member(n), bytes(SEALED))
            for n in range(first, min(first + FILL, rows))
        ]


def _member(number: int) -> bytes:
    return number.to_bytes(16, "big")


def _ask(store: SqlStore, held: dict[int, Progress], at: int) -> None:
    with store.batch(list(held.values())) as batch:
        assert not batch.due(dict.fromkeys(range(PARTITIONS), at), DUE)


def _put(store: SqlStore, held: dict[int, Progress], rows: Sequence[NewInbox]) -> dict[int, Progress]:
    moved = _moved(held)
    with store.batch(list(held.values())) as batch:
        batch.write(Changes(progress=_steps(moved), inbox=rows))
    return moved


def _moved(held: dict[int, Progress]) -> dict[int, Progress]:
    """Each partition a turn further."""
    return {number: row._replace(turn=row.turn + 1) for number, row in held.items()}


def _steps(moved: dict[int, Progress]) -> list[tuple[Progress, Progress]]:
    return [(row._replace(turn=row.turn - 1), row) for row in moved.values()]


def main(rows: int = 1_000_000, url: str = "") -> list[Taken]:
    """Measures few and `rows` waiting, prints the table and gives its lines."""
    with tempfile.TemporaryDirectory() as folder:
        sizes = (rows,) if url else (rows // 100, rows)
        table = [measure(size, url or f"sqlite:///{Path(folder) / str(size)}.db") for size in sizes]
    print("  ".join(f"{name:>10}" for name in Taken._fields))
    for line in table:
        print("  ".join(f"{value:>10}" for value in line))
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--url", default="", help="an empty database")
    main(**vars(parser.parse_args()))
