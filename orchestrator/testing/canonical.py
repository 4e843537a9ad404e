"""A contact log in the form in which two runs are compared: per member, without what may differ for good reasons."""

from __future__ import annotations

from typing import Any

from orchestrator.stores.contract import LogRow, Store

# where an entry stands is a matter of partitions; the hashes follow from it
PLACE = frozenset({"partition", "n", "turn", "prev_hash", "hash"})

Line = tuple[Any, ...]
# (keyed hash of a member, which of their lives: 0 before an erasure, 1 after) -> entries; (b"", 0): the house's own
Canonical = dict[tuple[bytes, int], list[Line]]


def canonical(store: Store) -> Canonical:
    """Each member's entries in order, without partition, numbers, hashes and the random reference.

    Keyed ids stay as they are, so both stores must have been written under one key file. The house's own entries
    (orders, ticks) are a set: sorted, each once, without the moment of each partition that was told.
    """
    whose: dict[str, tuple[bytes, int]] = {}
    lives: dict[bytes, int] = {}
    for progress in store.progress():
        for turned in store.journal(progress.partition):
            if turned.ref and turned.ref not in whose:
                life = lives[turned.member] = lives.get(turned.member, -1) + 1
                whose[turned.ref] = (turned.member, life)
    found: Canonical = {}
    for row in store.log():
        found.setdefault(whose.get(row.ref, (b"", 0)), []).append(line(row))
    if (b"", 0) in found:
        moment = column("at")
        found[b"", 0] = sorted({(*entry[:moment], 0, *entry[moment + 1 :]) for entry in found[b"", 0]})
    return found


def line(row: LogRow) -> Line:
    """One entry without its place and its reference."""
    return tuple(value for name, value in zip(LogRow._fields, row, strict=True) if name not in PLACE and name != "ref")


def column(name: str) -> int:
    """Where a column stands in a line."""
    return [field for field in LogRow._fields if field not in PLACE and field != "ref"].index(name)
