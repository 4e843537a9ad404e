"""What the member must have by a date: dangers are alarms, other channels are tried, a bounce is decided again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import structlog
from msgspec.structs import replace

from orchestrator.channels.contract import Answer
from orchestrator.contact_log.about import about
from orchestrator.decide.journey import ReachBy, Send
from orchestrator.decide.result import Trail
from orchestrator.events.inputs import Receipt
from orchestrator.render.sandbox import compile_expression
from orchestrator.testing.builders import enrolled, event
from orchestrator.testing.world import World

JOINED = "2026-03-02T17:00:00Z"
TOLD = "2026-03-10T17:00:00Z"
# two days before the points are lost in New York
DEADLINE = datetime(2026, 3, 18, 4, tzinfo=UTC)
BY = ReachBy(date=compile_expression("event.expires_on"), before=timedelta(days=2))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def alter(world: World, **words: object) -> None:
    """The send step of `points-expiring` with other words."""
    old = world.content.journeys["points-expiring"]
    new = replace(old, steps=tuple(replace(at, **words) if isinstance(at, Send) else at for at in old.steps))
    journeys = {**world.content.journeys, old.name: new}
    started = {name: tuple(journeys[each.name] for each in some) for name, some in world.content.started_by.items()}
    world.content = replace(world.content, journeys=journeys, started_by=started)


def expiring(world: World, until: str = "2026-03-10T18:00:00Z", **profile: object) -> None:
    """A member joins, and hears a week later that points will be lost on the twentieth."""
    world.live(enrolled("ana", JOINED, **profile), until="2026-03-10T00:00:00Z")
    world.live(event("points.expiring", "ana", TOLD, {"points": 10, "expires_on": "2026-03-20"}), until=until)


def touches(world: World) -> list[str]:
    """The channels on which it was tried, in order."""
    return [
        row.channel for row in world.log("ana", "touch") if row.journey == "points-expiring" and row.state == "reserved"
    ]


def alarms(world: World) -> list[tuple[str, str]]:
    """(reason, because) of the alarms."""
    rows = world.log("ana", "alarm")
    return [(row.reason, msgspec.json.decode(row.trail)["because"]) for row in rows]


def tell(world: World, state: str, at: str) -> None:
    """The provider says so of the last touch."""
    (touch,) = [row.touch_id for row in world.log("ana", "touch") if row.journey == "points-expiring"][-1:]
    world.tell("ana", at, Receipt(touch_id=touch, state=state, occurred_at=moment(at)))  # type: ignore[arg-type]
    world.live(until=at)


def test_what_arrives_in_time_is_no_alarm(world: World) -> None:
    expiring(world)
    assert ["email"] == touches(world)
    tell(world, "delivered", "2026-03-10T18:30:00Z")
    tell(world, "soft_bounced", "2026-03-11T18:30:00Z")
    world.live(until="2026-03-25T00:00:00Z")
    assert (["email"], []) == (touches(world), alarms(world))
    member = world.member("ana")
    assert member is not None
    assert {} == member.watched
    world.check()


@pytest.mark.parametrize("state", ["bounced", "soft_bounced", "failed"])
def test_a_bounce_before_the_deadline_is_decided_again_on_the_next_channel(world: World, state: str) -> None:
    expiring(world)
    (first,) = [row.touch_id for row in world.log("ana", "touch") if row.journey == "points-expiring"][:1]
    tell(world, state, "2026-03-11T15:00:00Z")
    assert (["email", "sms"], [("deadline_endangered", state)]) == (touches(world), alarms(world))
    decided = [row for row in world.log("ana", "decision") if row.journey == "points-expiring"]
    assert 1 == len({row.intent_id for row in decided})
    trail = msgspec.json.decode(decided[-1].trail, type=Trail)
    assert (first, DEADLINE) == (trail.instead_of, trail.reach_by)
    assert ("email", "channel_refused") == (trail.tried[0].channel, trail.tried[0].findings[0].reason)
    told = " ".join(map(str, about(world.store, world.vault, "ana", journey="points-expiring").paragraphs[0].sentences))
    assert f"in the place of touch {first}" in told
    assert "Alarm on" in told
    world.check()


def test_where_no_channel_is_left_it_is_a_silence_that_says_so(world: World) -> None:
    expiring(world)
    tell(world, "bounced", "2026-03-11T15:00:00Z")
    tell(world, "failed", "2026-03-12T15:00:00Z")
    assert ("last-days", "suppress", "channel_refused") == world.decisions("ana", "points-expiring")[-1]
    assert ["email", "sms"] == touches(world)
    world.check()


def test_a_bounce_after_the_deadline_comes_too_late(world: World) -> None:
    expiring(world)
    tell(world, "bounced", "2026-03-19T15:00:00Z")
    assert ["email"] == touches(world)
    world.check()


def test_a_refusal_by_the_provider_is_made_up_for_too(world: World) -> None:
    world.ledgers["email"].answer = lambda _: Answer(kind="rejected_message")
    expiring(world)
    assert (["email", "sms"], [("deadline_endangered", "rejected_message")]) == (touches(world), alarms(world))
    world.check()


def test_what_is_left_in_doubt_is_an_alarm_and_no_second_message(world: World) -> None:
    world.ledgers["email"].answer = lambda _: Answer(kind="unknown")
    expiring(world)
    assert (["email"], [("deadline_endangered", "unknown")]) == (touches(world), alarms(world))
    world.check()


def test_a_channel_that_will_not_do_in_time_escalates(world: World) -> None:
    """Only then: a member with a good address is not written to by text."""
    alter(world, channels=("email",), reach_by=replace(BY, escalate=("sms",)))
    with structlog.testing.capture_logs() as said:
        expiring(world, channels=("sms",), consents=("sms",))
    assert (["sms"], [("deadline_endangered", "no_contact_point")]) == (touches(world), alarms(world))
    assert [("deadline_endangered", "warning")] == [
        (line["event"], line["log_level"]) for line in said if line["event"].startswith("deadline")
    ]
    world.check()


def test_a_good_channel_does_not_escalate(world: World) -> None:
    alter(world, channels=("email",), reach_by=replace(BY, escalate=("sms",)))
    expiring(world)
    assert (["email"], []) == (touches(world), alarms(world))


def test_what_waits_longer_than_the_deadline_is_an_alarm_once_and_missed(world: World) -> None:
    """Late is better than never: it goes when it may."""
    alter(world, channels=("email",), reach_by=replace(BY, before=timedelta(days=9)))
    world.live(enrolled("ana", JOINED), until="2026-03-10T00:00:00Z")
    (hello,) = [row.touch_id for row in world.log("ana", "touch") if row.state == "accepted"][:1]
    bounce = Receipt(touch_id=hello, state="soft_bounced", occurred_at=moment("2026-03-10T12:00:00Z"))
    world.tell("ana", "2026-03-10T12:00:00Z", bounce)
    world.live(event("points.expiring", "ana", TOLD, {"points": 10, "expires_on": "2026-03-20"}),
               until="2026-03-12T00:00:00Z")  # fmt: skip
    assert ("last-days", "defer", "contact_point_unhealthy") == world.decisions("ana", "points-expiring")[-1]
    assert [("deadline_endangered", "contact_point_unhealthy"), ("deadline_missed", "waiting")] == alarms(world)
    world.live(until="2026-03-14T00:00:00Z")
    assert (["email"], 2) == (touches(world), len(alarms(world)))
    world.check()


@pytest.mark.parametrize(("source", "told"), [("event.points", "a day, or an instant"), ("'soon'", "a date such as")])
def test_a_date_that_is_none_is_an_error_of_the_journey(world: World, source: str, told: str) -> None:
    alter(world, reach_by=replace(BY, date=compile_expression(source)))
    expiring(world)
    assert [("last-days", "suppress", "content_error")] == world.decisions("ana", "points-expiring")
    row = world.log("ana", "decision")[-1]
    assert told in row.trail
    world.check()
