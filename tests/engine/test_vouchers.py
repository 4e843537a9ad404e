"""Voucher codes: each message that promises one has its own, and what is never sent gives it back."""

from __future__ import annotations

import re
from datetime import datetime

import msgspec
import pytest
import structlog

from orchestrator import suppression
from orchestrator.channels.contract import Answer, Message
from orchestrator.contact_log.about import about
from orchestrator.decide.result import Reservation, Trail
from orchestrator.decide.vouchers import fingerprint_of
from orchestrator.events.inputs import Command
from orchestrator.stores.contract import NewVoucher, PoolRow
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.journeys import content_of
from orchestrator.testing.store_rows import looking
from orchestrator.testing.world import World
from orchestrator.turns import opened
from orchestrator.vouchers import Codes, put_codes

JOINED = "2026-03-02T17:00:00Z"
BOUGHT = "2026-03-03T17:00:00Z"
LATER = "2026-03-04T17:00:00Z"
PROMISE = """\
trigger: {event: purchase.completed}
steps:
  - send: gift
    channels: [sms]
    voucher: gifts
"""
POOLS = "pools: {gifts: {low_water: 2}}\n"
TEXT = "Your code: {{ voucher.code }}{{ ' until ' ~ voucher.last_day|date if voucher.last_day }}"


@pytest.fixture
def gifts(world: World) -> World:
    """A world whose purchases are thanked for with a code."""
    world.content = content_of(PROMISE, texts={"gift": TEXT}, vouchers=POOLS)
    return world


def fill(world: World, *codes: str, pool: str = "gifts") -> None:
    """Puts codes into a pool."""
    assert {} == put_codes(world.store, world.vault, pool, codes)
    world.store.filled(pool, world.content.pools[pool].low_water)


def join(world: World, *members: str) -> None:
    world.live(*[enrolled(name, JOINED) for name in members], until="2026-03-03T00:00:00Z")


def stands(world: World) -> tuple[int, int]:
    """(left, given) of the pool."""
    return next(((row.left, row.given) for row in world.store.pools()), (0, 0))


def promised(world: World, member: str) -> list[str]:
    """The codes that a member was sent, in order."""
    return [re.findall(r"G-\d+", message.text)[0] for message in world.calls(member)]


def alarms(world: World) -> list[tuple[str, dict[str, object]]]:
    return [(row.reason, msgspec.json.decode(row.trail)) for row in world.log(kind="alarm")]


def test_each_message_has_a_code_of_its_own_in_the_order_of_the_file(gifts: World) -> None:
    fill(gifts, "G-1", "G-2", "G-3", "G-4", "G-5")
    join(gifts, "ana", "bob")
    for day in range(3, 6):
        gifts.live(purchase("bob" if day == 4 else "ana", f"2026-03-0{day}T17:00:00Z"))
    assert (["G-1", "G-3"], ["G-2"]) == (promised(gifts, "ana"), promised(gifts, "bob"))
    assert (2, 3) == stands(gifts)


def test_the_log_names_the_pool_and_the_keyed_fingerprint_of_the_code_alone(gifts: World) -> None:
    fill(gifts, "G-1", "G-2", "G-3")
    join(gifts, "ana")
    gifts.live(purchase("ana", BOUGHT))
    (row,) = gifts.log("ana", "decision")
    voucher = msgspec.json.decode(row.trail, type=Trail).voucher
    assert voucher is not None
    assert ("gifts", fingerprint_of(gifts.vault.fingerprint, "G-1")) == (voucher.pool, voucher.code)
    assert not [entry for entry in gifts.log() if "G-1" in repr(entry)]
    told = " ".join(str(s) for p in about(gifts.store, gifts.vault, "ana").paragraphs for s in p.sentences)
    assert f"a voucher code of the pool gifts, known here as {voucher.code}" in told


def test_with_none_left_nothing_is_sent_and_an_operator_hears_of_it_once(gifts: World) -> None:
    fill(gifts, "G-1")
    join(gifts, "ana", "bob", "cid")
    with structlog.testing.capture_logs() as warnings:
        gifts.live(purchase("ana", BOUGHT))
        gifts.live(purchase("bob", BOUGHT), purchase("cid", BOUGHT))
    assert [("gift", "send", "")] == gifts.decisions("ana")
    for member in ("bob", "cid"):
        assert [("gift", "suppress", "voucher_none_left")] == gifts.decisions(member)
    assert [
        ("vouchers_low", {"pool": "gifts", "left": 0, "because": "low_water"}),
        ("vouchers_gone", {"pool": "gifts", "left": 0, "because": "none_left"}),
    ] == sorted(alarms(gifts), reverse=True)
    assert ["vouchers_low", "vouchers_gone"] == [each["event"] for each in warnings if each["log_level"] == "warning"]
    told = " ".join(str(s) for p in about(gifts.store, gifts.vault, "bob").paragraphs for s in p.sentences)
    assert "no voucher code was left for it" in told


def test_a_pool_that_codes_were_never_loaded_into_is_an_alarm_too(gifts: World) -> None:
    join(gifts, "ana", "bob")
    gifts.live(purchase("ana", BOUGHT), purchase("bob", BOUGHT))
    gifts.live(purchase("bob", LATER))
    assert ["vouchers_gone"] == [reason for reason, _ in alarms(gifts)]


def test_the_alarm_comes_below_the_low_water_mark_and_again_only_after_enough_was_loaded(gifts: World) -> None:
    fill(gifts, "G-1", "G-2", "G-3")
    join(gifts, "ana")
    gifts.live(purchase("ana", BOUGHT))
    assert [] == alarms(gifts)
    gifts.live(purchase("ana", LATER))
    gifts.live(purchase("ana", "2026-03-05T17:00:00Z"))
    assert [("vouchers_low", 1)] == [(reason, facts["left"]) for reason, facts in alarms(gifts)]
    fill(gifts, "G-4")
    gifts.live(purchase("ana", "2026-03-06T17:00:00Z"))
    fill(gifts, "G-5", "G-6", "G-7")
    gifts.live(purchase("ana", "2026-03-07T17:00:00Z"), purchase("ana", "2026-03-08T17:00:00Z"))
    assert [("vouchers_low", 1), ("vouchers_low", 1)] == [(reason, facts["left"]) for reason, facts in alarms(gifts)]


def test_what_a_rule_stops_takes_no_code(gifts: World) -> None:
    fill(gifts, "G-1", "G-2")
    gifts.live(enrolled("ana", JOINED, channels=()))
    gifts.live(purchase("ana", BOUGHT))
    assert [("gift", "suppress", "no_contact_point")] == gifts.decisions("ana")
    assert (2, 0) == stands(gifts)


def test_a_message_that_cannot_be_rendered_leaves_its_code_where_it_is(gifts: World) -> None:
    gifts.content = content_of(
        PROMISE, texts={"gift": "{{ voucher.code }} {{ member.attributes.shop }}"}, vouchers=POOLS
    )
    fill(gifts, "G-1", "G-2")
    join(gifts, "ana")
    gifts.live(purchase("ana", BOUGHT))
    assert [("gift", "suppress", "content_error")] == gifts.decisions("ana")
    assert (2, 0) == stands(gifts)


def test_a_text_that_was_promised_no_code_cannot_name_one(world: World) -> None:
    world.content = content_of(PROMISE.replace("    voucher: gifts\n", ""), texts={"gift": TEXT}, vouchers=POOLS)
    join(world, "ana")
    world.live(purchase("ana", BOUGHT))
    assert [("gift", "suppress", "content_error")] == world.decisions("ana")


# --- what comes back


def opt_out(world: World, member: str) -> None:
    """Whoever hears it cancels what waits at once; the member's record catches up with the next turn."""
    whom = suppression.Whom(member=member, contact="", channel="*", purpose="*")
    suppression.suppress(world.store, world.vault, whom, "test", datetime.fromisoformat(LATER))


def test_a_message_cancelled_before_any_attempt_gives_its_code_back_to_the_next(gifts: World) -> None:
    fill(gifts, "G-1", "G-2")
    join(gifts, "ana", "bob")
    gifts.live(purchase("ana", BOUGHT), dispatch=False)
    assert (1, 1) == stands(gifts)
    opt_out(gifts, "ana")
    gifts.live(until=LATER)
    assert (2, 0) == stands(gifts)
    gifts.live(purchase("bob", LATER))
    assert ([], ["G-1"]) == (promised(gifts, "ana"), promised(gifts, "bob"))


def test_under_a_suppression_that_the_member_does_not_know_of_yet_no_code_is_used_up(gifts: World) -> None:
    fill(gifts, "G-1", "G-2")
    join(gifts, "ana", "bob")
    opt_out(gifts, "ana")
    gifts.live(purchase("ana", BOUGHT), purchase("bob", BOUGHT), until=LATER)
    assert ([], ["G-1"]) == (promised(gifts, "ana"), promised(gifts, "bob"))
    assert (1, 1) == stands(gifts)


def test_a_message_that_a_wish_takes_back_gives_its_code_back(gifts: World) -> None:
    gifts.content = content_of("purpose: marketing\n" + PROMISE, texts={"gift": TEXT}, vouchers=POOLS)
    fill(gifts, "G-1", "G-2", "G-3")
    join(gifts, "ana", "bob")
    gifts.live(purchase("ana", BOUGHT), dispatch=False)
    gifts.live(event("member.updated", "ana", BOUGHT, {"preferences": {"pause": {}}}), dispatch=False)
    assert ["reserved", "cancelled member_paused"] == gifts.states("ana")
    assert (3, 0) == stands(gifts)
    gifts.live(purchase("bob", LATER))
    assert ["G-1"] == promised(gifts, "bob")


def test_a_message_that_was_never_called_in_its_time_gives_its_code_back(gifts: World) -> None:
    fill(gifts, "G-1", "G-2")
    join(gifts, "ana")
    gifts.live(purchase("ana", BOUGHT), dispatch=False)
    gifts.live(until="2026-03-20T00:00:00Z", dispatch=False)
    assert ("gift", "suppress", "expired") in gifts.decisions("ana")
    assert (2, 0) == stands(gifts)


@pytest.mark.parametrize("kind", ["unknown", "rejected_recipient", "throttled"])
def test_a_code_that_was_handed_to_a_provider_never_comes_back(gifts: World, kind: str) -> None:
    fill(gifts, "G-1", "G-2")
    join(gifts, "ana", "bob")
    gifts.ledgers["sms"].answer = lambda _: Answer(kind=kind)  # type: ignore[arg-type]  # one of the kinds
    gifts.live(purchase("ana", BOUGHT))
    opt_out(gifts, "ana")
    gifts.ledgers["sms"].answer = lambda message: Answer(kind="accepted", provider_id=message.touch_id)
    gifts.live(purchase("bob", "2026-03-20T17:00:00Z"))
    assert ["G-2"] == promised(gifts, "bob")
    assert (0, 2) == stands(gifts)


def test_an_erased_members_code_is_emptied_and_stays_given(gifts: World) -> None:
    fill(gifts, "G-1", "G-2", "G-3")
    join(gifts, "ana")
    gifts.live(purchase("ana", BOUGHT))
    gifts.live(purchase("ana", LATER), dispatch=False)
    assert (1, 2) == stands(gifts)
    gifts.tell("ana", LATER, Command(verb="erase", actor="test"))
    gifts.live(until="2026-03-05T00:00:00Z", dispatch=False)
    # the second one was in line, and nobody saw it
    assert (2, 1) == stands(gifts)
    again = fingerprint_of(gifts.vault.fingerprint, "G-1")
    assert {again: "gifts"} == gifts.store.load_vouchers([NewVoucher("gifts", again, b"sealed")])


# --- time


@pytest.mark.parametrize(("day", "verdict"), [("2026-03-22", "send"), ("2026-03-23", "suppress")])
def test_a_code_goes_out_only_while_enough_days_are_left_for_it(gifts: World, day: str, verdict: str) -> None:
    gifts.content = content_of(
        PROMISE,
        texts={"gift": TEXT},
        vouchers="pools: {gifts: {low_water: 0, last_day: 2026-03-31, days_left: 10}}\n",
    )
    fill(gifts, "G-1")
    join(gifts, "ana")
    # late in the evening of New York: the next day by UTC
    gifts.live(purchase("ana", f"{day}T19:00:00-04:00"))
    assert [verdict] == [row[1] for row in gifts.decisions("ana")]
    if verdict == "send":
        (touch,) = gifts.touches("ana")
        assert "until March 31, 2026" in gifts.calls("ana")[0].text
        assert datetime.fromisoformat("2026-03-23T00:00:00-04:00").timestamp() * 1e6 == touch.valid_until
    else:
        assert [("vouchers_gone", "last_day")] == [(reason, facts["because"]) for reason, facts in alarms(gifts)]
        assert (1, 0) == stands(gifts)


# --- two at once, and again


def test_two_messages_of_one_moment_have_two_codes(gifts: World) -> None:
    other = "journey: other\n" + PROMISE.replace("send: gift", "send: more")
    gifts.content = content_of(PROMISE, other, texts={"gift": TEXT, "more": TEXT}, vouchers=POOLS)
    fill(gifts, "G-1", "G-2", "G-3")
    join(gifts, "ana")
    gifts.live(purchase("ana", BOUGHT))
    assert ["G-1", "G-2"] == sorted(promised(gifts, "ana"))
    assert (1, 2) == stands(gifts)


def test_of_two_messages_and_one_code_one_is_sent(gifts: World) -> None:
    other = "journey: other\n" + PROMISE.replace("send: gift", "send: more")
    gifts.content = content_of(PROMISE, other, texts={"gift": TEXT, "more": TEXT}, vouchers=POOLS)
    fill(gifts, "G-1")
    join(gifts, "ana")
    gifts.live(purchase("ana", BOUGHT))
    assert ["send", "suppress"] == sorted(row[1] for row in gifts.decisions("ana"))
    assert (0, 1) == stands(gifts)


def test_the_journal_keeps_the_code_that_was_used_and_the_length_of_one_that_was_not(gifts: World) -> None:
    gifts.content = content_of(
        PROMISE, texts={"gift": "{{ voucher.code }} {{ member.attributes.shop }}"}, vouchers=POOLS
    )
    fill(gifts, "G-1", "G-2")
    join(gifts, "ana", "bob")
    gifts.live(event("member.updated", "bob", BOUGHT, {"attributes": {"shop": "north"}}))
    gifts.live(purchase("ana", LATER), purchase("bob", LATER))
    kept = {}
    for partition in range(gifts.store.partitions):
        for row in gifts.store.journal(partition):
            wrapped = gifts.store.key(row.ref)
            if wrapped is not None:
                turn = opened([row], gifts.vault.sealer(row.ref, wrapped), gifts.vault, gifts.content.events)
                if turn.shared.vouchers:
                    kept[row.ref] = turn.shared.vouchers["gifts"].codes
    assert {gifts.ref("ana"): ("XXX",), gifts.ref("bob"): ("G-1",)} == kept


def test_no_code_stands_in_a_repr(gifts: World) -> None:
    fill(gifts, "G-1", "G-2")
    join(gifts, "ana")
    gifts.live(purchase("ana", BOUGHT), dispatch=False)
    assert PoolRow("gifts", 1, 1, 1) == gifts.store.pools()[0]
    assert not [row for row in gifts.touches("ana") if "G-1" in repr(row)]


# --- the codes of one batch


def test_a_touch_reserved_and_cancelled_in_one_turn_takes_no_code_with_it(gifts: World) -> None:
    fill(gifts, "G-1", "G-2")
    with looking(gifts.store) as batch:
        codes = Codes(batch, gifts.vault, gifts.content)
        stocks = codes.offered({}, [("gifts", 1)])
        assert (("G-1",), 2, 0) == (stocks["gifts"].codes, stocks["gifts"].left, stocks["gifts"].told)
        assert "G-1" not in repr(stocks)
        more = codes.offered(stocks, [("gifts", 5)])
        assert ("G-1", "G-2") == more["gifts"].codes
        assert more == codes.offered(more, [("gifts", 1)])
        codes.give(reservation("t1", "G-1"), "ref")
        codes.give(reservation("t2", "G-2"), "ref")
        assert codes.cancel("t1")
        assert not codes.cancel("t1")
        assert ["t2"] == [row.touch_id for row in codes.given()]
        assert ("G-1",) == codes.offered({}, [("gifts", 1)])["gifts"].codes
        codes.take_back("of a former batch")
        codes.take_back("t2")
        assert (["of a former batch"], []) == (codes.back, codes.given())


def reservation(touch: str, code: str) -> Reservation:
    message = Message(
        touch_id=touch, channel="sms", to="+12125550123", purpose="service", journey="test", locale="en", text=code
    )
    at = datetime.fromisoformat(BOUGHT)
    made = Reservation(
        touch_id=touch, intent_id="i", journey="test", channel="sms", purpose="service", contact="c", rank=1, due=at,
        valid_until=at, call_by=None, call_rule="", message=message, pool="gifts", code=code,
    )  # fmt: skip
    assert code not in repr(made)
    return made
