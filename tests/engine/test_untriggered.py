"""Why a journey did not start: each thing that may be in the way is told with what it saw."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from orchestrator.contact_log.about import NotStarted
from orchestrator.decide.content import Content
from orchestrator.events.envelope import Event
from orchestrator.events.inputs import Command
from orchestrator.journey_orders import start
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.journeys import content_of
from orchestrator.testing.world import World
from orchestrator.untriggered import not_started

NOON = "2026-03-02T17:00:00Z"
ASKED = "2026-03-20T00:00:00Z"


def told(world: World, journey: str, at: str = ASKED, member: str = "ana") -> list[tuple[str, str]]:
    """(why, sentence) of each occasion."""
    content = world.content
    found: list[NotStarted] = not_started(
        world.store,
        world.vault,
        {content.revision: content},
        content,
        member,
        content.journeys[journey],
        datetime.fromisoformat(at),
    )
    assert all(each.journey == journey for each in found)
    return [(each.why, each.text) for each in found]


def test_a_condition_that_was_not_met_is_told_with_what_it_saw(world: World) -> None:
    world.live(
        enrolled("ana", NOON), purchase("ana", "2026-03-03T17:00:00Z", 499), purchase("ana", "2026-03-04T17:00:00Z")
    )
    text = (
        "purchase.completed of Tuesday 3 March 2026, 12:00 in America/New_York (2026-03-03 17:00:00 UTC) did not start "
        "it: its condition `event.amount >= 500` is not met (event.amount is 499)."
    )
    assert [("where", text)] == told(world, "thank-you")


def test_who_is_not_in_the_audience_is_told_why(world: World) -> None:
    left = event("member.cancelled", "ana", "2026-03-03T17:00:00Z", {})
    world.live(enrolled("ana", NOON), left, purchase("ana", "2026-03-04T17:00:00Z"))
    ((why, text),) = told(world, "thank-you")
    assert "audience" == why
    assert text.endswith("its audience `member.status == 'enrolled'` is not met (member.status is cancelled).")


def test_who_was_in_it_before_is_told_when(world: World) -> None:
    world.live(enrolled("ana", NOON), enrolled("ana", "2026-03-05T17:00:00Z"))
    ((why, text),) = told(world, "welcome")
    assert "reentry" == why
    assert "the member entered it on Monday 2 March 2026, 12:00" in text
    assert text.endswith("and it is entered once only.")


def test_a_silence_too_soon_after_the_last_is_told_with_the_gap(world: World) -> None:
    world.content = only_after(world, "we-miss-you", days=90)
    world.live(enrolled("ana", NOON), purchase("ana", "2026-03-03T17:00:00Z"), until="2026-04-05T00:00:00Z")
    world.live(purchase("ana", "2026-04-06T17:00:00Z"), until="2026-05-10T00:00:00Z")
    ((why, text),) = told(world, "we-miss-you", "2026-05-10T00:00:00Z")
    assert "reentry" == why
    assert text.startswith("The silence since Monday 6 April 2026, 13:00 in America/New_York")
    assert text.endswith("and it is entered again only after 90 days.")


def only_after(world: World, name: str, days: int) -> Content:
    journey = replace(world.content.journeys[name], reentry="gap", gap=timedelta(days=days))
    journeys = {**world.content.journeys, name: journey}
    return replace(world.content, revision="altered", journeys=journeys)


def test_history_starts_nothing(world: World) -> None:
    world.live(replace(enrolled("ana", NOON), history=True))
    assert [("history", "was loaded as history, which starts nothing.")] == [
        (why, text.rpartition(") ")[2]) for why, text in told(world, "welcome")
    ]


def test_where_nothing_came_that_is_told(world: World) -> None:
    world.live(enrolled("ana", NOON))
    text = "No purchase.completed of the member is on record up to 2026-03-20 00:00:00 UTC."
    assert [("no_event", text)] == told(world, "thank-you")


def test_a_silence_that_still_runs_is_told_with_its_end(world: World) -> None:
    world.live(enrolled("ana", NOON), purchase("ana", "2026-03-03T17:00:00Z"))
    ((why, text),) = told(world, "we-miss-you")
    assert "silence_runs" == why
    assert text.startswith("It may start on Thursday 2 April 2026, 13:00 in America/New_York")


def test_what_started_is_left_to_the_log(world: World) -> None:
    world.live(enrolled("ana", NOON), purchase("ana", "2026-03-03T17:00:00Z"))
    assert [] == told(world, "welcome")
    assert [] == told(world, "thank-you")


def test_only_what_had_come_by_then_is_told(world: World) -> None:
    world.live(
        enrolled("ana", NOON), purchase("ana", "2026-03-03T17:00:00Z", 1), purchase("ana", "2026-03-04T17:00:00Z", 2)
    )
    assert 2 == len(told(world, "thank-you"))
    assert 1 == len(told(world, "thank-you", "2026-03-04T16:59:59Z"))
    assert 2 == len(told(world, "thank-you", "2026-03-04T17:00:00Z"))


def test_a_journey_that_was_not_there_yet_is_told(world: World) -> None:
    whole = world.content
    journeys = {name: journey for name, journey in whole.journeys.items() if name != "thank-you"}
    before = replace(whole, revision="before", journeys=journeys)
    world.content = before
    world.live(enrolled("ana", NOON), purchase("ana", "2026-03-03T17:00:00Z"))
    world.content = whole
    world.live(purchase("ana", "2026-03-05T17:00:00Z"))
    asked = (world.store, world.vault)
    journey, at = whole.journeys["thank-you"], datetime.fromisoformat(ASKED)
    found = not_started(*asked, {"before": before, whole.revision: whole}, whole, "ana", journey, at)
    assert ["no_journey"] == [each.why for each in found]
    # and without the content of then nothing can be said of what came after
    found = not_started(*asked, {whole.revision: whole}, whole, "ana", journey, at)
    assert ["unreadable"] == [each.why for each in found]


def test_of_a_member_who_was_erased_nothing_can_be_told(world: World) -> None:
    world.live(enrolled("ana", NOON))
    world.tell("ana", "2026-03-04T00:00:00Z", Command(verb="erase", actor="kim", given_at=datetime.fromisoformat(NOON)))
    world.live(until="2026-03-05T00:00:00Z")
    assert ["erased"] == [why for why, _ in told(world, "thank-you")]


# --- the other ways to start


STEPS = "steps:\n  - {send: a, channels: [sms]}\n"


def lived(world: World, journey: str, *events: Event) -> list[tuple[str, str]]:
    world.content = content_of(journey + STEPS)
    world.live(*events, until=ASKED)
    return told(world, "test")


def bought(*days: int) -> list[Event]:
    return [purchase("ana", f"2026-03-{day:02d}T17:00:00Z", 100) for day in days]


@pytest.mark.parametrize(
    ("trigger", "said"),
    [
        ("of: count, reaches: 3", ["count of purchase.completed is 1, and it starts at 3",
                                   "count of purchase.completed is 2, and it starts at 3",
                                   "count of purchase.completed is 4, and had reached 3 before"]),
        ("of: sum, each: 200", ["sum of purchase.completed is 100, and it starts at the next multiple of 200",
                                "sum of purchase.completed is 300, and it starts at the next multiple of 200"]),
        ("of: count, days: 2, reaches: 2", ["count of purchase.completed of the last 2 days is 1, and it starts at 2"]),
    ],
)  # fmt: skip
def test_a_figure_that_did_not_reach_its_mark_is_told_with_its_number(
    world: World, trigger: str, said: list[str]
) -> None:
    days = (3, 4, 5, 6) if "days" not in trigger else (3, 4, 5)
    found = lived(world, f"trigger: {{figure: purchase.completed, {trigger}}}\n", enrolled("ana", NOON), *bought(*days))
    assert ["figure"] * len(said) == [why for why, _ in found]
    for words, (_, text) in zip(said, found, strict=True):
        assert words in text


def test_a_figure_that_was_reached_but_not_by_the_audience_is_told(world: World) -> None:
    journey = "trigger: {figure: purchase.completed, reaches: 1}\naudience: member.tier == 'gold'\n"
    ((why, text),) = lived(world, journey, enrolled("ana", NOON), *bought(3))
    assert "audience" == why
    assert "its audience `member.tier == 'gold'` is not met (member.tier is unknown)" in text


def test_a_date_that_is_to_come_and_one_that_is_not_known_are_told(world: World) -> None:
    journey = "trigger: {date: member.birthday, yearly: true, at: '10:00'}\n"
    ((why, text),) = lived(world, journey, enrolled("ana", NOON, birthday="1980-07-14"))
    assert ("to_come", True) == (why, text.startswith("It may start on Tuesday 14 July 2026, 10:00"))
    world.live(enrolled("ben", NOON))
    assert [("no_date", "No moment of it is to come: it goes by `member.birthday` (member.birthday is unknown).")] == (
        told(world, "test", member="ben")
    )


def test_a_moment_of_a_schedule_at_which_the_member_was_not_in_the_audience_is_told(world: World) -> None:
    journey = "trigger: {weekly: [mon], at: '10:00'}\naudience: member.tier == 'gold'\n"
    found = lived(world, journey, enrolled("ana", NOON))
    assert ["audience", "audience", "to_come"] == [why for why, _ in found]
    assert found[0][1].startswith("Its moment on Monday 9 March 2026, 10:00")
    assert found[2][1].startswith("It may start on Monday 23 March 2026, 10:00")


@pytest.mark.parametrize(
    ("way", "changes", "whys", "words"),
    [
        ("enters", [], ["group"], "does not belong to its audience: `member.tier == 'gold'` (member.tier is unknown)"),
        ("enters", ["gold"], ["audience"], "came to belong to its audience on Tuesday 3 March 2026"),
        ("leaves", [], ["group"], "was never seen in its audience"),
        ("leaves", ["gold"], ["group"], "has not left its audience: `member.tier == 'gold'` (member.tier is gold)"),
        ("leaves", ["gold", "red"], ["audience"], "left its audience on Wednesday 4 March 2026"),
    ],
)
def test_an_audience_that_was_not_entered_or_left_is_told(
    world: World, way: str, changes: list[str], whys: list[str], words: str
) -> None:
    changed = [
        event("tier.changed", "ana", f"2026-03-{day:02d}T17:00:00Z", {"tier": tier})
        for day, tier in enumerate(changes, start=3)
    ]
    journey = f"trigger: {{{way}: \"member.tier == 'gold'\"}}\naudience: member.family_name == 'Gómez'\n"
    found = lived(world, journey, enrolled("ana", NOON), *changed)
    assert whys == [why for why, _ in found]
    assert words in found[0][1]


def test_a_journey_by_hand_is_told_of_its_orders(world: World) -> None:
    journey = "trigger: {manual: true}\naudience: member.tier == 'gold'\n"
    ((why, text),) = lived(world, journey, enrolled("ana", NOON))
    assert ("by_hand", True) == (why, text.startswith("It starts by hand alone, and nobody ordered it"))
    at = datetime.fromisoformat("2026-03-20T17:00:00Z")
    start(world.store, world.vault, world.content, "test", ("ana",), actor="kim", at=at)
    world.live(until="2026-03-21T00:00:00Z")
    ((why, text),) = told(world, "test", "2026-03-21T00:00:00Z")
    assert ("audience", True) == (why, text.startswith("The order of Friday 20 March 2026, 13:00"))


@pytest.mark.parametrize(
    "trigger",
    ["{figure: purchase.completed, reaches: 1}", "{date: member.since, after_days: 1}", "{weekly: [mon], at: '10:00'}",
     "{enters: \"member.tier == 'gold'\"}"],
)  # fmt: skip
def test_what_started_by_any_of_these_is_left_to_the_log(world: World, trigger: str) -> None:
    gold = event("tier.changed", "ana", "2026-03-03T17:00:00Z", {"tier": "gold"})
    found = lived(world, f"trigger: {trigger}\n", enrolled("ana", NOON), *bought(3), gold)
    assert [] == [text for why, text in found if why != "to_come"]
    assert [] != world.decisions("ana", "test")


def test_nobody_has_nothing_to_be_told(world: World) -> None:
    assert [] == told(world, "welcome", member="nobody")


@pytest.mark.parametrize("journey", ["welcome", "thank-you", "we-miss-you"])
def test_telling_changes_nothing(world: World, journey: str) -> None:
    world.live(enrolled("ana", NOON), purchase("ana", "2026-03-03T17:00:00Z", 1))
    before = list(world.store.log())
    told(world, journey)
    assert before == list(world.store.log())
    world.check()
