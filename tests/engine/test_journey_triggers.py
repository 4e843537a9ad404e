"""What starts a journey, who is kept out of it, and its goal: lived through on each kind of store."""

from __future__ import annotations

from datetime import datetime

import pytest

from orchestrator import switches
from orchestrator.decide.content import Content
from orchestrator.events.envelope import Event
from orchestrator.journey_orders import start
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.journeys import content_of
from orchestrator.testing.world import World, when

NOON = "2026-03-02T17:00:00Z"  # a Monday in New York
ANA = enrolled("ana", NOON)
STEPS = "steps:\n  - {send: a, channels: [sms]}\n"
YEAR = "2027-12-31T00:00:00Z"


def live(world: World, content: Content, *events: Event, until: str = "2026-06-01T00:00:00Z") -> None:
    world.content = content
    world.live(*events, until=until)


def sent(world: World, member: str = "ana") -> list[str]:
    return [when(row)[:16] for row in world.log(member, "decision") if row.verdict == "send"]


def ended(world: World, member: str = "ana") -> list[str]:
    return [row.reason for row in world.log(member, "decision") if row.verdict == "suppress"]


# --- dates and schedules


def test_a_birthday_comes_each_year_on_the_members_clock(world: World) -> None:
    live(world, content_of(f"trigger: {{date: member.birthday, yearly: true, at: '10:00'}}\n{STEPS}"),
         enrolled("ana", NOON, birthday="1980-07-14"), until=YEAR)  # fmt: skip
    assert ["2026-07-14T14:00", "2027-07-14T14:00"] == sent(world)


@pytest.mark.parametrize(("leap_day", "day"), [("02-28", "2027-02-28"), ("03-01", "2027-03-01")])
def test_who_was_born_on_29_february_is_congratulated_on_the_day_that_the_data_say(
    world: World, leap_day: str, day: str
) -> None:
    trigger = f"trigger: {{date: member.birthday, yearly: true, leap_day: {leap_day}}}\n"
    born = enrolled("ana", NOON, birthday="1980-02-29")
    live(world, content_of(trigger + STEPS), born, until="2028-12-31T00:00:00Z")
    assert [f"{day}T14:00", "2028-02-29T14:00"] == sent(world)


def test_a_date_once_so_many_days_before_it_moves_with_the_date(world: World) -> None:
    content = content_of(f"trigger: {{date: member.attributes.renewal, before_days: 7, at: '09:00'}}\n{STEPS}")
    joined = enrolled("ana", NOON, attributes={"renewal": "2026-04-20"})
    moved = event("member.updated", "ana", "2026-04-01T17:00:00Z", {"attributes": {"renewal": "2026-05-20"}})
    live(world, content, joined, moved, until=YEAR)
    assert ["2026-05-13T13:00"] == sent(world)


def test_who_moves_to_a_zone_further_west_lives_no_day_twice(world: World) -> None:
    content = content_of(f"trigger: {{date: member.birthday, yearly: true, at: '09:00'}}\n{STEPS}")
    west = event("member.updated", "ana", "2026-07-14T13:30:00Z", {"zone": "America/Los_Angeles"})
    live(world, content, enrolled("ana", NOON, birthday="1980-07-14"), west, until=YEAR)
    assert ["2026-07-14T13:00", "2027-07-14T16:00"] == sent(world)


def test_a_schedule_comes_on_its_days_of_the_week_or_of_the_month(world: World) -> None:
    content = content_of(
        f"journey: weekly\ntrigger: {{weekly: [tue, fri], at: '10:00'}}\n{STEPS}",
        f"journey: monthly\ntrigger: {{monthly: [31, -1], at: '12:00'}}\naudience: member.tier == 'gold'\n{STEPS}",
    )
    live(world, content, ANA, enrolled("ben", NOON, tier="gold"), until="2026-03-11T00:00:00Z")
    assert ["2026-03-03T15:00", "2026-03-06T15:00", "2026-03-10T14:00"] == sent(world)
    world.live(until="2026-05-01T00:00:00Z")
    monthly = [when(row)[:16] for row in world.log("ben", "decision") if row.journey == "monthly"]
    assert ["2026-03-31T16:00", "2026-04-30T16:00"] == monthly


def test_a_journey_of_the_calendar_that_is_new_reaches_members_of_whom_nothing_comes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.pipeline.house.SWEPT", 2)
    members = [f"m{i}" for i in range(9)]
    born = [enrolled(member, NOON, birthday="1980-07-14") for member in members]
    live(world, content_of(f"trigger: {{event: purchase.completed}}\n{STEPS}"), *born, until="2026-03-03T00:00:00Z")
    world.content = content_of(f"trigger: {{date: member.birthday, yearly: true}}\n{STEPS}")
    world.live(ANA, until="2026-08-01T00:00:00Z")
    assert [["2026-07-14T13:00"]] * 9 == [sent(world, member) for member in members]


# --- thresholds, audiences, by hand


def test_a_threshold_starts_once_as_it_is_crossed(world: World) -> None:
    content = content_of(
        f"journey: once\ntrigger: {{figure: purchase.completed, of: sum, reaches: 1000}}\n{STEPS}",
        f"journey: each\ntrigger: {{figure: purchase.completed, each: 2}}\n{STEPS}",
    )
    live(world, content, ANA, *[purchase("ana", f"2026-03-0{day}T17:00:00Z", 400) for day in range(3, 9)])
    started = [(row.journey, when(row)[8:10]) for row in world.log("ana", "decision")]
    assert [("each", "04"), ("once", "05"), ("each", "06"), ("each", "08")] == started


def test_a_rolling_figure_may_be_crossed_again_once_it_has_fallen(world: World) -> None:
    content = content_of(f"trigger: {{figure: purchase.completed, days: 10, reaches: 2}}\n{STEPS}")
    days = ("03-03", "03-05", "03-06", "04-03", "04-04")
    live(world, content, ANA, *[purchase("ana", f"2026-{day}T17:00:00Z") for day in days])
    assert ["2026-03-05T17:00", "2026-04-04T17:00"] == sent(world)


def test_history_crosses_nothing_and_what_it_crossed_is_not_crossed_again(world: World) -> None:
    content = content_of(f"trigger: {{figure: purchase.completed, reaches: 2}}\n{STEPS}")
    old = [
        event("purchase.completed", "ana", f"2026-03-0{d}T17:00:00Z",
              {"purchase_id": f"p{d}", "amount": 1, "currency": "USD"}, history=True)
        for d in (3, 4)
    ]  # fmt: skip
    live(world, content, ANA, *old, purchase("ana", "2026-03-05T17:00:00Z"))
    assert [] == sent(world)


def tier(at: str, tier: str) -> Event:
    return event("tier.changed", "ana", at, {"tier": tier})


def test_entering_and_leaving_an_audience_each_start_once_a_crossing(world: World) -> None:
    content = content_of(
        f"journey: came\ntrigger: {{enters: \"member.tier == 'gold'\"}}\n{STEPS}",
        f"journey: went\ntrigger: {{leaves: \"member.tier == 'gold'\"}}\n{STEPS}",
    )
    tiers = ("gold", "gold", "silver", "gold")
    changes = [tier(f"2026-03-0{day}T17:00:00Z", to) for day, to in zip((3, 4, 5, 6), tiers, strict=True)]
    live(world, content, ANA, *changes)
    assert [("came", "03"), ("went", "05"), ("came", "06")] == [
        (row.journey, when(row)[8:10]) for row in world.log("ana", "decision")
    ]


def test_a_tag_that_a_journey_sets_may_lead_into_the_audience_of_another(world: World) -> None:
    content = content_of(
        "journey: tags\ntrigger: {event: purchase.completed}\nsteps:\n  - wait: P1D\n  - tag: buyer\n"
        "  - {send: a, channels: [sms]}\n",
        f"journey: tagged\ntrigger: {{enters: \"'buyer' in member.tags\"}}\n{STEPS}",
    )
    live(world, content, ANA, purchase("ana", "2026-03-03T17:00:00Z"), purchase("ana", "2026-03-05T17:00:00Z"))
    tagged = [when(row)[8:10] for row in world.log("ana", "decision") if row.journey == "tagged"]
    assert ["04"] == tagged


MANUAL = f"trigger: {{manual: true}}\naudience: member.tier != 'none'\nreentry: P30D\n{STEPS}"


def test_a_journey_is_started_by_hand_for_one_member_or_for_all_of_its_audience(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.pipeline.house.SWEPT", 2)
    members = [f"m{i}" for i in range(7)]
    out = enrolled("out", NOON, tier="none")
    live(world, content_of(MANUAL), out, *[enrolled(m, NOON) for m in members], until="2026-03-03T17:00:00Z")
    at = moment("2026-03-03T17:00:00Z")
    start(world.store, world.vault, world.content, "test", ("m3",), actor="op", at=at)
    world.live(until="2026-03-03T17:00:00Z")
    assert [[], ["2026-03-03T17:00"]] == [sent(world, "m0"), sent(world, "m3")]
    later = moment("2026-03-03T18:00:00Z")
    start(world.store, world.vault, world.content, "test", (), actor="op", at=later)
    world.live(until="2026-03-03T18:00:00Z")
    hours = {member: [text[11:] for text in sent(world, member)] for member in [*members, "out"]}
    assert {**{key: ["18:00"] for key in members}, "m3": ["17:00"], "out": []} == hours


# --- who is kept out


def reward(at: str, which: str) -> Event:
    return event("reward.delivered", "ana", at, {"reward_id": which})


def test_runs_are_kept_apart_by_their_key_and_each_key_has_one_at_a_time(world: World) -> None:
    content = content_of(
        "trigger: {event: reward.delivered}\nkey: reward_id\nreentry: never\n"
        "steps:\n  - wait: P2D\n  - {send: a, channels: [sms]}\n"
    )
    rewards = [reward(f"2026-03-0{day}T17:00:00Z", f"r{which}") for day, which in ((3, 1), (4, 2), (5, 1), (9, 1))]
    live(world, content, ANA, *rewards)
    assert ["2026-03-05T17:00", "2026-03-06T17:00"] == sent(world)


def test_no_more_runs_at_a_time_than_the_journey_allows(world: World) -> None:
    content = content_of(
        "trigger: {event: purchase.completed}\nat_once: 2\nsteps:\n  - wait: P5D\n  - {send: a, channels: [sms]}\n"
    )
    live(world, content, ANA, *[purchase("ana", f"2026-03-0{day}T17:00:00Z") for day in (3, 4, 5, 8)])
    assert ["2026-03-08T17:00", "2026-03-09T17:00", "2026-03-13T17:00"] == sent(world)


GOAL = (
    "trigger: {event: reward.delivered}\nkey: reward_id\n"
    "goal: {event: survey.answered, where: event.survey_id == start.reward_id}\n"
    "steps:\n  - {send: a, channels: [sms]}\n  - wait: P5D\n  - {send: b, channels: [sms]}\n"
)


def test_a_goal_ends_the_run_it_comes_to_and_is_on_record(world: World) -> None:
    answered = event("survey.answered", "ana", "2026-03-04T17:00:00Z", {"survey_id": "r1", "score": 9})
    rewards = [reward("2026-03-03T17:00:00Z", "r1"), reward("2026-03-03T18:00:00Z", "r2")]
    live(world, content_of(GOAL), ANA, *rewards, answered)
    assert ["2026-03-03T17:00", "2026-03-03T18:00", "2026-03-08T18:00"] == sent(world)
    assert [("test", "goal_reached")] == [(row.journey, row.state) for row in world.log("ana", "journey")]
    assert 1 == sum(n for key, n in world.store.daily().items() if key[3] == "goal_reached")


def test_a_holdout_is_a_silence_and_the_same_members_each_time(world: World) -> None:
    text = f"purpose: marketing\ntrigger: {{event: purchase.completed}}\nholdout: {{share: 40}}\n{STEPS}"
    members = [f"m{i}" for i in range(30)]
    bought = [purchase(member, f"2026-03-{day}T17:00:00Z") for day in ("03", "10") for member in members]
    live(world, content_of(text), *[enrolled(member, NOON) for member in members], *bought)
    kinds = {member: set(ended(world, member)) | ({"sent"} if sent(world, member) else set()) for member in members}
    assert {frozenset({"holdout"}), frozenset({"sent"})} == {frozenset(kind) for kind in kinds.values()}
    held = [member for member in members if "holdout" in kinds[member]]
    assert [["holdout", "holdout"]] * len(held) == [ended(world, member) for member in held]


def test_who_is_held_out_of_all_marketing_still_gets_what_is_service(world: World) -> None:
    content = content_of(
        f"journey: offer\npurpose: marketing\ntrigger: {{event: purchase.completed}}\n{STEPS}",
        f"journey: owed\ntrigger: {{event: purchase.completed}}\n{STEPS}",
        holdout="share: 50\nsalt: year-2026\n",
    )
    members = [f"m{i}" for i in range(20)]
    bought = [purchase(member, "2026-03-03T17:00:00Z") for member in members]
    live(world, content, *[enrolled(member, NOON) for member in members], *bought)
    owed = [row.verdict for row in world.log(None, "decision") if row.journey == "owed"]
    assert ["send"] * 20 == owed
    assert {"send", "suppress"} == {row.verdict for row in world.log(None, "decision") if row.journey == "offer"}


def test_an_exit_with_a_key_ends_the_run_of_that_key_alone(world: World) -> None:
    content = content_of(
        "trigger: {event: complaint.opened}\nkey: complaint_id\nexit: [complaint.closed]\n"
        "steps:\n  - wait: P2D\n  - {send: a, channels: [sms]}\n"
    )
    opened = [event("complaint.opened", "ana", f"2026-03-03T1{i}:00:00Z", {"complaint_id": f"c{i}"}) for i in (5, 6)]
    closed = event("complaint.closed", "ana", "2026-03-04T12:00:00Z", {"complaint_id": "c5"})
    live(world, content, ANA, *opened, closed)
    assert ["2026-03-05T16:00"] == sent(world)


def test_a_moment_of_the_calendar_of_a_paused_journey_is_decided_when_it_goes_on(world: World) -> None:
    live(world, content_of(f"trigger: {{weekly: [tue], at: '12:00'}}\n{STEPS}"), ANA, until="2026-03-03T00:00:00Z")
    switches.switch(world.store, "journey:test", off=True, actor="op", at=moment("2026-03-03T00:00:00Z"))
    world.live(until="2026-03-04T17:00:00Z")
    assert [] == sent(world)
    switches.resume(world.store, "test", actor="op", at=moment("2026-03-04T17:00:00Z"))
    world.live(until="2026-03-04T18:00:00Z")
    assert ["2026-03-04T17:00"] == sent(world)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
