"""Rows of partitions: how far each is, its members, what came in, what was recorded, and what could not be applied."""

from __future__ import annotations

from typing import NamedTuple


class Progress(NamedTuple):
    """How far one partition is; `epoch` is the fence."""

    partition: int
    epoch: int
    # arrivals consumed: the offset of the next one
    next_offset: int
    # number of the last turn
    turn: int
    # the partition's clock, never goes back
    clock: int
    # number of the last log entry, and its hash (32 bytes; zeros before the first)
    log_n: int
    head: bytes


class MemberRow(NamedTuple):
    """One member's state, sealed with the member's own key."""

    partition: int
    # keyed hash of the member's id, 16 bytes
    member: bytes
    # random reference, 32 hex digits; the name of the member's key
    ref: str
    state: bytes
    # True: the key is destroyed, `state` is empty and stands as a tombstone
    erased: bool


class KeyRow(NamedTuple):
    """A member's data key, wrapped by the key file's master key."""

    ref: str
    wrapped: bytes


class SeenRow(NamedTuple):
    """The index of duplicates: one row an event, found by (bucket, identity)."""

    # at // horizon-bucket: keeps inserts together; a lookup asks the few live buckets
    bucket: int
    # events.envelope.identity
    identity: bytes
    # events.envelope.content_hash
    content: bytes


class InboxRow(NamedTuple):
    """An input waiting for its due moment. `seq` is given by the store, unique and growing."""

    partition: int
    seq: int
    due: int
    # b"" where the input is about no member: such rows come first
    member: bytes
    # JSON of an internal input (events.inputs.write_input); holds no personal data
    input: bytes


class NewInbox(NamedTuple):
    """An inbox row to add."""

    partition: int
    due: int
    member: bytes
    input: bytes


class JournalRow(NamedTuple):
    """One input of one turn."""

    partition: int
    turn: int
    # position within the turn
    i: int
    # the turn's now
    at: int
    # event | timer | outcome | ...
    kind: str
    # source offset of an arrival; -1 for inbox rows
    offset: int
    member: bytes
    # "" where the input is about no member; names the key that sealed `input`
    ref: str
    # sealed bytes of the input
    input: bytes


class LogRow(NamedTuple):
    """One entry of the contact log; the columns of the export, in order. Empty text stands for "does not apply"."""

    partition: int
    n: int
    turn: int
    at: int
    # 0: same as `at`
    occurred_at: int
    # 0: none
    valid_until: int
    kind: str
    ref: str
    journey: str
    step: str
    occurrence: str
    intent_id: str
    touch_id: str
    channel: str
    purpose: str
    verdict: str
    reason: str
    # 0: none
    release_at: int
    state: str
    revision: str
    # JSON text
    trail: str
    prev_hash: bytes
    hash: bytes


class CursorMove(NamedTuple):
    """How far a chain was told to a topic, before and after."""

    partition: int
    topic: str
    before: int
    after: int


class DeadRow(NamedTuple):
    """An input that could not be applied."""

    partition: int
    offset: int
    at: int
    reason: str
    cure: str
    # sealed with the dead letters' key
    raw: bytes


class Burial(NamedTuple):
    """A dead letter with its number, which only grows within its partition."""

    n: int
    letter: DeadRow


class ParkedRow(NamedTuple):
    """An input of a quarantined member, waiting in order for redrive. `raw` is sealed with the dead letters' key."""

    partition: int
    offset: int
    member: bytes
    at: int
    kind: str
    raw: bytes


class QuarantineRow(NamedTuple):
    """A member whose inputs are parked, and why."""

    member: bytes
    partition: int
    # kind of the error
    reason: str


class FilePosition(NamedTuple):
    """How far one partition has consumed a file; partition -1: every partition is beyond `byte`."""

    # SHA-256 of the file's first `length` bytes
    content: bytes
    length: int
    partition: int
    byte: int
