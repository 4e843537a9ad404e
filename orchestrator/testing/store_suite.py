"""What every store must hold. A store's tests subclass `StoreSuite` and say how one is opened.

class TestMine(StoreSuite):
    @pytest.fixture
    def store(self, tmp_path): ...          # an empty store of 4 partitions
    @pytest.fixture
    def reopen(self, store): return ...     # closes it and opens it again; a store that ends with its process: itself
"""

# ruff: noqa: D102, SIM300, S106 - these are tests: their names say what must hold, what is expected stands on
# the left, and a claim's token is no secret

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from orchestrator.errors import Refused, SetupError, UsageError
from orchestrator.events.inputs import Cancelled, read_input
from orchestrator.stores.contract import (
    HEARD_DAYS,
    Backlog,
    Changes,
    Claim,
    Clock,
    ContactRow,
    CursorMove,
    DeadRow,
    FilePosition,
    HeardBefore,
    HeardRow,
    HolderRow,
    KeyRow,
    NewInbox,
    ParkedRow,
    Progress,
    QuarantineRow,
    Reached,
    Store,
    SuppressionRow,
    SwitchRow,
    TouchRow,
    VoucherGiven,
    VoucherRow,
)
from orchestrator.testing.store_rows import (
    Owner,
    digest,
    everything,
    full_changes,
    furnish,
    inbox,
    journal_row,
    left_in,
    log_row,
    looking,
    member_row,
    outcome,
    seen_row,
    states,
    told,
    touch_of,
    touch_row,
    voucher,
)
from orchestrator.times import instant

PARTITIONS = 4
Reopen = Callable[[], Store]


def reserve(store: Store, *touches: TouchRow) -> Owner:
    """An owner that put these touches into the outbox."""
    owner = Owner(store, range(store.partitions))
    owner.commit(owner.step(0), reserved=touches)
    return owner


def write(store: Store, *changes: Changes, then: type[BaseException] | None = None) -> None:
    """A batch that writes these, whose block may be left by an exception."""
    with store.batch([before for before, _ in changes[0].progress]) as batch:
        for each in changes:
            batch.write(each)
        if then:
            raise then


def ids(claims: Sequence[Claim]) -> list[str]:
    """Touch ids in their order."""
    return [claim.touch.touch_id for claim in claims]


def attempted(store: Store, now: int = 10, lease: int = 90) -> list[TouchRow]:
    """Everything callable, attempting."""
    return [claim.touch for claim in store.attempt(store.claim(now, lease, "token", 100), now)]


class StoreFixtures:
    """How the store under test is opened."""

    @pytest.fixture
    def store(self) -> Any:
        raise NotImplementedError("give the fixture `store`: an empty store of 4 partitions")

    @pytest.fixture
    def reopen(self) -> Any:
        raise NotImplementedError("give the fixture `reopen`: closes the store and opens it again")


class Partitions(StoreFixtures):
    """Who may write."""

    def test_a_new_partition_starts_at_nothing_under_epoch_one(self, store: Store) -> None:
        assert {2: Progress(2, 1, 0, 0, 0, 0, bytes(32))} == store.take([2])

    def test_each_taking_raises_the_epoch_and_keeps_the_rest(self, store: Store) -> None:
        owner = furnish(store)
        before = owner.held[0]
        assert {0: before._replace(epoch=2)} == store.take([0])

    def test_a_partition_that_the_store_does_not_have_is_not_taken(self, store: Store) -> None:
        with pytest.raises(ValueError, match="partition"):
            store.take([PARTITIONS])
        assert [] == store.progress()

    def test_a_partition_goes_on_from_the_log_that_fed_it_first(self, store: Store) -> None:
        store.take([0])
        store.take([0, 1], "cluster/topic")
        store.take([0])
        assert [4, 2] == [row.epoch for row in store.take([0, 1], "cluster/topic").values()]

    def test_a_partition_fed_from_another_log_is_not_taken_nor_any_beside_it(self, store: Store) -> None:
        store.take([1], "cluster/topic")
        with pytest.raises(SetupError, match="cluster/other"):
            store.take([0, 1], "cluster/other")
        assert [(1, 1)] == [(row.partition, row.epoch) for row in store.progress()]

    @pytest.mark.parametrize("stale", [{"epoch": 0}, {"next_offset": 7}, {"turn": 7}])
    def test_a_batch_under_a_stale_progress_is_refused_before_it_reads(
        self, store: Store, stale: dict[str, Any]
    ) -> None:
        owner = furnish(store)
        with pytest.raises(Refused), store.batch([owner.held[0]._replace(**stale)]):
            pytest.fail("the block must not be entered")

    @pytest.mark.parametrize("stale", [{"epoch": 0}, {"next_offset": 7}, {"turn": 7}])
    def test_a_write_under_a_stale_progress_is_refused_and_leaves_nothing(
        self, store: Store, stale: dict[str, Any]
    ) -> None:
        owner = furnish(store)
        changes = full_changes(owner)
        before, after = changes.progress[0]
        then = everything(store)
        with pytest.raises(Refused), store.batch([before]) as batch:
            batch.write(changes._replace(progress=[(before._replace(**stale), after)]))
        assert then == everything(store)

    def test_a_refusal_that_the_caller_swallows_still_leaves_nothing(self, store: Store) -> None:
        owner = furnish(store)
        changes = full_changes(owner)
        before, after = changes.progress[0]
        then = everything(store)
        with store.batch([before]) as batch, pytest.raises(Refused):
            batch.write(changes._replace(progress=[(before._replace(turn=7), after)]))
        assert then == everything(store)

    def test_a_former_owner_is_refused_after_another_took_the_partition(self, store: Store) -> None:
        former = furnish(store)
        furnished = everything(store)["log"]
        store.take([0])
        with pytest.raises(Refused):
            former.commit(log=[log_row(0, 2)])
        assert furnished == list(store.log())

    def test_one_stale_partition_refuses_the_whole_batch(self, store: Store) -> None:
        owner = Owner(store, [0, 1])
        store.take([1])
        with pytest.raises(Refused):
            owner.commit(owner.step(0), owner.step(1))
        assert [0, 0] == [row.next_offset for row in store.progress()]

    def test_a_partition_never_taken_is_refused(self, store: Store) -> None:
        with pytest.raises(Refused), store.batch([Progress(0, 0, 0, 0, 0, 0, bytes(32))]):
            pytest.fail("the block must not be entered")

    def test_a_batch_over_several_partitions_moves_each(self, store: Store) -> None:
        owner = Owner(store, [0, 1, 2])
        owner.commit(owner.step(0, clock=5), owner.step(2, clock=7, log_n=1, head=digest("h", 32)))
        assert list(owner.held.values()) == store.progress()
        assert [5, 0, 7] == [row.clock for row in store.progress()]


class Batches(StoreFixtures):
    """All or nothing."""

    def test_all_of_a_batch_is_there_after_the_store_is_opened_again(self, store: Store, reopen: Reopen) -> None:
        owner = furnish(store)
        changes = full_changes(owner)
        with store.batch([owner.held[0]]) as batch:
            batch.write(changes)
        store = reopen()
        shown = everything(store)
        assert [changes.progress[0][1]] == shown["progress"]
        assert [member_row("ann"), member_row("bob"), None] == shown["members"]
        assert [None, b"wrapped", None] == shown["keys"]
        assert [[journal_row(0, 1), journal_row(0, 2)], [], [], []] == shown["journal"]
        assert [log_row(0, 1), log_row(0, 2, turn=2)] == shown["log"]
        assert {row.identity: row.content for row in (seen_row("event-1"), seen_row("event-2"))} == shown["seen"]
        assert {"t1": "cancelled", "t2": "reserved", "t3": "cancelled"} == states(store)
        assert [b"t2"] == [row.input for row in inbox(store, 0)]
        assert [("contact-cid", "*", "*", 1, "complaint")] == shown["suppressions"]
        assert list(changes.dead) == shown["dead"]
        assert changes.totals == shown["totals"]
        assert changes.daily == shown["daily"]
        assert list(changes.positions) == shown["positions"]

    def test_an_exception_after_the_write_leaves_nothing(self, store: Store) -> None:
        owner = furnish(store)
        changes = full_changes(owner)
        then = everything(store)
        with pytest.raises(KeyboardInterrupt):
            write(store, changes, then=KeyboardInterrupt)
        assert then == everything(store)

    def test_a_batch_that_writes_nothing_leaves_nothing(self, store: Store) -> None:
        owner = furnish(store)
        then = everything(store)
        with store.batch([owner.held[0]]) as batch:
            batch.members([(0, digest("ann"))])
        assert then == everything(store)

    @pytest.mark.parametrize(
        "again",
        [
            {"journal": [journal_row(0, 3), journal_row(0, 1)]},
            {"seen": [seen_row("event-3"), seen_row("event-1")]},
            {"log": [log_row(0, 3), log_row(0, 1)]},
        ],
        ids=["journal", "seen", "log"],
    )
    def test_a_row_of_the_record_is_never_written_over(self, store: Store, again: dict[str, Any]) -> None:
        owner = furnish(store)
        changes = full_changes(owner)._replace(**again)
        then = everything(store)
        with pytest.raises(self.already_there), store.batch([owner.held[0]]) as batch:
            batch.write(changes)
        assert then == everything(store)

    def test_an_error_that_the_caller_swallows_still_leaves_nothing(self, store: Store) -> None:
        owner = furnish(store)
        # found out only after members, journal and much else were written
        changes = full_changes(owner)._replace(log=[log_row(0, 1)])
        then = everything(store)
        with store.batch([owner.held[0]]) as batch, pytest.raises(self.already_there):
            batch.write(changes)
        assert then == everything(store)

    # what the store raises when a row is there already
    already_there: type[Exception] = ValueError

    def test_a_batch_is_written_once(self, store: Store) -> None:
        owner = furnish(store)
        changes = full_changes(owner)
        then = everything(store)
        with pytest.raises(RuntimeError, match="once"):
            write(store, changes, changes)
        assert then == everything(store)

    def test_a_thread_with_an_open_batch_is_told_rather_than_left_waiting_for_itself(self, store: Store) -> None:
        owner = furnish(store)
        with store.batch([owner.held[0]]), pytest.raises(RuntimeError, match="open"):
            store.count_try(0, 1)
        assert 1 == store.count_try(0, 1)

    def test_readers_see_what_was_before_an_open_batch(self, store: Store) -> None:
        owner = furnish(store)
        changes = full_changes(owner)
        with store.batch([owner.held[0]]) as batch:
            batch.write(changes)
            assert [owner.held[0]] == store.progress()
            assert [log_row(0, 1)] == list(store.log())
        assert [changes.progress[0][1]] == store.progress()


class Memories(StoreFixtures):
    """What a batch reads."""

    def test_members_are_found_by_partition_and_hash(self, store: Store) -> None:
        owner = Owner(store, [0, 1])
        owner.commit(owner.step(0), owner.step(1), members=[member_row("ann"), member_row("bob", 1)])
        with looking(store) as batch:
            found = batch.members([(0, digest("ann")), (1, digest("bob")), (0, digest("cid"))])
            elsewhere = batch.members([(1, digest("ann"))])
        assert {digest("ann"): member_row("ann"), digest("bob"): member_row("bob", 1)} == found
        assert {} == elsewhere

    def test_a_member_is_replaced_by_the_later_row(self, store: Store) -> None:
        owner = furnish(store)
        tombstone = member_row("ann")._replace(state=b"", erased=True)
        owner.commit(members=[tombstone])
        assert tombstone == store.member(digest("ann"))

    def test_all_members_but_erased_ones_are_shown_in_order(self, store: Store) -> None:
        names = [f"member-{i}" for i in range(2100)]
        owner = Owner(store, [0, 1])
        rows = [member_row(name, i % 2) for i, name in enumerate(names)]
        owner.commit(owner.step(0), owner.step(1), members=rows)
        owner.commit(members=[rows[0]._replace(state=b"", erased=True)])
        assert sorted(rows[1:], key=lambda row: row.member) == list(store.members())

    def test_many_rows_are_found_at_once(self, store: Store) -> None:
        names = [f"member-{i}" for i in range(1300)]
        owner = Owner(store)
        owner.commit(
            members=[member_row(name) for name in names],
            keys=[KeyRow(name, name.encode()) for name in names],
            seen=[seen_row(name, bucket=i % 3) for i, name in enumerate(names)],
        )
        with looking(store) as batch:
            assert {digest(name) for name in names} == set(batch.members((0, digest(name)) for name in names))
            assert {name: name.encode() for name in names} == batch.keys(names)
            assert set(map(digest, names)) == set(batch.seen([0, 1, 2], map(digest, names)))
        assert {name: name.encode() for name in names} == store.keys([*names, "nobody"])

    def test_a_destroyed_key_is_gone_for_good(self, store: Store, reopen: Reopen) -> None:
        owner = furnish(store)
        ref = digest("ann").hex()
        owner.commit(destroyed=[ref])
        store = reopen()
        assert store.key(ref) is None
        assert {} == store.keys([ref])
        with looking(store) as batch:
            assert {} == batch.keys([ref])

    def test_a_key_made_and_destroyed_in_one_batch_is_destroyed(self, store: Store) -> None:
        Owner(store).commit(keys=[KeyRow("r", b"wrapped")], destroyed=["r"])
        assert store.key("r") is None

    def test_duplicates_are_found_in_the_buckets_asked_for_only(self, store: Store) -> None:
        Owner(store).commit(seen=[seen_row("old", 1), seen_row("new", 2)])
        both = [digest("old"), digest("new"), digest("other")]
        with looking(store) as batch:
            assert {digest("new"): digest("content of new")} == batch.seen([2, 3], both)
            assert {digest("old"), digest("new")} == set(batch.seen([1, 2], both))
            assert {} == batch.seen([], both)

    def test_registry_answers_for_loaded_lists_only(self, store: Store) -> None:
        assert 2 == store.load_registry("no-calls", ["a", "b", "a"], 77)
        with looking(store) as batch:
            found = batch.registry([("no-calls", "a"), ("no-calls", "c"), ("other", "a")])
        assert {("no-calls", "a"): (True, 77), ("no-calls", "c"): (False, 77)} == found

    def test_loading_a_registry_replaces_its_list_and_leaves_others(self, store: Store) -> None:
        store.load_registry("no-calls", ["a"], 77)
        store.load_registry("other", ["a"], 77)
        assert 1 == store.load_registry("no-calls", ["b"], 88)
        with looking(store) as batch:
            found = batch.registry([("no-calls", "a"), ("no-calls", "b"), ("other", "a")])
        assert {("no-calls", "a"): (False, 88), ("no-calls", "b"): (True, 88), ("other", "a"): (True, 77)} == found

    def test_an_empty_registry_is_loaded_all_the_same(self, store: Store) -> None:
        assert 0 == store.load_registry("no-calls", [], 77)
        with looking(store) as batch:
            assert {("no-calls", "a"): (False, 77)} == batch.registry([("no-calls", "a")])


class Inboxes(StoreFixtures):
    """What waits for its moment."""

    def test_rows_come_by_due_then_member_with_nobody_first_then_number(self, store: Store) -> None:
        low, high = sorted([digest("ann"), digest("bob")])
        rows = [(2, b"", b"4"), (1, high, b"3"), (1, low, b"1"), (1, b"", b"0"), (1, low, b"2"), (0, high, b"first")]
        Owner(store).commit(inbox=[NewInbox(0, due, member, name) for due, member, name in rows])
        assert [b"first", b"0", b"1", b"2", b"3", b"4"] == [row.input for row in inbox(store)]

    def test_until_is_inclusive_and_the_limit_holds_for_each_partition(self, store: Store) -> None:
        owner = Owner(store, [0, 1])
        owner.commit(inbox=[NewInbox(p, due, b"", b"%d/%d" % (p, due)) for p in (0, 1) for due in (1, 2, 3, 4)])
        with looking(store) as batch:
            assert [b"0/1", b"1/1", b"0/2", b"1/2"] == [row.input for row in batch.due({0: 3, 1: 3}, 2)]
            assert [b"0/1", b"1/1", b"0/2"] == [row.input for row in batch.due({0: 2, 1: 1}, 10)]
            assert [b"1/1", b"1/2", b"1/3"] == [row.input for row in batch.due({1: 3}, 10)]
            assert [] == batch.due({2: 3, 3: 3}, 10)

    def test_consumed_rows_are_gone_and_numbers_are_never_given_twice(self, store: Store, reopen: Reopen) -> None:
        owner = Owner(store)
        owner.commit(inbox=[told("a"), told("b")])
        taken = inbox(store)
        owner.commit(consumed=[(row.partition, row.seq) for row in taken])
        assert [] == inbox(store)
        store = reopen()
        Owner(store).commit(inbox=[told("c")])
        assert max(row.seq for row in taken) < inbox(store)[0].seq

    def test_next_due_is_the_earliest_of_all_partitions(self, store: Store) -> None:
        assert store.next_due() is None
        Owner(store).commit(inbox=[told("a", partition=3, due=50), told("b", partition=1, due=70)])
        assert 50 == store.next_due()

    def test_the_backlog_counts_what_waits_by_partition(self, store: Store) -> None:
        assert {} == store.backlog(60)
        Owner(store).commit(
            inbox=[told("a", partition=3, due=50), told("b", partition=3, due=60), told("c", partition=3, due=61)],
            reserved=[touch_row(f"t-{member}", member=member) for member in ("ann", "bob", "cid")],
        )
        store.claim(10, 90, "token", 1)
        assert {0: Backlog(0, 0, 2, 1), 3: Backlog(2, 1, 0, 0)} == store.backlog(60)


class Reservations(StoreFixtures):
    """What an owner does to the outbox."""

    def test_a_touch_that_is_there_already_is_kept_as_it_is(self, store: Store) -> None:
        owner = reserve(store, touch_row("t"))
        (claimed,) = store.claim(10, 90, "token", 1)
        owner.commit(reserved=[touch_row("t", rank=1)])
        assert claimed.touch == touch_of(store, "t")

    def test_a_cancelled_touch_is_reserved_anew_with_its_calls_counted(self, store: Store) -> None:
        owner = reserve(store, touch_row("t"))
        (touch,) = attempted(store, now=10)
        store.outcomes([outcome(touch, "reserved")])
        owner.commit(cancelled=["t"])
        assert {"t": "cancelled"} == states(store)
        owner.commit(reserved=[touch_row("t", rank=1, due=20)])
        assert touch_row("t", rank=1, due=20, attempts=1, attempted_at=10) == touch_of(store, "t")

    def test_a_turn_may_cancel_a_touch_and_reserve_it_anew(self, store: Store) -> None:
        owner = reserve(store, touch_row("t", contact="old"))
        owner.commit(cancelled=["t"], reserved=[touch_row("t", contact="new")])
        assert touch_row("t", contact="new") == touch_of(store, "t")

    def test_cancelling_reaches_reserved_and_claimed_touches_and_no_others(self, store: Store) -> None:
        owner = reserve(store, *(touch_row(name, name) for name in ("accepted", "attempting", "claimed")))
        (accepted,) = [touch for touch in attempted(store) if touch.touch_id == "accepted"]
        store.outcomes([outcome(accepted)])
        owner.commit(reserved=[touch_row("claimed-2", "claimed-2"), touch_row("reserved", due=500)])
        store.claim(10, 90, "later", 10)
        owner.commit(cancelled=["accepted", "attempting", "claimed-2", "reserved", "nobody"])
        expected = {"accepted": "accepted", "attempting": "attempting", "claimed": "attempting"}
        assert expected | {"claimed-2": "cancelled", "reserved": "cancelled"} == states(store)
        assert ("", 0) == touch_of(store, "claimed-2")[13:15]

    def test_a_batch_sees_the_states_of_touches(self, store: Store) -> None:
        reserve(store, touch_row("a"), touch_row("b", "bob"))
        store.claim(10, 90, "token", 1)
        with looking(store) as batch:
            assert {"a": "claimed", "b": "reserved"} == batch.touch_states(["a", "b", "c"])

    def test_a_batch_sees_the_suppressions_of_those_it_asks_for(self, store: Store) -> None:
        ann, bob = digest("ann").hex(), digest("bob").hex()
        rows = [
            SuppressionRow(ann, "*", "marketing", 7, "opted_out"),
            SuppressionRow(ann, "sms", "*", 5, "suppressed"),
            SuppressionRow("contact-cid", "email", "*", 6, "hard_bounced"),
        ]
        store.suppress([*rows, SuppressionRow(bob, "*", "*", 5, "erased")], [])
        with looking(store) as batch:
            assert sorted(rows) == batch.suppressions(["contact-cid", ann, "contact-ann", ann])
            assert [] == batch.suppressions([])

    def test_a_batch_sees_what_is_due_at_one_instant_by_number_some_at_a_time(self, store: Store) -> None:
        owner = Owner(store)
        owner.commit(
            inbox=[NewInbox(0, due, digest(name), b"{}") for due, name in ((9, "bob"), (5, "ann"), (9, "ann"))]
        )
        with looking(store) as batch:
            first = batch.held(0, 9, 0, 1)
            assert [digest("bob")] == [row.member for row in first]
            assert [digest("ann")] == [row.member for row in batch.held(0, 9, first[0].seq, 5)]
            assert [] == batch.held(1, 9, 0, 5)

    def test_a_batch_sees_the_members_of_a_partition_in_order_without_the_erased(self, store: Store) -> None:
        owner = Owner(store)
        rows = [member_row(name) for name in ("ann", "bob", "cid")]
        owner.commit(members=[*rows, member_row("dan")._replace(erased=True)])
        members = sorted(row.member for row in rows)
        with looking(store) as batch:
            assert members[:2] == batch.members_after(0, b"", 2)
            assert members[1:] == batch.members_after(0, members[0], 9)
            assert [] == batch.members_after(1, b"", 9)

    def test_a_batch_sees_the_switches_that_are_on(self, store: Store) -> None:
        rows = [SwitchRow(scope, 5, "op") for scope in ("channel:sms", "journey:welcome", "stopped:welcome")]
        for row in reversed(rows):
            store.switch(row, True, [])
        with looking(store) as batch:
            assert rows == batch.switches()

    def test_one_touch_is_found_by_its_id(self, store: Store) -> None:
        reserve(store, touch_row("t1"), touch_row("t2", "bob"))
        assert touch_row("t2", "bob") == store.touch("t2")
        assert store.touch("t3") is None

    def test_touches_are_shown_by_id_state_and_member(self, store: Store) -> None:
        a, b, c = touch_row("a"), touch_row("b", "bob"), touch_row("c", state="accepted")
        reserve(store, c, b, a)
        assert [a, b, c] == list(store.touches())
        assert [a, c] == list(store.touches(member=digest("ann")))
        assert [a, b] == list(store.touches(state="reserved"))
        assert [c] == list(store.touches(state="accepted", member=digest("ann")))
        assert [c] == list(store.touches(state="accepted"))
        with pytest.raises(ValueError, match="state"):
            list(store.touches(state="sent"))


class Holders(StoreFixtures):
    """Who shares a contact point, and what it was reached by."""

    def test_the_first_to_come_holds_a_contact_point_and_later_ones_are_told_of_them(
        self, store: Store, reopen: Reopen
    ) -> None:
        owner = Owner(store, [0, 1])
        ann, bob, cid = (HolderRow("home", 0, digest(name), 0) for name in ("ann", "bob", "cid"))
        with store.batch([owner.held[0]]) as batch:
            assert {"home": [ann]} == batch.hold([ann], [])
            batch.write(Changes([step := owner.step()]))
        owner.held[0] = step[1]
        with store.batch([owner.held[0]]) as batch:
            assert {"home": [ann]} == batch.hold([bob], ["elsewhere"])
            batch.write(Changes([owner.step()], holders=[bob._replace(n=1), cid._replace(n=2, partition=1)]))
        with looking(reopen()) as batch:
            assert {"home": [ann, bob._replace(n=1), cid._replace(n=2, partition=1)]} == batch.hold([], ["home"])

    def test_who_came_in_a_batch_that_was_not_written_never_came(self, store: Store) -> None:
        owner = Owner(store)
        with store.batch([owner.held[0]]) as batch:
            batch.hold([HolderRow("home", 0, digest("ann"), 0)], [])
        with looking(store) as batch:
            assert {} == batch.hold([], ["home"])

    def test_a_contact_point_was_reached_by_what_holds_a_place_in_the_caps_of_any_holder(self, store: Store) -> None:
        owner = Owner(store)

        def touched(who: str, state: str, at: int = 0, contact: str = "home") -> TouchRow:
            name = f"{who}-{state}-{at}-{contact}"
            return touch_row(name, who, contact=contact, state=state, attempted_at=at, channel="sms")

        def reached(touch: TouchRow, at: int = 0) -> Reached:
            return Reached("home", touch.member, touch.touch_id, "sms", "marketing", "welcome", at)

        flying = [touched("ann", "claimed"), touched("ann", "reserved", 7), touched("bob", "attempting", 40)]
        called = [touched("ann", "accepted", 50), touched("bob", "unknown", 51)]
        # too long ago, not there any more, elsewhere, and by one who never had the contact point
        others = [
            *(touched("bob", "accepted", 49), touched("bob", "rejected", 60), touched("bob", "cancelled")),
            *(touched("bob", "reserved", 0, "office"), touched("cid", "reserved")),
        ]
        with store.batch([owner.held[0]]) as batch:
            batch.hold([HolderRow("home", 0, digest("ann"), 0)], [])
            batch.write(
                Changes(
                    [owner.step()],
                    reserved=[*flying, *called, *others],
                    holders=[HolderRow("home", 1, digest("bob"), 0)],
                )
            )
        expected = [*(reached(touch) for touch in flying), *(reached(touch, touch.attempted_at) for touch in called)]
        with looking(store) as batch:
            found = batch.reached(["home", "home", "nowhere"], 50)
            assert sorted(expected, key=lambda row: row.touch_id) == found
            assert [] == batch.reached(["office"], 50)
            assert [] == batch.reached([], 50)


class Claims(StoreFixtures):
    """Who may be called, and by whom."""

    def test_claims_come_by_rank_then_due_then_id_up_to_the_limit(self, store: Store) -> None:
        order = [("d", 1, 9), ("b", 2, 3), ("c", 2, 3), ("a", 2, 4), ("e", 3, 0)]
        reserve(store, *(touch_row(name, name, rank=rank, due=due) for name, rank, due in reversed(order)))
        assert ["d", "b", "c"] == ids(store.claim(10, 90, "one", 3))
        assert ["a", "e"] == ids(store.claim(10, 90, "two", 3))

    def test_a_claim_shows_the_touch_as_it_now_stands(self, store: Store) -> None:
        reserve(store, touch_row("t"))
        (claim,) = store.claim(10, 90, "token", 5)
        assert Claim(touch_row("t", state="claimed", token="token", lease_until=100), "token") == claim
        assert claim.touch == touch_of(store, "t")

    def test_due_is_inclusive_and_valid_until_exclusive(self, store: Store) -> None:
        reserve(
            store,
            *(touch_row("due", "a", due=10), touch_row("later", "b", due=11)),
            *(touch_row("valid", "c", valid_until=11), touch_row("over", "d", valid_until=10)),
        )
        assert ["valid", "due"] == ids(store.claim(10, 90, "token", 5))

    def test_without_an_instant_each_touch_is_asked_at_its_partitions_clock(self, store: Store) -> None:
        owner = Owner(store, [0, 1])
        owner.commit(
            *(owner.step(0, clock=10), owner.step(1, clock=20)),
            reserved=[touch_row("a", "a", due=15), touch_row("b", "b", due=15, partition=1)],
        )
        assert ["b"] == ids(store.claim(Clock.partition, 100, "token", 5))

    def test_claims_may_be_limited_to_a_channel(self, store: Store) -> None:
        reserve(store, touch_row("mail", "a"), touch_row("text", "b", channel="sms"))
        assert ["text"] == ids(store.claim(10, 90, "token", 5, "sms"))
        assert ["mail"] == ids(store.claim(10, 90, "token", 5))

    def test_a_member_has_one_touch_claimed_or_attempting_at_a_time(self, store: Store) -> None:
        reserve(store, touch_row("a"), touch_row("b"), touch_row("c", "bob"))
        first = store.claim(10, 90, "one", 5)
        assert ["a", "c"] == ids(first)
        assert [] == store.claim(10, 90, "two", 5)
        (touch, _) = [claim.touch for claim in store.attempt(first, 10)]
        assert [] == store.claim(10, 90, "three", 5)
        store.outcomes([outcome(touch)])
        assert ["b"] == ids(store.claim(10, 90, "four", 5))

    def test_a_claim_that_lapsed_is_claimed_like_any_other(self, store: Store) -> None:
        reserve(store, touch_row("t"))
        (old,) = store.claim(10, 90, "old", 5)
        assert [] == store.claim(100, 100, "new", 5)
        (new,) = store.claim(101, 99, "new", 5)
        assert ("t", "new", 200) == (new.touch.touch_id, new.touch.token, new.touch.lease_until)
        assert [] == store.attempt([old], 101)
        assert ["t"] == ids(store.attempt([new], 101))

    def test_a_lapsed_claim_does_not_let_a_member_have_two(self, store: Store) -> None:
        reserve(store, touch_row("slow", rank=9))
        store.claim(10, 90, "old", 5)
        owner = Owner(store)
        owner.commit(reserved=[touch_row("quick", rank=1)])
        assert ["quick"] == ids(store.claim(101, 99, "new", 5))
        assert {"slow": "reserved", "quick": "claimed"} == states(store)

    def test_an_attempt_is_counted_and_on_record(self, store: Store, reopen: Reopen) -> None:
        reserve(store, touch_row("t"))
        (touch,) = attempted(store, now=10)
        assert ("attempting", 1, 10) == (touch.state, touch.attempts, touch.attempted_at)
        assert touch == touch_of(reopen(), "t")

    def test_an_attempt_happens_once(self, store: Store) -> None:
        reserve(store, touch_row("t"))
        claims = store.claim(10, 90, "token", 5)
        assert ["t"] == ids(store.attempt(claims, 10))
        assert [] == store.attempt(claims, 10)

    def test_an_attempt_with_another_token_is_not_made(self, store: Store) -> None:
        reserve(store, touch_row("t"))
        (claim,) = store.claim(10, 90, "token", 5)
        assert [] == store.attempt([claim._replace(token="other")], 10)
        assert {"t": "claimed"} == states(store)

    def test_an_attempt_is_made_before_the_end_of_validity_and_of_the_hours_and_not_at_it(self, store: Store) -> None:
        reserve(
            store,
            *(touch_row("valid", "a", valid_until=21), touch_row("over", "b", valid_until=20)),
            *(touch_row("open", "c", call_by=21), touch_row("closed", "d", call_by=20)),
        )
        assert ["open", "valid"] == sorted(ids(store.attempt(store.claim(10, 90, "token", 5), 20)))
        assert {"open": "attempting", "valid": "attempting", "over": "claimed", "closed": "claimed"} == states(store)

    def test_on_the_virtual_clock_each_touch_is_attempted_at_its_partitions_time(self, store: Store) -> None:
        owner = Owner(store, [0, 1])
        owner.commit(
            *(owner.step(0, clock=10), owner.step(1, clock=20)),
            reserved=[touch_row("a", "a", valid_until=15), touch_row("b", "b", partition=1, call_by=25)],
        )
        claims = store.claim(Clock.partition, 90, "token", 5)
        assert {"a": 100, "b": 110} == {claim.touch.touch_id: claim.touch.lease_until for claim in claims}
        called = store.attempt(claims, Clock.partition)
        assert {"a": 10, "b": 20} == {claim.touch.touch_id: claim.touch.attempted_at for claim in called}

    def test_by_its_own_clock_the_store_judges_at_the_moment_it_is_asked(self, store: Store) -> None:
        hour = 3_600_000_000
        start = store.clock()
        reserve(
            store,
            *(touch_row("now", "a", due=start), touch_row("later", "b", due=start + hour)),
            *(touch_row("over", "c", valid_until=start), touch_row("closed", "d", call_by=start)),
        )
        claims = store.claim(Clock.store, 2 * hour, "token", 5)
        (called,) = store.attempt(claims, Clock.store)
        end = store.clock()
        assert (["closed", "now"], "now") == (sorted(ids(claims)), called.touch.touch_id)
        assert start <= called.touch.lease_until - 2 * hour <= called.touch.attempted_at <= end
        assert 0 == store.lapse(Clock.store, lambda *_: told("no"))

    def test_by_its_own_clock_the_store_lapses_what_is_due(self, store: Store) -> None:
        reserve(store, touch_row("t"))
        start = store.clock()
        store.attempt(store.claim(Clock.store, -1, "token", 5), Clock.store)
        assert 1 == store.lapse(Clock.store, lambda touch, at: told(touch.touch_id, due=at))
        assert start <= inbox(store)[0].due <= store.clock()

    @pytest.mark.parametrize("state", ["reserved", "cancelled"])
    def test_a_claim_is_released_once_and_says_so(self, store: Store, state: str) -> None:
        reserve(store, touch_row("t", due=1))
        store.claim(10, 90, "token", 5)
        assert not store.release("t", "other", state, 30, told("no"))
        assert store.release("t", "token", state, 30, told("yes"))
        assert not store.release("t", "token", state, 30, told("no"))
        assert [b"yes"] == [row.input for row in inbox(store)]
        due = 30 if state == "reserved" else 1
        assert touch_row("t", state=state, due=due) == touch_of(store, "t")

    def test_a_release_may_be_silent(self, store: Store) -> None:
        reserve(store, touch_row("t"))
        store.claim(10, 90, "token", 5)
        assert store.release("t", "token", "reserved", 0, None)
        assert [] == inbox(store)

    def test_an_attempt_is_not_released(self, store: Store) -> None:
        reserve(store, touch_row("t"))
        attempted(store)
        assert not store.release("t", "token", "reserved", 0, None)
        with pytest.raises(ValueError, match="state"):
            store.release("t", "token", "accepted", 0, None)

    @pytest.mark.parametrize("lasting", [True, False])
    @pytest.mark.parametrize("state", ["accepted", "rejected", "unknown", "reserved"])
    def test_an_outcome_is_recorded_once_with_its_inbox_row(self, store: Store, state: str, lasting: bool) -> None:
        reserve(store, touch_row("t", due=1))
        (touch,) = attempted(store)
        assert [True, False] == store.outcomes([outcome(touch, state, 50)] * 2, lasting=lasting)
        assert 1 == len(inbox(store))
        settled = touch_of(store, "t")
        assert (state, "", 0, 1) == (settled.state, settled.token, settled.lease_until, settled.attempts)
        assert (50 if state == "reserved" else 1) == settled.due

    def test_outcomes_name_the_token_and_are_of_attempts(self, store: Store) -> None:
        reserve(store, touch_row("a", "a"), touch_row("b", "b"))
        (claim_a, claim_b) = store.claim(10, 90, "token", 5)
        (a,) = store.attempt([claim_a], 10)
        rows = [outcome(a.touch._replace(token="other")), outcome(claim_b.touch), outcome(a.touch)]
        assert [False, False, True] == store.outcomes(rows)
        assert {"a": "accepted", "b": "claimed"} == states(store)

    def test_lapsed_attempts_become_unknown_and_their_members_are_told(self, store: Store) -> None:
        reserve(store, touch_row("a", "ann"), touch_row("b", "bob"))
        (a, _) = attempted(store, lease=90)
        described: list[tuple[TouchRow, int]] = []

        def describe(touch: TouchRow, at: int) -> NewInbox:
            described.append((touch, at))
            return told(touch.touch_id, due=at)

        assert 0 == store.lapse(100, describe)
        assert 2 == store.lapse(101, describe)
        assert 0 == store.lapse(101, describe)
        assert (a, 101) == described[0]
        assert {"a": "unknown", "b": "unknown"} == states(store)
        assert [b"a", b"b"] == sorted(row.input for row in inbox(store))
        assert [False] == store.outcomes([outcome(a)])

    def test_a_lapse_that_fails_half_way_leaves_nothing(self, store: Store) -> None:
        reserve(store, touch_row("a", "ann"), touch_row("b", "bob"))
        attempted(store, lease=90)
        then = everything(store)

        def describe(touch: TouchRow, _at: int) -> NewInbox:
            if touch.touch_id == "b":
                raise KeyboardInterrupt
            return told("a")

        with pytest.raises(KeyboardInterrupt):
            store.lapse(101, describe)
        assert then == everything(store)

    def test_an_unclaimed_lapse_leaves_claims_alone(self, store: Store) -> None:
        reserve(store, touch_row("t"))
        store.claim(10, 90, "token", 5)
        assert 0 == store.lapse(1000, lambda *_: told("no"))
        assert {"t": "claimed"} == states(store)


COVERING = [
    SuppressionRow("contact-ann", "email", "marketing", 1, "withdrawn"),
    SuppressionRow("contact-ann", "*", "marketing", 1, "withdrawn"),
    SuppressionRow("contact-ann", "email", "*", 1, "withdrawn"),
    SuppressionRow("contact-ann", "*", "*", 1, "withdrawn"),
    SuppressionRow(digest("ann").hex(), "email", "marketing", 1, "withdrawn"),
    SuppressionRow(digest("ann").hex(), "*", "*", 1, "withdrawn"),
    # an opt-out holds although this dispatcher's clock has not come so far
    SuppressionRow(digest("ann").hex(), "*", "*", 999, "withdrawn"),
]
NOT_COVERING = [
    SuppressionRow("contact-bob", "*", "*", 1, "withdrawn"),
    SuppressionRow("contact-ann", "sms", "*", 1, "withdrawn"),
    SuppressionRow("contact-ann", "*", "service", 1, "withdrawn"),
    SuppressionRow(digest("bob").hex(), "*", "*", 1, "withdrawn"),
    SuppressionRow("*", "*", "*", 1, "withdrawn"),
]
STOPPING = ["all", "channel:email", "journey:welcome"]
NOT_STOPPING = ["channel:sms", "journey:birthday"]


class Stops(StoreFixtures):
    """Opt-outs and switches overtake the backlog."""

    @pytest.mark.parametrize("row", COVERING)
    def test_a_suppression_cancels_what_it_covers_and_tells_the_member(self, store: Store, row: SuppressionRow) -> None:
        reserve(store, touch_row("claimed"), touch_row("reserved", due=500), touch_row("other", "bob"))
        store.claim(10, 90, "token", 5)
        assert ["claimed", "reserved"] == store.suppress([row], [told("opt-out", due=2)])
        assert {"claimed": "cancelled", "reserved": "cancelled", "other": "claimed"} == states(store)
        assert [row] == store.suppressions()
        rows = [each for each in inbox(store) if each.input != b"opt-out"]
        assert [(row.since, digest("ann"))] * 2 == [(each.due, each.member) for each in rows]
        expected = [
            Cancelled(touch_id=name, reason="withdrawn", occurred_at=instant(row.since))
            for name in ("claimed", "reserved")
        ]
        assert expected == [read_input(each.input) for each in rows]
        assert 3 == len(inbox(store))

    @pytest.mark.parametrize("row", NOT_COVERING)
    def test_a_suppression_leaves_what_it_does_not_cover(self, store: Store, row: SuppressionRow) -> None:
        reserve(store, touch_row("t"))
        assert [] == store.suppress([row], [])
        assert ["t"] == ids(store.attempt(store.claim(10, 90, "token", 5), 10))

    @pytest.mark.parametrize("row", COVERING)
    def test_a_touch_reserved_under_a_suppression_is_never_claimed(self, store: Store, row: SuppressionRow) -> None:
        store.suppress([row], [])
        reserve(store, touch_row("t"), touch_row("other", "bob"))
        assert ["other"] == ids(store.claim(10, 90, "token", 5))

    @pytest.mark.parametrize(("due", "told_at"), [(3, 5), (9, 9)], ids=["begun later", "begun before"])
    def test_a_touch_reserved_under_suppressions_is_cancelled_and_its_member_told_the_eldest(
        self, store: Store, due: int, told_at: int
    ) -> None:
        """It would take a place in a cap, and never be called."""
        rows = [
            SuppressionRow("contact-ann", "*", "*", 7, "complaint"),
            SuppressionRow("contact-ann", "email", "*", 5, "bounced"),
        ]
        store.suppress(rows, [])
        reserve(store, touch_row("t", due=due), touch_row("other", "bob"))
        assert {"t": "cancelled", "other": "reserved"} == states(store)
        (row,) = inbox(store)
        assert (told_at, digest("ann")) == (row.due, row.member)
        assert Cancelled(touch_id="t", reason="bounced", occurred_at=instant(told_at)) == read_input(row.input)

    def test_a_touch_that_stands_otherwise_is_left_by_a_reservation_under_a_suppression(self, store: Store) -> None:
        owner = reserve(store, touch_row("t"))
        (touch,) = attempted(store)
        store.suppress([SuppressionRow("contact-ann", "*", "*", 7, "complaint")], [])
        owner.commit(reserved=[touch_row("t")])
        assert {"t": "attempting"} == states(store)
        assert [True] == store.outcomes([outcome(touch)])

    def test_a_suppression_between_claim_and_attempt_prevents_the_call(self, store: Store) -> None:
        reserve(store, touch_row("t"), touch_row("other", "bob"))
        claims = store.claim(10, 90, "token", 5)
        store.suppress([COVERING[0]], [])
        assert ["other"] == ids(store.attempt(claims, 10))
        assert {"t": "cancelled", "other": "attempting"} == states(store)

    def test_a_suppression_comes_too_late_for_an_attempt(self, store: Store) -> None:
        reserve(store, touch_row("t"))
        (touch,) = attempted(store)
        assert [] == store.suppress([COVERING[0]], [])
        assert [True] == store.outcomes([outcome(touch)])

    def test_the_same_suppression_again_keeps_the_later_moment(self, store: Store) -> None:
        first = SuppressionRow("contact-ann", "*", "*", 5, "withdrawn")
        later, earlier = first._replace(since=9, reason="complaint"), first._replace(since=7)
        for row in (first, later, earlier):
            store.suppress([row], [])
        assert [later] == store.suppressions()
        assert [later] == store.suppressions_of({later.subject, "nobody"})
        assert [] == store.suppressions_of({"nobody"}) == store.suppressions_of(set())

    def test_a_suppression_of_a_turn_cancels_touches_of_others_at_that_contact_point(self, store: Store) -> None:
        owner = reserve(store, touch_row("hers", "ann", contact="shared"), touch_row("his", "bob", contact="shared"))
        owner.commit(cancelled=["his"], suppressions=[SuppressionRow("shared", "email", "*", 3, "complaint")])
        assert {"hers": "cancelled", "his": "cancelled"} == states(store)
        assert [(3, digest("ann"))] == [(row.due, row.member) for row in inbox(store)]

    def test_a_word_is_taken_in_once_and_what_follows_from_a_repeat_is_not_written(self, store: Store) -> None:
        furnish(store)
        first, second = HeardRow(digest("word-1"), 100), HeardRow(digest("word-2"), 100)
        assert ["t1"] == store.suppress([SuppressionRow("contact-ann", "*", "*", 7, "reply")], [], [first])
        stood = (everything(store), inbox(store))
        with pytest.raises(HeardBefore):
            store.suppress([SuppressionRow("contact-bob", "*", "*", 7, "reply")], [told("t3", due=2)], [second, first])
        assert stood == (everything(store), inbox(store))
        assert {first.key} == store.heard([first.key, second.key])
        assert set() == store.heard([])

    def test_words_are_forgotten_when_nobody_repeats_them_any_more(self, store: Store) -> None:
        rows = [HeardRow(digest(f"word-{day}"), day) for day in (100, 101, 101 + HEARD_DAYS)]
        for row in rows:
            store.suppress([], [], [row])
        assert {row.key for row in rows[1:]} == store.heard([row.key for row in rows])

    def test_members_are_found_by_a_contact_point_that_they_have_now(self, store: Store) -> None:
        owner = Owner(store)
        shared = [ContactRow("shared", digest(name)) for name in ("ann", "bob", "cid")]
        members = [member_row("ann"), member_row("bob"), member_row("cid")._replace(erased=True, state=b"")]
        owner.commit(members=members, contacts=shared)
        owner.commit(contacts=shared[:1])
        assert sorted((row.partition, row.member) for row in members[:2]) == sorted(store.members_at("shared"))
        owner.commit(left=shared[:1])
        assert [(members[1].partition, digest("bob"))] == store.members_at("shared")
        assert [] == store.members_at("nobody's")
        assert [members[0].partition, members[2].partition] == [store.home(digest(name)) for name in ("ann", "cid")]
        assert store.home(digest("nobody")) is None

    def test_a_grant_ends_a_suppression_and_only_that(self, store: Store) -> None:
        owner = reserve(store, touch_row("t"))
        rows = [SuppressionRow("contact-ann", "*", purpose, 5, "withdrawn") for purpose in ("*", "marketing")]
        store.suppress(rows, [])
        owner.commit(unsuppressed=[("contact-ann", "*", "marketing", 5)])
        assert rows[:1] == store.suppressions()

    def test_a_grant_does_not_end_an_opt_out_that_came_after_it(self, store: Store) -> None:
        """Who opts out while the grant still waits in the backlog stays opted out."""
        row = SuppressionRow("contact-ann", "*", "*", 50, "withdrawn")
        store.suppress([row], [])
        owner = Owner(store)
        owner.commit(owner.step(0, clock=90), unsuppressed=[(*row[:3], 49)])
        assert [row] == store.suppressions()

    def test_an_opt_out_and_a_grant_of_one_batch_leave_the_opt_out(self, store: Store) -> None:
        row = SuppressionRow("contact-ann", "*", "*", 50, "withdrawn")
        owner = Owner(store)
        owner.commit(owner.step(0, clock=90), suppressions=[row], unsuppressed=[(*row[:3], 90)])
        assert [row] == store.suppressions()

    @pytest.mark.parametrize("scope", STOPPING)
    def test_a_switch_stops_claims_and_attempts_until_it_is_lifted(self, store: Store, scope: str) -> None:
        reserve(store, touch_row("a", "ann"), touch_row("b", "bob"))
        claims = store.claim(10, 90, "token", 1)
        row = SwitchRow(scope, 10, "operator")
        store.switch(row, True, [told("off")])
        assert [row] == store.switches()
        assert [] == store.claim(10, 90, "token", 5)
        assert [] == store.attempt(claims, 10)
        store.switch(row, False, [told("on")])
        assert [] == store.switches()
        assert [b"off", b"on"] == [row.input for row in inbox(store)]
        assert ["a"] == ids(store.attempt(claims, 10))
        assert ["b"] == ids(store.claim(10, 90, "token", 5))

    @pytest.mark.parametrize("scope", NOT_STOPPING)
    def test_a_switch_leaves_other_channels_and_journeys(self, store: Store, scope: str) -> None:
        reserve(store, touch_row("t"))
        store.switch(SwitchRow(scope, 10, "operator"), True, [])
        assert ["t"] == ids(store.attempt(store.claim(10, 90, "token", 5), 10))

    @pytest.mark.parametrize("scope", ["", "everything", "channel:", "member:x"])
    def test_a_switch_that_would_stop_nothing_is_refused(self, store: Store, scope: str) -> None:
        with pytest.raises(UsageError):
            store.switch(SwitchRow(scope, 10, "operator"), True, [])


class Misfortunes(StoreFixtures):
    """Dead letters, tries, quarantine."""

    def test_tries_of_an_input_are_counted(self, store: Store, reopen: Reopen) -> None:
        assert [1, 2, 1, 1] == [store.count_try(*place) for place in ((0, 5), (0, 5), (0, 6), (1, 5))]
        assert 3 == reopen().count_try(0, 5)

    def test_a_quarantined_member_is_known_to_the_batch(self, store: Store) -> None:
        with looking(store) as batch:
            assert set() == batch.quarantined([digest("ann")])
        owner = Owner(store)
        for reason in ("ZeroDivisionError", "KeyError"):
            owner.commit(quarantined=[QuarantineRow(digest("ann"), 0, reason)])
        with looking(store) as batch:
            assert {digest("ann")} == batch.quarantined([digest("ann"), digest("bob")])
        assert [QuarantineRow(digest("ann"), 0, "KeyError")] == store.quarantine()

    def test_a_redrive_ends_the_quarantine_and_takes_out_what_was_parked_in_order(self, store: Store) -> None:
        owner = Owner(store)
        rows = [ParkedRow(0, offset, digest("ann"), 1, "event", b"raw") for offset in (7, 9, 1, 12)]
        others = ParkedRow(0, 8, digest("bob"), 1, "event", b"raw")
        quarantined = [QuarantineRow(digest(name), 0, "KeyError") for name in ("ann", "bob")]
        owner.commit(parked=[*rows[:2], others], quarantined=quarantined)
        owner.commit(parked=rows[2:])
        with looking(store) as batch:
            assert rows == batch.parked(digest("ann")) == store.parked(digest("ann"))
        owner.commit(redriven=[digest("ann")])
        assert ([], [others]) == (store.parked(digest("ann")), store.parked(digest("bob")))
        assert [digest("bob")] == [row.member for row in store.quarantine()]

    def test_what_one_batch_redrives_and_parks_again_stays_parked(self, store: Store) -> None:
        owner = Owner(store)
        row, again = (ParkedRow(0, offset, digest("ann"), 1, "event", b"raw") for offset in (1, 2))
        quarantined = [QuarantineRow(digest("ann"), 0, "KeyError")]
        owner.commit(parked=[row], quarantined=quarantined)
        owner.commit(redriven=[digest("ann")], parked=[again], quarantined=quarantined)
        assert ([again], quarantined) == (store.parked(digest("ann")), store.quarantine())

    def test_dead_letters_come_as_they_were_buried_partition_by_partition(self, store: Store) -> None:
        owner = Owner(store)
        places = [(1, 5), (0, 9), (0, 2), (1, -1)]
        owner.commit(dead=[DeadRow(p, offset, 1, "unreadable", "cure", b"raw") for p, offset in places])
        buried = sorted(places, key=lambda place: place[0])
        assert buried == [(row.partition, row.offset) for row in store.dead()]
        numbered = store.burials({0: 0, 1: 0}, 10)
        assert buried == [(row.letter.partition, row.letter.offset) for row in numbered]
        for partition in (0, 1):
            numbers = [row.n for row in numbered if row.letter.partition == partition]
            assert sorted(set(numbers)) == numbers
            assert numbers[1:2] == [row.n for row in store.burials({partition: numbers[0]}, 1)]
        assert [] == store.burials({}, 10)


class Vouchers(StoreFixtures):
    """A code is given once; what was never sent comes back."""

    def give(self, owner: Owner, *touches: TouchRow, also: dict[str, Any] | None = None) -> list[VoucherRow]:
        """One batch that reserves these touches, each with the next code; the codes."""
        before, after = owner.step(0)
        with owner.store.batch([before]) as batch:
            rows = batch.vouchers("gifts", len(touches), ())
            given = [
                VoucherGiven(row.seq, touch.touch_id, touch.ref) for row, touch in zip(rows, touches, strict=False)
            ]
            batch.write(Changes([(before, after)], reserved=touches, vouchers=given, **(also or {})))
        owner.held[0] = after
        return rows

    def stands(self, store: Store) -> list[tuple[str, int, int, int]]:
        return [tuple(row) for row in store.pools()]  # type: ignore[misc]

    def test_codes_are_left_in_the_order_in_which_they_were_loaded(self, store: Store, reopen: Reopen) -> None:
        assert {} == store.load_vouchers([voucher("z"), voucher("a"), voucher("other", "else")])
        assert {} == store.load_vouchers([voucher("m")])
        store = reopen()
        assert [b"sealed z", b"sealed a", b"sealed m"] == [row.code for row in left_in(store)]
        assert [digest("z").hex(), digest("a").hex()] == [row.fingerprint for row in left_in(store, limit=2)]
        assert [("else", 1, 0, 0), ("gifts", 3, 0, 0)] == self.stands(store)
        assert [] == left_in(store, "nobody knows")

    def test_a_code_is_there_once_whatever_its_pool_and_whatever_became_of_it(self, store: Store) -> None:
        store.load_vouchers([voucher("a"), voucher("b", "else")])
        owner = Owner(store)
        self.give(owner, touch_row("t1"))
        there = store.load_vouchers([voucher("a"), voucher("b"), voucher("c")])
        assert {digest("a").hex(): "gifts", digest("b").hex(): "else"} == there
        assert [b"sealed c"] == [row.code for row in left_in(store)]
        assert {} == store.load_vouchers([])

    def test_a_batch_is_not_given_again_what_it_holds(self, store: Store) -> None:
        store.load_vouchers([voucher(f"{i}") for i in range(5)])
        with looking(store) as batch:
            first = batch.vouchers("gifts", 2, ())
            second = batch.vouchers("gifts", 2, [row.seq for row in first])
            last = batch.vouchers("gifts", 2, {row.seq for row in (*first, *second)})
            again = batch.vouchers("gifts", 9, [row.seq for row in second])
        assert [f"sealed {i}".encode() for i in range(5)] == [row.code for row in (*first, *second, *last)]
        assert [*first, *last] == again

    def test_a_batch_that_writes_nothing_takes_nothing(self, store: Store) -> None:
        store.load_vouchers([voucher("a")])
        for _ in range(2):
            assert 1 == len(left_in(store))
        owner = Owner(store)
        before, after = owner.step(0)
        (row,) = left_in(store)
        given = Changes([(before, after)], vouchers=[VoucherGiven(row.seq, "t1", "ref")])
        with pytest.raises(KeyError):
            write(store, given, then=KeyError)
        assert [("gifts", 1, 0, 0)] == self.stands(store)

    def test_a_code_that_is_given_is_left_no_more_and_cannot_be_given_again(self, store: Store) -> None:
        store.load_vouchers([voucher("a"), voucher("b")])
        owner = Owner(store)
        (row,) = self.give(owner, touch_row("t1"))
        assert [("gifts", 1, 1, 0)] == self.stands(store)
        with pytest.raises(ValueError, match="not left"):
            owner.commit(vouchers=[VoucherGiven(row.seq, "t2", "ref")])
        assert [("gifts", 1, 1, 0)] == self.stands(store)
        assert [b"sealed b"] == [row.code for row in left_in(store)]

    @pytest.mark.parametrize(
        ("state", "back"),
        [
            *(("reserved", False), ("cancelled", True), ("cancelled by the batch", True), ("claimed", False)),
            *(("attempting", False), ("accepted", False), ("unknown", False), ("rejected", False)),
            *(("called before", False),),
        ],
    )
    def test_a_code_comes_back_only_from_a_touch_that_was_cancelled_and_never_attempted(
        self, store: Store, state: str, back: bool
    ) -> None:
        store.load_vouchers([voucher("a"), voucher("b")])
        owner = Owner(store)
        self.give(owner, touch_row("t1"))
        if state in ("claimed", "cancelled", "attempting", "accepted", "unknown", "rejected", "called before"):
            (claim,) = store.claim(10, 90, "token", 1)
            if state == "cancelled":
                assert store.release("t1", "token", "cancelled", 10, None)
            elif state != "claimed":
                (called,) = store.attempt([claim], 10)
                if state != "attempting":
                    store.outcomes([outcome(called.touch, "reserved" if state == "called before" else state, 20)])
        cancelled = ["t1"] if state in ("cancelled by the batch", "called before") else []
        owner.commit(cancelled=cancelled, codes_back=["t1", "nobody"])
        assert [("gifts", 2 if back else 1, 0 if back else 1, 0)] == self.stands(store)
        assert [b"sealed a", b"sealed b"][not back :] == [row.code for row in left_in(store)]

    def test_a_touch_that_came_back_unsent_is_reserved_anew_with_another_code(self, store: Store) -> None:
        store.load_vouchers([voucher("a"), voucher("b")])
        owner = Owner(store)
        self.give(owner, touch_row("t1"))
        store.claim(10, 90, "token", 1)
        store.release("t1", "token", "cancelled", 10, None)
        (row,) = self.give(owner, touch_row("t1"), also={"codes_back": ["t1"]})
        assert b"sealed b" == row.code
        assert [b"sealed a"] == [row.code for row in left_in(store)]
        owner.commit(cancelled=["t1"], codes_back=["t1"])
        assert [("gifts", 2, 0, 0)] == self.stands(store)

    def test_an_erased_members_codes_are_emptied_and_stay_given(self, store: Store) -> None:
        store.load_vouchers([voucher("a"), voucher("b"), voucher("c")])
        owner = Owner(store)
        self.give(owner, touch_row("t1", "ann"), touch_row("t2", "bob"))
        owner.commit(destroyed=[digest("ann").hex()])
        assert [("gifts", 1, 2, 0)] == self.stands(store)
        assert digest("a").hex() in store.load_vouchers([voucher("a")])
        # nothing is left of it that could be given again
        owner.commit(cancelled=["t1", "t2"], codes_back=["t1", "t2"])
        assert [("gifts", 2, 1, 0)] == self.stands(store)
        assert [b"sealed b", b"sealed c"] == [row.code for row in left_in(store)]

    def test_how_many_are_left_is_counted_no_farther_than_asked(self, store: Store) -> None:
        store.load_vouchers([voucher(f"{i}") for i in range(5)])
        owner = Owner(store)
        with looking(store) as batch:
            assert [(0, 0), (3, 0), (5, 0)] == [batch.pool("gifts", most) for most in (0, 3, 9)]
            assert (0, 0) == batch.pool("nobody knows", 9)
        self.give(owner, touch_row("t1"))
        with looking(store) as batch:
            assert (4, 0) == batch.pool("gifts", 9)

    def test_what_was_told_only_grows_until_enough_is_loaded(self, store: Store) -> None:
        owner = Owner(store)
        owner.commit(told=[("gifts", 2), ("empty", 2)])
        owner.commit(told=[("gifts", 1)])

        def told(name: str) -> int:
            with looking(store) as batch:
                return batch.pool(name, 9)[1]

        assert (2, 2) == (told("gifts"), told("empty"))
        store.filled("empty", 0)
        assert 2 == told("empty")
        store.load_vouchers([voucher("a"), voucher("b")])
        store.filled("gifts", 3)
        assert 1 == told("gifts")
        store.load_vouchers([voucher("c")])
        store.filled("gifts", 3)
        assert 0 == told("gifts")


class Records(StoreFixtures):
    """What is read back."""

    def test_the_log_is_read_by_partition_member_and_place(self, store: Store) -> None:
        owner = Owner(store, [0, 1])
        rows = [log_row(0, 1), log_row(0, 2, "bob"), log_row(0, 3), log_row(1, 1, "bob"), log_row(1, 2)]
        owner.commit(log=rows[3:])
        owner.commit(log=rows[:3])
        ann = digest("ann").hex()
        assert rows == list(store.log())
        assert rows[3:] == list(store.log(partition=1))
        assert [rows[0], rows[2], rows[4]] == list(store.log(ref=ann))
        assert [rows[1], rows[2]] == list(store.log(partition=0, after=1))
        assert [rows[2], rows[4]] == list(store.log(ref=ann, after=1))
        assert [rows[2]] == list(store.log(ref=ann, partition=0, after=1))
        assert [] == list(store.log(partition=3))

    def test_a_long_record_is_read_in_whole_and_in_order(self, store: Store) -> None:
        count = 2500
        owner = Owner(store)
        owner.commit(
            log=[log_row(0, n) for n in range(count, 0, -1)],
            journal=[journal_row(0, 1 + i // 3, i % 3) for i in range(count)],
            reserved=[touch_row(f"{i:05}", f"{i}", state="accepted") for i in range(count)],
            dead=[DeadRow(0, 1, 1, f"{i}", "cure", b"") for i in range(count)],
        )
        assert list(range(1, count + 1)) == [row.n for row in store.log()]
        assert [(1 + i // 3, i % 3) for i in range(count)] == [(row.turn, row.i) for row in store.journal(0)]
        assert [f"{i:05}" for i in range(count)] == [row.touch_id for row in store.touches()]
        assert [f"{i:05}" for i in range(count)] == [row.touch_id for row in store.touches(state="accepted")]
        assert [f"{i}" for i in range(count)] == [row.reason for row in store.dead()]

    def test_a_reader_may_stop_half_way(self, store: Store) -> None:
        owner = Owner(store)
        owner.commit(log=[log_row(0, n) for n in range(1, 2001)])
        assert 1 == next(iter(store.log())).n
        owner.commit(log=[log_row(0, 2001)])
        assert 2001 == len(list(store.log()))

    def test_counts_are_added_up(self, store: Store) -> None:
        owner = Owner(store)
        day = ("2026-11-22", "welcome", "email", "suppress", "cap")
        other = ("2026-11-23", "welcome", "", "suppress", "cap")
        owner.commit(totals={(0, "inputs"): 2, (1, "inputs"): 1}, daily={day: 2})
        owner.commit(totals={(0, "inputs"): 3, (0, "dead"): 1}, daily={day: 1, other: 1})
        assert {(0, "inputs"): 5, (1, "inputs"): 1, (0, "dead"): 1} == store.totals()
        assert {day: 3, other: 1} == store.daily()

    def test_positions_of_a_file_move(self, store: Store) -> None:
        first, second = digest("one", 32), digest("two", 32)
        owner = Owner(store)
        owner.commit(positions=[FilePosition(first, 100, 0, 10), FilePosition(first, 100, 1, 5)])
        owner.commit(positions=[FilePosition(first, 100, 0, 40), FilePosition(second, 9, -1, 9)])
        expected = {(first, 100, 0, 40), (first, 100, 1, 5), (second, 9, -1, 9)}
        assert expected == set(store.positions())

    def test_a_cursor_moves_only_from_where_it_stands(self, store: Store, reopen: Reopen) -> None:
        def move(*moves: tuple[int, int, int]) -> list[bool]:
            return store.move_cursors([CursorMove(partition, "decisions", *ends) for partition, *ends in moves])

        assert {} == store.cursors()
        assert [] == move()
        assert [False, True] == move((0, 3, 5), (1, 0, 2))
        assert [True, False] == move((0, 0, 5), (1, 0, 7))
        assert [False, True, True] == move((0, 0, 7), (1, 2, 4), (2, 0, 1))
        assert [True] == store.move_cursors([CursorMove(0, "touches", 0, 3)])
        store = reopen()
        expected = {(0, "decisions"): 5, (1, "decisions"): 4, (2, "decisions"): 1, (0, "touches"): 3}
        assert expected == store.cursors()

    def test_news_are_what_follows_in_each_chain_in_its_order(self, store: Store) -> None:
        owner = Owner(store)
        for partition, n in ((1, 3), (0, 4)):
            owner.commit(log=[log_row(partition, i) for i in range(1, n + 1)])
        assert [] == store.news({}, 10)
        assert [(0, 3), (0, 4), (1, 1), (1, 2)] == [(row.partition, row.n) for row in store.news({1: 0, 0: 2}, 2)]
        assert list(store.log(partition=1, after=2)) == store.news({1: 2, 0: 4, 2: 0}, 2)

    def test_a_document_is_replaced_once_with_the_inbox_rows_that_tell_of_it(self, store: Store) -> None:
        def replaced(before: bytes | None, after: bytes) -> bool:
            return store.replace_document("revision", "active", before, after, [told(after.decode())])

        assert [True, False, True, False] == [
            replaced(None, b"one"), replaced(None, b"other"), replaced(b"one", b"two"), replaced(b"one", b"three"),
        ]  # fmt: skip
        assert b"two" == store.get_document("revision", "active")
        assert [b"one", b"two"] == [row.input for row in inbox(store)]

    def test_documents_are_kept_by_kind_and_name_and_replaced(self, store: Store, reopen: Reopen) -> None:
        for kind, name, body in [("revision", "b", b"1"), ("revision", "a", b"2"), ("checkpoint", "c", b"3")]:
            store.put_document(kind, name, body)
        store.put_document("revision", "a", b"4")
        store = reopen()
        assert ["a", "b"] == store.documents("revision")
        assert b"4" == store.get_document("revision", "a")
        assert store.get_document("revision", "c") is None


class StoreSuite(
    Partitions, Batches, Memories, Inboxes, Reservations, Holders, Vouchers, Claims, Stops, Misfortunes, Records
):
    """All of it."""
