"""Steps of journeys, lived through; and what a new revision or a switch does to those inside."""

from __future__ import annotations

from datetime import datetime

import pytest

from orchestrator import switches
from orchestrator.decide.content import Content
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.journeys import content_of
from orchestrator.testing.world import World, when

NOON = "2026-03-02T17:00:00Z"  # a Monday in New York
ANA = enrolled("ana", NOON)
SENT = "channels: [sms]"
BUY = "trigger: {event: purchase.completed}\n"


def live(world: World, content: Content, *events: object, until: str = "2026-06-01T00:00:00Z") -> None:
    world.content = content
    world.live(*events, until=until)  # type: ignore[arg-type]


def sent(world: World, member: str = "ana") -> list[str]:
    """`step time` of what was decided to be sent, in order."""
    return [f"{row.step} {when(row)[:16]}" for row in world.log(member, "decision") if row.verdict == "send"]


def ended(world: World, member: str = "ana") -> list[tuple[str, str]]:
    return [(row.step, row.reason) for row in world.log(member, "decision") if row.verdict == "suppress"]


def runs(world: World, member: str = "ana") -> list[tuple[str, str]]:
    known = world.member(member)
    return [] if known is None else [(run.journey, run.step) for run in known.instances]


# --- until a time of day, until a date


def test_a_run_waits_until_the_members_own_clock_shows_the_time(world: World) -> None:
    content = content_of(f"{BUY}steps:\n  - wait: {{clock: '10:00', on: [wed]}}\n  - {{send: a, {SENT}}}\n")
    live(world, content, ANA, purchase("ana", "2026-03-02T18:00:00Z"))
    assert ["a 2026-03-04T15:00"] == sent(world)


def test_no_wait_where_it_is_that_time(world: World) -> None:
    content = content_of(f"{BUY}steps:\n  - wait: {{clock: '13:00'}}\n  - {{send: a, {SENT}}}\n")
    live(world, content, ANA, purchase("ana", "2026-03-02T18:00:00Z"))
    assert ["a 2026-03-02T18:00"] == sent(world)


POINTS = "trigger: {event: points.expiring}\n"
EXPIRY = (
    f"{POINTS}updated_by: [points.expiring]\nat_once: 1\nsteps:\n"
    f"  - wait: {{date: event.expires_on, before: P3D, at: '10:00', missed: exit}}\n  - {{send: a, {SENT}}}\n"
)


def expiring(at: str, day: str) -> object:
    return event("points.expiring", "ana", at, {"points": 10, "expires_on": day})


def test_a_run_waits_until_so_long_before_a_date_of_the_event(world: World) -> None:
    live(world, content_of(EXPIRY), ANA, expiring("2026-03-03T17:00:00Z", "2026-03-20"))
    assert ["a 2026-03-17T14:00"] == sent(world)


@pytest.mark.parametrize(
    ("day", "times"),
    [
        ("2026-04-10", ["a 2026-04-07T14:00"]),
        ("2026-03-12", []),
    ],
)
def test_a_date_that_moves_is_waited_for_anew_and_one_that_has_passed_ends_the_run(
    world: World, day: str, times: list[str]
) -> None:
    moved = expiring("2026-03-10T17:00:00Z", day)
    live(world, content_of(EXPIRY), ANA, expiring("2026-03-03T17:00:00Z", "2026-03-20"), moved)
    assert times == sent(world)
    assert [] == runs(world)


def test_a_date_of_the_profile_that_moves_is_waited_for_anew_and_one_that_is_missing_is_a_silence(world: World) -> None:
    text = f"{BUY}steps:\n  - wait: {{date: member.attributes.renewal, after: PT2H}}\n  - {{send: a, {SENT}}}\n"
    renewal = [
        event("member.updated", "ana", f"2026-03-0{day}T17:00:00Z", {"attributes": {"renewal": given}})
        for day, given in ((3, "2026-03-20"), (5, "2026-03-25T12:00:00Z"))
    ]
    bought = purchase("ana", "2026-03-04T17:00:00Z")
    live(world, content_of(text), ANA, renewal[0], bought, renewal[1])
    assert ["a 2026-03-25T14:00"] == sent(world)
    none = event("member.updated", "ana", "2026-06-03T17:00:00Z", {"attributes": {"renewal": "soon"}})
    live(world, world.content, none, purchase("ana", "2026-06-04T17:00:00Z"), until="2026-07-01T00:00:00Z")
    assert [("start+1", "date_missing")] == ended(world)


# --- until an event

ASKED = (
    f"trigger: {{event: reward.delivered}}\nkey: reward_id\nsteps:\n  - {{send: ask, {SENT}}}\n"
    "  - until: {event: survey.answered, within: P3D, where: 'event.survey_id == start.reward_id'}\n"
    f"    then:\n      - branch: heard.score >= 9\n        then: [{{send: praise, {SENT}}}]\n"
    f"        else: [{{send: sorry, {SENT}}}]\n    else: [{{send: remind, {SENT}}}]\n  - {{send: bye, {SENT}}}\n"
)


def reward(at: str, which: str) -> object:
    return event("reward.delivered", "ana", at, {"reward_id": which})


def answer(at: str, which: str, score: int) -> object:
    return event("survey.answered", "ana", at, {"survey_id": which, "score": score})


def test_a_run_goes_on_with_the_event_it_waited_for_and_only_with_its_own(world: World) -> None:
    live(
        world,
        content_of(ASKED),
        ANA,
        reward("2026-03-03T17:00:00Z", "r1"),
        reward("2026-03-03T17:30:00Z", "r2"),
        answer("2026-03-04T17:00:00Z", "r2", 10),
        answer("2026-03-05T17:00:00Z", "other", 10),
    )
    assert [
        "ask 2026-03-03T17:00",
        "ask 2026-03-03T17:30",
        "praise 2026-03-04T17:00",
        "bye 2026-03-04T17:00",
        "remind 2026-03-06T17:00",
        "bye 2026-03-06T17:00",
    ] == sent(world)


def test_a_branch_that_does_not_hold_goes_the_other_way(world: World) -> None:
    live(world, content_of(ASKED), ANA, reward("2026-03-03T17:00:00Z", "r1"), answer("2026-03-04T17:00:00Z", "r1", 3))
    assert ["ask", "sorry", "bye"] == [text.split()[0] for text in sent(world)]


def test_a_branch_that_can_not_be_read_ends_the_run_as_a_silence(world: World) -> None:
    live(world, content_of(ASKED), ANA, reward("2026-03-03T17:00:00Z", "r1"))
    answered = event("survey.answered", "ana", "2026-06-03T17:00:00Z", {"survey_id": "r2"})
    live(world, world.content, reward("2026-06-02T17:00:00Z", "r2"), answered, until="2026-07-01T00:00:00Z")
    assert ("ask+2", "content_error") == ended(world)[-1]
    assert [] == runs(world)


# --- split, gather, repeat, tag, exit


def test_each_member_goes_one_way_of_a_split(world: World) -> None:
    split = (
        f"  - split:\n      one: {{share: 1, steps: [{{send: a, {SENT}}}]}}\n"
        f"      two: {{share: 3, steps: [{{send: b, {SENT}}}]}}\n"
    )
    # by a random key: that none goes the rarer way is one in a million
    members = [f"m{i}" for i in range(48)]
    events = [enrolled(member, NOON) for member in members]
    events += [purchase(member, f"2026-03-0{day}T17:00:00Z") for day in (3, 4) for member in members]
    live(world, content_of(f"{BUY}steps:\n{split}  - {{send: c, {SENT}}}\n"), *events)
    ways = {member: [text.split()[0] for text in sent(world, member)] for member in members}
    assert {("a", "c", "a", "c"), ("b", "c", "b", "c")} == {tuple(way) for way in ways.values()}


DIGEST = f"{BUY}steps:\n  - gather: {{within: P1D, most: 3}}\n  - {{send: a, {SENT}}}\n"
LIST = {"a": "{% for each in gathered %}{{ each.amount }} {% endfor %}"}


def test_a_digest_tells_of_all_that_came_within_its_time(world: World) -> None:
    times = ("2026-03-03T17:00:00Z", "2026-03-03T18:00:00Z", "2026-03-04T17:30:00Z")
    live(
        world,
        content_of(DIGEST, texts=LIST),
        ANA,
        *[purchase("ana", time, amount) for time, amount in zip(times, (1, 2, 4), strict=True)],
    )
    assert ["a 2026-03-04T17:00", "a 2026-03-05T17:30"] == sent(world)
    assert ["1 2", "4"] == [message.text.strip() for message in world.calls("ana")]


def test_a_digest_that_is_full_goes_on_at_once(world: World) -> None:
    live(
        world,
        content_of(DIGEST, texts=LIST),
        ANA,
        *[purchase("ana", f"2026-03-03T1{hour}:00:00Z", hour) for hour in (5, 6, 7, 8)],
    )
    assert ["5 6 7", "8"] == [message.text.strip() for message in world.calls("ana")]


def test_a_repetition_sends_each_round_and_ends_early_where_it_may(world: World) -> None:
    repeat = (
        "  - repeat:\n      times: 3\n      unless: aggregates.points_earned.count|default(0) > 0\n"
        f"      steps: [{{send: a, {SENT}}}, {{wait: P1D}}]\n"
    )
    content = content_of(f"{BUY}steps:\n{repeat}  - {{send: b, {SENT}}}\n")
    ben = enrolled("ben", NOON)
    earned = event("points.earned", "ben", "2026-03-04T12:00:00Z", {"points": 1})
    live(
        world,
        content,
        ANA,
        ben,
        purchase("ana", "2026-03-03T17:00:00Z"),
        purchase("ben", "2026-03-03T17:00:00Z"),
        earned,
    )
    assert [f"a 2026-03-0{day}T17:00" for day in (3, 4, 5)] + ["b 2026-03-06T17:00"] == sent(world)
    assert ["a 2026-03-03T17:00", "b 2026-03-04T17:00"] == sent(world, "ben")


def test_a_tag_is_read_by_audiences_until_it_is_taken_off(world: World) -> None:
    tags = "steps:\n  - branch: \"'asked' in member.tags\"\n    then: [{untag: asked}, {exit: true}]\n  - tag: asked\n"
    content = content_of(
        f"journey: first\n{BUY}{tags}  - {{send: a, {SENT}}}\n",
        f"journey: other\n{BUY}audience: \"'asked' in member.tags\"\nsteps:\n  - {{send: b, {SENT}}}\n",
    )
    live(world, content, ANA, *[purchase("ana", f"2026-03-0{day}T17:00:00Z") for day in (3, 4, 5)])
    assert ["a 2026-03-03T17:00", "b 2026-03-03T17:00", "a 2026-03-05T17:00", "b 2026-03-05T17:00"] == sent(world)
    known = world.member("ana")
    assert known is not None
    assert ("asked",) == known.tags


# --- a new revision while members are inside

TWO = (
    f"{BUY}steps:\n  - {{send: a, {SENT}}}\n  - wait: P3D\n  - {{send: b, {SENT}}}\n"
    f"  - {{id: late, wait: P3D}}\n  - {{send: c, {SENT}}}\n"
)


def test_who_is_inside_goes_on_from_their_label_under_a_new_revision(world: World) -> None:
    bought = purchase("ana", "2026-03-03T17:00:00Z")
    live(world, content_of(TWO), ANA, bought, until="2026-03-07T00:00:00Z")
    assert [("test", "late")] == runs(world)
    longer = f"{BUY}steps:\n  - {{send: z, {SENT}}}\n  - {{id: late, wait: P9D}}\n  - {{send: d, {SENT}}}\n"
    world.content = content_of(longer)
    world.live(until="2026-03-20T00:00:00Z")
    assert ["a 2026-03-03T17:00", "b 2026-03-06T17:00", "d 2026-03-09T17:00"] == sent(world)


@pytest.mark.parametrize(
    "journeys",
    [[f"{BUY}steps:\n  - {{send: a, {SENT}}}\n"], [f"journey: other\n{BUY}steps:\n  - {{send: a, {SENT}}}\n"]],
)
def test_a_step_or_a_journey_that_is_gone_ends_the_run_as_a_silence(world: World, journeys: list[str]) -> None:
    live(world, content_of(TWO), ANA, purchase("ana", "2026-03-03T17:00:00Z"), until="2026-03-07T00:00:00Z")
    world.content = content_of(*journeys)
    world.live(until="2026-03-20T00:00:00Z")
    assert [("late", "step_gone")] == ended(world)
    assert [] == runs(world)


# --- pause, resume, stop


def test_a_paused_journey_holds_and_what_came_due_is_decided_when_it_goes_on(world: World) -> None:
    bought = [purchase("ana", f"2026-03-0{day}T17:00:00Z") for day in (3, 7)]
    live(world, content_of(TWO), ANA, bought[0], until="2026-03-04T00:00:00Z")
    switches.switch(world.store, "journey:test", off=True, actor="op", at=moment("2026-03-05T00:00:00Z"))
    world.live(bought[1], until="2026-03-08T17:00:00Z")
    assert ["a 2026-03-03T17:00"] == sent(world)
    assert [("test", "b"), ("test", "a")] == runs(world)
    switches.resume(world.store, "test", actor="op", at=moment("2026-03-08T17:00:00Z"))
    world.live(until="2026-03-08T18:00:00Z")
    assert ["a 2026-03-03T17:00", "a 2026-03-08T17:00", "b 2026-03-08T17:00"] == sorted(sent(world))
    world.live(until="2026-03-20T00:00:00Z")
    assert ["a", "a", "b", "b", "c", "c"] == sorted(text.split()[0] for text in sent(world))


def test_what_waited_to_begin_too_long_is_stale_when_its_journey_goes_on(world: World) -> None:
    live(world, content_of(TWO), ANA, until="2026-03-03T00:00:00Z")
    switches.switch(world.store, "journey:test", off=True, actor="op", at=moment("2026-03-03T00:00:00Z"))
    world.live(purchase("ana", "2026-03-03T17:00:00Z"), until="2026-03-09T00:00:00Z")
    switches.resume(world.store, "test", actor="op", at=moment("2026-03-09T00:00:00Z"))
    world.live(until="2026-03-09T01:00:00Z")
    assert [("a", "stale")] == ended(world)


def test_a_stopped_journey_ends_for_all_inside_and_lets_nobody_in(world: World) -> None:
    members = [f"m{i}" for i in range(7)]
    events = [enrolled(member, NOON) for member in members] + [
        purchase(member, "2026-03-03T17:00:00Z") for member in members
    ]
    live(world, content_of(TWO), *events, until="2026-03-04T00:00:00Z")
    switches.stop(world.store, "test", actor="op", at=moment("2026-03-04T00:00:00Z"))
    world.live(until="2026-03-04T00:00:00Z")
    assert {("a+1", "stopped")} == {end for member in members for end in ended(world, member)}
    assert [[]] * 7 == [runs(world, member) for member in members]
    world.live(purchase("m1", "2026-03-05T17:00:00Z"), until="2026-03-05T17:00:00Z")
    assert ("a", "stopped") == ended(world, "m1")[-1]
    switches.resume(world.store, "test", actor="op", at=moment("2026-03-05T18:00:00Z"))
    world.live(purchase("m1", "2026-03-06T17:00:00Z"), until="2026-03-06T17:00:00Z")
    assert ["a 2026-03-03T17:00", "a 2026-03-06T17:00"] == sent(world, "m1")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
