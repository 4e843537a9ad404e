"""The store: what is remembered, and who may write it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from orchestrator.stores.contract.batch import Batch
from orchestrator.stores.contract.contacts import HeardRow, SuppressionRow
from orchestrator.stores.contract.outbox import Backlog, Claim, Clock, OutcomeRow, Queue, SwitchRow, TouchRow
from orchestrator.stores.contract.rows import (
    Burial,
    CursorMove,
    DeadRow,
    FilePosition,
    JournalRow,
    LogRow,
    MemberRow,
    NewInbox,
    ParkedRow,
    Progress,
    QuarantineRow,
)
from orchestrator.stores.contract.vouchers import NewVoucher, PoolRow


class Store(Protocol):
    """What is remembered, and who may write it."""

    partitions: int

    def take(self, partitions: Sequence[int], source: str = "") -> dict[int, Progress]:
        """Raises the epoch of these partitions, creating absent rows; former owners are refused from now on.

        `source` names the log that feeds them (cluster and topic id). The first one named is kept; a partition that was
        fed from another raises FedElsewhere, and no epoch is raised.
        """

    def batch(self, held: Sequence[Progress]) -> AbstractContextManager[Batch]:
        """A transaction that first locks these progress rows under (epoch, next_offset, turn); raises Refused.

        Leaving the block commits what `write` was given; an exception, or no `write`, leaves nothing. While it is open
        its thread calls no other writing method of this store (RuntimeError); reading ones see what was before it.
        """

    # --- the dispatcher's side: each call is one transaction, at an instant or by a clock that it reads itself
    def clock(self) -> int:
        """The store's own time: the database server's where there is one, else this machine's."""

    def claim(self, now: int | Clock, lease: int, token: str, limit: int, channel: str = "") -> list[Claim]:
        """Reserved touches of `channel` ("": of any) that may be called, by (rank, due, touch_id); they become claimed.

        They are due at `now` (inclusive) and not yet at `valid_until`, at most one of a member claimed or attempting at
        any time, none that `suppression` or `switches` cover. They are held until `lease` microseconds after `now`. A
        claim whose lease lapsed before `now` returns to reserved first, and is claimed like any.
        """

    def attempt(self, claims: Sequence[Claim], now: int | Clock, account: str = "") -> list[Claim]:
        """claimed -> attempting (attempts + 1, attempted_at = now, account); the claims that may now be called.

        Only where the token holds, neither `suppression` nor `switches` covers the touch or the account, and `now` is
        before its `valid_until` and, where hours bind, its `call_by`; one durable transaction. A clock is read once the
        rows are held: no wait for them can make the instant on record an earlier one than that of the attempt.
        """

    def release(self, touch_id: str, token: str, state: str, due: int, inbox: NewInbox | None) -> bool:
        """claimed -> cancelled or reserved by compare-and-set, with the inbox row that says so; False if not held."""

    def outcomes(self, rows: Sequence[OutcomeRow], *, lasting: bool = True) -> list[bool]:
        """attempting -> state, with its inbox row, all in one transaction; False where the token no longer holds.

        Not `lasting`: the caller writes on at once, and only what it writes next must be on disk when it returns. A
        power cut between leaves attempts without an outcome.
        """

    def lapse(self, now: int | Literal[Clock.store], describe: Callable[[TouchRow, int], NewInbox]) -> int:
        """attempting with a lease that lapsed before `now` -> unknown, token emptied; how many.

        Each with the inbox row that `describe` builds from the touch as it was and the instant, in one transaction.
        """

    def suppress(
        self, rows: Sequence[SuppressionRow], inbox: Sequence[NewInbox], heard: Sequence[HeardRow] = ()
    ) -> list[str]:
        """Writes suppressions and inbox rows, cancels reserved and claimed touches covered; the cancelled ids in order.

        Each cancelled touch gets a Cancelled inbox row due at `since`. One transaction: it holds when this returns.
        `heard` is what all this follows from: each is remembered, and those too old forgotten. Where one of them was
        heard before, HeardBefore is raised and nothing is written.
        """

    def switch(self, row: SwitchRow, on: bool, inbox: Sequence[NewInbox]) -> None:
        """Sets or lifts a switch, with the inbox rows that tell of it; effective at every later claim and attempt."""

    def count_try(self, partition: int, offset: int) -> int:
        """Adds one to the tries of an input that is about to be run alone; the tries so far. Outside any batch."""

    # --- reading
    def progress(self) -> list[Progress]:
        """Every partition's row, by number."""

    def log(self, *, partition: int | None = None, ref: str | None = None, after: int = 0) -> Iterable[LogRow]:
        """Log rows with n > after, by (partition, n); of one partition or one member where given. Streams."""

    def journal(self, partition: int) -> Iterable[JournalRow]:
        """Journal rows by (turn, i). Streams."""

    def member(self, member: bytes) -> MemberRow | None:
        """One member's row."""

    def members(self) -> Iterable[MemberRow]:
        """The rows of all members that are not erased, by member. Streams, in bounded memory."""

    def knows(self, member: bytes) -> bool:
        """Whether this member is known, and not erased."""

    def keys(self, refs: Collection[str]) -> dict[str, bytes]:
        """Reference -> wrapped key, of those of these references whose key is not destroyed."""

    def key(self, ref: str) -> bytes | None:
        """A member's wrapped key, or None once destroyed."""

    def home(self, member: bytes) -> int | None:
        """The partition of a member who is known, or was erased; None for nobody."""

    def members_at(self, contact: str) -> list[tuple[int, bytes]]:
        """(partition, member) of the members who have this contact point and are not erased, at most 100 of them."""

    def heard(self, keys: Collection[bytes]) -> set[bytes]:
        """Those of these words that were taken in before."""

    def touch(self, touch_id: str) -> TouchRow | None:
        """One touch's row."""

    def touches(self, *, state: str | None = None, member: bytes | None = None) -> Iterable[TouchRow]:
        """Touch rows by touch_id."""

    def next_due(self) -> int | None:
        """The earliest due of any inbox row, or None."""

    def backlog(self, now: int) -> dict[int, Backlog]:
        """What waits, by partition; partitions without anything are left out. It counts rows: for people, not loops."""

    def queues(self, now: int) -> list[Queue]:
        """What waits in the outbox, by (channel, account); without what has nothing. It counts rows: for people."""

    def totals(self) -> dict[tuple[int, str], int]:
        """The running totals by (partition, name)."""

    def daily(self) -> dict[tuple[str, str, str, str, str], int]:
        """Daily counts."""

    def dead(self) -> Iterable[DeadRow]:
        """Dead letters, partition by partition in the order in which they were buried."""

    def parked(self, member: bytes) -> list[ParkedRow]:
        """What is parked of a member, in order."""

    def quarantine(self) -> list[QuarantineRow]:
        """The members whose inputs are parked, by (partition, member)."""

    def positions(self) -> list[FilePosition]:
        """File positions."""

    def suppressions_of(self, subjects: Collection[str]) -> list[SuppressionRow]:
        """Those that stand for any of these subjects, by (subject, channel, purpose)."""

    def suppressions(self) -> list[SuppressionRow]:
        """All suppressions, by (subject, channel, purpose)."""

    def switches(self) -> list[SwitchRow]:
        """The switches that are on, by scope."""

    # --- small documents: revisions, checkpoints, registries
    def put_document(self, kind: str, name: str, body: bytes) -> None:
        """Keeps a document under (kind, name), replacing one that is there."""

    def replace_document(
        self, kind: str, name: str, before: bytes | None, after: bytes, inbox: Sequence[NewInbox]
    ) -> bool:
        """Puts `after` where `before` stands (None: nothing), with these inbox rows, in one transaction.

        False, and nothing is written, where something else stands there.
        """

    def get_document(self, kind: str, name: str) -> bytes | None:
        """A document, or None."""

    def documents(self, kind: str) -> list[str]:
        """The names of a kind's documents, in order."""

    def load_registry(self, name: str, fingerprints: Iterable[str], checked_at: int) -> int:
        """Replaces a registry's list; how many entries it holds now."""

    # --- voucher codes
    def load_vouchers(self, rows: Sequence[NewVoucher]) -> dict[str, str]:
        """Adds codes in this order; (fingerprint -> pool) of those that were there before, which stay as they are.

        One transaction; a fingerprint stands once in `rows`.
        """

    def filled(self, pool: str, enough: int) -> None:
        """A pool was added to: an operator is to hear of it anew where at least `enough` codes are left."""

    def pools(self) -> list[PoolRow]:
        """Every pool that codes were added to, by name."""

    # --- the relay's side
    def burials(self, after: Mapping[int, int], limit: int) -> list[Burial]:
        """The dead letters after the number given for each partition, at most `limit` of each, by (partition, n)."""

    def news(self, after: Mapping[int, int], limit: int) -> list[LogRow]:
        """The entries that follow in each of these partitions' chains, at most `limit` of each, by (partition, n).

        `after`: partition -> number of the last entry known.
        """

    def cursors(self) -> dict[tuple[int, str], int]:
        """(partition, topic) -> number of the last log entry of the partition's chain told to the topic.

        Those that never moved are left out: they stand at 0.
        """

    def move_cursors(self, moves: Sequence[CursorMove]) -> list[bool]:
        """Moves cursors by compare-and-set, in one transaction; False for each that does not stand at `before`.

        A cursor is named once.
        """

    def close(self) -> None:
        """Gives back connections."""
