"""Random histories told to two stores: whatever is asked, both must answer the same.

class TestMine(StoreComparison):
    def open(self) -> Store: ...        # an empty store of 4 partitions, to be compared with the memory store
TestMineCase = TestMine.TestCase
"""

# ruff: noqa: D102 - rules are named by what they do

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from orchestrator.errors import Refused
from orchestrator.stores.contract import (
    Changes,
    Claim,
    Clock,
    CursorMove,
    DeadRow,
    FilePosition,
    HolderRow,
    KeyRow,
    NewInbox,
    ParkedRow,
    Progress,
    QuarantineRow,
    Store,
    SuppressionRow,
    SwitchRow,
    TouchRow,
    VoucherGiven,
)
from orchestrator.stores.memory import MemoryStore
from orchestrator.testing.store_rows import (
    digest,
    everything,
    inbox,
    journal_row,
    log_row,
    member_row,
    outcome,
    seen_row,
    told,
    touch_row,
    unnumbered,
    voucher,
)

PARTITIONS = 4

names = st.sampled_from(["ann", "bob", "cid"])
instants = st.integers(0, 30)
times = instants | st.just(Clock.partition)
partitions = st.integers(0, PARTITIONS - 1)
channels = st.sampled_from(["email", "sms"])
touch_ids = st.sampled_from([f"t{i}" for i in range(12)])
subjects = names.map(lambda name: digest(name).hex()) | names.map(lambda name: f"contact-{name}")
suppression_keys = st.tuples(subjects, channels | st.just("*"), st.sampled_from(["marketing", "service", "*"]))
suppressions = st.builds(
    lambda key, since, reason: SuppressionRow(key[0], key[1], key[2], since, reason),
    suppression_keys,
    instants,
    st.sampled_from(["withdrawn", "complaint"]),
)
touches = st.builds(
    touch_row,
    touch_ids,
    names,
    channel=channels,
    partition=partitions,
    journey=st.sampled_from(["welcome", "birthday"]),
    rank=st.integers(1, 3),
    due=instants,
    valid_until=st.integers(5, 60),
    call_by=st.integers(0, 60),
)
few = st.integers(0, 3)


class StoreComparison(RuleBasedStateMachine):
    """A store beside the memory store."""

    def __init__(self) -> None:
        super().__init__()
        self.stores: tuple[Store, Store] = (MemoryStore(PARTITIONS), self.open())
        self.held: dict[int, Progress] = {}
        self.claims: list[Claim] = []
        self.tokens = 0
        self.events = 0

    def open(self) -> Store:
        raise NotImplementedError("give the store to compare")

    def teardown(self) -> None:
        for store in self.stores:
            store.close()

    def both(self, ask: Callable[[Store], Any]) -> Any:
        """What both answer; an answer of one alone is a failure."""
        expected, answer = (ask(store) for store in self.stores)
        assert expected == answer
        return answer

    @initialize()
    def take_all(self) -> None:
        self.take(list(range(PARTITIONS)))

    @rule(numbers=st.lists(partitions, unique=True))
    def take(self, numbers: list[int]) -> None:
        self.held.update(self.both(lambda store: store.take(numbers)))

    @rule(
        number=partitions,
        name=names,
        clock=few,
        reserved=st.lists(touches, max_size=4),
        cancelled=st.lists(touch_ids, max_size=3),
        timers=st.lists(st.tuples(partitions, instants, names), max_size=4),
        consume=few,
        suppressed=st.lists(suppressions, max_size=2),
        granted=st.lists(st.tuples(suppression_keys, instants), max_size=2),
        redriven=st.lists(names, max_size=1),
        quarantined=st.lists(names, max_size=1),
        promises=few,
        back=st.lists(touch_ids, max_size=2),
        joined=st.lists(st.sampled_from(["home", "contact-ann", "contact-bob"]), max_size=2, unique=True),
        destroy=st.booleans(),
        fails=st.booleans(),
    )
    def batch(
        self,
        number: int,
        name: str,
        clock: int,
        reserved: list[TouchRow],
        cancelled: list[str],
        timers: list[tuple[int, int, str]],
        consume: int,
        suppressed: list[SuppressionRow],
        granted: list[tuple[tuple[str, str, str], int]],
        redriven: list[str],
        quarantined: list[str],
        promises: int,
        back: list[str],
        joined: list[str],
        destroy: bool,
        fails: bool,
    ) -> None:
        before = self.held[number]
        n, turn = before.log_n + 1, before.turn + 1
        after = before._replace(
            next_offset=before.next_offset + 1, turn=turn, clock=before.clock + clock, log_n=n, head=digest(f"{n}", 32)
        )
        self.events += 1
        changes = Changes(
            progress=[(before, after)],
            members=[member_row(name, number, state=f"{turn}".encode())],
            keys=[KeyRow(digest(name).hex(), f"{turn}".encode())],
            destroyed=[digest(name).hex()] if destroy else [],
            journal=[journal_row(number, turn, member=name)],
            seen=[seen_row(f"event-{self.events}", bucket=self.events % 4)],
            log=[log_row(number, n, name, turn)],
            reserved=reserved,
            cancelled=cancelled,
            codes_back=back,
            told=[("gifts", clock % 3)],
            inbox=[NewInbox(p, due, digest(who), f"{self.events}".encode()) for p, due, who in timers],
            suppressions=suppressed,
            unsuppressed=[(*key, until) for key, until in dict(granted).items()],
            dead=[DeadRow(number, self.events, 1, "unreadable", "cure", b"raw")],
            redriven=[digest(who) for who in redriven],
            quarantined=[QuarantineRow(digest(who), number, "failed") for who in quarantined],
            parked=[ParkedRow(number, self.events, digest(name), 1, "event", b"raw")],
            totals={(number, "inputs"): 1},
            daily={("2026-11-22", "welcome", "email", "send", name): clock},
            positions=[FilePosition(digest("file", 32), 1000, number, self.events)],
        )

        def write(store: Store) -> str:
            consumed = [row[:2] for row in inbox(store)[:consume]]
            try:
                with store.batch([before]) as batch:
                    held = batch.hold([HolderRow(contact, 0, digest(name), number) for contact in joined], ["home"])
                    later = [
                        HolderRow(contact, len(held[contact]), digest(name), number)
                        for contact in joined
                        if all(row.member != digest(name) for row in held[contact])
                    ]
                    codes = batch.vouchers("gifts", promises, ())
                    given = [
                        VoucherGiven(row.seq, touch.touch_id, touch.ref)
                        for row, touch in zip(codes, reserved, strict=False)
                    ]
                    batch.write(changes._replace(consumed=consumed, holders=later, vouchers=given))
                    if fails:
                        raise KeyboardInterrupt
            except KeyboardInterrupt:
                return "failed"
            return "written"

        if self.both(write) == "written":
            self.held[number] = after

    @rule(number=partitions, field=st.sampled_from(["epoch", "next_offset", "turn"]))
    def stale_batch(self, number: int, field: str) -> None:
        stale = self.held[number]._replace(**{field: getattr(self.held[number], field) - 1})

        def write(store: Store) -> str:
            try:
                with store.batch([stale]) as batch:
                    batch.write(Changes([(stale, stale)], totals={(number, "stale"): 1}))
            except Refused:
                return "refused"
            return "written"

        assert self.both(write) == "refused"

    @rule(now=times, lease=few, limit=st.integers(0, 4), channel=channels | st.just(""))
    def claim(self, now: int | Clock, lease: int, limit: int, channel: str) -> None:
        self.tokens += 1
        token = f"token-{self.tokens}"
        self.claims += self.both(lambda store: store.claim(now, lease, token, limit, channel))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), now=times)
    def attempt(self, data: st.DataObject, now: int | Clock) -> None:
        claims = data.draw(st.lists(st.sampled_from(self.claims), max_size=3))
        self.both(lambda store: store.attempt(claims, now))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), state=st.sampled_from(["reserved", "cancelled"]), due=instants, silent=st.booleans())
    def release(self, data: st.DataObject, state: str, due: int, silent: bool) -> None:
        touch, token = data.draw(st.sampled_from(self.claims))
        row = None if silent else told(touch.touch_id, touch.partition, due)
        self.both(lambda store: store.release(touch.touch_id, token, state, due, row))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), state=st.sampled_from(["accepted", "rejected", "unknown", "reserved"]), due=instants)
    def outcomes(self, data: st.DataObject, state: str, due: int) -> None:
        claims = data.draw(st.lists(st.sampled_from(self.claims), max_size=4))
        self.both(lambda store: store.outcomes([outcome(claim.touch, state, due) for claim in claims]))

    @rule(now=instants)
    def lapse(self, now: int) -> None:
        self.both(lambda store: store.lapse(now, lambda touch, at: told(touch.touch_id, touch.partition, at)))

    @rule(rows=st.lists(suppressions, max_size=2))
    def suppress(self, rows: list[SuppressionRow]) -> None:
        self.both(lambda store: store.suppress(rows, [told("opt-out") for _ in rows]))

    @rule(scope=st.sampled_from(["all", "channel:sms", "journey:welcome"]), since=instants, on=st.booleans())
    def switch(self, scope: str, since: int, on: bool) -> None:
        self.both(lambda store: store.switch(SwitchRow(scope, since, "operator"), on, [told("switch")]))

    @rule(codes=st.lists(st.integers(0, 12), max_size=4, unique=True), enough=few)
    def load_vouchers(self, codes: list[int], enough: int) -> None:
        self.both(lambda store: store.load_vouchers([voucher(f"{code}") for code in codes]))
        self.both(lambda store: store.filled("gifts", enough))

    @rule(number=partitions, offset=few)
    def count_try(self, number: int, offset: int) -> None:
        self.both(lambda store: store.count_try(number, offset))

    @rule(number=partitions, before=few, after=few)
    def move_cursor(self, number: int, before: int, after: int) -> None:
        moves = [CursorMove(number, topic, before, after) for topic in ("decisions", "touches")]
        self.both(lambda store: store.move_cursors(moves))
        self.both(lambda store: store.cursors())
        self.both(lambda store: store.news(dict.fromkeys(range(4), before), 2))

    @rule(number=partitions, until=instants, later=instants, limit=few)
    def due(self, number: int, until: int, later: int, limit: int) -> None:
        def ask(store: Store) -> object:
            with store.batch([]) as batch:
                rows = batch.due({number: until, (number + 1) % PARTITIONS: later}, limit)
                return [unnumbered(row) for row in rows]

        self.both(ask)

    @rule(name=names, body=st.binary(max_size=3))
    def put_document(self, name: str, body: bytes) -> None:
        self.both(lambda store: store.put_document("revision", name, body))

    @rule(name=names, before=st.none() | st.binary(max_size=1), after=st.binary(max_size=1))
    def replace_document(self, name: str, before: bytes | None, after: bytes) -> None:
        self.both(lambda store: store.replace_document("revision", name, before, after, [told("document")]))

    @invariant()
    def show_the_same(self) -> None:
        self.both(everything)
