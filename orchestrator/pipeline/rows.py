"""The rows of partitions' inboxes that are due, and the order in which they are taken."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from orchestrator.decide.journeys.walking import HELD
from orchestrator.events.inputs import Command, read_input
from orchestrator.orders import FIRST
from orchestrator.pipeline.records import NOBODY
from orchestrator.stores.contract import Batch, InboxRow
from orchestrator.times import micros

# rows of one partition that a batch reads
DUE_LIMIT = 2_000
# a row made in a batch comes after all that the store had for the same member and moment
_MADE = 1 << 62
# how an inbox row begins that is a turn of its own
_ALONE = (b'{"type":"redriven"', b'{"type":"forwarded"')


class Row(NamedTuple):
    """A row of a partition's inbox; they are taken in this order."""

    due: int
    member: bytes
    order: int
    # its number in the store; -1 where it was made in this batch
    seq: int
    input: bytes


class Due(NamedTuple):
    """What a batch reads of its inboxes."""

    rows: Mapping[int, Sequence[InboxRow]]
    # a partition with so many rows has more
    limit: int

    def puts_in_force(self, but: str) -> bool:
        """Whether a partition's last order that puts content in force is for another revision than this one."""
        return any(_puts_in_force(rows) not in (but, "") for rows in self.rows.values())


def read_due(tx: Batch, latest: Mapping[int, int]) -> Due:
    """The rows due by then; more than the limit only where so many share one instant, which is never split."""
    limit = DUE_LIMIT
    while True:
        due: dict[int, list[InboxRow]] = {}
        for row in tx.due(latest, limit):
            due.setdefault(row.partition, []).append(row)
        if not any(len(rows) >= limit and rows[0].due == rows[-1].due for rows in due.values()):
            return Due(due, limit)
        limit *= 4


class Rows:
    """One partition's rows within a batch: those of the store, and those that its turns make."""

    def __init__(self, rows: Sequence[InboxRow], limit: int) -> None:
        """`limit`: the store has more where it gave so many."""
        self._heap = [Row(row.due, row.member, row.seq, row.seq, row.input) for row in rows]
        heapq.heapify(self._heap)
        # rows beyond the limit were not read: nothing at or after the last (due, member) read may be taken yet; where
        # all that was read is one member's moment, it is cut into turns
        self._sight: tuple[int, bytes] | None = None
        if len(rows) >= limit:
            cut = (rows[-1].due, rows[-1].member)
            self._sight = cut if cut != (rows[0].due, rows[0].member) else (cut[0], cut[1] + b"\0")
        self._made = _MADE

    @property
    def more(self) -> bool:
        """Whether the store has rows that were not read."""
        return self._sight is not None

    def put(self, due: int, member: bytes, body: bytes) -> None:
        """A row that a turn made."""
        self._made += 1
        heapq.heappush(self._heap, Row(due, member, self._made, -1, body))

    def any_due(self, until: int) -> bool:
        """Whether a row is due at or before this."""
        return bool(self._heap) and self._heap[0].due <= until

    def out_of_sight(self) -> bool:
        """Whether a row that was not read may come before the first one."""
        return self._sight is not None and self._heap[0][:2] >= self._sight

    def seen_to(self, until: int) -> bool:
        """Whether no row due at or before this was left unread."""
        return self._sight is None or until < self._sight[0]

    def take(self) -> list[Row]:
        """The rows of the next turn: all that comes due for one member at one moment."""
        heap = self._heap
        rows = [heapq.heappop(heap)]
        first = rows[0]
        while heap and heap[0].due == first.due and heap[0].member == first.member and first.member:
            if _alone(rows[-1]) or _alone(heap[0]):
                break
            rows.append(heapq.heappop(heap))
        return rows

    def take_held(self) -> list[Row]:
        """Those made in this batch that wait for a paused journey."""
        held = [row for row in self._heap if row.due == micros(HELD) and row.seq < 0]
        self._heap = [row for row in self._heap if row.due != micros(HELD) or row.seq >= 0]
        heapq.heapify(self._heap)
        return held

    def left(self) -> list[Row]:
        """Those made in this batch that it did not take, in order."""
        return [row for row in sorted(self._heap) if row.seq < 0]


def _alone(row: Row) -> bool:
    """Whether it is an event that was parked or sent on: a turn of its own, as it would have been."""
    return row.input.startswith(_ALONE)


def _puts_in_force(rows: Iterable[InboxRow]) -> str:
    """The content revision that the last order among these rows puts in force; "": none does."""
    revision = ""
    for row in rows:
        if row.due == FIRST and row.member == NOBODY:
            given = read_input(row.input)
            if isinstance(given, Command) and given.verb == "activate":
                revision = given.arguments["revision"]
    return revision
