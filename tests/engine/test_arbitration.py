"""Journeys that want a member at the same moment: who goes first, what is told of the other, and by which channel."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.contact_log.about import about
from orchestrator.decide.journey import Send
from orchestrator.decide.policies import HousePolicies
from orchestrator.decide.result import Trail
from orchestrator.stores.contract import LogRow
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import World

EVER = datetime.min.replace(tzinfo=UTC)
# in New York: an afternoon, long before; an evening, when marketing rests; the morning after it
JOINED = "2026-03-02T17:00:00Z"
EVENING = "2026-03-19T02:30:00Z"
LATER = "2026-03-19T02:40:00Z"
MORNING = "2026-03-19T14:00:00Z"


def prefer(world: World, *journeys: str) -> None:
    """The house's journeys that go first."""
    policies = world.content.policies
    assert isinstance(policies, HousePolicies)
    places = {name: place for place, name in enumerate(journeys)}
    world.content = replace(world.content, policies=replace(policies, priority=((EVER, places),)))


def alter(world: World, journey: str, **words: object) -> None:
    """The send steps of a journey with other words."""
    old = world.content.journeys[journey]
    new = replace(old, steps=tuple(replace(at, **words) if isinstance(at, Send) else at for at in old.steps))
    journeys = {**world.content.journeys, journey: new}
    started = {name: tuple(journeys[j.name] for j in some) for name, some in world.content.started_by.items()}
    world.content = replace(world.content, journeys=journeys, started_by=started)


def evening(world: World) -> None:
    """A purchase and a new tier of one evening: both wait for the same morning."""
    world.live(enrolled("ana", JOINED, consents=("email",)), until="2026-03-19T00:00:00Z")
    world.live(purchase("ana", EVENING), event("tier.changed", "ana", LATER, {"tier": "gold"}), until=MORNING)


def last(world: World, journey: str) -> tuple[LogRow, Trail]:
    row = [row for row in world.log("ana", "decision") if row.journey == journey][-1]
    return row, msgspec.json.decode(row.trail, type=Trail)


@pytest.mark.parametrize(
    ("first", "winner", "loser"), [("tier-up", "tier-up", "thank-you"), ("thank-you", "thank-you", "tier-up")]
)
def test_who_goes_first_takes_the_place_and_the_other_names_them(
    world: World, first: str, winner: str, loser: str
) -> None:
    """Not who came first: the thanks waited ten minutes longer."""
    prefer(world, first)
    evening(world)
    won, _ = last(world, winner)
    lost, trail = last(world, loser)
    assert ("send", won.at) == (won.verdict, lost.at)
    assert ("frequency_cap", True) == (lost.reason, lost.verdict in ("defer", "suppress"))
    assert trail.outranked_by is not None
    assert (winner, won.step, won.intent_id) == (
        trail.outranked_by.journey, trail.outranked_by.step, trail.outranked_by.intent_id,
    )  # fmt: skip
    told = about(world.store, world.vault, "ana", journey=loser).paragraphs[-1]
    sentence = f"{winner} / {won.step} wanted the member at the same moment, goes first and took the place"
    assert 1 == sum(sentence in str(each) for each in told.sentences)
    world.check()


def test_who_is_named_nowhere_comes_after_and_among_equals_who_waited_longest(world: World) -> None:
    prefer(world)
    evening(world)
    assert "send" == last(world, "thank-you")[0].verdict
    assert "thank-you" == getattr(last(world, "tier-up")[1].outranked_by, "journey", "")


def test_a_place_that_was_gone_before_has_no_winner(world: World) -> None:
    world.live(enrolled("ana", JOINED, consents=("email",)), until="2026-03-19T00:00:00Z")
    world.live(event("tier.changed", "ana", "2026-03-19T15:00:00Z", {"tier": "gold"}))
    world.live(purchase("ana", "2026-03-19T18:00:00Z"))
    lost, trail = last(world, "thank-you")
    assert ("frequency_cap", None) == (lost.reason, trail.outranked_by)


def test_service_goes_its_way_whoever_goes_first(world: World) -> None:
    """It neither uses up the marketing cap nor is stopped by it."""
    prefer(world, "tier-up", "thank-you")
    alter(world, "thank-you", on_refusal="other_channel")
    evening(world)
    world.live(
        event("points.expiring", "ana", "2026-03-19T14:30:00Z", {"points": 10, "expires_on": "2026-04-01"}),
        until="2026-03-19T15:00:00Z",
    )
    assert "send" == last(world, "points-expiring")[0].verdict


def test_a_silence_names_the_reason_of_the_channel_that_came_closest(world: World) -> None:
    """There is no e-mail address; a text would have gone, but for the limit."""
    world.live(enrolled("ana", JOINED, channels=("sms",), consents=("sms",)), until="2026-03-02T18:00:00Z")
    world.live(purchase("ana", "2026-03-03T13:30:00Z"), until="2026-03-03T14:00:00Z")
    row, trail = last(world, "thank-you")
    assert ("suppress", "frequency_cap", "sms") == (row.verdict, row.reason, row.channel)
    assert ["email", "whatsapp", "sms"] == [tried.channel for tried in trail.tried]
    assert "no_contact_point" == trail.tried[0].findings[0].reason


@pytest.mark.parametrize(
    ("channels", "preferred", "order"),
    [
        (("sms", "email"), [], ["email", "sms"]),
        (("email", "sms"), ["sms"], ["sms"]),
        (("email", "sms"), ["telegram", "sms", "email"], ["sms"]),
    ],
)
def test_the_members_channel_is_tried_first_then_the_least_intrusive(
    world: World, channels: tuple[str, ...], preferred: list[str], order: list[str]
) -> None:
    alter(world, "thank-you", channels=channels)
    wishes = {"channels": preferred}
    # no consent to e-mail: it is passed over
    world.live(enrolled("ana", JOINED, consents=("sms",), preferences=wishes), until="2026-03-18T00:00:00Z")
    world.live(purchase("ana", "2026-03-18T17:00:00Z"))
    row, trail = last(world, "thank-you")
    assert ("send", "sms") == (row.verdict, row.channel)
    assert order == [tried.channel for tried in trail.tried]


@pytest.mark.parametrize(
    ("fate", "verdict", "channel", "tried"),
    [
        ("other_channel", "send", "sms", ["email", "whatsapp", "sms"]),
        ("defer", "defer", "email", ["email"]),
        ("drop", "suppress", "email", ["email"]),
    ],
)
def test_the_fate_of_a_message_whose_channel_must_wait(
    world: World, fate: str, verdict: str, channel: str, tried: list[str]
) -> None:
    """Three e-mails in seven days are the limit; a text may still go. Each refusal tells when it could have gone."""
    policies = world.content.policies
    assert isinstance(policies, HousePolicies)
    fewer = tuple(rule for rule in policies.rules if rule.id not in ("house.day", "house.breath"))
    world.content = replace(world.content, policies=replace(policies, rules=fewer))
    alter(world, "thank-you", on_refusal=fate, drop_on=frozenset())
    world.live(enrolled("ana", JOINED), until="2026-03-02T18:00:00Z")
    world.live(purchase("ana", "2026-03-02T18:30:00Z"), until="2026-03-02T19:00:00Z")
    row, trail = last(world, "thank-you")
    assert (verdict, channel, tried) == (row.verdict, row.channel, [each.channel for each in trail.tried])
    if verdict != "send":
        assert ("frequency_cap", datetime(2026, 3, 3, 13, tzinfo=UTC)) == (
            row.reason, datetime.fromtimestamp((row.release_at or 0) / 1e6, UTC),
        )  # fmt: skip
    world.check()


def test_without_a_channel_that_may_wait_the_fate_is_silence(world: World) -> None:
    """A channel that is ruled out for good is passed over, whatever the fate of what must wait."""
    alter(world, "thank-you", on_refusal="defer")
    world.live(enrolled("ana", JOINED, consents=("sms",)), until="2026-03-18T00:00:00Z")
    world.live(purchase("ana", "2026-03-18T17:00:00Z"))
    assert ("send", "sms") == (last(world, "thank-you")[0].verdict, last(world, "thank-you")[0].channel)
