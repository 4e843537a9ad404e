"""Wishes and complaints from the event that tells them to what is not sent, and why."""

from __future__ import annotations

from orchestrator.decide.member import NO_PREFERENCES, Pause, Preferences
from orchestrator.events.envelope import Event
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import World


def updated(at: str, preferences: dict[str, object] | None) -> Event:
    return event("member.updated", "ana", at, {} if preferences is None else {"preferences": preferences})


def test_preferences_given_replace_all_former_ones_and_others_leave_them(world: World) -> None:
    world.live(enrolled("ana", "2026-03-02T17:00:00Z", preferences={"channels": ["sms", "email", "sms"], "pause": {}}))
    world.live(updated("2026-03-02T18:00:00Z", None))
    member = world.member("ana")
    assert member is not None
    assert Preferences(channels=("sms", "email"), pause=Pause()) == member.preferences
    world.live(updated("2026-03-02T19:00:00Z", {}))
    member = world.member("ana")
    assert member is not None
    assert NO_PREFERENCES == member.preferences


def test_a_member_in_a_pause_hears_nothing_and_the_log_says_why(world: World) -> None:
    pause = {"pause": {"until": "2026-03-09T17:00:00Z"}}
    world.live(enrolled("ana", "2026-03-02T17:00:00Z", preferences=pause), until="2026-03-20T00:00:00Z")
    assert ("hello", "suppress", "member_paused") == world.decisions("ana", "welcome")[0]
    world.live(purchase("ana", "2026-03-21T17:00:00Z"))
    assert 1 <= len(world.calls("ana"))
    world.check()


def test_a_complaint_silences_marketing_until_it_is_closed(world: World) -> None:
    """What was not called yet is cancelled, too: the complaint overtakes it."""
    world.live(enrolled("ana", "2026-03-02T17:00:00Z"), dispatch=False)
    world.live(event("complaint.opened", "ana", "2026-03-02T17:30:00Z", {"complaint_id": "c1"}), dispatch=False)
    assert ["reserved", "cancelled complaint_open"] == world.states("ana")
    assert ("hello", "suppress", "complaint_open") == world.decisions("ana", "welcome")[-1]
    world.live(purchase("ana", "2026-03-03T17:00:00Z"))
    assert ("thanks", "suppress", "complaint_open") == world.decisions("ana", "thank-you")[-1]
    assert [] == world.calls("ana")
    world.live(event("complaint.closed", "ana", "2026-03-04T17:00:00Z", {"complaint_id": "c1"}))
    world.live(purchase("ana", "2026-03-12T17:00:00Z"))
    assert ("thanks", "send", "") == world.decisions("ana", "thank-you")[-1]
    assert 1 <= len(world.calls("ana"))
    world.check()


def test_service_goes_on_while_a_complaint_is_open(world: World) -> None:
    world.live(enrolled("ana", "2026-03-02T17:00:00Z"), until="2026-03-02T18:00:00Z")
    world.live(event("complaint.opened", "ana", "2026-03-02T18:30:00Z", {"complaint_id": "c1"}))
    world.live(event("points.expiring", "ana", "2026-03-05T17:00:00Z", {"points": 10, "expires_on": "2026-04-01"}))
    assert ("last-days", "send", "") == world.decisions("ana", "points-expiring")[-1]
