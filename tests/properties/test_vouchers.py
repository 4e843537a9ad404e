"""Whatever happens to messages that promise a voucher code: no code goes out twice, and none is lost.

The checker reads codes out of what was sent, and counts; no code that gives them is used to judge it.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator import suppression
from orchestrator.channels.contract import Answer
from orchestrator.events.inputs import AnswerKind, Command
from orchestrator.outbox_body import read_body
from orchestrator.stores.memory import MemoryStore
from orchestrator.testing.builders import enrolled, purchase
from orchestrator.testing.journeys import content_of
from orchestrator.testing.world import World
from orchestrator.vault import Vault
from orchestrator.vouchers import put_codes

START = datetime(2026, 6, 15, 16, tzinfo=UTC)
MEMBERS = ("ana", "ben", "cleo")
SOME = settings(max_examples=settings().max_examples // 2, report_multiple_bugs=False)
PROMISE = """\
trigger: {event: purchase.completed}
steps:
  - {send: gift, channels: [sms], voucher: gifts, valid_for: P2D}
"""
AGAIN = """\
journey: reminder
trigger: {event: purchase.completed}
exit: [member.cancelled]
steps:
  - {send: first, channels: [sms], voucher: gifts, valid_for: PT12H}
  - wait: PT6H
  - {send: second, channels: [sms], voucher: gifts}
"""


class Step(NamedTuple):
    """What happens next."""

    what: str
    member: str
    # hours that go by before it
    hours: int
    # whether the outbox is emptied meanwhile
    called: bool
    answer: AnswerKind
    # codes loaded
    codes: int


steps = st.builds(
    Step,
    st.sampled_from(("purchase", "purchase", "purchase", "opt out", "load", "erase", "wait")),
    st.sampled_from(MEMBERS),
    st.integers(1, 30),
    st.booleans(),
    st.sampled_from(("accepted", "accepted", "unknown", "rejected_recipient", "throttled", "transient")),
    st.integers(1, 3),
)


@pytest.fixture(scope="module")
def journeys() -> object:
    texts = dict.fromkeys(("gift", "first", "second"), "{{ voucher.code }}")
    return content_of(PROMISE, AGAIN, texts=texts, vouchers="pools: {gifts: {low_water: 2}}\n")


@SOME
@given(told=st.lists(steps, max_size=8), at_first=st.integers(0, 4))
def test_no_code_goes_to_two_messages_and_none_is_lost(
    vault: Vault, journeys: object, told: list[Step], at_first: int
) -> None:
    world = World(MemoryStore(2), vault, journeys)  # type: ignore[arg-type]  # the fixture's own content
    codes = [f"G-{i}" for i in range(at_first)]
    put_codes(world.store, vault, "gifts", codes)
    now = START
    world.live(*[enrolled(name, now.isoformat()) for name in MEMBERS])
    for step in told:
        now += timedelta(hours=step.hours)
        at, answer = now.isoformat(), step.answer
        world.ledgers["sms"].answer = lambda message, kind=answer: Answer(kind=kind, provider_id=message.touch_id)
        if step.what == "purchase":
            world.live(purchase(step.member, at), dispatch=step.called)
        elif step.what == "opt out" and world.member(step.member) is not None:
            whom = suppression.Whom(member=step.member, contact="", channel="sms", purpose="service")
            suppression.suppress(world.store, vault, whom, "test", now)
        elif step.what == "load":
            new = [f"G-{len(codes) + i}" for i in range(step.codes)]
            codes += new
            put_codes(world.store, vault, "gifts", new)
        elif step.what == "erase":
            world.tell(step.member, at, Command(verb="erase", actor="test"))
        world.live(until=at, dispatch=step.called)
        hold(world, vault, codes)
    world.live(until=(now + timedelta(days=9)).isoformat())
    hold(world, vault, codes)
    world.check()
    # at rest nothing waits: what is given was called
    touches = [touch for touch in world.store.touches() if touch.attempts]
    assert len(touches) == sum(row.given for row in world.store.pools())


def hold(world: World, vault: Vault, codes: list[str]) -> None:
    """What holds at any moment."""
    (left, given) = next(((row.left, row.given) for row in world.store.pools()), (0, 0))
    assert len(codes) == left + given
    sent = Counter(message.text.strip() for message in {m.touch_id: m for m in world.calls()}.values())
    assert set(sent) <= set(codes)
    assert {1} >= set(sent.values()), sent
    live: Counter[str] = Counter()
    for touch in world.store.touches():
        wrapped = world.store.key(touch.ref)
        if wrapped is not None and (touch.state != "cancelled" or touch.attempts):
            live[read_body(vault.sealer(touch.ref, wrapped).open(touch.message)).text.strip()] += 1
    assert {1} >= set(live.values()), live
