"""Touches and what becomes of them: receipts, hours, validity, retries."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Literal

import pytest

from orchestrator import switches
from orchestrator.channels.accounts import Account
from orchestrator.channels.contract import Answer
from orchestrator.contact_log.reconcile import reconcile
from orchestrator.events.envelope import Event
from orchestrator.events.inputs import Command, Outcome, Receipt, ReceiptState, write_input
from orchestrator.runtimes.embedded.runner import Runner
from orchestrator.settings import AccountSettings
from orchestrator.stores.contract import NewInbox, OutcomeRow
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.canonical import canonical, differences
from orchestrator.testing.world import World, us, when
from orchestrator.times import instant

NOON = "2026-03-02T17:00:00Z"  # a Monday in New York
EVENING = "2026-03-03T01:50:00Z"  # ten to nine
ANA = enrolled("ana", NOON)
HOUR = 3_600_000_000


def hear(world: World, touch: str, *words: tuple[ReceiptState, str]) -> None:
    """What the provider says of a touch of ana's, and when."""
    for state, told in words:
        world.tell("ana", told, Receipt(touch_id=touch, state=state, occurred_at=datetime.fromisoformat(told)))


def test_a_call_is_on_record_with_attempt_and_outcome(world: World) -> None:
    world.live(ANA)
    assert ["reserved", "attempting", "accepted"] == world.states("ana")
    assert ["ana@example.com"] == [message.to for message in world.calls("ana")]


def test_a_hard_bounce_blocks_the_contact_point(world: World) -> None:
    """The next message takes the other way, and none ever goes to that address again."""
    world.live(ANA)
    (touch,) = world.touches("ana")
    at = datetime.fromisoformat("2026-03-02T18:00:00Z")
    world.tell("ana", "2026-03-02T18:00:00Z", Receipt(touch_id=touch.touch_id, state="bounced", occurred_at=at))
    world.live(purchase("ana", "2026-03-04T17:00:00Z"), until="2026-03-10T00:00:00Z")
    assert [(touch.contact, "email", "hard_bounced")] == [
        (row.subject, row.channel, row.reason) for row in world.store.suppressions()
    ]
    assert ["sms"] == [message.channel for message in world.calls("ana")[1:]]
    # the second letter of the welcome knows e-mail alone
    assert ("first-steps", "suppress", "contact_point_unhealthy") in world.decisions("ana", "welcome")


def test_a_soft_bounce_told_late_leaves_a_dead_contact_point_dead(world: World) -> None:
    world.live(ANA)
    (touch,) = world.touches("ana")
    hear(world, touch.touch_id, ("bounced", "2026-03-02T18:00:00Z"), ("soft_bounced", "2026-03-02T19:00:00Z"))
    world.live(until="2026-03-04T00:00:00Z")
    member = world.member("ana")
    assert member is not None
    assert ["hard_bounced", "ok"] == [point.health for point in member.contact_points]
    assert ["hard_bounced"] == [row.state for row in world.log("ana", "contact_point")]


def test_what_arrives_after_a_soft_bounce_makes_the_contact_point_well_again(world: World) -> None:
    world.live(ANA)
    (touch,) = world.touches("ana")
    hear(world, touch.touch_id, ("soft_bounced", "2026-03-02T18:00:00Z"), ("delivered", "2026-03-02T19:00:00Z"))
    world.live(until="2026-03-02T20:00:00Z")
    assert ["soft_bounced", "ok"] == [row.state for row in world.log("ana", "contact_point")]


def test_a_member_with_a_landline_and_a_mobile_is_texted_on_the_mobile(world: World) -> None:
    points = [{"channel": "sms", "address": "+34910123456"}, {"channel": "sms", "address": "+34612345678"}]
    consent = {"channel": "sms", "wording": "w1", "method": "form", "evidence": "form 1"}
    home = {"country": "ES", "zone": "Europe/Madrid", "locale": "es"}
    data = {**home, "contact_points": points, "consents": [consent]}
    noon = "2026-03-02T11:00:00Z"
    world.live(event("member.enrolled", "eva", noon, data))
    assert ["+34612345678"] == [message.to for message in world.calls("eva")]
    world.live(event("member.enrolled", "leo", "2026-03-02T11:05:00Z", {**data, "contact_points": points[:1]}))
    assert [] == world.calls("leo")
    (row,) = world.log("leo", "decision")
    assert "contact_point_unfit" in row.trail


def test_a_complaint_ends_marketing_on_that_channel(world: World) -> None:
    world.live(ANA)
    (touch,) = world.touches("ana")
    at = datetime.fromisoformat("2026-03-02T18:00:00Z")
    world.tell("ana", "2026-03-02T18:00:00Z", Receipt(touch_id=touch.touch_id, state="complained", occurred_at=at))
    world.live(until="2026-03-10T00:00:00Z")
    assert ("first-steps", "suppress", "contact_point_unhealthy") in world.decisions("ana", "welcome")
    assert 1 == len(world.calls("ana"))


def opted_out(world: World, at: str) -> None:
    """Ana opts out of the letters of the channel that she was greeted on."""
    world.live(ANA)
    (touch,) = world.touches("ana")
    said = Receipt(touch_id=touch.touch_id, state="opted_out", occurred_at=datetime.fromisoformat(at))
    world.tell("ana", at, said)


def granted(at: str) -> Event:
    return event("consent.granted", "ana", at, {"channel": "email", "wording": "w2", "method": "form", "evidence": "f"})


def test_who_opted_out_is_not_written_to_and_the_record_says_why(world: World) -> None:
    opted_out(world, "2026-03-02T18:00:00Z")
    world.live(until="2026-03-10T00:00:00Z")
    assert ("first-steps", "suppress", "consent_withdrawn") in world.decisions("ana", "welcome")
    assert ["withdrawn"] == [row.state for row in world.log("ana", "consent") if row.state != "granted"]
    assert [] == [touch.state for touch in world.touches("ana") if touch.state == "reserved"]


@pytest.mark.parametrize(
    ("given", "states"),
    [("2026-03-02T19:00:00Z", ["accepted", "accepted"]), ("2026-03-02T17:30:00Z", ["accepted"])],
    ids=["given after it", "given before it and told late"],
)
def test_only_a_consent_given_after_an_opt_out_ends_it(world: World, given: str, states: list[str]) -> None:
    opted_out(world, "2026-03-02T18:00:00Z")
    world.live(until="2026-03-02T18:30:00Z")
    world.live(granted(given), until="2026-03-10T00:00:00Z")
    assert states == [touch.state for touch in world.touches("ana")]


def test_what_an_operator_suppressed_is_a_silence_that_a_consent_does_not_end(world: World) -> None:
    world.live(ANA)
    order = Command(verb="suppress", actor="operator", arguments={"channel": "email"})
    world.tell("ana", "2026-03-02T18:00:00Z", order)
    world.live(granted("2026-03-02T19:00:00Z"), until="2026-03-10T00:00:00Z")
    assert ("first-steps", "suppress", "suppressed") in world.decisions("ana", "welcome")
    assert ["suppressed"] == [row.reason for row in world.store.suppressions()]


@pytest.mark.parametrize("state", ["opted_out", "complained", "bounced"])
def test_a_suppression_and_what_comes_after_it_may_share_a_batch_or_not(
    world: World, new_world: Callable[[], World], state: Literal["opted_out", "complained", "bounced"]
) -> None:
    """Found by the parity runs: a touch was cancelled where they did, and waited for its end where they did not."""
    other = new_world()
    for each, cut in ((world, False), (other, True)):
        each.live(ANA)
        (touch,) = each.touches("ana")
        at = datetime.fromisoformat("2026-03-03T18:00:00Z")
        each.tell("ana", "2026-03-03T18:00:00Z", Receipt(touch_id=touch.touch_id, state=state, occurred_at=at))
        if cut:
            each.live(until="2026-03-03T18:00:00Z", dispatch=False)
        each.live(purchase("ana", "2026-03-04T17:00:00Z"), until="2026-03-20T00:00:00Z", dispatch=False)
    assert [] == differences(canonical(world.store), canonical(other.store))


def test_a_touch_under_a_suppression_that_stood_is_cancelled_in_its_own_moment(
    world: World, new_world: Callable[[], World]
) -> None:
    """Her address bounced in an earlier life, of which her record knows nothing. Found by the parity runs: she was told
    of it after whatever shared the batch, at its time.
    """
    other = new_world()
    for each, cut in ((world, False), (other, True)):
        each.live(ANA)
        (touch,) = each.touches("ana")
        at = datetime.fromisoformat("2026-03-02T18:00:00Z")
        each.tell("ana", "2026-03-02T18:00:00Z", Receipt(touch_id=touch.touch_id, state="bounced", occurred_at=at))
        each.tell("ana", "2026-03-02T19:00:00Z", Command(verb="erase", actor="privacy desk"))
        each.live(until="2026-03-02T20:00:00Z")
        again = enrolled("ana", "2026-03-03T17:00:00Z")
        bought = purchase("ana", "2026-03-04T17:00:00Z")
        for part in [[again], [bought]] if cut else [[again, bought]]:
            each.live(*part, dispatch=False)
        each.live(until="2026-03-20T00:00:00Z", dispatch=False)
        assert 1 == len(each.calls())
    assert ["2026-03-03T17:00:00Z"] * 2 == [when(row) for row in world.log("ana", "touch")[:2]]
    assert ["reserved", "cancelled hard_bounced"] == world.states("ana")[:2]
    assert [] == differences(canonical(world.store), canonical(other.store))


def test_a_touch_not_called_by_its_end_is_cancelled_as_expired(world: World) -> None:
    world.live(ANA, until="2026-03-04T16:59:59Z", dispatch=False)
    assert ["reserved"] == world.states("ana")
    world.live(until="2026-03-04T17:00:00Z", dispatch=False)
    assert ["reserved", "cancelled expired"] == world.states("ana")
    assert [("hello", "send", ""), ("hello", "suppress", "expired")] == world.decisions("ana", "welcome")
    assert ["cancelled"] == [touch.state for touch in world.touches("ana")]


def test_a_touch_that_no_account_could_call_by_its_end_is_a_silence_that_says_so(world: World) -> None:
    """The provider refuses us, so it is left alone; its one account is all that the channel has."""
    world.ledgers["email"].answer = lambda _message: Answer(kind="rejected_sender", code="535 5.7.8")
    only_one = AccountSettings(failures=1, rest_s=3600.0)
    accounts = {"email": [Account("relay", world.ledgers["email"], only_one)]}
    with Runner(world.store, world.vault, world.content, world.settings, accounts) as runner:
        runner.engine.run_virtual(iter([world.delivery(runner, ANA)]), us("2026-03-04T17:00:00Z"), runner.drain)
    assert "cancelled provider_unavailable" == world.states("ana")[-1]
    assert ("hello", "suppress", "provider_unavailable") == world.decisions("ana", "welcome")[-1]
    assert {"relay"} == {json.loads(row.trail)["account"] for row in world.log("ana", "touch") if "code" in row.trail}
    world.check()


def test_where_the_outage_was_over_by_then_the_touch_has_merely_expired(world: World) -> None:
    world.live(ANA, dispatch=False)
    for off in (True, False):
        switches.switch(world.store, "account:email", off=off, actor="ana", at=instant(us("2026-03-03T00:00:00Z")))
        # nothing can be called: the channel itself is off all the time
        switches.switch(world.store, "channel:email", off=True, actor="ana", at=instant(us("2026-03-03T00:00:00Z")))
        world.live(until="2026-03-03T00:00:00Z" if off else "2026-03-03T01:00:00Z")
    world.live(until="2026-03-04T17:00:00Z")
    assert ("hello", "suppress", "expired") == world.decisions("ana", "welcome")[-1]
    world.check()


def test_a_touch_whose_hours_have_closed_goes_back_and_is_decided_anew(world: World) -> None:
    """Decided at ten to nine, not called before nine: the member is left in peace until eight."""
    world.live(enrolled("ana", EVENING), dispatch=False)
    (touch,) = world.touches("ana")
    assert datetime.fromisoformat("2026-03-03T01:55:00Z").timestamp() * 1_000_000 == touch.call_by
    # time passes without an outbox: a purchase of another member of the same partition moves the clock
    world.live(purchase("ana", "2026-03-03T02:30:00Z", 100), dispatch=False)
    world.live(until="2026-03-03T12:59:59Z")
    assert [] == world.calls("ana")
    assert ["reserved", "cancelled dispatch_window_closed"] == world.states("ana")
    assert ("hello", "defer") == world.decisions("ana", "welcome")[-1][:2]
    world.live(until="2026-03-03T13:00:00Z")
    assert 1 == len(world.calls("ana"))
    assert [touch.touch_id] == [found.touch_id for found in world.touches("ana")]
    assert "2026-03-03T13:00:00Z" == when(world.log("ana", "decision")[-1])


def test_a_refused_message_gives_its_place_back(world: World) -> None:
    """A rejected touch does not count: the purchase of the same day is thanked for."""
    world.ledgers["email"].answer = lambda message: Answer(
        kind="rejected_message" if message.journey == "welcome" else "accepted"
    )
    world.live(ANA, purchase("ana", "2026-03-02T18:00:00Z"))
    assert ["reserved", "attempting", "rejected rejected_message", "reserved", "attempting", "accepted"] == (
        world.states("ana")
    )


def test_who_opted_out_at_the_provider_is_well_and_gets_no_more_marketing_on_that_channel(world: World) -> None:
    answer = Answer(kind="rejected_recipient", code="400 21610", opted_out=True)
    world.ledgers["email"].answer = lambda _message: answer
    world.live(ANA, purchase("ana", "2026-03-02T18:00:00Z"), until="2026-03-05T16:00:00Z")
    assert [("welcome", "email"), ("thank-you", "sms")] == [(call.journey, call.channel) for call in world.calls("ana")]
    (consent,) = [row for row in world.log("ana", "consent") if row.state == "withdrawn"]
    assert ("email", "marketing") == (consent.channel, consent.purpose)
    assert [] == world.log("ana", "contact_point")


def test_a_call_in_doubt_is_never_made_again_and_counts(world: World) -> None:
    world.ledgers["email"].answer = lambda _message: Answer(kind="unknown", code="timeout")
    world.live(ANA, purchase("ana", "2026-03-02T18:00:00Z"), until="2026-03-04T17:00:00Z")
    assert ["reserved", "attempting", "unknown"] == world.states("ana")
    assert [("thanks", "suppress", "frequency_cap")] == world.decisions("ana", "thank-you")


def test_a_passing_refusal_is_called_again_later(world: World) -> None:
    answers = iter([Answer(kind="transient", code="451"), Answer(kind="accepted")])
    world.ledgers["email"].answer = lambda _message: next(answers)
    world.live(ANA, until="2026-03-03T00:00:00Z")
    assert ["reserved", "attempting", "reserved transient", "attempting", "accepted"] == world.states("ana")
    attempts = [row.occurred_at for row in world.log("ana", "touch") if row.state == "attempting"]
    assert timedelta(minutes=5) <= timedelta(microseconds=attempts[1] - attempts[0]) <= timedelta(minutes=6, seconds=15)


def test_an_attempt_without_a_call_ends_with_its_validity(new_world: Callable[[], World]) -> None:
    """The process was frozen after the attempt and found on waking that the time was up; nothing was sent."""
    world = new_world()
    world.live(ANA, dispatch=False)
    (touch,) = world.touches("ana")
    woke = us("2026-03-04T17:01:00Z")
    with world.runner(dispatch=False) as runner:
        claims = world.store.claim(touch.due, HOUR, "frozen", 1)
        ((attempted, token),) = world.store.attempt(claims, touch.due)
        runner.engine.run_virtual(iter(()), us("2026-03-04T17:00:00Z"), None)
        said = Outcome(
            touch_id=touch.touch_id,
            kind="not_called",
            attempt=1,
            attempted_at=instant(attempted.attempted_at),
            occurred_at=instant(woke),
            final=False,
            retry_at=instant(woke),
        )
        row = NewInbox(touch.partition, woke, touch.member, write_input(said))
        assert [True] == world.store.outcomes([OutcomeRow(touch.touch_id, token, "reserved", woke, row)])
        runner.engine.run_virtual(iter(()), woke, None)
    assert ["reserved", "attempting", "reserved not_called", "cancelled expired"] == world.states("ana")
    assert ("hello", "suppress", "expired") == world.decisions("ana", "welcome")[-1]
    assert [] == world.calls("ana")
    assert reconcile(world.store).holds
