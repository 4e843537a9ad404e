"""The store's contract. Every implementation passes `orchestrator.testing.store_suite`.

A batch of inputs is one transaction that writes *all* of it or nothing: members, journal, contact log, touches, inbox
rows added and consumed, suppressions, dead letters, counts, positions, and each partition's progress; the last only
under the epoch, offset and turn that this worker took. Instants are whole microseconds since 1970 (`times.micros`).
Rows are plain named tuples in column order, so that the hot path hands them to the driver as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from typing import Literal, NamedTuple, Protocol


class Clock(Enum):
    """Whose time a call of the dispatcher goes by, where it is not given an instant."""

    # that of the touch's own partition, as in `progress`: the virtual clock
    partition = "partition"
    # the store's own at that moment, as `Store.clock` tells it: the real clock
    store = "store"


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


class SeenRow(NamedTuple):
    """The index of duplicates: one row an event, found by (bucket, identity)."""

    # at // horizon-bucket: keeps inserts together; a lookup asks the few live buckets
    bucket: int
    # events.envelope.identity
    identity: bytes
    # events.envelope.content_hash
    content: bytes


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


class TouchRow(NamedTuple):
    """A place in the outbox and what became of it."""

    touch_id: str
    partition: int
    member: bytes
    ref: str
    intent_id: str
    journey: str
    channel: str
    purpose: str
    # keyed fingerprint of the contact point
    contact: str
    # lower is sooner: service before marketing
    rank: int
    # not to be called before
    due: int
    # not to be called at or after
    valid_until: int
    # reserved | claimed | attempting | accepted | rejected | unknown | cancelled
    state: str
    # compare-and-set token of the claim; "" when not claimed
    token: str
    lease_until: int
    # attempts on record
    attempts: int
    # instant of the last one; 0 before the first
    attempted_at: int
    # when the permitted hours seen at the decision end, latency margin taken off: at or after it the dispatcher hands
    # the touch back to be decided anew; 0: no hours bind
    call_by: int
    # the rule whose hours end then
    call_rule: str
    # sealed bytes of the rendered message (with the address)
    message: bytes
    # the provider account of the last attempt; "" before the first
    account: str = ""


class HolderRow(NamedTuple):
    """A member who has a contact point, or had it once."""

    # keyed fingerprint of the contact point
    contact: str
    # in the order in which members came to it, from 0
    n: int
    member: bytes
    partition: int


class Reached(NamedTuple):
    """A touch to a contact point, as the caps of all who share it count it."""

    contact: str
    member: bytes
    touch_id: str
    channel: str
    purpose: str
    journey: str
    # the attempt's instant; 0 while reserved, claimed or attempting: counts as now
    at: int


class SuppressionRow(NamedTuple):
    """Nobody may be called who stands here, from `since` on. "*" stands for every channel or purpose.

    Standing here is enough: clocks differ, and who opted out must not wait for a slower one. The same (subject,
    channel, purpose) again keeps the later `since` and its reason.
    """

    # contact fingerprint, or member hash in hex
    subject: str
    channel: str
    purpose: str
    since: int
    reason: str


class ContactRow(NamedTuple):
    """A member has this contact point: so whoever answers from there is found."""

    # keyed fingerprint
    contact: str
    member: bytes


class HeardRow(NamedTuple):
    """A word from outside that was taken in: the same one again is dropped."""

    # hash of the key that its repeats share, 16 bytes
    key: bytes
    # whole days since 1970 when it was heard: it is forgotten `HEARD_DAYS` later
    day: int


# members of one contact point who are told of a word from there, at most
MEMBERS_AT = 100
# providers repeat themselves for days; who replays what they once said is not believed for that much longer
HEARD_DAYS = 90


class HeardBefore(Exception):
    """One of these words was taken in before: nothing was written."""


class SwitchRow(NamedTuple):
    """A kill switch or pause: scope is "all", "channel:<c>", "journey:<j>", or "account:<a>" for attempts there."""

    scope: str
    since: int
    actor: str


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


class NewVoucher(NamedTuple):
    """A voucher code to add to a pool."""

    pool: str
    # keyed hash of the code, 32 hex digits: a code is there once, whatever pool it is in and whatever became of it
    fingerprint: str
    # sealed
    code: bytes


class VoucherRow(NamedTuple):
    """A voucher code that is left in its pool."""

    # growing in the order in which codes were added: the order in which they are given
    seq: int
    pool: str
    fingerprint: str
    # sealed
    code: bytes


class VoucherGiven(NamedTuple):
    """A code goes with a touch."""

    seq: int
    touch_id: str
    # of the member
    ref: str


class PoolRow(NamedTuple):
    """How a pool of voucher codes stands; all that were added are left or given."""

    pool: str
    left: int
    given: int
    # what an operator heard of it since it was last filled: 0 nothing, 1 that few are left, 2 that none is
    told: int


class Changes(NamedTuple):
    """All that one batch writes, over one or more partitions. Counts are additions."""

    # (before, after) for each partition of the batch
    progress: Sequence[tuple[Progress, Progress]]
    members: Sequence[MemberRow] = ()
    keys: Sequence[KeyRow] = ()
    # refs whose keys are destroyed
    destroyed: Sequence[str] = ()
    journal: Sequence[JournalRow] = ()
    seen: Sequence[SeenRow] = ()
    log: Sequence[LogRow] = ()
    # inserted; a touch of the same id that stands as cancelled is reserved anew, any other state is kept. One that a
    # suppression covers is cancelled at once, with a Cancelled inbox row due when it was reserved, or when the
    # suppression began if that is later: it takes no place in a cap that it can't use
    reserved: Sequence[TouchRow] = ()
    # touch ids to cancel if still reserved or claimed; done before `reserved`, so that a turn may cancel a touch and
    # reserve it anew: a reservation that a later turn of the same batch cancels is to be left out of `reserved`
    cancelled: Sequence[str] = ()
    inbox: Sequence[NewInbox] = ()
    # (partition, seq) of inbox rows consumed
    consumed: Sequence[tuple[int, int]] = ()
    # written after `reserved` and `unsuppressed`; touches still reserved or claimed that they cover are cancelled, each
    # with a Cancelled inbox row due at `since`
    suppressions: Sequence[SuppressionRow] = ()
    # touches whose codes go back to their pools where the touch is cancelled and was never attempted, and the code was
    # not emptied; done after `cancelled` and before `reserved`
    codes_back: Sequence[str] = ()
    # codes that this batch took with `vouchers`; done after `reserved`. Codes given to members whose keys are
    # `destroyed` are emptied last: what was given stays given
    vouchers: Sequence[VoucherGiven] = ()
    # (pool, what an operator now heard): it only grows until the pool is filled. Done at the very end
    told: Sequence[tuple[str, int]] = ()
    # (subject, channel, purpose, until) ended by a later proven grant, or by an order: those that began by then
    unsuppressed: Sequence[tuple[str, str, str, int]] = ()
    # contact points that members have no longer, and those they have from now on
    left: Sequence[ContactRow] = ()
    contacts: Sequence[ContactRow] = ()
    # members who came to a contact point that others hold: those whom `hold` did not write
    holders: Sequence[HolderRow] = ()
    dead: Sequence[DeadRow] = ()
    # members whose quarantine ends: their parked rows are taken out, which the batch has read and passes on; done
    # before `quarantined` and `parked`
    redriven: Sequence[bytes] = ()
    # members whose inputs are parked from now on
    quarantined: Sequence[QuarantineRow] = ()
    parked: Sequence[ParkedRow] = ()
    # (partition, name) -> addition
    # inputs, applied, duplicate, dead, parked, forwarded, intents, touched, silent, waiting
    totals: Mapping[tuple[int, str], int] = {}
    # (day in UTC as YYYY-MM-DD, journey, channel, verdict, reason) -> addition
    daily: Mapping[tuple[str, str, str, str, str], int] = {}
    positions: Sequence[FilePosition] = ()


class Batch(Protocol):
    """One open transaction over some partitions, whose progress rows it has locked."""

    def members(self, keys: Iterable[tuple[int, bytes]]) -> dict[bytes, MemberRow]:
        """The rows of these (partition, member), by member; absent ones are left out."""

    def keys(self, refs: Iterable[str]) -> dict[str, bytes]:
        """Wrapped keys by ref; destroyed ones are left out."""

    def seen(self, buckets: Sequence[int], identities: Iterable[bytes]) -> dict[bytes, bytes]:
        """identity -> content hash, for those known in any of these buckets."""

    def due(self, until: Mapping[int, int], limit: int) -> list[InboxRow]:
        """Inbox rows by (due, member, seq): of each partition those due at its `until` or before, at most `limit`.

        A limit may cut through a member's rows of one moment; the caller that gets `limit` rows of a partition leaves
        the last moment of it for the next batch.
        """

    def held(self, partition: int, due: int, after: int, limit: int) -> list[InboxRow]:
        """Inbox rows of a partition that are due at exactly this instant, numbered after `after`, by number."""

    def members_after(self, partition: int, after: bytes, limit: int) -> list[bytes]:
        """The members of a partition that come after this one, in order; the erased are left out."""

    def switches(self) -> list[SwitchRow]:
        """The switches that are on, by scope."""

    def registry(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[bool, int]]:
        """(registry, contact fingerprint) -> (listed, checked_at); a registry never loaded is left out."""

    def touch_states(self, touch_ids: Iterable[str]) -> dict[str, str]:
        """touch id -> state, for those that exist; the rows stay locked until the batch ends."""

    def suppressions(self, subjects: Iterable[str]) -> list[SuppressionRow]:
        """Those that stand for any of these subjects, by (subject, channel, purpose)."""

    def hold(self, joined: Iterable[HolderRow], contacts: Iterable[str]) -> dict[str, list[HolderRow]]:
        """Locks contact points, those `joined` and `contacts`, until the batch ends; who holds each, in their order.

        Of `joined`, all with n = 0, each whose contact point nobody held is its first holder from now on. Locks are
        taken in the order of fingerprints: a batch that asks again asks only for later ones, or ends and begins anew.
        """

    def reached(self, contacts: Iterable[str], since: int) -> list[Reached]:
        """The touches to these contact points of all who hold them, by (contact, touch_id).

        Those that are reserved, claimed or attempting, and those accepted or unknown that were attempted at `since` or
        later.
        """

    def vouchers(self, pool: str, limit: int, held: Collection[int]) -> list[VoucherRow]:
        """Codes that are left in a pool, in order, but for those numbered in `held`; at most `limit`.

        They stay locked until the batch ends. Those that another batch holds are passed over: nobody waits for a code.
        """

    def pool(self, pool: str, most: int) -> tuple[int, int]:
        """(codes left as they stand before this batch, counted no farther than `most`; what an operator heard)."""

    def quarantined(self, members: Iterable[bytes]) -> set[bytes]:
        """Those of these members whose inputs must be parked."""

    def parked(self, member: bytes) -> list[ParkedRow]:
        """What is parked of a member, in order."""

    def write(self, changes: Changes) -> None:
        """All of it, with each progress guarded by (epoch, next_offset, turn); raises Refused, leaving nothing.

        Once a batch. A row of journal, seen or log that is there already is an error of the caller's, leaving nothing.
        """


class Claim(NamedTuple):
    """A touch claimed by a dispatcher; every later compare-and-set names `token`."""

    touch: TouchRow
    token: str


class OutcomeRow(NamedTuple):
    """What became of a call, for the outbox: compare-and-set on (touch_id, token, attempting)."""

    touch_id: str
    token: str
    # accepted | rejected | unknown, or reserved when it may be called again
    state: str
    # reserved: the next call is not before this
    due: int
    # the inbox row that tells the member
    inbox: NewInbox


class Backlog(NamedTuple):
    """What waits in one partition."""

    # inbox rows due at the instant asked for, and those due later
    due: int
    later: int
    # touches waiting for their call, and those claimed or being called
    reserved: int
    in_flight: int


class Queue(NamedTuple):
    """What is yet to be answered of one channel; or, with an account, of the calls that it has under way."""

    channel: str
    # "": that of none yet
    account: str
    # touches that may be called at the instant asked for, and those that are put off beyond it
    waiting: int = 0
    later: int = 0
    # taken up by a dispatcher, not called yet
    claimed: int = 0
    # called, not yet answered
    calling: int = 0


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
