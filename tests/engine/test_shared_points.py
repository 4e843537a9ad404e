"""Members who share a number or an address share its caps, whichever partitions they are in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.channels.contract import Message
from orchestrator.decide.member import Member
from orchestrator.decide.result import Result, Trail
from orchestrator.decide.shared import Shared
from orchestrator.decide.step import step
from orchestrator.events.envelope import Event
from orchestrator.events.inputs import EventInput, Input
from orchestrator.events.partition import partition_of
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import World, us
from orchestrator.times import instant, rfc3339

MONDAY = "2026-03-02T17:00:00Z"
AN_HOUR_LATER = "2026-03-02T18:00:00Z"
HOME = "home@example.com"
DAY, WEEK = 86_400_000_000, 7 * 86_400_000_000
# both sides of a partition's edge
ELSEWHERE = next(name for name in map("dee{}".format, range(99)) if partition_of(name, 3) != partition_of("ana", 3))
BESIDE = next(name for name in map("eve{}".format, range(99)) if partition_of(name, 3) == partition_of("ana", 3))


def at_home(who: str, at: str, address: str = HOME) -> Event:
    """Somebody who has the e-mail address of the home, and nothing else."""
    made = enrolled(who, at, channels=("email",), consents=("email",))
    points = (msgspec.structs.replace(made.data.contact_points[0], address=address),)  # type: ignore[union-attr]
    return msgspec.structs.replace(made, data=msgspec.structs.replace(made.data, contact_points=points))


def shared(world: World, who: str) -> list[str]:
    """The channels on which a member learned that a contact point is shared."""
    return [row.channel for row in world.log(who, "contact_point") if row.state == "shared"]


def trails(world: World, who: str) -> list[Trail]:
    return [msgspec.json.decode(row.trail, type=Trail) for row in world.log(who, "decision")]


@pytest.mark.parametrize("other", [BESIDE, ELSEWHERE])
def test_who_comes_to_a_contact_point_shares_its_caps(world: World, other: str) -> None:
    """One welcome a day reaches the address; the second waits, and its record counts the first."""
    world.live(at_home("ana", MONDAY))
    world.live(at_home(other, AN_HOUR_LATER))
    assert [("hello", "send", "")] == world.decisions("ana", "welcome")[:1]
    assert [("hello", "defer", "frequency_cap")] == world.decisions(other, "welcome")[:1]
    tried = trails(world, other)[0].tried[0]
    assert 1 == tried.shared
    assert ["email"] == shared(world, other)


@pytest.mark.parametrize("other", [BESIDE, ELSEWHERE])
def test_the_one_who_had_it_first_learns_of_it_and_counts_what_reaches_the_other(world: World, other: str) -> None:
    world.live(at_home("ana", MONDAY), until="2026-03-03T00:00:00Z")
    world.live(at_home(other, "2026-03-09T15:00:00Z"), until="2026-03-09T15:30:00Z")
    assert 1 == len(world.calls(other))
    assert ["email"] == shared(world, "ana")
    world.live(purchase("ana", "2026-03-09T17:00:00Z"))
    assert ("thanks", "suppress", "frequency_cap") == world.decisions("ana", "thank-you")[0]


def test_two_who_come_in_one_batch_share_from_the_second_on(world: World) -> None:
    world.live(at_home("ana", MONDAY), at_home(BESIDE, MONDAY), at_home(ELSEWHERE, MONDAY))
    assert 1 == len(world.calls())
    assert [["email"]] * 3 == [shared(world, who) for who in ("ana", BESIDE, ELSEWHERE)]


def test_of_a_batch_that_is_taken_anew_the_rules_are_asked_again_for_those_alone_whom_it_concerns(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty come with one who comes to an address that Ana has."""
    asked: Counter[str] = Counter()

    def counted(member: Member | None, shared: Shared, inputs: tuple[Input, ...], *rest: Any) -> Result:
        asked.update(given.event.subject for given in inputs if isinstance(given, EventInput))
        return step(member, shared, inputs, *rest)

    world.live(at_home("ana", MONDAY), until=MONDAY, dispatch=False)
    monkeypatch.setattr("orchestrator.pipeline.turns.step", counted)
    crowd = [enrolled(f"p{n}", AN_HOUR_LATER) for n in range(20)]
    world.live(*crowd, at_home(ELSEWHERE, AN_HOUR_LATER), until=AN_HOUR_LATER, dispatch=False)
    assert 2 == asked.pop(ELSEWHERE)
    assert [1] * 20 == list(asked.values())
    assert [("hello", "defer", "frequency_cap")] == world.decisions(ELSEWHERE, "welcome")[:1]


def test_who_left_a_contact_point_was_still_reached_there(world: World) -> None:
    world.live(at_home("ana", MONDAY))
    away = [{"channel": "email", "address": "away@example.com"}]
    world.live(event("member.updated", "ana", "2026-03-02T17:30:00Z", {"contact_points": away}))
    world.live(at_home(ELSEWHERE, AN_HOUR_LATER))
    assert [("hello", "defer", "frequency_cap")] == world.decisions(ELSEWHERE, "welcome")[:1]


def test_who_shares_nothing_is_asked_nothing(world: World) -> None:
    world.live(at_home("ana", MONDAY), at_home(ELSEWHERE, MONDAY, "elsewhere@example.com"))
    assert [[], []] == [shared(world, who) for who in ("ana", ELSEWHERE)]
    assert 2 == len(world.calls())
    assert {0} == {tried.shared for who in ("ana", ELSEWHERE) for trail in trails(world, who) for tried in trail.tried}


def test_a_touch_that_was_cancelled_gives_its_place_at_a_shared_contact_point_back(world: World) -> None:
    world.live(at_home("ana", MONDAY), dispatch=False)
    withdrawn = {"channel": "email", "purpose": "marketing", "method": "link"}
    world.live(event("consent.withdrawn", "ana", "2026-03-02T17:30:00Z", withdrawn), dispatch=False)
    world.live(at_home(ELSEWHERE, AN_HOUR_LATER))
    assert [("hello", "send", "")] == world.decisions(ELSEWHERE, "welcome")[:1]


def clock_text(at: int) -> str:
    return rfc3339(instant(at))


names = st.sampled_from(["ana", BESIDE, ELSEWHERE, "bob"])
addresses = st.sampled_from([HOME, "office@example.com"])
steps = st.lists(st.tuples(names, addresses, st.booleans(), st.integers(0, 40)), min_size=4, max_size=24)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, split=st.integers(1, 24))
def test_no_history_exceeds_a_cap_at_a_contact_point(
    new_world: Callable[[], World], steps: list[tuple[str, str, bool, int]], split: int
) -> None:
    """At every address: one marketing touch a day of New York, three in seven days, twenty hours apart."""
    world, clock, events = new_world(), us(MONDAY), []
    known: set[str] = set()
    for who, address, buys, hours in steps:
        clock += hours * 3_600_000_000
        at = clock_text(clock)
        if who in known and buys:
            events.append(purchase(who, at))
        elif who in known:
            points = [{"channel": "email", "address": address}]
            events.append(event("member.updated", who, at, {"contact_points": points}, id=f"{len(events)}"))
        else:
            known.add(who)
            events.append(at_home(who, at, address))
    for start in range(0, len(events), split):
        world.live(*events[start : start + split])
    world.live(until=clock_text(clock + 10 * DAY))
    world.check()
    calls: dict[str, list[int]] = {}
    called: dict[str, Message] = {message.touch_id: message for message in world.calls()}
    for touch in world.store.touches():
        if touch.purpose == "marketing" and touch.attempts:
            calls.setdefault(called[touch.touch_id].to, []).append(touch.attempted_at)
    for at_one in calls.values():
        at_one.sort()
        assert [] == [(a, b) for a, b in pairwise(at_one) if b - a < 20 * 3_600_000_000]
        assert all(len([t for t in at_one if first <= t < first + WEEK]) <= 3 for first in at_one)


def test_who_learns_of_it_later_in_a_batch_had_to_know_it_before(world: World) -> None:
    """A stranger's letter of today counts for ana, though her house mate comes after her in the same batch."""
    world.live(at_home(ELSEWHERE, MONDAY))
    world.live(at_home("ana", MONDAY), at_home(BESIDE, MONDAY), dispatch=False)
    assert ("hello", "defer", "frequency_cap") == world.decisions("ana", "welcome")[0]
    assert 1 == len([touch for touch in world.store.touches() if touch.state != "cancelled"])
