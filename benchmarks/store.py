"""What one batch costs, in an empty store and in one with a long history.

`python benchmarks/store.py [ROWS] [--url URL]` prints a table; `main` returns its rows. Without a URL it is SQLite, in
files of its own; with one, the empty database there (PostgreSQL), which is filled.

A batch is what 500 inputs come to: 500 rows each of journal, duplicates index and contact log (1.2 KB of trail), 500
member upserts (1.5 KB), 50 touches reserved, 100 inbox rows added and 100 consumed, over 32 partitions, with the
look-ups that a pipeline makes before.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from random import Random
from statistics import median, quantiles

from orchestrator.stores.contract import (
    Changes,
    JournalRow,
    LogRow,
    MemberRow,
    NewInbox,
    Progress,
    SeenRow,
    TouchRow,
)
from orchestrator.stores.sql import SqlStore

PARTITIONS = 32
INPUTS = 500
TOUCHES = 50
TIMERS = 100
MEASURED = 60
# events of this much time share a bucket of the duplicates index: history of a million lies in a few
BUCKET_TURNS = 400_000


class Load:
    """Makes batches that never repeat, for members drawn at random."""

    def __init__(self, held: dict[int, Progress], members: int, seed: int = 7) -> None:
        self._random = Random(seed)  # noqa: S311 - a load, no secret
        self._members = [self._random.randbytes(16) for _ in range(members)]
        # incompressible or not makes no difference to SQLite; JSON-like text is as long as a trail is
        self._trail = "x" * 1200
        self.held = held
        self.turns = 0

    def batch(self) -> Changes:
        """The next 500 inputs."""
        random, journal, seen, log, members = self._random, [], [], [], []
        after = dict(self.held)
        for _ in range(INPUTS):
            place = random.randrange(len(self._members))
            member, partition = self._members[place], place % PARTITIONS
            was = after[partition]
            self.turns += 1
            turn, n, at = was.turn + 1, was.log_n + 1, self.turns * 1_000_000
            ref = member.hex()
            journal.append(JournalRow(partition, turn, 0, at, "event", was.next_offset, member, ref, bytes(350)))
            seen.append(SeenRow(self.turns // BUCKET_TURNS, random.randbytes(16), random.randbytes(16)))
            log.append(self._entry(was, turn, n, at, ref))
            members.append(MemberRow(partition, member, ref, bytes(1500), False))
            after[partition] = was._replace(next_offset=was.next_offset + 1, turn=turn, clock=at, log_n=n)
        moved = [(self.held[number], row) for number, row in after.items() if row is not self.held[number]]
        self.held = after
        return Changes(
            progress=moved,
            members=members,
            journal=journal,
            seen=seen,
            log=log,
            reserved=[self._touch(row) for row in members[:TOUCHES]],
            inbox=[NewInbox(row.partition, self.turns + 10**6, row.member, bytes(120)) for row in members[:TIMERS]],
            totals={(partition, "inputs"): 1 for partition in after},
            daily={("2026-11-22", f"journey-{i}", "email", "send", "allowed"): 1 for i in range(10)},
        )

    def _entry(self, was: Progress, turn: int, n: int, at: int, ref: str) -> LogRow:
        return LogRow(
            *(was.partition, n, turn, at, 0, 0, "decision", ref, "welcome", "hello", "2026-11-22"),
            *("01234567-89ab-8def-8123-456789abcdef", "01234567-89ab-8def-8123-456789abcdef", "email", "marketing"),
            *("suppress", "cap", 0, "", "r1", self._trail, bytes(32), self._random.randbytes(32)),
        )

    def _touch(self, row: MemberRow) -> TouchRow:
        touch_id = self._random.randbytes(16).hex()
        return TouchRow(
            *(touch_id, row.partition, row.member, row.ref, touch_id, "welcome", "email", "marketing", row.ref, 5),
            *(0, 2**60, "reserved", "", 0, 0, 0, 0, "", bytes(2000), ""),
        )


def run(store: SqlStore, load: Load) -> dict[str, float]:
    """Seconds of each part of one batch."""
    changes, held = load_next(load)
    spent: defaultdict[str, float] = defaultdict(float)
    started = mark = time.perf_counter()
    busy = time.thread_time()

    def done(part: str) -> None:
        nonlocal mark
        now = time.perf_counter()
        spent[part] += now - mark
        mark = now

    with store.batch(held) as batch:
        done("begin")
        batch.members((row.partition, row.member) for row in changes.members)
        batch.keys(row.ref for row in changes.members)
        done("members")
        last = changes.seen[-1].bucket
        batch.seen((last - 1, last), (row.identity for row in changes.seen))
        done("seen")
        due = batch.due({row.partition: 2**62 for row in held}, TIMERS // PARTITIONS + 1)
        batch.quarantined(row.member for row in changes.members)
        done("due")
        batch.write(changes._replace(consumed=[(row.partition, row.seq) for row in due[:TIMERS]]))
        done("write")
    done("commit")
    spent["batch"] = mark - started
    # what the batch itself took of a processor: comparable where others use the machine too
    spent["cpu"] = time.thread_time() - busy
    return spent


def load_next(load: Load) -> tuple[Changes, list[Progress]]:
    """A batch and the rows it holds, made before the watch is started."""
    before = list(load.held.values())
    return load.batch(), before


def fill(store: SqlStore, load: Load, rows: int) -> None:
    """History, through the same door, settled as history is."""
    while load.turns < rows:
        changes, held = load_next(load)
        touches = [touch._replace(state="accepted") for touch in changes.reserved]
        with store.batch(held) as batch:
            batch.write(changes._replace(reserved=touches))


def measure(rows: int, folder: Path, batches: int = MEASURED) -> dict[str, float | int]:
    """Milliseconds a batch takes in a SQLite file, with `rows` rows of log and journal before it."""
    file = folder / f"{rows}.db"
    store = SqlStore.open(f"sqlite:///{file}", PARTITIONS)
    try:
        load = Load(store.take(range(PARTITIONS)), members=max(10_000, rows // 10))
        return _measured(store, load, rows, batches) | {"file_mb": round(file.stat().st_size / 1e6)}
    finally:
        store.close()


def measure_at(url: str, rows: int) -> list[dict[str, float | int]]:
    """The same in the empty database at `url`: as it is, then with `rows` rows before it."""
    store = SqlStore.open(url, PARTITIONS)
    try:
        load = Load(store.take(range(PARTITIONS)), members=max(10_000, rows // 10))
        assert load.held[0].turn == 0, "the database is not empty"
        return [_measured(store, load, size) for size in (0, rows)]
    finally:
        store.close()


def _measured(store: SqlStore, load: Load, rows: int, batches: int = MEASURED) -> dict[str, float | int]:
    fill(store, load, rows)
    runs = [run(store, load) for _ in range(batches)]
    parts = {part: round(1000 * median(each[part] for each in runs), 1) for part in runs[0]}
    total = sum(each["batch"] for each in runs)
    started = time.perf_counter()
    claimed = len(store.claim(10, 20, f"token-{rows}", 100))
    claim_ms = round(1000 * (time.perf_counter() - started), 1)
    assert claimed == 100
    return {
        "rows": rows,
        "batches_s": round(batches / total, 1),
        "inputs_s": round(batches * INPUTS / total),
        "mean": round(1000 * total / batches, 1),
        "p95": round(1000 * quantiles((each["batch"] for each in runs), n=20)[-1], 1),
        **parts,
        "claim_100": claim_ms,
    }


def main(rows: int = 1_000_000, url: str = "") -> list[dict[str, float | int]]:
    """Measures both sizes, prints the table and gives its rows."""
    if url:
        table = measure_at(url, rows)
    else:
        with tempfile.TemporaryDirectory() as folder:
            table = [measure(size, Path(folder)) for size in (0, rows)]
    print("  ".join(f"{name:>9}" for name in table[0]))
    for line in table:
        print("  ".join(f"{value:>9}" for value in line.values()))
    return table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--url", default="", help="an empty database")
    main(**vars(parser.parse_args()))
