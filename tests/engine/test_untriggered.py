"""Why a journey did not start: each thing that may be in the way is told with what it saw."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from orchestrator.contact_log.about import NotStarted
from orchestrator.decide.content import Content
from orchestrator.events.inputs import Command
from orchestrator.testing.builders import enrolled, event, purchase
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


def test_nobody_has_nothing_to_be_told(world: World) -> None:
    assert [] == told(world, "welcome", member="nobody")


@pytest.mark.parametrize("journey", ["welcome", "thank-you", "we-miss-you"])
def test_telling_changes_nothing(world: World, journey: str) -> None:
    world.live(enrolled("ana", NOON), purchase("ana", "2026-03-03T17:00:00Z", 1))
    before = list(world.store.log())
    told(world, journey)
    assert before == list(world.store.log())
    world.check()
