"""Turns of one member: waits, silence, deferrals, withdrawals, erasure; and what a batch may not change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.events.envelope import Event
from orchestrator.events.inputs import Command
from orchestrator.pipeline import rows
from orchestrator.runtimes.embedded import engine
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.canonical import canonical
from orchestrator.testing.world import World, when
from orchestrator.vault import Vault

NOON = "2026-03-02T17:00:00Z"  # a Monday in New York
ANA = enrolled("ana", NOON)
WITHDRAWN = {"channel": "email", "method": "link"}


def times(world: World, member: str, step: str) -> list[str]:
    return [when(row) for row in world.log(member, "decision") if row.step == step]


# --- waits and silence


def test_a_wait_ends_at_its_time_to_the_microsecond(world: World) -> None:
    world.live(ANA, until="2026-03-05T16:59:59.999999Z")
    assert [] == times(world, "ana", "first-steps")
    world.live(until="2026-03-05T17:00:00Z")
    assert ["2026-03-05T17:00:00Z"] == times(world, "ana", "first-steps")


def test_thirty_days_without_a_purchase_are_noticed_twenty_nine_are_not(world: World) -> None:
    bought = "2026-03-10T17:00:00Z"
    ben = enrolled("ben", NOON)
    world.live(
        ANA,
        ben,
        purchase("ana", bought, 100),
        purchase("ben", bought, 100),
        purchase("ben", "2026-04-08T17:00:00Z", 100),
        until="2026-04-09T16:59:59Z",
    )
    assert ([], []) == (times(world, "ana", "come-back"), times(world, "ben", "come-back"))
    world.live(until="2026-04-10T17:00:00Z")
    assert (["2026-04-09T17:00:00Z"], []) == (times(world, "ana", "come-back"), times(world, "ben", "come-back"))
    world.live(until="2026-05-08T17:00:00Z")
    assert ["2026-05-08T17:00:00Z"] == times(world, "ben", "come-back")


def test_silence_is_noticed_once_until_the_next_purchase(world: World) -> None:
    world.live(ANA, purchase("ana", "2026-03-10T17:00:00Z", 100), until="2026-09-01T00:00:00Z")
    assert 1 == len(times(world, "ana", "come-back"))
    world.live(purchase("ana", "2026-09-02T17:00:00Z", 100), until="2026-10-20T00:00:00Z")
    assert 2 == len(times(world, "ana", "come-back"))


# --- deferrals


NIGHT = "2026-03-10T04:00:00Z"  # midnight in New York
MORNING = "2026-03-10T12:00:00Z"  # eight o'clock; the clocks changed on the eighth


def test_a_deferral_is_decided_anew_at_its_time_and_then_sent(world: World) -> None:
    world.live(ANA, purchase("ana", NIGHT), until="2026-03-11T00:00:00Z")
    assert [("thanks", "defer", "quiet_hours"), ("thanks", "send", "")] == world.decisions("ana", "thank-you")
    assert [MORNING] == times(world, "ana", "thanks")[1:]


def test_a_consent_taken_back_in_the_night_ends_what_was_deferred(world: World) -> None:
    withdrawn = event("consent.withdrawn", "ana", "2026-03-10T06:00:00Z", {"method": "link"})
    world.live(ANA, purchase("ana", NIGHT), withdrawn, until="2026-03-11T00:00:00Z")
    assert [("thanks", "defer", "quiet_hours"), ("thanks", "suppress", "consent_withdrawn")] == world.decisions(
        "ana", "thank-you"
    )
    assert 0 == world.total("waiting")


def test_a_deferral_of_a_member_who_leaves_is_a_silence_exited(world: World) -> None:
    left = event("member.cancelled", "ana", "2026-03-10T06:00:00Z")
    world.live(ANA, purchase("ana", NIGHT), left, until="2026-03-11T00:00:00Z")
    assert ("thanks", "suppress", "exited") == world.decisions("ana", "thank-you")[-1]
    assert 0 == world.total("waiting")


def test_more_members_than_a_batch_looks_ahead_may_wait_for_the_same_moment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At eight in the morning everybody's night ends at once."""
    monkeypatch.setattr(rows, "DUE_LIMIT", 3)
    members = [f"member-{i}" for i in range(30)]
    world.live(
        *[enrolled(member, NOON, channels=("email",)) for member in members],
        *[purchase(member, NIGHT) for member in members],
        until="2026-03-10T16:00:00Z",
    )
    assert {(MORNING,)} == {tuple(times(world, member, "thanks")[1:]) for member in members}


# --- withdrawals


def test_a_withdrawal_cancels_a_reserved_touch_and_its_intent_ends_as_a_silence(world: World) -> None:
    world.live(ANA, dispatch=False)
    assert ["reserved"] == [touch.state for touch in world.touches("ana")]
    world.live(event("consent.withdrawn", "ana", "2026-03-02T17:00:01Z", WITHDRAWN), dispatch=False)
    world.live(until="2026-03-02T18:00:00Z")
    assert ["cancelled"] == [touch.state for touch in world.touches("ana")]
    assert ["reserved", "cancelled consent_withdrawn"] == world.states("ana")
    assert [("hello", "send", ""), ("hello", "suppress", "suppressed")] == world.decisions("ana", "welcome")
    assert [] == world.calls("ana")


def test_a_withdrawal_in_the_batch_of_the_reservation_cancels_it_too(world: World) -> None:
    """Without an outbox between them both turns are one transaction."""
    world.live(
        ANA,
        event("consent.withdrawn", "ana", "2026-03-02T17:00:01Z", WITHDRAWN),
        dispatch=False,
    )
    assert [] == [touch.touch_id for touch in world.touches("ana") if touch.state != "cancelled"]
    world.live(until="2026-03-03T17:00:00Z")
    assert [] == world.calls("ana")


def test_leaving_in_the_batch_of_the_reservation_cancels_it_too(world: World) -> None:
    world.live(ANA, event("member.cancelled", "ana", "2026-03-02T17:00:01Z"), dispatch=False)
    assert ["reserved", "cancelled exited"] == world.states("ana")
    world.live(until="2026-03-03T17:00:00Z")
    assert [] == world.calls("ana")


def test_a_withdrawal_and_a_later_grant_in_one_batch_leave_nothing_in_the_way(world: World) -> None:
    grant = {"channel": "email", "wording": "w2", "method": "form", "evidence": "f"}
    world.live(
        ANA,
        event("consent.withdrawn", "ana", "2026-03-03T17:00:00Z", WITHDRAWN),
        event("consent.granted", "ana", "2026-03-03T17:00:01Z", grant),
        purchase("ana", "2026-03-04T17:00:00Z"),
        dispatch=False,
    )
    assert [] == world.store.suppressions()
    world.live(until="2026-03-04T17:00:01Z")
    assert "accepted" == world.states("ana")[-1]


# --- erasure


ERASE = Command(verb="erase", actor="privacy desk")


def test_erasure_destroys_the_key_and_later_events_are_silences(world: World) -> None:
    world.live(ANA)
    ref = world.ref("ana")
    assert world.store.key(ref) is not None
    world.tell("ana", "2026-03-03T17:00:00Z", ERASE)
    world.live(purchase("ana", "2026-03-04T17:00:00Z"), until="2026-03-10T00:00:00Z")
    assert world.store.key(ref) is None
    row = world.store.member(world.vault.member("ana"))
    assert row is not None
    assert (True, b"") == (row.erased, row.state)
    assert ("", "suppress", "erased") == world.decisions("ana")[-1]
    # the wait of the welcome came to nothing
    assert [] == times(world, "ana", "first-steps")


def test_erasure_cancels_what_was_not_called_yet(world: World) -> None:
    world.live(ANA, dispatch=False)
    world.tell("ana", "2026-03-02T17:00:01Z", ERASE)
    world.live(until="2026-03-03T00:00:00Z", dispatch=False)
    world.live(until="2026-03-10T00:00:00Z")
    assert [] == world.calls()
    assert ["cancelled"] == [touch.state for touch in world.touches("ana")]


def test_who_enrols_again_after_an_erasure_starts_anew_and_is_written_to(world: World) -> None:
    world.live(ANA, event("consent.withdrawn", "ana", "2026-03-02T18:00:00Z", WITHDRAWN))
    former = world.ref("ana")
    world.tell("ana", "2026-03-03T17:00:00Z", ERASE)
    world.live(
        purchase("ana", "2026-03-04T17:00:00Z"),
        enrolled("ana", "2026-03-06T17:00:00Z"),
        until="2026-03-08T00:00:00Z",
    )
    assert former != world.ref("ana")
    assert [("hello", "send", "")] == world.decisions("ana")
    assert ["reserved", "attempting", "accepted"] == world.states("ana")
    member = world.member("ana")
    assert member is not None
    assert "purchase.completed" not in member.aggregates


def test_an_event_of_an_erased_member_is_kept_nowhere(world: World) -> None:
    world.live(ANA)
    world.tell("ana", "2026-03-03T17:00:00Z", ERASE)
    world.live(purchase("ana", "2026-03-04T17:00:00Z"))
    ref = world.ref("ana")
    journal = [row for p in range(world.store.partitions) for row in world.store.journal(p) if row.ref == ref]
    assert b"" == journal[-1].input


# --- batches


@pytest.mark.parametrize("size", [1, 2, 5])
def test_how_events_are_cut_into_batches_changes_nothing(
    world: World, new_world: Callable[[], World], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    start = datetime(2026, 3, 2, 15, tzinfo=UTC)
    members = [f"m{i}" for i in range(6)]
    story: list[Event] = [enrolled(member, start) for member in members]
    story += [purchase(member, start + timedelta(hours=5 * i)) for i, member in enumerate(members * 5)]
    whole = new_world()
    whole.live(*story, until="2026-05-01T00:00:00Z")
    monkeypatch.setattr(engine, "SLICE", size)
    monkeypatch.setattr(engine, "WINDOW", 3 * size)
    world.live(*story, until="2026-05-01T00:00:00Z")
    assert canonical(whole.store) == canonical(world.store)


def test_a_state_stays_bounded_however_much_a_member_buys(vault: Vault, new_world: Callable[[], World]) -> None:
    """10,000 purchases within four months; each is on record, and the state of the last half is no larger."""
    world = new_world()
    start = datetime(2026, 3, 2, 17, tzinfo=UTC)
    bought = [purchase("ana", start + timedelta(minutes=17 * i), 600, id=str(i)) for i in range(1, 10_001)]
    sizes = []
    world.live(ANA, dispatch=False)
    for begin in range(0, 10_000, 1_000):
        world.live(*bought[begin : begin + 1_000])
        row = world.store.member(vault.member("ana"))
        assert row is not None
        sizes.append(len(row.state))
    assert max(sizes[:8]) * 1.1 > max(sizes[8:]), sizes
    # some dozen tenth purchases wait at a time for a day on which nothing else is sent
    assert max(sizes) < 30_000
    member = world.member("ana")
    assert member is not None
    assert 10_000 == member.aggregates["purchase.completed"].count


def test_a_state_stays_bounded_however_much_is_said_of_a_member(vault: Vault, new_world: Callable[[], World]) -> None:
    """Each day new attributes, addresses, consents, complaints, answers, tiers; a quarter later it grows no more."""
    world = new_world()
    start = datetime(2026, 3, 2, 17, tzinfo=UTC)
    sizes = []
    world.live(ANA, dispatch=False)
    for day in range(130):
        world.live(*told_on(day, start + timedelta(days=day)), dispatch=False)
        row = world.store.member(vault.member("ana"))
        assert row is not None
        sizes.append(len(row.state))
    assert max(sizes[:110]) * 1.02 > max(sizes[110:]), sizes
    # 28 notices of points about to expire, each good until its deadline, are 11 KB of it
    assert max(sizes) < 70_000


def told_on(day: int, at: datetime) -> list[Event]:
    """A day's worth of everything that may be said of a member, all of it new."""
    profile = {
        "attributes": {f"a{day}_{i}": "x" * 400 for i in range(20)},
        "contact_points": [{"channel": "email", "address": f"ana-{day}-{i}@example.com"} for i in range(10)],
        "consents": [{"channel": "email", "wording": f"w{day}", "method": "form", "evidence": "e" * 400}],
    }
    said: list[tuple[str, dict[str, object]]] = [
        ("member.updated", profile),
        ("complaint.opened", {"complaint_id": f"complaint-{day}" * 5}),
        ("survey.answered", {"survey_id": f"s{day}", "answers": {f"q{i}": "y" * 400 for i in range(20)}}),
        ("tier.changed", {"tier": f"tier {day}"}),
        ("social.mentioned", {"network": f"n{day}"}),
        ("points.expiring", {"points": 3, "expires_on": (at + timedelta(days=30)).date().isoformat()}),
        ("consent.withdrawn", {"channel": "email", "method": "link"}),
    ]
    return [event(kind, "ana", at + timedelta(minutes=i), data) for i, (kind, data) in enumerate(said)]
