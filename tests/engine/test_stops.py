"""Suppressions and switches: what is ordered holds at the next attempt, is on record with its actor and explained."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.contact_log.about import about
from orchestrator.errors import UsageError
from orchestrator.events.envelope import Event
from orchestrator.events.partition import partition_of
from orchestrator.stores.contract import SuppressionRow
from orchestrator.suppression import Whom, lift, suppress, suppressions
from orchestrator.switches import switch, switches
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import World, us

NOON = "2026-03-02T17:00:00Z"
SHARED = "family@example.com"
EMAIL = {"channels": ("email",), "consents": ("email",)}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def ordered(world: World, at: str, *, end: bool = False, **whom: str) -> None:
    act = lift if end else suppress
    act(world.store, world.vault, Whom(**whom), "carol", moment(at))


def told(world: World, member: str) -> str:
    """Everything that `explain` says of a member."""
    found = about(world.store, world.vault, member)
    return "\n".join(f"{paragraph.title} {' '.join(map(str, paragraph.sentences))}" for paragraph in found.paragraphs)


def orders(world: World, verb: str) -> list[tuple[int, str]]:
    """(partition, facts) of the log's entries of this order."""
    return [(row.partition, row.trail) for row in world.log() if (row.kind, row.reason) == ("operator", verb)]


def family(member: str, at: str) -> Event:
    """A member whose only contact point is one that others have as well."""
    point = {"channel": "email", "address": SHARED}
    consent = {"channel": "email", "purpose": "marketing", "wording": "w1", "method": "form", "evidence": "form 1"}
    where = {"country": "US", "region": "US-NY", "zone": "America/New_York"}
    return event("member.enrolled", member, at, {**where, "contact_points": [point], "consents": [consent]})


# --- whom


def test_a_member_who_is_suppressed_is_not_called_and_what_waits_is_cancelled_at_once(world: World) -> None:
    world.live(enrolled("ana", NOON), dispatch=False)
    ordered(world, "2026-03-02T17:30:00Z", member="ana")
    assert ["cancelled"] == [touch.state for touch in world.touches("ana")]
    world.live(purchase("ana", "2026-03-03T17:00:00Z"))
    assert [] == world.calls("ana")
    assert ("thanks", "suppress", "suppressed") in world.decisions("ana")


def test_a_suppression_is_on_record_with_actor_and_moment_and_is_explained(world: World) -> None:
    world.live(enrolled("ana", NOON), dispatch=False)
    ordered(world, "2026-03-02T17:30:00Z", member="ana", channel="email")
    world.live(until="2026-03-03T00:00:00Z")
    (order,) = world.log("ana", "operator")
    assert ("suppress", us("2026-03-02T17:30:00Z")) == (order.reason, order.occurred_at)
    assert '{"actor":"carol","channel":"email","purpose":"*"}' == order.trail
    said = told(world, "ana")
    assert "An operator ordered that the member is not contacted" in said
    assert "actor carol" in said
    assert "because the member or the contact point is not to be contacted" in said


def test_a_suppression_of_one_purpose_leaves_the_others(world: World) -> None:
    world.live(enrolled("ana", NOON), dispatch=False)
    ordered(world, "2026-03-02T17:30:00Z", member="ana", purpose="service")
    world.live()
    assert 1 == len(world.calls("ana"))


def test_what_is_lifted_is_decided_as_before(world: World) -> None:
    world.live(enrolled("ana", NOON))
    ordered(world, "2026-03-02T17:30:00Z", member="ana")
    world.live(purchase("ana", "2026-03-03T17:00:00Z"))
    ordered(world, "2026-03-03T18:00:00Z", end=True, member="ana")
    world.live(purchase("ana", "2026-03-10T17:00:00Z"), until="2026-03-10T18:00:00Z")
    assert [] == world.store.suppressions()
    verdicts = [verdict for _, verdict, _ in world.decisions("ana", "thank-you")]
    assert ("suppress", "send") == (verdicts[0], verdicts[-1])
    assert ["suppress", "unsuppress"] == [row.reason for row in world.log("ana", "operator")]


@pytest.mark.parametrize("last", ["suppressed", "lifted"])
def test_of_orders_that_are_carried_out_together_the_last_one_holds(world: World, last: str) -> None:
    world.live(enrolled("ana", NOON))
    ordered(world, "2026-03-02T17:30:00Z", member="ana")
    ordered(world, "2026-03-02T17:31:00Z", end=True, member="ana")
    if last == "suppressed":
        ordered(world, "2026-03-02T17:32:00Z", member="ana")
    world.live(until="2026-03-02T18:00:00Z")
    assert (1 if last == "suppressed" else 0) == len(world.store.suppressions())


def test_what_was_ordered_outlasts_what_the_member_says_in_between(world: World) -> None:
    world.live(enrolled("ana", NOON, **EMAIL))
    ordered(world, "2026-03-02T17:30:00Z", member="ana", channel="email", purpose="marketing")
    grant = {"channel": "email", "wording": "w2", "method": "form", "evidence": "f"}
    world.live(
        event("consent.withdrawn", "ana", "2026-03-02T18:00:00Z", {"channel": "email", "method": "link"}),
        event("consent.granted", "ana", "2026-03-02T19:00:00Z", grant),
        purchase("ana", "2026-03-03T17:00:00Z"),
    )
    assert 1 == len(world.store.suppressions())
    assert ("thanks", "suppress", "suppressed") in world.decisions("ana")


def test_a_contact_point_is_stopped_for_everybody_who_has_it_wherever_they_are(world: World) -> None:
    """Members who share an address may be in any partition; only one of them was decided on when it was stopped."""
    first, second = "ana", next(n for n in map(str, range(99)) if home(world, n) != home(world, "ana"))
    world.live(family(first, NOON), dispatch=False)
    ordered(world, "2026-03-02T17:30:00Z", contact=SHARED, channel="email")
    assert ["cancelled"] == [touch.state for touch in world.touches(first)]
    world.live(family(second, "2026-03-02T18:00:00Z"), until="2026-03-02T18:30:00Z")
    assert [] == world.calls()
    for member in (first, second):
        assert ("hello", "suppress", "suppressed") == world.decisions(member, "welcome")[-1]
        assert ["cancelled"] == [touch.state for touch in world.touches(member)]
        assert "actor carol" in told(world, member)
    assert list(range(world.store.partitions)) == [partition for partition, _ in orders(world, "suppress")]
    assert SHARED not in "".join(facts for _, facts in orders(world, "suppress"))


def home(world: World, member: str) -> int:
    return partition_of(member, world.store.partitions)


def test_a_contact_point_that_is_lifted_is_called_again_and_a_later_order_outlasts_the_lift(world: World) -> None:
    world.live(family("ana", NOON))
    ordered(world, "2026-03-02T17:30:00Z", contact=SHARED, channel="email")
    ordered(world, "2026-03-02T17:40:00Z", end=True, contact=SHARED, channel="email")
    ordered(world, "2026-03-02T17:50:00Z", contact=SHARED, channel="email")
    world.live(until="2026-03-02T18:00:00Z")
    assert ["2026-03-02T17:50:00.000000Z"] == [row.since for row in suppressions(world.store)]
    ordered(world, "2026-03-02T18:10:00Z", end=True, contact=SHARED, channel="email")
    world.live(purchase("ana", "2026-03-09T17:00:00Z"), until="2026-03-09T18:00:00Z")
    assert [] == world.store.suppressions()
    assert 2 <= len(world.calls("ana"))


@pytest.mark.parametrize(
    "whom",
    [
        {},
        {"member": "ana", "contact": SHARED},
        {"contact": SHARED},
        {"member": "ana", "channel": "pigeon"},
        {"member": "ana", "purpose": "fun"},
        {"member": "nobody"},
    ],
    ids=str,
)
def test_a_suppression_that_would_stop_nobody_is_refused(world: World, whom: dict[str, str]) -> None:
    world.live(enrolled("ana", NOON))
    with pytest.raises(UsageError):
        ordered(world, "2026-03-02T17:30:00Z", **whom)
    assert [] == world.store.suppressions()


def test_nothing_is_lifted_that_does_not_stand(world: World) -> None:
    world.live(enrolled("ana", NOON))
    ordered(world, "2026-03-02T17:30:00Z", member="ana", channel="email")
    with pytest.raises(UsageError, match="no such suppression"):
        ordered(world, "2026-03-02T17:40:00Z", end=True, member="ana")


def test_a_grant_ends_no_opt_out_that_was_heard_after_it_whatever_other_partitions_clocks_say(world: World) -> None:
    """The opt-out waits in the member's inbox; another partition of the same batch is already further."""
    other = next(n for n in map(str, range(99)) if home(world, n) != home(world, "ana"))
    world.live(
        enrolled("ana", NOON, **EMAIL),
        event("consent.withdrawn", "ana", "2026-03-02T18:00:00Z", {"channel": "email", "method": "link"}),
    )
    heard = SuppressionRow(
        world.vault.member("ana").hex(), "email", "marketing", us("2026-03-02T20:00:00Z"), "opted_out"
    )
    world.store.suppress([heard], [])
    grant = {"channel": "email", "wording": "w2", "method": "form", "evidence": "f"}
    with world.runner() as runner:
        given: list[Event] = [
            event("consent.granted", "ana", "2026-03-02T19:00:00Z", grant),
            enrolled(other, "2026-03-02T21:00:00Z"),
        ]
        deliveries = [world.delivery(runner, each) for each in given]
        arrivals = {delivery.partition: [delivery.arrival] for delivery in deliveries}
        runner.engine.pipeline.run({p: runner.engine.held[p] for p in arrivals}, arrivals, None)
    assert [heard] == world.store.suppressions()


# --- what


@pytest.mark.parametrize("scope", ["all", "channel:email"])
def test_what_is_switched_off_waits_and_goes_on_when_it_is_switched_on(world: World, scope: str) -> None:
    switch(world.store, scope, off=True, actor="carol", at=moment(NOON))
    later = event("tier.changed", "ana", "2026-03-02T18:00:00Z", {"tier": "gold"})
    world.live(enrolled("ana", NOON, **EMAIL), later)
    assert [scope] == [each.scope for each in switches(world.store)]
    assert ([], ["reserved"]) == (world.calls(), [touch.state for touch in world.touches("ana")])
    switch(world.store, scope, off=False, actor="dave", at=moment("2026-03-02T18:00:00Z"))
    world.live(until="2026-03-02T19:00:00Z")
    assert 1 == len(world.calls("ana"))
    said = told(world, "ana")
    assert "switched off by carol" in said
    assert "and on again" in said


def test_what_was_decided_of_a_journey_waits_too_while_it_is_switched_off(world: World) -> None:
    world.live(enrolled("ana", NOON, **EMAIL), dispatch=False)
    switch(world.store, "journey:welcome", off=True, actor="carol", at=moment(NOON))
    world.live(until="2026-03-02T18:00:00Z")
    assert ([], ["reserved"]) == (world.calls(), [touch.state for touch in world.touches("ana")])
    switch(world.store, "journey:welcome", off=False, actor="dave", at=moment("2026-03-02T18:00:00Z"))
    world.live(until="2026-03-02T19:00:00Z")
    assert 1 == len(world.calls("ana"))


def test_a_switch_is_on_record_in_every_partition_with_its_actor(world: World) -> None:
    switch(world.store, "channel:email", off=True, actor="carol", at=moment(NOON))
    world.live(enrolled("ana", NOON))
    rows = orders(world, "switch")
    assert list(range(world.store.partitions)) == [partition for partition, _ in rows]
    assert {'{"actor":"carol","scope":"channel:email","to":"off"}'} == {facts for _, facts in rows}


def test_a_message_that_a_switch_outlasted_is_explained_by_it(world: World) -> None:
    switch(world.store, "all", off=True, actor="carol", at=moment(NOON))
    world.live(enrolled("ana", NOON, **EMAIL), until="2026-03-20T00:00:00Z")
    assert [] == world.calls()
    said = told(world, "ana")
    assert "it could not be sent within the time in which it is of use" in said
    assert "All sending was switched off by carol" in said
    assert "it still is" in said


def test_a_switch_of_another_channel_or_time_is_not_named(world: World) -> None:
    switch(world.store, "channel:sms", off=True, actor="carol", at=moment(NOON))
    switch(world.store, "channel:email", off=True, actor="carol", at=moment("2026-03-01T10:00:00Z"))
    switch(world.store, "channel:email", off=False, actor="carol", at=moment("2026-03-01T11:00:00Z"))
    world.live(enrolled("ana", NOON, **EMAIL))
    assert "switched off" not in told(world, "ana")


@pytest.mark.parametrize("scope", ["everything", "channel:pigeon", "journey:"])
def test_a_switch_that_would_stop_nothing_is_refused(world: World, scope: str) -> None:
    with pytest.raises(UsageError):
        switch(world.store, scope, off=True, actor="carol", at=moment(NOON))
