"""A wish that comes after a touch was reserved holds for it too, as long as it was not called."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from orchestrator.decide.content import Content
from orchestrator.decide.policies import HousePolicies
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.journeys import content_of
from orchestrator.testing.world import World, shipped_content

# a Monday; noon in New York
NOON = "2026-03-02T17:00:00Z"
CONTENT = content_of(
    *(
        f"journey: {name}\npurpose: marketing\ncategory: {name}s\ntrigger: {{event: {type_}}}\nreentry: each\n"
        f"steps:\n  - {{send: {name}, channels: [sms], valid_for: P9D}}\n"
        for name, type_ in (("offer", "purchase.completed"), ("greeting", "reward.delivered"))
    )
)


@pytest.fixture
def ann(new_world: Callable[[], World]) -> World:
    """Ann bought something: an offer waits to be called."""
    return bought(new_world(), replace(CONTENT, policies=shipped_content().policies))


def bought(world: World, content: Content) -> World:
    world.content = content
    world.live(enrolled("ann", "2026-03-01T17:00:00Z"), purchase("ann", NOON), dispatch=False)
    assert ["reserved"] == world.states("ann")
    return world


@pytest.mark.parametrize(
    ("wish", "decided"),
    [
        ({"pause": {"until": "2026-03-04T17:00:00Z"}}, ("offer", "defer", "member_paused")),
        ({"pause": {}}, ("offer", "suppress", "member_paused")),
        ({"limit": {"max": 0, "per": "week"}}, ("offer", "suppress", "member_limit")),
        ({"topics_off": ["offers"]}, ("offer", "suppress", "topic_declined")),
        ({"limit": {"max": 1, "per": "week"}, "topics_off": ["greetings"], "channels": ["email"]}, None),
    ],
    ids=["break", "open break", "never", "topic", "room"],
)
def test_what_a_wish_forbids_is_not_called(
    ann: World, wish: dict[str, object], decided: tuple[str, str, str] | None
) -> None:
    ann.live(event("member.updated", "ann", "2026-03-02T17:05:00Z", {"preferences": wish}), dispatch=False)
    if decided is None:
        assert (["reserved"], 1) == (ann.states("ann"), len(ann.decisions("ann")))
    else:
        assert decided == ann.decisions("ann")[-1]
        assert ["reserved", f"cancelled {decided[2]}"] == ann.states("ann")
        ann.live(until="2026-03-12T00:00:00Z")
        assert (1 if decided[1] == "defer" else 0) == len(ann.calls("ann")), "after the break it comes"
    ann.check()


def test_a_cap_keeps_the_touch_that_was_first(new_world: Callable[[], World]) -> None:
    policies = shipped_content().policies
    assert isinstance(policies, HousePolicies)
    # none but the member's own
    rules = tuple(rule for rule in policies.rules if not rule.id.startswith(("house.day", "house.breath", "house.sms")))
    ann = bought(new_world(), replace(CONTENT, policies=replace(policies, rules=rules)))
    ann.live(event("reward.delivered", "ann", "2026-03-02T17:01:00Z", {"reward_id": "r"}), dispatch=False)
    assert ["reserved", "reserved"] == ann.states("ann")
    wish = {"preferences": {"limit": {"max": 1, "per": "day"}}}
    ann.live(event("member.updated", "ann", "2026-03-02T17:05:00Z", wish), dispatch=False)
    assert ("greeting", "defer", "member_limit") == ann.decisions("ann")[-1]
    ann.live(until="2026-03-02T18:00:00Z")
    assert ["offer"] == [message.text for message in ann.calls("ann")]
    ann.check()
