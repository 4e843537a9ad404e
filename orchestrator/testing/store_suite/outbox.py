"""Touches reserved, claimed, attempted and over; contact points that several members hold."""

from __future__ import annotations

import pytest

from orchestrator.stores.contract import (
    Changes,
    Claim,
    Clock,
    HolderRow,
    NewInbox,
    Reached,
    Store,
    SuppressionRow,
    SwitchRow,
    TouchRow,
)
from orchestrator.testing.store_rows import (
    Owner,
    digest,
    everything,
    inbox,
    looking,
    member_row,
    outcome,
    states,
    told,
    touch_of,
    touch_row,
)
from orchestrator.testing.store_suite.fixtures import Reopen, StoreFixtures, attempted, ids, reserve


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
