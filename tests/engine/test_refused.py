"""A touch that a provider refused for good is decided anew on another channel, where a policy says so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.structs import replace

from orchestrator.channels.contract import Answer
from orchestrator.contact_log.about import about
from orchestrator.contact_log.reconcile import reconcile
from orchestrator.decide.journey import Send
from orchestrator.decide.policies import Bound, DatedRule
from orchestrator.decide.refused import RefusalRule
from orchestrator.decide.result import Trail
from orchestrator.events.inputs import Outcome, write_input
from orchestrator.stores.contract import NewInbox, OutcomeRow
from orchestrator.testing.builders import enrolled, event
from orchestrator.testing.world import World
from orchestrator.times import instant, micros

JOINED = "2026-03-02T17:00:00Z"
TOLD = "2026-03-10T17:00:00Z"
EVER = datetime.min.replace(tzinfo=UTC)
REFUSALS = ("rejected_recipient", "rejected_message", "rejected_sender", "throttled", "transient")


def alter(world: World, name: str = "points-expiring", **words: object) -> None:
    """The send steps of a journey with other words."""
    old = world.content.journeys[name]
    new = replace(old, steps=tuple(replace(at, **words) if isinstance(at, Send) else at for at in old.steps))
    journeys = {**world.content.journeys, name: new}
    started = {kind: tuple(journeys[each.name] for each in some) for kind, some in world.content.started_by.items()}
    world.content = replace(world.content, journeys=journeys, started_by=started)


def policy(world: World, *bounds: Bound) -> None:
    """These rules on refusals alone."""
    rules = tuple(DatedRule(id=each.rule.id, versions=((EVER, each),)) for each in bounds)
    world.content = replace(world.content, policies=replace(world.content.policies, refusals=rules))  # type: ignore[type-var]


def bound(name: str, *, elsewhere: bool = True, after: frozenset[str] | None = None, **where: frozenset[str]) -> Bound:
    """A rule on refusals, of version v1."""
    return Bound(rule=RefusalRule(id=name, version="v1", elsewhere=elsewhere, after=after), **where)


def refuse(world: World, answer: Answer, *, journey: str = "points-expiring") -> None:
    """E-mail of this journey is answered so; all else is taken."""
    taken = Answer(kind="accepted")
    world.ledgers["email"].answer = lambda message: answer if message.journey == journey else taken


def owed(world: World, until: str = "2026-03-10T18:00:00Z", **profile: object) -> None:
    """A member hears that points will be lost: a service message, here without any date to keep."""
    alter(world, reach_by=None)
    world.live(enrolled("ana", JOINED, **profile), until="2026-03-10T00:00:00Z")
    world.live(event("points.expiring", "ana", TOLD, {"points": 10, "expires_on": "2026-03-20"}), until=until)


def touches(world: World, journey: str = "points-expiring") -> list[tuple[str, str]]:
    """(channel, state) of its touches, in order, each time they were reserved or ended."""
    states = ("reserved", "accepted", "rejected", "unknown", "cancelled")
    return [
        (row.channel, row.state)
        for row in world.log("ana", "touch")
        if row.journey == journey and row.state in states and row.release_at == 0
    ]


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refused_service_message_goes_by_another_channel_and_says_why(world: World, kind: str) -> None:
    refuse(world, Answer(kind=kind, code="550"))  # type: ignore[arg-type]
    # what is the account's own is tried until no call is left
    owed(world, until="2026-03-13T00:00:00Z")
    assert [("email", "reserved"), ("email", "rejected"), ("sms", "reserved"), ("sms", "accepted")] == touches(world)
    decided = [row for row in world.log("ana", "decision") if row.journey == "points-expiring"]
    assert (1, ["send", "send"]) == (len({row.intent_id for row in decided}), [row.verdict for row in decided])
    refused = next(row.touch_id for row in world.log("ana", "touch") if row.journey == "points-expiring")
    trail = msgspec.json.decode(decided[-1].trail, type=Trail)
    assert (refused, kind) == (trail.instead_of, trail.instead_because)
    assert [("house.another-way", "house@2000-01-01")] == list(trail.instead_by)
    assert ("email", "channel_refused") == (trail.tried[0].channel, trail.tried[0].findings[0].reason)
    assert [] == world.log("ana", "alarm")
    told = about(world.store, world.vault, "ana", journey="points-expiring").paragraphs[0].sentences
    said = next(str(each) for each in told if f"in the place of touch {refused}" in str(each))
    assert "which was refused" in said
    assert "house.another-way (house@2000-01-01)" in said
    world.check()


@pytest.mark.parametrize(
    ("answer", "ends"),
    [(Answer(kind="unknown"), "unknown"), (Answer(kind="accepted"), "accepted")],
    ids=["in doubt", "accepted"],
)
def test_nothing_is_sent_again_after_a_call_that_may_have_been_taken(world: World, answer: Answer, ends: str) -> None:
    refuse(world, answer)
    owed(world)
    assert [("email", "reserved"), ("email", ends)] == touches(world)
    world.check()


def test_a_refused_offer_stays_refused(world: World) -> None:
    """The shipped policy is about what we owe."""
    refuse(world, Answer(kind="rejected_recipient"), journey="welcome")
    world.live(enrolled("ana", JOINED), until="2026-03-03T17:00:00Z")
    assert [("email", "reserved"), ("email", "rejected")] == touches(world, "welcome")
    world.check()


def test_where_all_channels_refuse_it_is_a_silence(world: World) -> None:
    for ledger in world.ledgers.values():
        ledger.answer = lambda _: Answer(kind="rejected_message")
    owed(world)
    channels = [channel for channel, state in touches(world) if state == "reserved"]
    assert (len(set(channels)), True) == (len(channels), len(channels) > 1)
    assert ("last-days", "suppress", "channel_refused") == world.decisions("ana", "points-expiring")[-1]
    world.check()


def test_without_another_channel_it_is_a_silence(world: World) -> None:
    refuse(world, Answer(kind="rejected_message"))
    owed(world, channels=("email",), consents=("email",))
    assert [("email", "reserved"), ("email", "rejected")] == touches(world)
    assert ("last-days", "suppress", "channel_refused") == world.decisions("ana", "points-expiring")[-1]
    world.check()


def test_it_waits_for_the_hours_of_the_other_channel(world: World) -> None:
    """Every rule is asked again: no text at eleven in the evening; what was refused is still told in the morning."""
    refuse(world, Answer(kind="rejected_message"))
    owed(world, until="2026-03-10T18:00:00Z")
    told = event("points.expiring", "ana", "2026-03-11T03:00:00Z", {"points": 20, "expires_on": "2026-03-21"})
    world.live(told, until="2026-03-11T12:00:00Z")
    decided = [row for row in world.log("ana", "decision") if row.journey == "points-expiring"][-3:]
    assert ["send", "defer", "send"] == [row.verdict for row in decided]
    trails = [msgspec.json.decode(row.trail, type=Trail) for row in decided]
    assert ["", "rejected_message", "rejected_message"] == [trail.instead_because for trail in trails]
    assert moment("2026-03-11T11:00:00Z") == decided[-1].at
    assert ("sms", "accepted") == touches(world)[-1]
    world.check()


@pytest.mark.parametrize(
    ("rules", "second"),
    [
        ((), False),
        ((bound("house.a"),), True),
        ((bound("house.a"), bound("house.email.b", elsewhere=False, channels=frozenset({"email"}))), False),
        ((bound("house.a"), bound("house.sms.b", elsewhere=False, channels=frozenset({"sms"}))), True),
        ((bound("house.a", after=frozenset({"rejected_message"})),), True),
        ((bound("house.a", after=frozenset({"rejected_recipient"})),), False),
        ((bound("house.a", purposes=frozenset({"marketing"})),), False),
        ((bound("house.a", journeys=frozenset({"welcome"})),), False),
    ],
    ids=["none", "one", "email-too", "another-channel", "that-refusal", "another-refusal", "purpose", "journey"],
)
def test_all_rules_that_bind_must_say_so(world: World, rules: tuple[Bound, ...], second: bool) -> None:
    refuse(world, Answer(kind="rejected_message"))
    policy(world, *rules)
    owed(world)
    assert second == (("sms", "accepted") in touches(world))
    world.check()


@pytest.mark.parametrize(("opted_out", "second"), [(False, True), (True, False)])
def test_who_opted_out_at_the_provider_gets_no_offer_elsewhere(world: World, opted_out: bool, second: bool) -> None:
    policy(world, bound("house.any"))
    refuse(world, Answer(kind="rejected_recipient", opted_out=opted_out), journey="welcome")
    world.live(enrolled("ana", JOINED), until="2026-03-03T17:00:00Z")
    assert second == ("sms" in [channel for channel, _ in touches(world, "welcome")])
    world.check()


def test_service_goes_elsewhere_after_an_opt_out_too(world: World) -> None:
    refuse(world, Answer(kind="rejected_recipient", opted_out=True))
    owed(world)
    assert ("sms", "accepted") in touches(world)
    world.check()


@pytest.mark.parametrize(("goes", "second"), [(False, True), (True, False)])
def test_a_run_that_ended_meanwhile_is_not_taken_up_again(
    new_world: Callable[[], World], goes: bool, second: bool
) -> None:
    """The member leaves while the message is being called: its refusal stands."""
    world = new_world()
    alter(world, reach_by=None)
    world.live(enrolled("ana", JOINED), until="2026-03-10T00:00:00Z")
    at = datetime(2026, 3, 10, 17, 50, tzinfo=UTC)
    with world.runner(dispatch=False) as runner:
        told = event("points.expiring", "ana", TOLD, {"points": 10, "expires_on": "2026-03-20"})
        runner.engine.run_virtual(iter([world.delivery(runner, told)]), moment(TOLD), None)
        claims = world.store.claim(moment(TOLD), 3_600_000_000, "token", 10, "email")
        ((touch, token),) = world.store.attempt(claims, moment(TOLD))
        left = event("member.cancelled", "ana", "2026-03-10T17:40:00Z", {})
        runner.engine.run_virtual(iter([world.delivery(runner, left)] if goes else ()), micros(at) - 1, None)
        said = Outcome(
            touch_id=touch.touch_id,
            kind="rejected_message",
            attempt=1,
            attempted_at=instant(touch.attempted_at),
            occurred_at=at,
            final=True,
        )
        row = NewInbox(touch.partition, micros(at), touch.member, write_input(said))
        assert [True] == world.store.outcomes([OutcomeRow(touch.touch_id, token, "rejected", touch.due, row)])
        runner.engine.run_virtual(iter(()), micros(at), None)
    assert second == (("sms", "reserved") in touches(world))
    assert reconcile(world.store).holds


def moment(text: str) -> int:
    """Microseconds since 1970."""
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000
