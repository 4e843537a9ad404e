"""A contact log in the form in which two runs are compared: per member, without what may differ for good reasons."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, NamedTuple

import msgspec

from orchestrator.stores.contract import LogRow, Store

# where an entry stands is a matter of partitions; the hashes follow from it
PLACE = frozenset({"partition", "n", "turn", "prev_hash", "hash"})
# what a line holds: neither its place nor the random reference
COLUMNS = tuple(name for name in LogRow._fields if name not in PLACE and name != "ref")

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
        found.setdefault(whose.get(row.ref, (b"", 0)), []).append(line(_named(row, whose)))
    if (b"", 0) in found:
        moment = column("at")
        found[b"", 0] = sorted({(*entry[:moment], 0, *entry[moment + 1 :]) for entry in found[b"", 0]})
    return found


def _named(row: LogRow, whose: Mapping[str, tuple[bytes, int]]) -> LogRow:
    """What tells of a member who was absorbed, by their keyed hash in the place of their reference."""
    if (row.kind, row.state) != ("member", "absorbed"):
        return row
    member, life = whose[msgspec.json.decode(row.trail)["ref"]]
    return row._replace(trail=f"{member.hex()} {life}")


def line(row: LogRow) -> Line:
    """One entry without its place and its reference."""
    return tuple(getattr(row, name) for name in COLUMNS)


def column(name: str) -> int:
    """Where a column stands in a line."""
    return COLUMNS.index(name)


class Difference(NamedTuple):
    """One thing that differs between two logs."""

    # keyed hash of the member, and which of their lives
    whose: tuple[bytes, int]
    # the entry's place among the member's, from 0
    entry: int
    # the column; "" where one of the logs has no such entry
    field: str
    # what each of them says
    mine: Any
    other: Any


def differences(mine: Canonical, other: Canonical) -> list[Difference]:
    """Where two logs differ, member by member and entry by entry; the house's own entries are left out.

    Entries are compared place by place, so that one that is missing makes those behind it differ as well.
    """
    found: list[Difference] = []
    for whose in sorted(key for key in mine.keys() | other.keys() if key[0]):
        for i, (left, right) in enumerate(zip_longest(mine.get(whose, []), other.get(whose, []))):
            if left is None or right is None:
                found.append(Difference(whose, i, "", left, right))
                continue
            columns = zip(COLUMNS, left, right, strict=True)
            found += [Difference(whose, i, name, was, now) for name, was, now in columns if was != now]
    return found
