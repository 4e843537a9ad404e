"""Quarantine, dead letters, vouchers, the record and what is kept beside it."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.stores.contract import (
    Changes,
    CursorMove,
    DeadRow,
    FilePosition,
    ParkedRow,
    QuarantineRow,
    Store,
    TouchRow,
    VoucherGiven,
    VoucherRow,
)
from orchestrator.testing.store_rows import (
    Owner,
    digest,
    inbox,
    journal_row,
    left_in,
    log_row,
    looking,
    outcome,
    told,
    touch_row,
    voucher,
)
from orchestrator.testing.store_suite.fixtures import Reopen, StoreFixtures, write


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
