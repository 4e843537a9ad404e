"""An input that `step` can't bear: tried three times, its member parked, everybody else goes on."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from orchestrator.deadletters import redrive
from orchestrator.render.contract import Rendered, Templates
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import World, us

NOON = "2026-03-02T17:00:00Z"
LATER = us("2026-03-12T17:00:00Z")


class Brittle:
    """The shipped templates, with a fault of ours in them: for members of the tier `glass` they raise."""

    def __init__(self, templates: Templates) -> None:
        self.templates, self.raised = templates, 0

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
        event("tier.changed", "ben", "2026-03-03T18:00:00Z", {"tier": "wood"}),
        purchase("ana", "2026-03-03T19:00:00Z"),
        purchase("ben", "2026-03-04T17:00:00Z"),
        until="2026-03-10T00:00:00Z",
    )
    return templates


def test_the_failing_input_is_tried_alone_three_times_and_its_member_parked(world: World) -> None:
    templates = broken_story(world)
    # once with its batch, then alone
    assert 1 + 2 <= templates.raised <= 1 + 3
    assert 4 == world.total("parked")
    assert [] == world.log("ben")
    assert "" == world.ref("ben")


def test_everybody_else_goes_on(world: World) -> None:
    broken_story(world)
    assert [("hello", "send", "")] == world.decisions("ana", "welcome")[:1]
    assert [("thanks", "send", "")] == world.decisions("ana", "thank-you")


def test_a_member_is_redriven_in_order_once_the_fault_is_mended(world: World, content: object) -> None:
    broken_story(world)
    world.content = content  # type: ignore[assignment]  # the fault is mended
    with world.runner() as runner:
        done = redrive(runner.engine, world.store, world.vault, "ben", LATER)
    assert (4, 0) == (done.inputs, done.parked_again)
    member = world.member("ben")
    assert member is not None
    # wood came after glass, and both purchases count
    assert ("wood", 2) == (member.tier, member.aggregates["purchase.completed"].count)
    # nobody is welcomed ten days late
    assert [("hello", "suppress", "stale")] == world.decisions("ben", "welcome")
    world.live(purchase("ben", "2026-03-12T18:00:00Z"))
    assert ("thanks", "send", "") == world.decisions("ben", "thank-you")[-1]


def test_a_member_redriven_too_early_is_parked_again_and_loses_nothing(world: World, content: object) -> None:
    templates = brittle(world)
    world.live(
        enrolled("ben", NOON, tier="glass"), purchase("ben", "2026-03-02T18:00:00Z"), until="2026-03-02T19:00:00Z"
    )
    raised = templates.raised
    with world.runner() as runner:
        done = redrive(runner.engine, world.store, world.vault, "ben", us("2026-03-02T20:00:00Z"))
    assert templates.raised > raised
    assert (2, 1) == (done.inputs, done.parked_again)
    world.content = content  # type: ignore[assignment]
    with world.runner() as runner:
        redrive(runner.engine, world.store, world.vault, "ben", us("2026-03-02T21:00:00Z"))
    world.live(until="2026-03-02T22:00:00Z")
    assert [("hello", "send", "")] == world.decisions("ben", "welcome")


def test_a_timer_that_fails_parks_its_member_too(world: World) -> None:
    """The night's deferral comes due in the morning, when the templates are already broken."""
    world.live(enrolled("ben", "2026-03-10T04:00:00Z"), until="2026-03-10T05:00:00Z")
    assert [("hello", "defer", "quiet_hours")] == world.decisions("ben")
    sound = world.content
    templates = brittle(world)
    world.live(
        event("tier.changed", "ben", "2026-03-10T06:00:00Z", {"tier": "glass"}),
        enrolled("ana", "2026-03-10T17:00:00Z"),
        until="2026-03-11T00:00:00Z",
    )
    assert templates.raised >= 3
    assert 1 == world.total("parked")
    assert [("hello", "send", "")] == world.decisions("ana")
    world.content = sound
    with world.runner() as runner:
        redrive(runner.engine, world.store, world.vault, "ben", us("2026-03-11T14:00:00Z"))
    assert [("hello", "send", "")] == world.decisions("ben")[1:]
    world.live()
    assert "accepted" == world.states("ben")[-1]
