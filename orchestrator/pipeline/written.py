"""What a batch is to write, as its turns leave it; and a touch as a row."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from orchestrator.decide.result import Reservation
from orchestrator.outbox_body import write_body
from orchestrator.stores.contract import (
    ContactRow,
    DeadRow,
    FilePosition,
    JournalRow,
    KeyRow,
    LogRow,
    NewInbox,
    ParkedRow,
    Progress,
    SeenRow,
    SuppressionRow,
    TouchRow,
)
from orchestrator.times import micros
from orchestrator.vault import Sealer

# (subject, channel, purpose) of a suppression
Covered = tuple[str, str, str]


class Reserved(NamedTuple):
    """A touch that a turn reserved, for whom, and what seals its message."""

    partition: int
    member: bytes
    ref: str
    sealer: Sealer
    reservation: Reservation
    # reserved, or cancelled where a suppression stood
    state: str


class Written:
    """The rows of one batch so far."""

    def __init__(self) -> None:
        """None yet."""
        self.progress: dict[int, Progress] = {}
        # members whose record changed -> their partition
        self.changed: dict[bytes, int] = {}
        self.totals: Counter[tuple[int, str]] = Counter()
        self.daily: Counter[tuple[str, str, str, str, str]] = Counter()
        self.keys: list[KeyRow] = []
        self.destroyed: list[str] = []
        self.journal: list[JournalRow] = []
        self.seen: list[SeenRow] = []
        self.log: list[LogRow] = []
        # touch id -> reservation; one that a later turn cancels never reaches the store, nor is its message sealed
        self.reserved: dict[str, Reserved] = {}
        self.cancelled: list[str] = []
        self.inbox: list[NewInbox] = []
        # (partition, number) of inbox rows
        self.taken: list[tuple[int, int]] = []
        # the suppressions that the batch leaves, and up to when it ended others
        self.suppressions: dict[Covered, SuppressionRow] = {}
        self.unsuppressed: dict[Covered, int] = {}
        # (contact point, member) -> whether the member has it now
        self.contacts: dict[tuple[str, bytes], bool] = {}
        self.dead: list[DeadRow] = []
        self.parked: list[ParkedRow] = []
        self.redriven: list[bytes] = []
        self.positions: dict[tuple[bytes, int], FilePosition] = {}

    def unsuppress(self, subject: str, channel: str, purpose: str, until: int) -> None:
        """Ends the suppression of exactly these that began by then, be it of this batch."""
        key = (subject, channel, purpose)
        if key in self.suppressions and self.suppressions[key].since <= until:
            del self.suppressions[key]
        self.unsuppressed[key] = max(until, self.unsuppressed.get(key, 0))

    def contact_rows(self, *, has: bool) -> list[ContactRow]:
        """Contact points that members have now, or left."""
        return [ContactRow(*key) for key, stands in sorted(self.contacts.items()) if stands == has]


def touch_row(reserved: Reserved) -> TouchRow:
    """A touch as it goes to the outbox, its message sealed."""
    partition, member, ref, sealer, reservation, state = reserved
    return TouchRow(
        touch_id=reservation.touch_id,
        partition=partition,
        member=member,
        ref=ref,
        intent_id=reservation.intent_id,
        journey=reservation.journey,
        channel=reservation.channel,
        purpose=reservation.purpose,
        contact=reservation.contact,
        rank=reservation.rank,
        due=micros(reservation.due),
        valid_until=micros(reservation.valid_until),
        state=state,
        token="",
        lease_until=0,
        attempts=0,
        attempted_at=0,
        call_by=0 if reservation.call_by is None else micros(reservation.call_by),
        call_rule=reservation.call_rule,
        message=sealer.seal(write_body(reservation.message)),
    )
