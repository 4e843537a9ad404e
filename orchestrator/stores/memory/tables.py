"""The rows, and the few orders in which they are asked for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import defaultdict
from collections.abc import Iterator
from itertools import count

from orchestrator.stores.contract import (
    DeadRow,
    FilePosition,
    HolderRow,
    InboxRow,
    JournalRow,
    LogRow,
    MemberRow,
    NewInbox,
    ParkedRow,
    Progress,
    QuarantineRow,
    SeenRow,
    SuppressionRow,
    SwitchRow,
    TouchRow,
    VoucherGiven,
    VoucherRow,
)
from orchestrator.stores.outbox import IN_FLIGHT, WAITING, covers


class Inbox:
    """Inputs waiting, in order of (due, member, seq) within their partition."""

    def __init__(self) -> None:
        self._seq = count(1)
        self._rows: dict[tuple[int, int], InboxRow] = {}
        self._order: defaultdict[int, list[tuple[int, bytes, int]]] = defaultdict(list)

    def add(self, new: NewInbox) -> None:
        """Gives the row its number."""
        row = InboxRow(new.partition, next(self._seq), new.due, new.member, new.input)
        self._rows[row.partition, row.seq] = row
        insort(self._order[row.partition], (row.due, row.member, row.seq))

    def remove(self, partition: int, seq: int) -> None:
        """Nothing happens when it is gone already."""
        if row := self._rows.pop((partition, seq), None):
            order = self._order[partition]
            del order[bisect_left(order, (row.due, row.member, row.seq))]

    def due(self, partition: int, until: int, limit: int) -> Iterator[InboxRow]:
        """The first `limit` rows of a partition due at `until` or before."""
        order = self._order[partition]
        for _, _, seq in order[: min(limit, bisect_left(order, (until + 1,)))]:
            yield self._rows[partition, seq]

    def rows(self) -> list[InboxRow]:
        """All of them."""
        return list(self._rows.values())

    def next_due(self) -> int | None:
        """The earliest due of all, or None."""
        return min((order[0][0] for order in self._order.values() if order), default=None)


class Outbox:
    """Touches, found by id, by member, by waiting contact point, and in the order of claiming."""

    def __init__(self) -> None:
        self.rows: dict[str, TouchRow] = {}
        self._of_member: defaultdict[bytes, set[str]] = defaultdict(set)
        self._waiting_at: defaultdict[str, set[str]] = defaultdict(set)
        self._in_flight: set[str] = set()
        self._reserved: list[tuple[int, int, str]] = []

    def put(self, row: TouchRow) -> None:
        """Inserts the touch, or replaces the one of its id."""
        if old := self.rows.get(row.touch_id):
            self._forget(old)
        self.rows[row.touch_id] = row
        self._of_member[row.member].add(row.touch_id)
        if row.state in WAITING:
            self._waiting_at[row.contact].add(row.touch_id)
        if row.state in IN_FLIGHT:
            self._in_flight.add(row.touch_id)
        if row.state == "reserved":
            insort(self._reserved, (row.rank, row.due, row.touch_id))

    def _forget(self, old: TouchRow) -> None:
        self._of_member[old.member].discard(old.touch_id)
        self._waiting_at[old.contact].discard(old.touch_id)
        self._in_flight.discard(old.touch_id)
        if old.state == "reserved":
            del self._reserved[bisect_left(self._reserved, (old.rank, old.due, old.touch_id))]

    def of_member(self, member: bytes) -> list[TouchRow]:
        """A member's touches by touch_id."""
        return [self.rows[touch_id] for touch_id in sorted(self._of_member.get(member, ()))]

    def in_flight(self) -> list[TouchRow]:
        """Claimed or attempting, by touch_id."""
        return [self.rows[touch_id] for touch_id in sorted(self._in_flight)]

    def covered(self, row: SuppressionRow) -> list[TouchRow]:
        """Reserved or claimed touches that a suppression covers, by touch_id."""
        near = set(self._waiting_at.get(row.subject, ()))
        if member := _unhex(row.subject):
            near |= self._of_member.get(member, set())
        touches = (self.rows[touch_id] for touch_id in sorted(near))
        return [touch for touch in touches if touch.state in WAITING and covers(row, touch)]

    def due(self, until: int) -> Iterator[TouchRow]:
        """Reserved touches due at `until` or before, by (rank, due, touch_id); later ones are jumped over by rank."""
        order, place = list(self._reserved), 0
        while place < len(order):
            rank = order[place][0]
            end = bisect_right(order, (rank, until + 1), place)
            for _, _, touch_id in order[place:end]:
                yield self.rows[touch_id]
            place = bisect_left(order, (rank + 1,), end)


class Tables:
    """Everything a memory store holds."""

    def __init__(self) -> None:
        self.progress: dict[int, Progress] = {}
        self.sources: dict[int, str] = {}
        self.cursors: dict[tuple[int, str], int] = {}
        self.members: dict[bytes, MemberRow] = {}
        self.keys: dict[str, bytes] = {}
        self.journal: defaultdict[int, dict[tuple[int, int], JournalRow]] = defaultdict(dict)
        self.seen: dict[tuple[int, bytes], SeenRow] = {}
        self.log: defaultdict[int, dict[int, LogRow]] = defaultdict(dict)
        self.inbox = Inbox()
        self.outbox = Outbox()
        self.holders: dict[str, list[HolderRow]] = {}
        self.suppressions: dict[tuple[str, str, str], SuppressionRow] = {}
        self.contacts: dict[tuple[str, bytes], None] = {}
        # key -> day
        self.heard: dict[bytes, int] = {}
        self.switches: dict[str, SwitchRow] = {}
        self.dead: list[DeadRow] = []
        self.parked: defaultdict[bytes, list[ParkedRow]] = defaultdict(list)
        self.quarantine: dict[bytes, QuarantineRow] = {}
        self.tries: defaultdict[tuple[int, int], int] = defaultdict(int)
        self.totals: defaultdict[tuple[int, str], int] = defaultdict(int)
        self.daily: defaultdict[tuple[str, str, str, str, str], int] = defaultdict(int)
        self.positions: dict[tuple[bytes, int], FilePosition] = {}
        self.documents: dict[tuple[str, str], bytes] = {}
        self.registries: dict[str, tuple[frozenset[str], int]] = {}

        # number -> code, with the touch and the member's reference that it went to
        self.vouchers: dict[int, tuple[VoucherRow, VoucherGiven | None]] = {}
        # fingerprint -> number
        self.codes: dict[str, int] = {}
        # numbers of the codes that are left in each pool, in order
        self.left: defaultdict[str, list[int]] = defaultdict(list)
        # touch -> numbers of the codes that went with it; reference -> those that went to the member
        self.given_with: defaultdict[str, set[int]] = defaultdict(set)
        self.given_to: defaultdict[str, set[int]] = defaultdict(set)
        self.told: dict[str, int] = {}

    def suppress(self, row: SuppressionRow) -> None:
        """Writes the row, unless the same stands there with a later `since`."""
        key = row.subject, row.channel, row.purpose
        if (old := self.suppressions.get(key)) is None or row.since > old.since:
            self.suppressions[key] = row


def _unhex(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
