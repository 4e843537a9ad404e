"""Rows for tests of stores: valid ones from few words, and everything that a store shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any

from orchestrator.stores.contract import (
    Batch,
    Changes,
    ContactRow,
    DeadRow,
    FilePosition,
    HolderRow,
    InboxRow,
    JournalRow,
    KeyRow,
    LogRow,
    MemberRow,
    NewInbox,
    NewVoucher,
    OutcomeRow,
    ParkedRow,
    Progress,
    QuarantineRow,
    SeenRow,
    Store,
    SuppressionRow,
    TouchRow,
    VoucherGiven,
    VoucherRow,
)

# every instant of these tests lies before it
FOREVER = 2**60


def digest(name: str, size: int = 16) -> bytes:
    """Bytes that stand for a name, as a keyed hash would."""
    return sha256(name.encode()).digest()[:size]


def member_row(name: str, partition: int = 0, state: bytes = b"sealed") -> MemberRow:
    """The row of a member."""
    return MemberRow(partition, digest(name), digest(name).hex(), state, False)


def touch_row(touch_id: str, member: str = "ann", **also: Any) -> TouchRow:
    """A reserved marketing e-mail, due from 0, with fields replaced as told."""
    row = TouchRow(
        touch_id=touch_id,
        partition=0,
        member=digest(member),
        ref=digest(member).hex(),
        intent_id=f"intent-{touch_id}",
        journey="welcome",
        channel="email",
        purpose="marketing",
        contact=f"contact-{member}",
        rank=5,
        due=0,
        valid_until=FOREVER,
        state="reserved",
        token="",
        lease_until=0,
        attempts=0,
        attempted_at=0,
        call_by=0,
        call_rule="",
        message=b"sealed",
    )
    return row._replace(**also)


def voucher(code: str, pool: str = "gifts") -> NewVoucher:
    """A code to load."""
    return NewVoucher(pool, digest(code).hex(), f"sealed {code}".encode())


def left_in(store: Store, pool: str = "gifts", limit: int = 1_000) -> list[VoucherRow]:
    """The codes that a batch finds in a pool."""
    with looking(store) as batch:
        return batch.vouchers(pool, limit, ())


def log_row(partition: int, n: int, member: str = "ann", turn: int = 1) -> LogRow:
    """A decision."""
    return LogRow(
        *(partition, n, turn, 10 * n, 0, 0, "decision", digest(member).hex(), "welcome", "hello", "once"),
        *(f"intent-{n}", "", "email", "marketing", "suppress", "cap", 0, "", "revision", '{"tried":[]}'),
        *(digest(f"{partition}/{n - 1}", 32), digest(f"{partition}/{n}", 32)),
    )


def journal_row(partition: int, turn: int, i: int = 0, member: str = "ann") -> JournalRow:
    """An event of a turn."""
    return JournalRow(
        partition, turn, i, 10 * turn, "event", turn, digest(member), digest(member).hex(), b"sealed input"
    )


def seen_row(name: str, bucket: int = 0) -> SeenRow:
    """An event that was seen."""
    return SeenRow(bucket, digest(name), digest(f"content of {name}"))


def told(touch_id: str, partition: int = 0, due: int = 0, member: str = "ann") -> NewInbox:
    """An inbox row about a touch."""
    return NewInbox(partition, due, digest(member), touch_id.encode())


def outcome(touch: TouchRow, state: str = "accepted", due: int = 0) -> OutcomeRow:
    """What became of a call."""
    return OutcomeRow(touch.touch_id, touch.token, state, due, NewInbox(touch.partition, 0, touch.member, b"{}"))


class Owner:
    """The worker that owns some partitions, and follows its own progress."""

    def __init__(self, store: Store, partitions: Sequence[int] = (0,)) -> None:
        self.store = store
        self.held = store.take(partitions)

    def step(self, partition: int = 0, **after: Any) -> tuple[Progress, Progress]:
        """One input further: (before, after) of a partition."""
        before = self.held[partition]
        moved = {"next_offset": before.next_offset + 1, "turn": before.turn + 1, **after}
        return before, before._replace(**moved)

    def commit(self, *steps: tuple[Progress, Progress], **changes: Any) -> None:
        """Writes one batch; without a step, partition 0 goes one further."""
        steps = steps or (self.step(min(self.held)),)
        with self.store.batch([before for before, _ in steps]) as batch:
            batch.write(Changes(steps, **changes))
        self.held.update((after.partition, after) for _, after in steps)


@contextmanager
def looking(store: Store) -> Iterator[Batch]:
    """A batch that holds nothing and writes nothing."""
    with store.batch([]) as batch:
        yield batch


def inbox(store: Store, until: int = FOREVER, limit: int = 10_000) -> list[InboxRow]:
    """The inbox of all partitions."""
    with looking(store) as batch:
        return batch.due(dict.fromkeys(range(store.partitions), until), limit)


def unnumbered(row: InboxRow) -> InboxRow:
    """The row without its number: a store may leave numbers out, as where a batch that took some was rolled back."""
    return row._replace(seq=0)


def touch_of(store: Store, touch_id: str) -> TouchRow:
    """One touch."""
    return next(row for row in store.touches() if row.touch_id == touch_id)


def states(store: Store) -> dict[str, str]:
    """touch id -> state."""
    return {row.touch_id: row.state for row in store.touches()}


def everything(store: Store, members: Sequence[str] = ("ann", "bob", "cid")) -> dict[str, object]:
    """All that a store shows, for the comparison of before and after, or of two stores."""
    digests = [digest(name) for name in members]
    with looking(store) as batch:
        seen = batch.seen(range(4), [digest(f"event-{i}") for i in range(20)])
        parked = batch.quarantined(digests)
        held = batch.hold([], ["home", "contact-ann"])
        reached = batch.reached(["home", "contact-ann"], 0)
        vouchers = [row[1:] for row in batch.vouchers("gifts", 100, ())]
        told = batch.pool("gifts", 3)
    return {
        "progress": store.progress(),
        "members": [store.member(member) for member in digests],
        "known": [store.knows(member) for member in digests],
        "keys": [store.key(member.hex()) for member in digests],
        "journal": [list(store.journal(partition)) for partition in range(store.partitions)],
        "log": list(store.log()),
        "log of each": [list(store.log(ref=member.hex())) for member in digests],
        "seen": seen,
        "quarantined": parked,
        "holders": held,
        "reached": reached,
        "vouchers": vouchers,
        "pools": [store.pools(), told],
        "quarantine": store.quarantine(),
        "parked": [store.parked(member) for member in digests],
        "inbox": [unnumbered(row) for row in inbox(store)],
        "next due": store.next_due(),
        "touches": list(store.touches()),
        "touches of each": [list(store.touches(member=member)) for member in digests],
        "suppressions": store.suppressions(),
        "contacts": [store.members_at(f"contact-{name}") for name in ("ann", "bob", "cid")],
        "switches": store.switches(),
        "dead": list(store.dead()),
        "totals": store.totals(),
        "daily": store.daily(),
        "positions": store.positions(),
        "documents": {name: store.get_document("revision", name) for name in store.documents("revision")},
    }


def full_changes(owner: Owner) -> Changes:
    """A batch that writes something of every kind, over a store that `furnish` filled."""
    step = owner.step(log_n=2, clock=900, head=digest("head", 32))
    return Changes(
        progress=[step],
        members=[member_row("bob")],
        keys=[KeyRow(digest("bob").hex(), b"wrapped")],
        destroyed=[digest("ann").hex()],
        journal=[journal_row(0, 2)],
        seen=[seen_row("event-2")],
        log=[log_row(0, 2, turn=2)],
        reserved=[touch_row("t2", "bob")],
        cancelled=["t1"],
        codes_back=["t1"],
        vouchers=[VoucherGiven(left_in(owner.store)[0].seq, "t2", digest("bob").hex())],
        told=[("gifts", 1)],
        inbox=[told("t2")],
        consumed=[(row.partition, row.seq) for row in inbox(owner.store)],
        suppressions=[SuppressionRow("contact-cid", "*", "*", 1, "complaint")],
        unsuppressed=[("contact-ann", "sms", "marketing", 900)],
        left=[ContactRow("contact-ann", digest("ann"))],
        contacts=[ContactRow("contact-bob", digest("bob"))],
        holders=[HolderRow("home", 1, digest("bob"), 0)],
        dead=[DeadRow(0, 1, 1, "unreadable", "send JSON", b"raw")],
        redriven=[digest("bob")],
        quarantined=[QuarantineRow(digest("cid"), 0, "KeyError")],
        parked=[ParkedRow(0, 1, digest("cid"), 1, "event", b"raw")],
        totals={(0, "inputs"): 1},
        daily={("2026-11-22", "welcome", "email", "send", "allowed"): 1},
        positions=[FilePosition(digest("file", 32), 10, 0, 10)],
    )


def furnish(store: Store, loader: Store | None = None) -> Owner:
    """A store with one batch written; `loader` puts voucher codes into it, where `store` may not."""
    owner = Owner(store)
    (loader or store).load_vouchers([voucher("one"), voucher("two")])
    owner.commit(
        vouchers=[VoucherGiven(left_in(store)[0].seq, "t1", digest("ann").hex())],
        members=[member_row("ann")],
        keys=[KeyRow(digest("ann").hex(), b"wrapped")],
        journal=[journal_row(0, 1)],
        seen=[seen_row("event-1")],
        log=[log_row(0, 1)],
        quarantined=[QuarantineRow(digest("bob"), 0, "KeyError")],
        parked=[ParkedRow(0, 0, digest("bob"), 1, "event", b"raw")],
        reserved=[touch_row("t1", "ann", due=FOREVER - 1), touch_row("t3", "cid")],
        inbox=[told("t1", due=5)],
        suppressions=[SuppressionRow("contact-ann", "sms", "marketing", 0, "withdrawn")],
        contacts=[ContactRow("contact-ann", digest("ann"))],
    )
    return owner
