"""Releases at the opening of hours: each member at their own moment, nobody outside the hours, none too late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.contact_log.about import about
from orchestrator.decide.decision import spread_of
from orchestrator.decide.policies import HousePolicies
from orchestrator.decide.result import Trail
from orchestrator.testing.builders import enrolled, purchase
from orchestrator.testing.world import World
from orchestrator.times import instant

EVER = datetime.min.replace(tzinfo=UTC)
EVENING = "2026-03-04T02:30:00Z"
# eight in the morning in New York
OPENS = datetime(2026, 3, 4, 13, tzinfo=UTC)
HALF = timedelta(minutes=30)


def spread(world: World, over: timedelta) -> None:
    policies = world.content.policies
    assert isinstance(policies, HousePolicies)
    world.content = replace(world.content, policies=replace(policies, spreads={"all": ((EVER, over),)}))


def released(world: World, *members: str) -> list[datetime]:
    """When the thanks for a purchase of the evening go, member by member."""
    found = []
    for member in members:
        world.live(enrolled(member, "2026-02-20T17:00:00Z", consents=("email",)), until="2026-02-28T00:00:00Z")
    world.live(*[purchase(member, EVENING) for member in members], until="2026-03-04T12:00:00Z")
    for member in members:
        (row,) = [row for row in world.log(member, "decision") if row.journey == "thank-you"]
        assert ("defer", "quiet_hours") == (row.verdict, row.reason)
        found.append(instant(row.release_at or 0))
    return found


def test_each_member_has_a_moment_of_their_own_within_the_spread(world: World) -> None:
    spread(world, HALF)
    members = [f"m{i}" for i in range(12)]
    at = released(world, *members)
    assert [OPENS + spread_of(member, HALF) for member in members] == at
    assert OPENS <= min(at) < max(at) < OPENS + HALF
    assert 10 <= len(set(at))
    world.live(until="2026-03-04T14:00:00Z")
    assert len(members) == sum(touch.journey == "thank-you" for each in members for touch in world.log(each, "touch")
                               if touch.state == "accepted")  # fmt: skip
    told = [str(each) for each in about(world.store, world.vault, "m1", journey="thank-you").paragraphs[0].sentences]
    assert any("releases are spread so that not all go at once" in sentence for sentence in told)
    world.check()


def test_without_a_spread_all_go_as_the_hours_open(world: World) -> None:
    assert {OPENS} == set(released(world, "ana", "ben"))


def test_a_spread_never_leads_out_of_the_hours_or_past_what_it_is_good_for(world: World) -> None:
    """Where a member's moment would be in the evening again, they go as the hours open."""
    spread(world, timedelta(hours=48))
    for at in released(world, "ana", "ben", "cleo", "dora"):
        assert OPENS <= at < OPENS + timedelta(hours=48)
        assert 8 <= (at - timedelta(hours=5)).hour < 21


def test_the_trail_tells_what_was_added(world: World) -> None:
    spread(world, HALF)
    (at,) = released(world, "ana")
    row = [row for row in world.log("ana", "decision") if row.journey == "thank-you"][-1]
    tried = msgspec.json.decode(row.trail, type=Trail).tried[0]
    assert at - OPENS == timedelta(seconds=tried.spread_s)


@pytest.mark.parametrize("over", [timedelta(minutes=1), HALF, timedelta(hours=12)])
def test_the_parts_of_many_members_fill_the_spread_evenly(over: timedelta) -> None:
    """Each tenth of it has its share."""
    parts = [spread_of(f"member-{i}", over) for i in range(5_000)]
    assert timedelta(0) <= min(parts) <= max(parts) < over
    tenths = [sum(over / 10 * i <= part < over / 10 * (i + 1) for part in parts) for i in range(10)]
    assert min(tenths) >= 400, tenths
