"""An input that `step` can't bear: tried three times, its member parked, everybody else goes on."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from orchestrator.deadletters import redrive
from orchestrator.render.contract import Rendered, Templates
from orchestrator.stores.contract import ParkedRow
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import World, us
from orchestrator.times import instant

NOON = "2026-03-02T17:00:00Z"
LATER = us("2026-03-12T17:00:00Z")


class Brittle:
    """The shipped templates, with a fault of ours in them: for members of the tier `glass` they raise."""

    def __init__(self, templates: Templates) -> None:
        self.templates, self.raised = templates, 0

    def is_approved(self, journey: str, message: str, channel: str, locale: str) -> bool:
        return self.templates.is_approved(journey, message, channel, locale)

    def render(self, journey: str, step: str, channel: str, locale: str, view: Mapping[str, object]) -> Rendered:
        if "glass" in str(view):
            self.raised += 1
            raise ZeroDivisionError
        return self.templates.render(journey, step, channel, locale, view)


def brittle(world: World) -> Brittle:
    templates = Brittle(world.content.templates)
    world.content = replace(world.content, templates=templates)
    return templates


def broken_story(world: World) -> Brittle:
    templates = brittle(world)
    world.live(
        enrolled("ana", NOON),
        enrolled("ben", NOON, tier="glass"),
        purchase("ben", "2026-03-03T17:00:00Z"),
        event("member.updated", "ben", "2026-03-03T18:00:00Z", {"tier": "wood"}),
        purchase("ana", "2026-03-03T19:00:00Z"),
        purchase("ben", "2026-03-04T17:00:00Z"),
        until="2026-03-10T00:00:00Z",
    )
    return templates


def redriven(world: World) -> int:
    """Has ben redriven, as the command does it; inputs that were parked when it was ordered."""
    inputs = len(parked(world))
    redrive(world.store, world.vault, "ben", "operator", instant(LATER))
    with world.runner(dispatch=False) as runner:
        runner.engine.carry_out()
    return inputs


def parked(world: World) -> list[ParkedRow]:
    return world.store.parked(world.vault.member("ben"))


def test_the_failing_input_is_tried_alone_three_times_and_its_member_parked(world: World) -> None:
    templates = broken_story(world)
    # with its batch, once more as the first of one where others came before it, then alone
    assert 1 + 3 <= templates.raised <= 2 + 3
    assert 4 == world.total("parked") == len(parked(world))
    assert [] == world.log("ben")
    assert "" == world.ref("ben")
    assert [(world.vault.member("ben"), "ZeroDivisionError")] == [
        (row.member, row.reason) for row in world.store.quarantine()
    ]


def test_everybody_else_goes_on(world: World) -> None:
    broken_story(world)
    assert [("hello", "send", "")] == world.decisions("ana", "welcome")[:1]
    assert [("thanks", "send", "")] == world.decisions("ana", "thank-you")


def test_a_member_is_redriven_in_order_once_the_fault_is_mended(world: World, content: object) -> None:
    broken_story(world)
    world.content = content  # type: ignore[assignment]  # the fault is mended
    assert 4 == redriven(world)
    assert ([], [], 0) == (parked(world), world.store.quarantine(), world.total("parked"))
    member = world.member("ben")
    assert member is not None
    # wood came after glass, and both purchases count
    assert ("wood", 2) == (member.tier, member.aggregates["purchase.completed"].count)
    # nobody is welcomed eight days late
    assert [("hello", "suppress", "stale")] == world.decisions("ben", "welcome")
    world.live(purchase("ben", "2026-03-12T18:00:00Z"))
    assert ("thanks", "send", "") == world.decisions("ben", "thank-you")[-1]


def test_a_member_redriven_too_early_is_parked_again_and_loses_nothing(world: World, content: object) -> None:
    templates = brittle(world)
    world.live(
        enrolled("ben", NOON, tier="glass"), purchase("ben", "2026-03-02T18:00:00Z"), until="2026-03-02T19:00:00Z"
    )
    raised, rows = templates.raised, parked(world)
    assert 2 == redriven(world)
    assert templates.raised >= raised + 3
    assert [(row.offset, row.at, row.kind) for row in rows] == [(r.offset, r.at, r.kind) for r in parked(world)]
    world.content = content  # type: ignore[assignment]
    redriven(world)
    world.live(until="2026-03-02T22:00:00Z")
    assert [("hello", "send", "")] == world.decisions("ben", "welcome")


def test_what_comes_after_the_order_is_applied_after_what_was_parked(world: World, content: object) -> None:
    broken_story(world)
    world.content = content  # type: ignore[assignment]
    redrive(world.store, world.vault, "ben", "operator", instant(LATER))
    world.live(event("member.updated", "ben", "2026-03-10T12:00:00Z", {"tier": "gold"}))
    journal = [row for p in range(3) for row in world.store.journal(p) if row.ref == world.ref("ben")]
    offsets = [row.offset for row in journal if row.kind == "event"]
    assert (5, sorted(offsets)) == (len(offsets), offsets)
    member = world.member("ben")
    assert member is not None
    assert "gold" == member.tier


def test_an_event_told_again_while_it_was_parked_is_a_duplicate(world: World, content: object) -> None:
    brittle(world)
    again = purchase("ben", "2026-03-03T17:00:00Z", id="p1")
    reused = purchase("ben", "2026-03-03T17:00:00Z", id="p1", amount=7)
    world.live(enrolled("ben", NOON, tier="glass"), again, again, reused)
    assert 4 == world.total("parked")
    world.content = content  # type: ignore[assignment]
    redriven(world)
    assert (1, 1, 0) == (world.total("duplicate"), world.total("dead"), world.total("parked"))
    member = world.member("ben")
    assert member is not None
    assert 1 == member.aggregates["purchase.completed"].count


def test_an_event_told_before_the_quarantine_and_again_in_it_is_a_duplicate(world: World) -> None:
    again = purchase("ben", "2026-03-03T17:00:00Z", id="p1")
    world.live(enrolled("ben", NOON), again)
    sound = world.content
    brittle(world)
    world.live(event("member.updated", "ben", "2026-03-04T17:00:00Z", {"tier": "glass"}))
    world.live(purchase("ben", "2026-03-05T17:00:00Z"), again)
    assert [*["inbox"] * 3, "event"] == [row.kind for row in parked(world)], "the duplicate is not parked"
    assert 1 == world.total("duplicate")
    world.content = sound
    redriven(world)
    assert 1 == world.total("duplicate")


def test_a_redrive_is_on_record_with_its_actor(world: World, content: object) -> None:
    """Also where the member is known by nothing else yet."""
    broken_story(world)
    world.content = content  # type: ignore[assignment]
    redriven(world)
    orders = [row for row in world.store.log() if (row.kind, row.reason) == ("operator", "redrive")]
    assert [(LATER, '{"actor":"operator"}')] == [(row.occurred_at, row.trail) for row in orders]


def test_a_timer_that_fails_parks_its_member_too(world: World) -> None:
    """The night's deferral comes due in the morning, when the templates are already broken."""
    world.live(enrolled("ben", "2026-03-10T04:00:00Z"), until="2026-03-10T05:00:00Z")
    assert [("hello", "defer", "quiet_hours")] == world.decisions("ben")
    sound = world.content
    templates = brittle(world)
    world.live(
        event("member.updated", "ben", "2026-03-10T06:00:00Z", {"tier": "glass"}),
        enrolled("ana", "2026-03-10T17:00:00Z"),
        until="2026-03-11T00:00:00Z",
    )
    assert templates.raised >= 3
    assert 1 == world.total("parked")
    assert [("hello", "send", "")] == world.decisions("ana")
    world.content = sound
    assert 1 == redriven(world)
    assert [("hello", "send", "")] == world.decisions("ben")[1:]
    world.live()
    assert "accepted" == world.states("ben")[-1]
