"""Suppressions and switches: what they cancel, prevent and leave alone."""

from __future__ import annotations

import pytest

from orchestrator.errors import UsageError
from orchestrator.events.inputs import Cancelled, read_input
from orchestrator.stores.contract import (
    HEARD_DAYS,
    ContactRow,
    HeardBefore,
    HeardRow,
    Store,
    SuppressionRow,
    SwitchRow,
)
from orchestrator.testing.store_rows import (
    Owner,
    digest,
    everything,
    furnish,
    inbox,
    member_row,
    outcome,
    states,
    told,
    touch_row,
)
from orchestrator.testing.store_suite.fixtures import StoreFixtures, attempted, ids, reserve
from orchestrator.times import instant

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
