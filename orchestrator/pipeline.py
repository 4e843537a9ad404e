"""The steps of a batch, in order; no rule is inside.

    arrivals ─▶ take (due rows first) ─▶ turn ─▶ step (pure) ─▶ record ─▶ one transaction

`Pipeline.run` takes what has arrived for some partitions, and what is due, and writes all that follows from it in one
guarded transaction. It holds no state of its own but a cache of members that the store's epoch guards.
"""

from __future__ import annotations

import heapq
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from itertools import compress
from typing import NamedTuple

import msgspec
from msgspec import Struct

from orchestrator.channels.contract import Message
from orchestrator.contact_log import chain
from orchestrator.decide import ids
from orchestrator.decide.content import Content
from orchestrator.decide.journeys.walking import HELD
from orchestrator.decide.member import ContactPoint, Member, Place
from orchestrator.decide.merging import ids_in, passed_on
from orchestrator.decide.occasions import goes_on, operator_entry
from orchestrator.decide.points import named
from orchestrator.decide.result import Entry, Reservation, Result
from orchestrator.decide.rules import RegistryState
from orchestrator.decide.shared import NOTHING, Needs, Shared, Stock, nobody
from orchestrator.decide.step import needs, registries_of, step
from orchestrator.dispatch.outage import outages
from orchestrator.errors import SetupError, Unreadable
from orchestrator.events.envelope import Event, content_hash, identity, read_event, write_event
from orchestrator.events.inputs import (
    Absorbed,
    Command,
    EventInput,
    Forwarded,
    Input,
    InternalInput,
    Plan,
    PointShared,
    Redriven,
    Sweep,
    Tick,
    read_input,
    write_input,
)
from orchestrator.events.partition import partition_of
from orchestrator.links import Links
from orchestrator.masked import hiding
from orchestrator.orders import FIRST
from orchestrator.outbox_body import write_body
from orchestrator.revisions import in_force
from orchestrator.sharing import NOTHING as NO_POINTS
from orchestrator.sharing import Points, Sharing, Wanted
from orchestrator.stores.contract import (
    Batch,
    Changes,
    ContactRow,
    DeadRow,
    FilePosition,
    InboxRow,
    JournalRow,
    KeyRow,
    LogRow,
    MemberRow,
    NewInbox,
    ParkedRow,
    Progress,
    QuarantineRow,
    SeenRow,
    Store,
    SuppressionRow,
    TouchRow,
)
from orchestrator.stores.outbox import STOPPED, covering_contact, told_late
from orchestrator.times import instant, micros, rfc3339
from orchestrator.vault import Sealer, Vault
from orchestrator.vouchers import Codes, as_kept

# (subject, channel, purpose) of a suppression
Covered = tuple[str, str, str]
# reference, wrapped key and its sealer
NewKey = tuple[str, bytes, Sealer]
# a turn: member, now, inputs
_Name = tuple[bytes, int, tuple[bytes, ...]]

NOBODY = b""
DUE_LIMIT = 2_000
# more turns than any batch has
UNBOUNDED = 1 << 62
CACHED_MEMBERS = 8_000
# the index of duplicates is kept in this many live parts
HORIZON_PARTS = 4
_MICROSECOND = 1_000_000
_DAY = 86_400 * _MICROSECOND

_encode = msgspec.json.Encoder().encode
_without_raw = hiding("raw")
_read_member = msgspec.json.Decoder(Member).decode
# members, and rows of paused journeys, that are seen to in one batch
SWEPT = 1_000
RELEASED = 2_000
# how such an inbox row begins
_ALONE = (b'{"type":"redriven"', b'{"type":"forwarded"')


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


class Recorded(NamedTuple):
    """One input of a turn as the journal keeps it."""

    kind: str
    # source offset of an arrival; -1 for inbox rows
    offset: int
    raw: bytes

    def __repr__(self) -> str:
        return _without_raw(self)


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


class _Ordered(Exception):
    """Another content revision was put in force: nothing is written, and the batch begins anew under it."""


class _Known(NamedTuple):
    """A member in memory: None with `erased` is a tombstone."""

    member: Member | None
    ref: str
    sealer: Sealer | None
    erased: bool = False


class _Taken(NamedTuple):
    """A turn as it was taken before: of the same member, given the same, the same comes again."""

    member: Member | None
    given: Given | None
    # reference, wrapped key and sealer of whoever was not known before
    key: NewKey | None
    result: Result


class _Former:
    """What a batch knows from before its turns were taken anew; it never outlives the transaction."""

    def __init__(self) -> None:
        self.members: dict[bytes, _Known] = {}
        self._turns: dict[_Name, _Taken] = {}

    def key(self, name: _Name) -> NewKey | None:
        """The key that was made for the turn's member."""
        return self._turns[name].key if name in self._turns else None

    def result(self, name: _Name, member: Member | None, given: Given | None, key: NewKey | None) -> Result | None:
        """What the turn came to, where it is given the same; None where that is not known."""
        taken = self._turns.get(name)
        if taken is None or taken.member is not member or taken.key != key or taken.given != given:
            return None
        return taken.result

    def keep(self, name: _Name, taken: _Taken, vouchers: Mapping[str, Stock]) -> None:
        """A turn that was taken; one that looked into a pool of voucher codes has to look again."""
        if not vouchers:
            self._turns[name] = taken


class _Reserved(NamedTuple):
    """A touch that a turn reserved, for whom, and what seals its message."""

    partition: int
    member: bytes
    ref: str
    sealer: Sealer
    reservation: Reservation
    # reserved, or cancelled where a suppression stood
    state: str


def all_approved(_content: Content) -> frozenset[str]:
    """No journey waits for approval."""
    return frozenset()


def nothing_kept(_revision: str) -> Content | None:
    """No other revision can be had."""
    return None


class Pipeline:
    """The content in force over one store: one revision at a time, for all partitions of a batch.

    An order that puts another one in force stands in every partition's inbox before anything else, from one moment on.
    So whoever meets it goes by the new one in each partition: none has a turn left that comes before the order.
    """

    def __init__(
        self,
        store: Store,
        vault: Vault,
        content: Content,
        horizon: timedelta = timedelta(days=35),
        unapproved: Callable[[Content], frozenset[str]] = all_approved,
        revisions: Callable[[str], Content | None] = nothing_kept,
    ) -> None:
        """`horizon`: how long the identity of an event is remembered; `unapproved`: which journeys wait for approval.

        It is asked before each batch until there is none: what was approved once stays so under one content.
        `content` is in force to begin with; `revisions` gives what is put in force later by its name, None where it
        can't be had and the former one goes on.
        """
        self.store = store
        self.vault = vault
        self.links = Links(vault)
        self.horizon = int(horizon.total_seconds()) * _MICROSECOND
        self.bucket = max(self.horizon // HORIZON_PARTS, _DAY)
        self.cache: OrderedDict[bytes, _Known] = OrderedDict()
        # sealed message -> what was sealed, of the last batch where it is to be dispatched at once
        self.fresh: dict[bytes, Message] = {}
        self.ask_unapproved = unapproved
        self.revisions = revisions
        # the revision that was ordered last, as far as is known here
        self.ordered = content.revision
        self.content, self.keep_places, self.unapproved = content, 0, frozenset[str]()
        self._decide_by(content)

    def arrival(
        self, raw: bytes, at: int | None = None, file: bytes = b"", length: int = 0, byte: int = 0, offset: int = -1
    ) -> Arrival:
        """An arrival of these bytes at `at`; None: at the event's own time (the virtual clock)."""
        try:
            event = read_event(raw, self.content.events)
        except Unreadable as error:
            return Arrival(at or 0, raw, error, file=file, length=length, byte=byte, offset=offset)
        return Arrival(
            micros(event.time) if at is None else at,
            raw,
            event,
            self.vault.member(event.subject),
            identity(event.source, event.id),
            content_hash(raw),
            file,
            length,
            byte,
            offset,
        )

    def run(
        self,
        held: Mapping[int, Progress],
        arrivals: Mapping[int, Sequence[Arrival]],
        tick: int | None,
        *,
        stop_at_touch: bool = False,
        max_turns: int = UNBOUNDED,
        quarantined: Sequence[QuarantineRow] = (),
        positions: Sequence[FilePosition] = (),
    ) -> Ran:
        """Applies the arrivals of each partition, due rows before each, in one transaction.

        `tick`: the partitions stand at the end of their input and it is so late now, so that the rows due by then are
        taken as well. None: more may come, and each partition's own arrivals alone say how late it is there.
        Members in `quarantined` are parked from now on. `positions` are written along.

        With `stop_at_touch` a partition ends after the turn that reserved a touch, so that it can be dispatched before
        the member's next turn. Raises Refused when the partitions are no longer held, TurnFailed for an input that
        can't be applied; in both cases nothing is written. `arrivals` are only read: the caller drops the consumed.
        """
        if self.unapproved:
            self.unapproved = self.ask_unapproved(self.content)
        try:
            return self._run(held, arrivals, tick, stop_at_touch, max_turns, quarantined, positions)
        except _Ordered:
            self.follow()
            self.unapproved = self.ask_unapproved(self.content)
            return self._run(held, arrivals, tick, stop_at_touch, max_turns, quarantined, positions, obeyed=True)

    def follow(self) -> None:
        """Goes by the revision that is in force.

        For whoever takes partitions: their former owner may have taken the order that put it in force there.
        """
        ordered = in_force(self.store)
        if ordered in (self.ordered, ""):
            return
        self.ordered = ordered
        content = None if ordered == self.content.revision else self.revisions(ordered)
        if content is not None:
            self._decide_by(content)

    def latency_margin(self, channel: str, at: datetime) -> timedelta:
        """How long before a closing hour calls must end, by the policies in force."""
        return self.content.policies.latency_margin(channel, at)

    def _decide_by(self, content: Content) -> None:
        self.content = content
        self.keep_places = int(content.keep_places.total_seconds()) * _MICROSECOND
        self.unapproved = frozenset(content.journeys)

    def _run(
        self,
        held: Mapping[int, Progress],
        arrivals: Mapping[int, Sequence[Arrival]],
        tick: int | None,
        stop_at_touch: bool,
        max_turns: int,
        quarantined: Sequence[QuarantineRow],
        positions: Sequence[FilePosition],
        *,
        obeyed: bool = False,
    ) -> Ran:
        """As `run`, under one revision; raises _Ordered where another one was put in force, unless that is known."""
        wanted = NO_POINTS
        while True:
            with self.store.batch(list(held.values())) as tx:
                since = min((row.clock for row in held.values()), default=0) - self.keep_places
                points, former = Points(tx, since, wanted), _Former()

                def begin(
                    standing: Mapping[Covered, SuppressionRow],
                    tx: Batch = tx,
                    points: Points = points,
                    former: _Former = former,
                ) -> _Batch:
                    return _Batch(
                        self,
                        tx,
                        held,
                        arrivals,
                        tick,
                        standing,
                        points,
                        former,
                        stop_at_touch=stop_at_touch,
                        max_turns=max_turns,
                        obeyed=obeyed,
                    )

                batch, changes, wanted = _settled(tx, begin, points, quarantined, wanted)
                if changes is None:
                    # a lock would have broken the order: all of them at once, then
                    continue
                tx.write(changes._replace(positions=[*positions, *changes.positions]))
                break
        self._remember(batch.members)
        reserved = changes.reserved if stop_at_touch else ()
        self.fresh = {row.message: batch.reserved[row.touch_id].reservation.message for row in reserved}
        return batch.ran()

    def forget(self) -> None:
        """Drops the cached members: called whenever partitions are taken or lost, or a batch failed."""
        self.cache.clear()

    def _remember(self, members: Mapping[bytes, _Known]) -> None:
        cache = self.cache
        for key, known in members.items():
            cache[key] = known
            cache.move_to_end(key)
        while len(cache) > CACHED_MEMBERS:
            cache.popitem(last=False)


def _settled(
    tx: Batch,
    begin: Callable[[Mapping[Covered, SuppressionRow]], _Batch],
    points: Points,
    quarantined: Sequence[QuarantineRow],
    wanted: Wanted,
) -> tuple[_Batch, Changes | None, Wanted]:
    """A batch whose turns knew all that they had to, and its changes; None where it must begin anew to lock `Wanted`.

    Few touches are reserved, and next to none under a suppression or at a contact point that others have, unknown to
    the member's record: only then are the turns taken anew, so that each knows it in its own moment. Rules are asked
    again in those alone to which it makes a difference (`_Former`).
    """
    standing: dict[Covered, SuppressionRow] = {}
    while True:
        batch = begin(standing)
        changes = batch.run(quarantined)
        more = {row[:3]: row for row in tx.suppressions(batch.subjects)} if batch.subjects else {}
        anew = not more.keys() <= standing.keys()
        standing |= more
        asked = batch.sharing.wanted
        if not points.lock(asked):
            return batch, None, Wanted(asked.joined, asked.reserved | wanted.reserved | points.holders.keys())
        if batch.sharing.stands() and not anew:
            return batch, changes._replace(holders=list(batch.sharing.rows())), wanted


class _Batch:
    """The working state of one `run`."""

    def __init__(
        self,
        pipeline: Pipeline,
        tx: Batch,
        held: Mapping[int, Progress],
        arrivals: Mapping[int, Sequence[Arrival]],
        tick: int | None,
        standing: Mapping[Covered, SuppressionRow],
        points: Points,
        former: _Former,
        *,
        stop_at_touch: bool,
        max_turns: int,
        obeyed: bool,
    ) -> None:
        self.obeyed = obeyed
        self.pipeline, self.tx, self.held, self.arrivals, self.tick = pipeline, tx, held, arrivals, tick
        # suppressions that stood before this batch, as far as it had to ask
        self.standing = standing
        self.former = former
        self.vault, self.content = pipeline.vault, pipeline.content
        self.links = pipeline.links
        self.sharing = Sharing(points, pipeline.content)
        self.codes = Codes(tx, pipeline.vault, pipeline.content)
        self.stop_at_touch, self.max_turns = stop_at_touch, max_turns
        # partition -> no row due later than this is taken; arrivals need not be in the order of their instants
        self.latest = {
            partition: max((arrival.at for arrival in arrivals.get(partition, ())), default=0) for partition in held
        }
        if tick is not None:
            self.latest = {partition: max(latest, tick) for partition, latest in self.latest.items()}
        self.members: dict[bytes, _Known] = {}
        # reference -> sealer, of aliases that sent something on
        self.sealers: dict[str, Sealer] = {}
        self.changed: dict[bytes, int] = {}
        self.seen: dict[bytes, bytes] = {}
        self.registries: dict[tuple[str, str], RegistryState | None] = {}
        # touch id -> state in the outbox as this batch found it; "": none
        self.touches: dict[str, str] = {}
        self.paused: frozenset[str] = frozenset()
        self.stopped: frozenset[str] = frozenset()
        self.quarantined: set[bytes] = set()
        self.progress: dict[int, Progress] = {}
        self.consumed: dict[int, int] = {}
        self.touched: set[int] = set()
        self.elsewhere: set[int] = set()
        self.alarms: list[LogRow] = []
        self.more_due = False
        self.due_limit = DUE_LIMIT
        self.turns = 0
        self.totals: Counter[tuple[int, str]] = Counter()
        self.daily: Counter[tuple[str, str, str, str, str]] = Counter()
        self.keys: list[KeyRow] = []
        self.destroyed: list[str] = []
        self.journal: list[JournalRow] = []
        self.seen_rows: list[SeenRow] = []
        self.log: list[LogRow] = []
        # touch id -> reservation; one that a later turn cancels never reaches the store, nor is its message sealed
        self.reserved: dict[str, _Reserved] = {}
        self.cancelled: list[str] = []
        # touch id -> state, of those this batch reserved or cancelled
        self.moved: dict[str, str] = {}
        self.inbox: list[NewInbox] = []
        self.taken: list[tuple[int, int]] = []
        # the suppressions that the batch leaves, and up to when it ended others
        self.suppressions: dict[Covered, SuppressionRow] = {}
        self.unsuppressed: dict[Covered, int] = {}
        # members and contact points, as suppressions name them, for whom touches were reserved
        self.subjects: set[str] = set()
        # (contact point, member) -> whether the member has it now
        self.contacts: dict[tuple[str, bytes], bool] = {}
        self.dead: list[DeadRow] = []
        self.parked: list[ParkedRow] = []
        self.redriven: list[bytes] = []
        self.positions: dict[tuple[bytes, int], FilePosition] = {}

    # --- the run

    def run(self, quarantined: Sequence[QuarantineRow]) -> Changes:
        due = self._prefetch()
        self.quarantined.update(row.member for row in quarantined)
        for partition in self.held:
            self._partition(partition, due.get(partition, []))
        return Changes(
            progress=[(self.held[p], after) for p, after in self.progress.items()],
            members=[self._member_row(key, partition) for key, partition in self.changed.items()],
            keys=self.keys,
            destroyed=self.destroyed,
            journal=self.journal,
            seen=self.seen_rows,
            log=self.log,
            reserved=[_touch_row(reserved) for reserved in self.reserved.values()],
            cancelled=self.cancelled,
            codes_back=self.codes.back,
            vouchers=self.codes.given(),
            told=self.codes.told(),
            inbox=self.inbox,
            consumed=self.taken,
            suppressions=list(self.suppressions.values()),
            unsuppressed=[(*key, until) for key, until in self.unsuppressed.items()],
            left=[ContactRow(*key) for key, has in sorted(self.contacts.items()) if not has],
            contacts=[ContactRow(*key) for key, has in sorted(self.contacts.items()) if has],
            dead=self.dead,
            redriven=self.redriven,
            quarantined=quarantined,
            parked=self.parked,
            totals=self.totals,
            daily=self.daily,
            positions=list(self.positions.values()),
        )

    def ran(self) -> Ran:
        progress = {partition: self.progress.get(partition, before) for partition, before in self.held.items()}
        touched, elsewhere = frozenset(self.touched), frozenset(self.elsewhere)
        return Ran(progress, self.consumed, self.turns, touched, self.more_due, tuple(self.alarms), elsewhere)

    def _due(self) -> dict[int, list[InboxRow]]:
        """The due rows by partition; more than the limit only where so many share one instant, which is never split."""
        while True:
            due: dict[int, list[InboxRow]] = {}
            for row in self.tx.due(self.latest, self.due_limit):
                due.setdefault(row.partition, []).append(row)
            if not any(len(rows) >= self.due_limit and rows[0].due == rows[-1].due for rows in due.values()):
                return due
            self.due_limit *= 4

    def _prefetch(self) -> dict[int, list[InboxRow]]:
        """Reads at once what the turns will ask for one by one."""
        due = self._due()
        if not self.obeyed and any(_puts_in_force(rows) not in (self.pipeline.ordered, "") for rows in due.values()):
            raise _Ordered
        # after the inbox: whoever finds an order to go on finds no switch any more
        scopes = {row.scope for row in self.tx.switches()}
        if scopes:
            self.stopped = frozenset(name for name in self.content.journeys if f"{STOPPED}:{name}" in scopes)
            off = frozenset(name for name in self.content.journeys if f"journey:{name}" in scopes)
            self.paused = off - self.stopped
        wanted: dict[bytes, int] = {row.member: row.partition for rows in due.values() for row in rows if row.member}
        identities: list[bytes] = []
        first, last = min(self.latest.values(), default=0), max(self.latest.values(), default=0)
        for partition, queue in self.arrivals.items():
            for arrival in queue:
                # one that is sent on says nothing of where its member is: that one is in another partition
                if arrival.member and not arrival.forwarded:
                    wanted[arrival.member] = partition
                    identities.append(arrival.identity)
                    first = min(first, arrival.at)
        if identities:
            size = self.pipeline.bucket
            clocks = [progress.clock for progress in self.held.values()]
            newest = max(last, *clocks)
            oldest = min(first, *clocks) - self.pipeline.horizon
            self.seen = self.tx.seen(range(max(oldest, 0) // size, newest // size + 1), identities)
        self.load(wanted)
        if wanted:
            self.quarantined = self.tx.quarantined(wanted)
        known = [self.members[key].member for key in wanted if key in self.members]
        self.sharing.look_up(
            {
                point.fingerprint: None
                for member in known
                if member is not None and member.shared
                for point in member.contact_points
                if point.fingerprint in member.shared
            }
        )
        self._look_up(
            frozenset().union(*[registries_of(member, self.content) for member in known if member is not None]),
            [intent.touch_id for member in known if member is not None for intent in member.pending.values()],
        )
        return due

    def look_for(self, identity: bytes, parked_at: int, now: int) -> None:
        """Reads whether an event of this identity came while the one that was parked then could be its duplicate."""
        size = self.pipeline.bucket
        buckets = range(max(parked_at - self.pipeline.horizon, 0) // size, now // size + 1)
        self.seen = self.tx.seen(buckets, [identity]) | self.seen

    def _look_up(self, registries: Iterable[tuple[str, str]], touches: Iterable[str]) -> None:
        """Reads of the store what this batch has not read yet."""
        listed = [key for key in registries if key not in self.registries]
        if listed:
            rows = self.tx.registry(listed)
            for key in listed:
                row = rows.get(key)
                self.registries[key] = None if row is None else RegistryState(row[0], instant(row[1]))
        reserved = [touch for touch in touches if touch and touch not in self.touches]
        if reserved:
            states = self.tx.touch_states(reserved)
            for touch in reserved:
                self.touches[touch] = states.get(touch, "")

    def load(self, wanted: Mapping[bytes, int]) -> None:
        cache, absent = self.pipeline.cache, []
        for key, partition in wanted.items():
            known = cache.get(key) or self.former.members.get(key)
            if known is not None:
                self.members[key] = known
            else:
                absent.append((partition, key))
        if not absent:
            return
        rows = self.tx.members(absent)
        wrapped = self.tx.keys([row.ref for row in rows.values() if not row.erased])
        for key, row in rows.items():
            if row.erased:
                self.members[key] = _Known(None, row.ref, None, erased=True)
                continue
            sealer = self.vault.sealer(row.ref, wrapped[row.ref])
            self.members[key] = self.former.members[key] = _Known(_read_member(sealer.open(row.state)), row.ref, sealer)

    def _partition(self, partition: int, rows: list[InboxRow]) -> None:
        """Everything of one partition: due rows before each arrival, the rows due at the end, until it must stop."""
        queue = self.arrivals.get(partition, ())
        # where nothing has happened yet, orders that wait stand at the first thing that does
        earliest = next((arrival.at for arrival in queue if arrival.at), self.tick or 0)
        work = _Partition(self, partition, self.held[partition], rows, earliest)
        for arrival in queue:
            if not work.take_due(arrival.at) or not self.may_go_on():
                break
            work.arrive(arrival)
            if work.stopped:
                break
        else:
            if self.tick is not None:
                work.take_due(self.tick)
        work.close()

    def alias(self, member: bytes) -> str:
        """Whom a member is an alias of; "": of nobody."""
        known = self.members.get(member)
        return "" if known is None or known.member is None else known.member.merged_into

    def _aliases(self, member: bytes) -> frozenset[bytes]:
        """Whose touches are the member's own by now."""
        known = self.members.get(member)
        absorbed = known.member.absorbed if known is not None and known.member is not None else ()
        return frozenset([self.vault.member(alias) for alias in absorbed])

    def sealer(self, ref: str) -> Sealer | None:
        """What opens what an alias sent on, of whichever partition; None where the alias was forgotten since."""
        if ref not in self.sealers and ref not in self.destroyed:
            wrapped = self.tx.keys([ref]).get(ref)
            if wrapped is not None:
                self.sealers[ref] = self.vault.sealer(ref, wrapped)
        return None if ref in self.destroyed else self.sealers.get(ref)

    def may_go_on(self) -> bool:
        return self.turns < self.max_turns

    def _member_row(self, key: bytes, partition: int) -> MemberRow:
        known = self.members[key]
        if known.member is None or known.sealer is None:
            return MemberRow(partition, key, known.ref, b"", erased=True)
        return MemberRow(partition, key, known.ref, known.sealer.seal(_encode(known.member)), erased=False)

    def covering(self, member: bytes, reservation: Reservation) -> list[SuppressionRow]:
        """The suppressions under which a touch is reserved now; none of them is known to the member's own record."""
        if not self.standing and not self.suppressions:
            return []
        keys = covering_contact(member, reservation.contact, reservation.channel, reservation.purpose)
        stood = [row for key in keys if (row := self.standing.get(key)) and row.since > self.unsuppressed.get(key, -1)]
        return stood + [row for key in keys if (row := self.suppressions.get(key))]

    def given(self, member: bytes, wants: Needs, shared: Shared) -> tuple[Shared, Given | None]:
        """What `step` must be given for this turn, read under the batch's lock."""
        unapproved = self.pipeline.unapproved
        switched = bool(self.paused or self.stopped or unapproved)
        if wants is NOTHING and not switched:
            return shared, None
        self._look_up(wants.registries, [touch for touch in wants.touches if touch not in self.moved])
        registries = {key: state for key in wants.registries if (state := self.registries[key]) is not None}
        touches = {touch: stands for touch in wants.touches if (stands := self.moved.get(touch) or self.touches[touch])}
        standing = self.outages if wants.outages else {}
        aliases = self._aliases(member) if wants.points else frozenset()
        points = {contact: self.sharing.touches(contact, member, aliases) for contact in sorted(wants.points)}
        if not registries and not touches and not points and not switched:
            return shared, None
        journaled = Given(
            registries={
                f"{name}/{contact}": (state.listed, None if state.checked_at is None else micros(state.checked_at))
                for (name, contact), state in sorted(registries.items())
            },
            touches=dict(sorted(touches.items())),
            paused=tuple(sorted(self.paused)),
            stopped=tuple(sorted(self.stopped)),
            unapproved=tuple(sorted(unapproved)),
            outages=dict(sorted(standing.items())),
            points=points,
        )
        told = msgspec.structs.replace(
            shared,
            registries=registries,
            touches=touches,
            paused=self.paused,
            stopped=self.stopped,
            unapproved=unapproved,
            outages=read_outages(standing),
            points=points,
        )
        return told, journaled

    @cached_property
    def outages(self) -> dict[str, tuple[int, int]]:
        """channel -> [since, until) of its last outage; read once, beside the batch."""
        return {channel: (each.since, each.until) for channel, each in outages(self.pipeline.store).items()}


class _Partition:
    """One partition's turns within a batch."""

    def __init__(self, batch: _Batch, partition: int, before: Progress, rows: list[InboxRow], earliest: int) -> None:
        self.batch, self.partition, self.before, self.earliest = batch, partition, before, earliest
        self.offset, self.turn, self.clock = before.next_offset, before.turn, before.clock
        self.n, self.head = before.log_n, before.head
        self.stopped = False
        # (due, member, order, seq or -1, input): rows of the store and rows made in this batch
        self.heap: list[tuple[int, bytes, int, int, bytes]] = [
            (row.due, row.member, row.seq, row.seq, row.input) for row in rows
        ]
        heapq.heapify(self.heap)
        # rows beyond the limit were not read: nothing at or after the last (due, member) read may be taken yet; where
        # all that was read is one member's moment, it is cut into turns
        self.sight: tuple[int, bytes] | None = None
        if len(rows) >= batch.due_limit:
            batch.more_due = True
            cut = (rows[-1].due, rows[-1].member)
            self.sight = cut if cut != (rows[0].due, rows[0].member) else (cut[0], cut[1] + b"\0")
        self.made = 1 << 62

    def take_due(self, until: int) -> bool:
        """Runs the rows due at or before `until`, in order; False when it had to stop before all were taken."""
        heap = self.heap
        if not (self.clock or self.earliest):
            return True
        while heap and heap[0][0] <= until:
            if (self.sight is not None and heap[0][:2] >= self.sight) or not self.batch.may_go_on():
                self.batch.more_due = True
                return False
            due, member = heap[0][0], heap[0][1]
            rows = [heapq.heappop(heap)]
            while heap and heap[0][0] == due and heap[0][1] == member and member and not _alone(rows[-1], heap[0]):
                rows.append(heapq.heappop(heap))
            self._due_turn(due, member, rows)
            if self.stopped:
                return False
        return self.sight is None or until < self.sight[0]

    def arrive(self, arrival: Arrival) -> None:
        """Takes one arrival: dead letter, duplicate, parked, or a turn."""
        batch, partition = self.batch, self.partition
        batch.consumed[partition] = batch.consumed.get(partition, 0) + 1
        offset = self.offset if arrival.offset < 0 else arrival.offset
        if offset < self.offset:
            # consumed in an earlier life: a redelivery
            return
        self.offset = offset + 1
        batch.totals[partition, "inputs"] += 1
        if arrival.file:
            batch.positions[arrival.file, partition] = FilePosition(
                arrival.file, arrival.length, partition, arrival.byte
            )
        now = max(self.clock, arrival.at)
        self.clock = now
        event = arrival.event
        if arrival.forwarded:
            batch.totals[partition, "forwarded"] += 1
            batch.totals[partition, "misplaced"] += 1
            return
        if isinstance(event, Unreadable):
            self._bury(offset, now, event.reason, event.cure, arrival.raw)
            return
        if self._known(offset, now, arrival):
            return
        at = micros(event.time)
        if at < now - batch.pipeline.horizon and not event.history:
            cure = "older than the horizon of duplicates; load it with: orchestrator ingest --history"
            self._bury(offset, now, "too_old", cure, arrival.raw)
            return
        if arrival.member in batch.quarantined:
            # not in the index of duplicates yet: it comes again when it is redriven
            self._park(offset, arrival.member, now, "event", arrival.raw)
            return
        self._event(offset, offset, now, arrival, event)

    def _event(self, key: int, offset: int, now: int, arrival: Arrival, event: Event) -> None:
        """An event that is neither dead nor a duplicate nor parked."""
        batch, partition, member = self.batch, self.partition, arrival.member
        batch.seen[arrival.identity] = arrival.said
        batch.seen_rows.append(SeenRow(now // batch.pipeline.bucket, arrival.identity, arrival.said))
        if into := batch.alias(member):
            batch.totals[partition, "forwarded"] += 1
            self._send(now, into, msgspec.structs.replace(event, subject=into), member)
            return
        batch.totals[partition, "applied"] += 1
        recorded = [Recorded("event", offset, arrival.raw)]
        self._run(key, now, member, (EventInput(event),), recorded, event.subject)

    def _due_turn(self, due: int, member: bytes, rows: list[tuple[int, bytes, int, int, bytes]]) -> None:
        batch = self.batch
        now = max(self.clock, due) or self.earliest
        self.clock = now
        batch.totals[self.partition, "inputs"] += len(rows)
        for row in rows:
            if row[3] >= 0:
                batch.taken.append((self.partition, row[3]))
        inputs = tuple([read_input(row[4]) for row in rows])
        if member in batch.quarantined and any(_redrives(given) for given in inputs):
            self._redrive(member)
        if member in batch.quarantined:
            for row, given in zip(rows, inputs, strict=True):
                self._park_row(max(row[3], 0), member, now, given, row[4])
            return
        # rows of the store are told from arrivals by the sign
        key = -max(rows[0][3], 0)
        if isinstance(inputs[0], Redriven):
            self._redriven(key, now, inputs[0])
            return
        if member and member not in batch.members:
            batch.load({member: self.partition})
        if isinstance(inputs[0], Forwarded):
            self._forwarded(key, now, member, inputs[0])
            return
        if into := batch.alias(member):
            rows, inputs = self._pass_on(now, member, into, rows, inputs)
            if not rows:
                return
        batch.totals[self.partition, "applied"] += len(rows)
        recorded = [
            Recorded(str(given.__struct_config__.tag), -1, row[4]) for given, row in zip(inputs, rows, strict=True)
        ]
        if not member or (member not in batch.members and all(isinstance(given, Command) for given in inputs)):
            # an order about somebody who is not known (parked from the first event on) is on record all the same
            self._house_turn(now, inputs, recorded)
            return
        self._run(key, now, member, inputs, recorded, "")

    def _pass_on(
        self,
        now: int,
        member: bytes,
        into: str,
        rows: list[tuple[int, bytes, int, int, bytes]],
        inputs: tuple[InternalInput, ...],
    ) -> tuple[list[tuple[int, bytes, int, int, bytes]], tuple[InternalInput, ...]]:
        """Sends on what came for an alias and concerns whom it stands for; the rows that are left, and their inputs."""
        alias = self.batch.members[member].member
        stays = [alias is None or not goes_on(given, alias) for given in inputs]
        for row, given, mine in zip(rows, inputs, stays, strict=True):
            if not mine:
                self._send(now, into, given, row[1])
        self.batch.totals[self.partition, "forwarded"] += len(rows) - sum(stays)
        return list(compress(rows, stays)), tuple(compress(inputs, stays))

    def _forwarded(self, key: int, now: int, member: bytes, sent: Forwarded) -> None:
        """What came for an alias, or is handed over by one; whoever is an alias themselves sends it on again."""
        batch = self.batch
        sealer = batch.sealer(sent.ref)
        if sealer is None:
            self._bury(
                0, now, "key_expired", "the member it came for was forgotten meanwhile: nothing can be read", b""
            )
            return
        raw = sealer.open(sent.sealed)
        given = EventInput(read_event(raw, batch.content.events)) if sent.event else read_input(raw)
        if not isinstance(given, EventInput | Absorbed):
            raise TypeError("what is sent on sealed is an event or a record")
        known = batch.members.get(member)
        if known is not None and known.member is not None and known.member.merged_into:
            again = _sent_on(known.member, given)
            if again is not None:
                batch.totals[self.partition, "forwarded"] += 1
                self._send(now, known.member.merged_into, again, member)
                return
        elif known is not None and known.erased and isinstance(given, Absorbed):
            # they were forgotten as one person, so whoever hands themselves over to them is too
            for alias in ids_in(given):
                forget = Command(verb="erase", actor="engine", arguments={"merged": "yes"}, given_at=instant(now))
                self._send(now, alias, forget, member)
        batch.totals[self.partition, "applied"] += 1
        if isinstance(given, EventInput):
            self._run(key, now, member, (given,), [Recorded("event", -1, raw)], given.event.subject)
        else:
            self._run(key, now, member, (given,), [Recorded("absorbed", -1, raw)], given.into)

    def _send(self, now: int, member_id: str, given: InternalInput | Event, sender: bytes) -> None:
        """To another member's inbox, in whichever partition; what tells of the sender is sealed with their key."""
        batch, vault = self.batch, self.batch.vault
        if isinstance(given, Event | Absorbed):
            whose = batch.members[sender]
            if whose.sealer is None:
                raise TypeError("whoever is erased sends nothing on")
            batch.sealers[whose.ref] = whose.sealer
            raw = write_event(given) if isinstance(given, Event) else write_input(given)
            given = Forwarded(event=isinstance(given, Event), ref=whose.ref, sealed=whose.sealer.seal(raw))
        partition = partition_of(member_id, batch.pipeline.store.partitions)
        if partition == self.partition:
            self._put(now, vault.member(member_id), write_input(given))
        else:
            # not before its clock is there, so that nothing is decided earlier than it was heard of
            batch.more_due = True
            batch.elsewhere.add(partition)
            batch.inbox.append(NewInbox(partition, now, vault.member(member_id), write_input(given)))

    def _park_row(self, seq: int, member: bytes, now: int, given: Input, body: bytes) -> None:
        """Parks an inbox row; an event that was parked before stands there again as it stood."""
        if isinstance(given, Redriven):
            self.batch.totals[self.partition, "parked"] += 1
            row = ParkedRow(self.partition, given.offset, member, given.parked_at, "event", given.sealed)
            self.batch.parked.append(row)
        else:
            self._park(seq, member, now, "inbox", body)

    def _redrive(self, member: bytes) -> None:
        """Ends a member's quarantine: what was parked comes due in its old order, before anything that came since."""
        batch = self.batch
        rows = batch.tx.parked(member) + [row for row in batch.parked if row.member == member]
        batch.parked = [row for row in batch.parked if row.member != member]
        batch.quarantined.discard(member)
        batch.redriven.append(member)
        # they are inputs when they are applied, and only then
        for name in ("inputs", "parked"):
            batch.totals[self.partition, name] -= len(rows)
        for row in rows:
            if row.kind == "event":
                body = write_input(Redriven(offset=row.offset, parked_at=row.at, sealed=row.raw))
                self._put(row.at, member, body)
            elif (opened := self._opened(row.offset, row.raw)) is not None:
                self._put(row.at, member, opened)
            else:
                batch.totals[self.partition, "inputs"] += 1

    def _redriven(self, key: int, now: int, given: Redriven) -> None:
        """An event that was parked: it was not too old by then, and is a duplicate of what came before it alone."""
        batch = self.batch
        raw = self._opened(given.offset, given.sealed)
        if raw is None:
            return
        arrival = batch.pipeline.arrival(raw, given.parked_at)
        event = arrival.event
        if isinstance(event, Unreadable):
            raise TypeError("what was parked can be read")
        batch.look_for(arrival.identity, given.parked_at, now)
        if not self._known(given.offset, now, arrival):
            self._event(key, given.offset, now, arrival, event)

    def _opened(self, offset: int, sealed: bytes) -> bytes | None:
        """What was parked; None where the key to it has expired, so that it is a dead letter now."""
        try:
            return self.batch.vault.open_dead(sealed)
        except SetupError as expired:
            self._bury(offset, self.clock, "key_expired", str(expired), b"")
            return None

    def _known(self, offset: int, now: int, arrival: Arrival) -> bool:
        """Whether an event's identity came before: the same is a duplicate, other content a dead letter."""
        former = self.batch.seen.get(arrival.identity)
        if former is None:
            return False
        if former == arrival.said:
            self.batch.totals[self.partition, "duplicate"] += 1
        else:
            cure = "the same source and id came before with other content; give the new event an id of its own"
            self._bury(offset, now, "id_reused", cure, arrival.raw)
        return True

    def _run(
        self,
        key: int,
        now: int,
        member: bytes,
        inputs: tuple[Input, ...],
        recorded: Sequence[Recorded],
        subject: str,
    ) -> None:
        """One turn of one member."""
        batch = self.batch
        known = batch.members.get(member)
        if known is not None and known.erased and not _enrols(inputs):
            self._erased_turn(now, member, known.ref, inputs, recorded)
            return
        name = (member, now, tuple([raw for _, _, raw in recorded]))
        anew = known is not None and known.erased
        drawn: NewKey | None = None
        if known is None or known.erased or known.sealer is None:
            if not subject:
                return
            ref, wrapped, sealer = drawn = batch.former.key(name) or batch.vault.new_key()
            known = _Known(None, ref, sealer)
            new_key: KeyRow | None = KeyRow(ref, wrapped)
        else:
            ref, sealer, new_key = known.ref, known.sealer, None
        shared = Shared(
            key=batch.vault.id_key,
            fingerprint=batch.vault.fingerprint,
            links=batch.links,
            new_ref=ref,
            has_others=(lambda contact: batch.sharing.has_others(contact, member)) if batch.sharing.any else nobody,
        )
        try:
            wants = needs(known.member, inputs, batch.content, shared)
        except Exception as error:
            raise self._failed(key, member) from error
        # what the store raises is no fault of the input's: nobody is quarantined for a database that is away
        shared, given = batch.given(member, wants, shared)
        former = batch.former.result(name, known.member, given, drawn)
        result, vouchers = (former, {}) if former else self._stepped(key, now, member, known.member, shared, inputs)
        batch.former.keep(name, _Taken(known.member, given, drawn, result), vouchers)
        if vouchers:
            given = msgspec.structs.replace(given or Given(), vouchers=vouchers)
        if new_key is not None:
            batch.keys.append(new_key)
        self.turn += 1
        batch.turns += 1
        for i, (kind, offset, raw) in enumerate(recorded):
            body = _encode((given, msgspec.Raw(raw))) if given is not None else b"[null," + raw + b"]"
            batch.journal.append(
                JournalRow(self.partition, self.turn, i, now, kind, offset, member, ref, sealer.seal(body))
            )
        self._record(now, ref, result.entries)
        if anew:
            self._born_anew(member, result, now)
        self._meet(now, member, known.member, result.member)
        self._apply(now, member, ref, sealer, result)
        for other, told in result.sent:
            self._send(now, other, told, member)
        self._contacts(member, known.member, result.member)
        if result.reservations or any(isinstance(given, Tick) for given in inputs):
            batch.touched.add(self.partition)
            self.stopped = self.stopped or batch.stop_at_touch

    def _stepped(
        self, key: int, now: int, member: bytes, state: Member | None, shared: Shared, inputs: tuple[Input, ...]
    ) -> tuple[Result, dict[str, Stock]]:
        """What a turn comes to, and the voucher codes that it was given, as the journal keeps them.

        A turn that lacked codes is taken anew with what there is: so no code is taken that nobody has a use for.
        """
        batch = self.batch
        while True:
            try:
                result = step(state, shared, inputs, batch.content, instant(now))
            except Exception as error:
                raise self._failed(key, member) from error
            stocks = batch.codes.offered(shared.vouchers, result.lacked) if result.lacked else shared.vouchers
            if stocks == shared.vouchers:
                return result, as_kept(shared.vouchers, result.reservations) if stocks else {}
            shared = msgspec.structs.replace(shared, vouchers=stocks)

    def _failed(self, key: int, member: bytes) -> TurnFailed:
        return TurnFailed(self.partition, key, member, self.turn - self.before.turn)

    def _meet(self, now: int, member: bytes, before: Member | None, after: Member | None) -> None:
        """Who came to a contact point that another has is known to that one too."""
        had = () if before is None else before.contact_points
        if after is None or after.contact_points is had:
            return
        for contact in {point.fingerprint for point in after.contact_points} - {point.fingerprint for point in had}:
            for other in self.batch.sharing.join(contact, member, self.partition):
                body = write_input(PointShared(contact=contact))
                if other.partition == self.partition:
                    self._put(now, other.member, body)
                else:
                    # at the clock that it has by then, as an order is
                    self.batch.inbox.append(NewInbox(other.partition, 0, other.member, body))

    def _apply(self, now: int, member: bytes, ref: str, sealer: Sealer, result: Result) -> None:
        batch, partition = self.batch, self.partition
        # before what is reserved: a touch that came back unsent may be reserved anew under its own name
        for touch in result.codes_back:
            batch.codes.take_back(touch)
        batch.codes.tell(result.told)
        for reservation in result.reservations:
            batch.subjects |= {member.hex(), reservation.contact}
            covering = batch.covering(member, reservation)
            state = "cancelled" if covering else "reserved"
            reserved = _Reserved(partition, member, ref, sealer, reservation, state)
            batch.reserved[reservation.touch_id] = reserved
            batch.moved[reservation.touch_id] = state
            if not covering:
                batch.sharing.reserve(member, reservation)
                batch.codes.give(reservation, ref)
            else:
                told = told_late(_touch_row(reserved), covering)
                self._put(told.due, member, told.input)
        for touch in result.cancels:
            batch.codes.cancel(touch)
            batch.cancelled.append(touch)
            batch.reserved.pop(touch, None)
            batch.moved[touch] = "cancelled"
            batch.sharing.cancel(touch)
        for due, given in result.timers:
            self._put(micros(due), member, write_input(given))
        for subject, channel, purpose, reason, since in result.suppressions:
            whom = member.hex() if subject == "member" else subject
            began = now if since is None else micros(since)
            batch.suppressions[whom, channel, purpose] = SuppressionRow(whom, channel, purpose, began, reason)
        for subject, channel, purpose, until in result.unsuppressed:
            whom = member.hex() if subject == "member" else subject
            self._unsuppress(whom, channel, purpose, now if until is None else micros(until))
        for name, n in result.totals:
            batch.totals[partition, name] += n
        batch.changed[member] = partition
        if result.erase:
            batch.destroyed.append(ref)
            batch.members[member] = _Known(None, ref, None, erased=True)
        else:
            batch.members[member] = _Known(result.member, ref, sealer)

    def _contacts(self, member: bytes, before: Member | None, after: Member | None) -> None:
        """Where the member can be reached, for whoever hears from there; few turns change it."""
        former = () if before is None else before.contact_points
        points = () if after is None else after.contact_points
        if former is points:
            return
        has, had = self._marks(points), self._marks(former)
        for contact in has ^ had:
            self.batch.contacts[contact, member] = contact in has

    def _marks(self, points: Iterable[ContactPoint]) -> set[str]:
        """What their owner is found by: the fingerprints of the addresses, and of the platforms' own names for them."""
        fingerprint = self.batch.vault.fingerprint
        others = {fingerprint(point.channel, name) for point in points for name in named(point.identifiers)}
        return {point.fingerprint for point in points} | others

    def _unsuppress(self, subject: str, channel: str, purpose: str, until: int) -> None:
        """Ends the suppression of exactly these that began by then, be it of this batch."""
        key, batch = (subject, channel, purpose), self.batch
        if key in batch.suppressions and batch.suppressions[key].since <= until:
            del batch.suppressions[key]
        batch.unsuppressed[key] = max(until, batch.unsuppressed.get(key, 0))

    def _born_anew(self, member: bytes, result: Result, now: int) -> None:
        """An erased member who enrols again: the erasure no longer stands in the way, nor what they agree to anew."""
        self._unsuppress(member.hex(), "*", "*", now)
        for entry in result.entries:
            if entry.kind == "consent" and entry.state == "granted":
                self._unsuppress(member.hex(), entry.channel, entry.purpose, now)

    def _erased_turn(
        self, now: int, member: bytes, ref: str, inputs: tuple[Input, ...], recorded: Sequence[Recorded]
    ) -> None:
        """What comes for an erased member changes nothing; an event leaves a silence, its content is not kept."""
        batch = self.batch
        self.turn += 1
        batch.turns += 1
        for i, (kind, offset, _) in enumerate(recorded):
            batch.journal.append(JournalRow(self.partition, self.turn, i, now, kind, offset, member, ref, b""))
        if isinstance(inputs[0], EventInput):
            event = inputs[0].event
            batch.totals[self.partition, "intents"] += 1
            batch.totals[self.partition, "silent"] += 1
            intent = ids.occurrence_of(batch.vault.id_key, event.source, event.id)
            self._record(now, ref, (Entry(kind="decision", intent_id=intent, verdict="suppress", reason="erased"),))

    def _house_turn(self, now: int, inputs: tuple[Input, ...], recorded: Sequence[Recorded]) -> None:
        """A turn about no member: operator's orders and ticks."""
        batch = self.batch
        self.turn += 1
        batch.turns += 1
        for i, (kind, offset, raw) in enumerate(recorded):
            batch.journal.append(
                JournalRow(self.partition, self.turn, i, now, kind, offset, NOBODY, "", b"[null," + raw + b"]")
            )
        self._record(now, "", house_entries(inputs))
        for given in inputs:
            if isinstance(given, Command) and given.verb == "unsuppress" and "contact" in given.arguments:
                whom = given.arguments
                until = now if given.given_at is None else micros(given.given_at)
                self._unsuppress(whom["contact"], whom["channel"], whom["purpose"], until)
            elif isinstance(given, Sweep):
                self._sweep(now, given)
            elif isinstance(given, Command):
                # a partition that stood idle is behind the order
                since = now if given.given_at is None else max(now, micros(given.given_at))
                for sweep in swept_by(given, batch.content):
                    self._sweep(since, sweep)

    def _sweep(self, now: int, sweep: Sweep) -> None:
        """Some of the members are given what the sweep is for, or some of what was held comes due; then the rest.

        All of it is for the next batch, so that no batch grows with the members.
        """
        batch, partition = self.batch, self.partition
        if sweep.held:
            held = batch.tx.held(partition, micros(HELD), int(sweep.after or 0), RELEASED)
            batch.taken.extend((partition, row.seq) for row in held)
            given = [(row.member, row.input) for row in held]
            # what this batch has put off itself
            given += [(row[1], row[4]) for row in self.heap if row[0] == micros(HELD) and row[3] < 0]
            self.heap = [row for row in self.heap if row[0] != micros(HELD) or row[3] >= 0]
            heapq.heapify(self.heap)
            more, last = len(held) == RELEASED, str(held[-1].seq) if held else ""
        else:
            members = batch.tx.members_after(partition, bytes.fromhex(sweep.after), SWEPT)
            body = write_input(Plan() if sweep.order is None else sweep.order)
            given = [(member, body) for member in members]
            more, last = len(members) == SWEPT, members[-1].hex() if members else ""
        if more:
            given.append((NOBODY, write_input(msgspec.structs.replace(sweep, after=last))))
        batch.inbox.extend(NewInbox(partition, now, member, body) for member, body in given)
        if given:
            # nothing comes before it, nor does the clock go on
            batch.more_due = self.stopped = True

    def _record(self, now: int, ref: str, entries: tuple[Entry, ...]) -> None:
        """Log rows and daily counts of a turn."""
        if not entries:
            return
        batch = self.batch
        rows, self.n, self.head = chain.append(
            self.partition, self.n, self.head, self.turn, now, ref, batch.content.revision, entries
        )
        batch.log.extend(rows)
        if any(entry.kind == "alarm" for entry in entries):
            batch.alarms += [row for row in rows if row.kind == "alarm"]
        day = _day(now)
        for entry in entries:
            if entry.kind == "decision":
                batch.daily[day, entry.journey, entry.channel, entry.verdict, entry.reason] += 1
            elif entry.kind == "journey":
                batch.daily[day, entry.journey, "", entry.state, ""] += 1

    def _put(self, due: int, member: bytes, body: bytes) -> None:
        """A row for this partition's inbox: taken in this batch if it comes due in it, else written."""
        self.made += 1
        heapq.heappush(self.heap, (due, member, self.made, -1, body))

    def _bury(self, offset: int, now: int, reason: str, cure: str, raw: bytes) -> None:
        batch = self.batch
        batch.totals[self.partition, "dead"] += 1
        sealed = batch.vault.seal_dead(raw, instant(now))
        batch.dead.append(DeadRow(self.partition, offset, now, reason, cure, sealed))

    def _park(self, offset: int, member: bytes, now: int, kind: str, raw: bytes) -> None:
        batch = self.batch
        batch.totals[self.partition, "parked"] += 1
        sealed = batch.vault.seal_dead(raw, instant(now))
        batch.parked.append(ParkedRow(self.partition, offset, member, now, kind, sealed))

    def close(self) -> None:
        """What was made and not taken goes to the store, and the partition's progress moves."""
        batch, before = self.batch, self.before
        batch.inbox.extend(
            NewInbox(self.partition, due, member, body) for due, member, _, seq, body in sorted(self.heap) if seq < 0
        )
        after = Progress(self.partition, before.epoch, self.offset, self.turn, self.clock, self.n, self.head)
        if after != before:
            batch.progress[self.partition] = after


def _puts_in_force(rows: Iterable[InboxRow]) -> str:
    """The content revision that the last order among these rows puts in force; "": none does."""
    revision = ""
    for row in rows:
        if row.due == FIRST and row.member == NOBODY:
            given = read_input(row.input)
            if isinstance(given, Command) and given.verb == "activate":
                revision = given.arguments["revision"]
    return revision


def _redrives(given: Input) -> bool:
    return isinstance(given, Command) and given.verb == "redrive"


def _sent_on(alias: Member, given: EventInput | Absorbed) -> Event | Absorbed | None:
    """What an alias sends on; None where its own record came back: it handed itself over in a circle."""
    if isinstance(given, EventInput):
        return msgspec.structs.replace(given.event, subject=alias.merged_into)
    return passed_on(alias, given)


def _alone(*rows: tuple[int, bytes, int, int, bytes]) -> bool:
    """Whether one of these is an event that was parked: it is a turn of its own, as it would have been."""
    return any(row[4].startswith(_ALONE) for row in rows)


def read_outages(rows: Mapping[str, tuple[int, int]]) -> dict[str, tuple[datetime, datetime | None]]:
    """Outages as `step` is given them, from what the journal keeps."""
    return {name: (instant(since), instant(until) if until else None) for name, (since, until) in rows.items()}


def _touch_row(reserved: _Reserved) -> TouchRow:
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


def _enrols(inputs: tuple[Input, ...]) -> bool:
    return any(isinstance(given, EventInput) and given.event.type == "member.enrolled" for given in inputs)


def house_entries(inputs: Iterable[Input]) -> tuple[Entry, ...]:
    """What the log says of inputs about no member; raises TypeError for any other."""
    entries: list[Entry] = []
    for given in inputs:
        if isinstance(given, Command):
            entries.append(operator_entry(given))
        elif isinstance(given, Tick):
            entries.append(Entry(kind="tick", occurred_at=given.at))
        elif not isinstance(given, Sweep):
            raise TypeError(f"{type(given).__name__} is about a member")
    return tuple(entries)


def swept_by(order: Command, content: Content) -> tuple[Sweep, ...]:
    """What an order about nobody means to the members of each partition."""
    if order.verb == "activate" and content.planned:
        return (Sweep(),)
    if order.verb == "start":
        return (Sweep(order=order),)
    if order.verb == "switch" and order.arguments.get("scope", "").startswith("journey:"):
        held = Sweep(held=True)
        return {"on": (held,), STOPPED: (held, Sweep())}.get(order.arguments["to"], ())
    return ()


_days: dict[int, str] = {}
# partitions of one batch may stand at many days
_DAYS = 4_096


def _day(now: int) -> str:
    number = now // _DAY
    text = _days.get(number)
    if text is None:
        if len(_days) > _DAYS:
            _days.clear()
        text = _days[number] = rfc3339(instant(now))[:10]
    return text
