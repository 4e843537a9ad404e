"""What goes into a batch and what it tells: arrivals, what a turn was given, what was done."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from orchestrator.decide.member import Place
from orchestrator.decide.shared import Stock
from orchestrator.errors import Unreadable
from orchestrator.events.catalogue import EventTypes
from orchestrator.events.envelope import Event, content_hash, identity, read_event
from orchestrator.events.inputs import Input
from orchestrator.masked import hiding
from orchestrator.stores.contract import LogRow, Progress
from orchestrator.times import instant, micros
from orchestrator.vault import Vault

# the member of an input that is about no member
NOBODY = b""
# what a turn is told from others by: member, now, inputs
TurnName = tuple[bytes, int, tuple[bytes, ...]]
# more turns than any batch has
UNBOUNDED = 1 << 62

_without_raw = hiding("raw")


class Arrival(NamedTuple):
    """One input from outside, as a source hands it over."""

    # microseconds: when it arrived
    at: int
    raw: bytes
    # read already, or why it can't be
    event: Event | Unreadable
    # the member's keyed hash, and the keys of the duplicate index; empty where the event is unreadable
    member: bytes = b""
    identity: bytes = b""
    said: bytes = b""
    # the file it stands in and the byte after it; b"" where it came by no file
    file: bytes = b""
    length: int = 0
    byte: int = 0
    # its offset in the log it came from; -1: arrivals are counted
    offset: int = -1
    # it lay in another member's partition and was sent on to its own: counted, not applied
    forwarded: bool = False

    def __repr__(self) -> str:
        return _without_raw(self)


def read_arrival(
    raw: bytes,
    at: int | None,
    types: EventTypes,
    vault: Vault,
    file: bytes = b"",
    length: int = 0,
    byte: int = 0,
    offset: int = -1,
) -> Arrival:
    """An arrival of these bytes at `at`; None: at the event's own time (the virtual clock)."""
    try:
        event = read_event(raw, types)
    except Unreadable as error:
        return Arrival(at or 0, raw, error, file=file, length=length, byte=byte, offset=offset)
    return Arrival(
        micros(event.time) if at is None else at,
        raw,
        event,
        vault.member(event.subject),
        identity(event.source, event.id),
        content_hash(raw),
        file,
        length,
        byte,
        offset,
    )


class Recorded(NamedTuple):
    """One input of a turn as the journal keeps it."""

    kind: str
    # source offset of an arrival; -1 for inbox rows
    offset: int
    raw: bytes

    def __repr__(self) -> str:
        return _without_raw(self)


class Turn(NamedTuple):
    """What one member's turn is made of."""

    # the first input's in its partition: the offset of an arrival, the number of an inbox row below zero
    key: int
    # microseconds
    now: int
    member: bytes
    inputs: tuple[Input, ...]
    recorded: tuple[Recorded, ...]
    # whose record begins with it, where the member is not known; "": with nothing of this
    subject: str = ""

    @property
    def name(self) -> TurnName:
        """The same for a turn that is taken anew."""
        return self.member, self.now, tuple([row.raw for row in self.recorded])

    def __repr__(self) -> str:
        return f"Turn({self.key}, {self.now}, {self.member.hex()})"


class Given(Struct, frozen=True, omit_defaults=True):
    """What a turn was given beside its inputs, as the journal keeps it."""

    # "registry/fingerprint" -> (listed, checked_at)
    registries: dict[str, tuple[bool, int | None]] = {}
    touches: dict[str, str] = {}
    # journeys that were paused, and stopped
    paused: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()
    # journeys that were not approved
    unapproved: tuple[str, ...] = ()
    # channel -> [since, until) of its last outage, 0: it goes on
    outages: dict[str, tuple[int, int]] = {}
    # contact point -> touches of others to it
    points: dict[str, tuple[Place, ...]] = {}
    # pool -> its voucher codes; those that were of no use stay in it, and stand here by their length alone
    vouchers: dict[str, Stock] = {}


def read_outages(rows: Mapping[str, tuple[int, int]]) -> dict[str, tuple[datetime, datetime | None]]:
    """Outages as `step` is given them, from what the journal keeps."""
    return {name: (instant(since), instant(until) if until else None) for name, (since, until) in rows.items()}


class Ran(NamedTuple):
    """What one batch did."""

    progress: dict[int, Progress]
    # arrivals consumed of each partition
    consumed: dict[int, int]
    turns: int
    # partitions whose outbox may have something to call: a touch was reserved, or may be called again
    touched: frozenset[int]
    # rows may still be due
    more_due: bool
    # what an operator is to hear of
    alarms: tuple[LogRow, ...] = ()
    # partitions that aliases of the batch's sent something on to
    elsewhere: frozenset[int] = frozenset()


class TurnFailed(Exception):
    """A turn raised what no turn should: which partition and which input, and whose."""

    def __init__(self, partition: int, key: int, member: bytes, before: int) -> None:
        """`key` is the input's in its partition: the offset of an arrival, the number of an inbox row below zero.

        `before`: turns of the partition that this batch had made by then. An input made by one of them has no number
        yet, and the key 0.
        """
        self.partition, self.key, self.member, self.before = partition, key, member, before
        super().__init__(f"turn failed in partition {partition} at {key}")
