"""Following the chains of a log, entry by entry, and saying what is wrong with them. Memory stays flat.

What the chain alone shows is any change that did not recompute every later hash; the rest needs marks: hashes that
entries are known to have, from a signed checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from orchestrator.contact_log.chain import GENESIS, link
from orchestrator.stores.contract import LogRow

# altered: an entry does not have the hash it carries. missing: numbers are left out. inserted: an entry that should
# not be there. unbound: an entry does not follow from the one before. tail_cut: the end is gone. head: the last entry
# is not the one on record. recomputed: an entry is not the one that was signed. signature: signed with another key.
What = Literal["altered", "missing", "inserted", "unbound", "tail_cut", "head", "recomputed", "signature"]

# faults kept in a report; all are counted
KEPT = 100

# (partition, n) -> hash
Marks = Mapping[tuple[int, int], bytes]
# partition -> number and hash of an entry
Ends = dict[int, tuple[int, bytes]]


class Fault(Struct, frozen=True):
    """One thing wrong with a log."""

    # -1: the log as a whole
    partition: int
    # number of the first entry at fault
    n: int
    what: What
    # one sentence for a person
    sentence: str

    def __str__(self) -> str:
        """The place and the sentence."""
        return self.sentence if self.partition < 0 else f"partition {self.partition}, entry {self.n}: {self.sentence}"


class Faults:
    """Counts all faults and keeps the first few."""

    def __init__(self) -> None:
        self.found = 0
        self.kept: list[Fault] = []

    def add(self, partition: int, n: int, what: What, sentence: str) -> None:
        """One more fault."""
        self.found += 1
        if len(self.kept) < KEPT:
            self.kept.append(Fault(partition, n, what, sentence))


class Walked(Struct, frozen=True):
    """How many entries were read, and where each partition's chain ended."""

    entries: int
    ends: Ends


def walk(rows: Iterable[LogRow], faults: Faults, *, marks: Marks | None = None, starts: Ends | None = None) -> Walked:
    """Follows the chains of all partitions through `rows`, which come by (partition, n).

    `marks` are hashes that entries must have; `starts` is what stands before the first entry of a partition. After a
    fault the walk goes on from the entry as it stands, so that one change is told once. A partition without rows ends
    where it starts.
    """
    marks = marks or {}
    ends: Ends = dict(starts or {})
    entered: set[int] = set()
    partition, n, head, entries = -1, 0, GENESIS, 0
    for row in rows:
        entries += 1
        if type(row.partition) is not int or type(row.n) is not int:
            faults.add(partition, n + 1, "altered", "it has no number")
            continue
        if row.partition != partition:
            partition = row.partition
            if partition in entered:
                faults.add(partition, row.n, "inserted", "it stands among the entries of another partition")
            entered.add(partition)
            n, head = ends.get(partition, (0, GENESIS))
        _judge(row, n, head, faults)
        mark = marks.get((partition, row.n))
        if mark is not None and mark != row.hash:
            faults.add(partition, row.n, "recomputed", "it is not the entry that was signed: the chain was recomputed")
        n, head = max(n, row.n), row.hash
        ends[partition] = (n, head)
    return Walked(entries, ends)


def reach(marks: Marks, walked: Walked, faults: Faults) -> None:
    """Whether each chain is at least as long as its marks say."""
    for partition, n in sorted(marks):
        end = walked.ends.get(partition, (0, GENESIS))[0]
        if n > end:
            faults.add(partition, end + 1, "tail_cut", f"the end is cut off: {n} entries were signed, {end} are there")


def _judge(row: LogRow, n: int, head: bytes, faults: Faults) -> None:
    """Judges one entry that comes after entry `n`, whose hash is `head`."""
    if row.n <= n:
        faults.add(row.partition, row.n, "inserted", f"it stands after entry {n}")
    elif row.n > n + 1:
        faults.add(
            row.partition, n + 1, "missing", "missing" if row.n == n + 2 else f"missing, up to entry {row.n - 1}"
        )
    elif row.prev_hash != head:
        what = f"it does not follow from entry {n}: that one was altered, or this one was put in its place"
        faults.add(row.partition, row.n, "unbound", what)
    if not _true(row):
        faults.add(row.partition, row.n, "altered", "it does not have the hash it carries")


def _true(row: LogRow) -> bool:
    """Whether the entry has the hash it carries; a column of a wrong kind is a "no", not a crash."""
    try:
        return link(row) == row.hash
    except (TypeError, AttributeError, ValueError):
        return False
