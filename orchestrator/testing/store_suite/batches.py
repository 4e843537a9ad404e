"""Who may write, that a batch is whole or nothing, and what one may look up."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.errors import Refused, SetupError
from orchestrator.stores.contract import (
    Backlog,
    Expected,
    KeyRow,
    NewInbox,
    Progress,
    Queue,
    Store,
)
from orchestrator.testing.store_rows import (
    Owner,
    digest,
    everything,
    full_changes,
    furnish,
    inbox,
    journal_row,
    log_row,
    looking,
    member_row,
    outcome,
    seen_row,
    states,
    told,
    touch_row,
)
from orchestrator.testing.store_suite.fixtures import PARTITIONS, Reopen, StoreFixtures, reserve, write


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

    def test_what_is_expected_changes_no_answer(self, store: Store) -> None:
        owner = furnish(store)
        keys, identities = [(0, digest(name)) for name in ("ann", "bob", "nobody")], [digest("event-1"), digest("else")]
        answers = []
        for coming in (
            None,
            Expected({0: 1000}, 50, [0], identities, keys),
            Expected({0: 0}, 1, [0, 1], identities[1:], keys[2:]),
            Expected({}, 0, [], [], []),
        ):
            with store.batch([owner.held[0]]) as batch:
                if coming is not None:
                    batch.expect(coming)
                due, switches = batch.due({0: 1000}, 50), batch.switches()
                seen, members = batch.seen([0], identities), batch.members(keys)
                wrapped = batch.keys([row.ref for row in members.values()])
                answers.append((due, switches, seen, members, wrapped, batch.quarantined([key for _, key in keys])))
        assert [answers[0]] * 4 == answers
        assert answers[0][3]

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

    def test_the_queues_tell_what_waits_for_a_channel_and_what_its_accounts_are_calling(self, store: Store) -> None:
        assert [] == store.queues(60)
        rows = [touch_row(f"t-{member}", member=member) for member in ("ann", "bob", "cid")]
        text = touch_row("t-eve", member="eve")._replace(channel="sms", due=70)
        Owner(store).commit(reserved=[*rows, text])
        claims = store.claim(10, 90, "token", 2, "email")
        store.attempt(claims[:1], 20, "relay")
        queues = [Queue("email", "", waiting=1, claimed=1), Queue("email", "relay", calling=1)]
        assert [*queues, Queue("sms", "", later=1)] == store.queues(60)
        assert [*queues, Queue("sms", "", waiting=1)] == store.queues(70)

    def test_what_an_account_has_refused_for_now_waits_for_any(self, store: Store) -> None:
        reserve(store, touch_row("t"))
        ((touch, _),) = store.attempt(store.claim(10, 90, "token", 1), 10, "relay")
        store.outcomes([outcome(touch, "reserved")])
        assert [("email", "")] == [row[:2] for row in store.queues(60)]
