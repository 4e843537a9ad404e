"""No call without an attempt on record before it, and no call after one that was accepted or left in doubt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orchestrator import switches
from orchestrator.channels.contract import Answer, Message
from orchestrator.channels.email.smtp.send import Smtp
from orchestrator.clocks import elapsed
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.opening import Closed
from orchestrator.dispatch.report import RoundReport
from orchestrator.events.inputs import Cancelled, Expired, InternalInput, Outcome, Returned, read_input, write_input
from orchestrator.settings import DispatchSettings, SmtpSettings
from orchestrator.stores.contract import Changes, Clock, NewInbox, Store, SuppressionRow, SwitchRow, TouchRow
from orchestrator.stores.memory import MemoryStore
from orchestrator.stores.sql import SqlStore
from orchestrator.testing.relay import CUT, Mail, Relay
from orchestrator.times import instant

SECOND = 1_000_000
NOW = 1_790_000_000 * SECOND
HOUR = 3600 * SECOND
LEASE = 60 * SECOND
SETTINGS = DispatchSettings(lease_s=60.0, max_attempts=3)


def touch(name: str = "1", *, member: str = "", **changes: Any) -> TouchRow:
    message = Message(
        touch_id=f"touch-{name}",
        channel=changes.get("channel", "email"),
        to=f"member{name}@example.org",
        purpose="marketing",
        journey="welcome",
        locale="en",
        subject="Hello",
        text="Hello",
        sender="club@example.com",
    )
    row = TouchRow(
        touch_id=message.touch_id,
        partition=0,
        member=(member or f"member-{name}").encode().ljust(16, b"."),
        ref="r" * 32,
        intent_id=f"intent-{name}",
        journey="welcome",
        channel="email",
        purpose="marketing",
        contact=f"contact-{name}",
        rank=5,
        due=NOW,
        valid_until=NOW + 48 * HOUR,
        state="reserved",
        token="",
        lease_until=0,
        attempts=0,
        attempted_at=0,
        call_by=0,
        call_rule="",
        message=msgspec.json.encode(message),
    )
    return row._replace(**changes)


def reserve(store: Store, *touches: TouchRow) -> None:
    (before,) = store.take([0]).values()
    with store.batch([before]) as batch:
        batch.write(Changes(progress=[(before, before._replace(turn=before.turn + 1))], reserved=touches))


def told(store: Store) -> list[InternalInput]:
    """What the inbox holds for members, in order."""
    (held,) = store.take([0]).values()
    with store.batch([held]) as batch:
        return [read_input(row.input) for row in batch.due({0: 1 << 62}, 10_000)]


def due_next(store: Store) -> int:
    """When the first of the touches that wait may be called."""
    return min(row.due for row in store.touches(state="reserved"))


def states(store: Store) -> dict[str, str]:
    return {row.touch_id: row.state for row in store.touches()}


class Provider:
    """A provider that answers as told, looks at the record when it is called, and counts."""

    def __init__(
        self, *answers: Answer, channel: str = "email", slots: int = 8, look: Callable[[], None] = lambda: None
    ) -> None:
        self.channel, self.slots = channel, slots
        self.answers, self.look = list(answers), look
        self.calls: list[str] = []
        self.at_once = self.peak = 0

    async def send(self, message: Message) -> Answer:
        self.calls.append(message.touch_id)
        self.look()
        self.at_once += 1
        self.peak = max(self.peak, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        return self.answers.pop(0) if self.answers else Answer(kind="accepted", provider_id="p-1")

    async def close(self) -> None:
        pass


def open_message(row: TouchRow) -> Message | None:
    return msgspec.json.decode(row.message, type=Message)


def always(row: TouchRow, at: int) -> Closed | None:
    return None


def dispatcher(store: Store, *adapters: Any, **changes: Any) -> Dispatcher:
    tokens = iter(range(10**6))
    prefix = changes.pop("prefix", "token")
    return Dispatcher(
        store,
        {adapter.channel: adapter for adapter in adapters},
        changes.pop("open_message", open_message),
        changes.pop("permitted", always),
        changes.pop("settings", SETTINGS),
        lambda: f"{prefix}-{next(tokens)}",
        **changes,
    )


def drain(made: Dispatcher, now: int = NOW) -> RoundReport:
    return asyncio.run(made.drain(now))


# --- the promise


def test_the_attempt_is_on_record_before_the_server_is_called(store: Store) -> None:
    seen: list[tuple[str, int, int]] = []

    def look(mail: Mail) -> None:
        (row,) = [row for row in store.touches() if row.touch_id == mail.touch_id]
        seen.append((row.state, row.attempts, row.attempted_at))

    async def run() -> None:
        async with Relay(on_mail=look) as relay:
            adapter = Smtp(
                SmtpSettings(host=relay.host, port=relay.port, security="none"),
                password="",
                programme="Club",
                clock=lambda: instant(NOW),
                hostname="localhost",
            )
            report = await dispatcher(store, adapter).drain(NOW)
            assert (20, 20) == (report.called, report.accepted)
            assert 20 == len(set(relay.calls)) == len(relay.calls)
            await adapter.close()

    reserve(store, *(touch(str(n)) for n in range(20)))
    asyncio.run(run())
    assert [("attempting", 1, NOW)] * 20 == seen


def test_an_accepted_touch_is_never_called_again_and_its_member_is_told(store: Store) -> None:
    reserve(store, touch())
    provider = Provider(Answer(kind="accepted", provider_id="queue-7", code="250 2.0.0"))
    made = dispatcher(store, provider)
    assert RoundReport(claimed=1, called=1, accepted=1) == drain(made)
    assert RoundReport() == drain(made, NOW + 40 * HOUR)
    assert ["touch-1"] == provider.calls
    assert {"touch-1": "accepted"} == states(store)
    assert [
        Outcome(
            touch_id="touch-1",
            kind="accepted",
            attempt=1,
            attempted_at=instant(NOW),
            occurred_at=instant(NOW),
            final=True,
            provider_id="queue-7",
            code="250 2.0.0",
            account="email",
        )
    ] == told(store)


def test_a_call_left_in_doubt_is_never_repeated(store: Store) -> None:
    async def run() -> None:
        async with Relay() as relay:
            relay.script = {"BODY": CUT}
            adapter = Smtp(
                SmtpSettings(host=relay.host, port=relay.port, security="none"),
                password="",
                programme="Club",
                clock=lambda: instant(NOW),
                hostname="localhost",
            )
            made = dispatcher(store, adapter)
            await made.drain(NOW)
            relay.script = {}
            for hours in range(1, 40):
                await made.drain(NOW + hours * HOUR)
            assert ["touch-1"] == relay.calls
            await adapter.close()

    reserve(store, touch())
    asyncio.run(run())
    assert {"touch-1": "unknown"} == states(store)
    assert [("unknown", True)] == [(one.kind, one.final) for one in told(store) if isinstance(one, Outcome)]


def test_a_service_message_declared_at_least_once_is_called_again_after_doubt(store: Store) -> None:
    reserve(store, touch("1", purpose="service"), touch("2"))
    provider = Provider(Answer(kind="unknown"), Answer(kind="unknown"))
    made = dispatcher(store, provider, at_least_once=lambda row: row.purpose == "service")
    drain(made)
    drain(made, NOW + HOUR)
    assert ["touch-1", "touch-2", "touch-1"] == provider.calls
    assert {"touch-1": "accepted", "touch-2": "unknown"} == states(store)


def test_an_attempt_that_lapsed_is_unknown_and_never_called_again(store: Store) -> None:
    """A process died in the middle of a call."""
    reserve(store, touch())
    (claim,) = store.claim(NOW, LEASE, "dead", 8, "email")
    store.attempt([claim], NOW)
    provider = Provider()
    made = dispatcher(store, provider)
    assert 0 == drain(made, NOW + LEASE).lapsed
    assert 1 == drain(made, NOW + 2 * LEASE).lapsed
    drain(made, NOW + HOUR)
    assert [] == provider.calls
    assert {"touch-1": "unknown"} == states(store)
    (outcome,) = told(store)
    assert isinstance(outcome, Outcome)
    assert ("unknown", True, "lapsed", 1) == (outcome.kind, outcome.final, outcome.code, outcome.attempt)
    assert (instant(NOW), instant(NOW + 2 * LEASE)) == (outcome.attempted_at, outcome.occurred_at)


def test_a_claim_that_lapsed_is_claimed_again_and_called_once(store: Store) -> None:
    """A process died between claim and attempt, or was frozen there and wakes."""
    reserve(store, touch())
    frozen = store.claim(NOW, LEASE, "frozen", 8, "email")
    provider = Provider()
    drain(dispatcher(store, provider), NOW + LEASE)
    assert [] == provider.calls
    drain(dispatcher(store, provider), NOW + LEASE + 1)
    assert ["touch-1"] == provider.calls
    assert [] == store.attempt(frozen, NOW + LEASE + 2)


def test_an_answer_that_comes_after_the_lapse_changes_nothing(store: Store) -> None:
    def another_dispatcher_finds_it_lapsed() -> None:
        other = write_input(Expired(touch_id="touch-1"))
        assert 1 == store.lapse(NOW + 2 * LEASE, lambda row, _: NewInbox(row.partition, NOW, row.member, other))

    reserve(store, touch())
    provider = Provider(look=another_dispatcher_finds_it_lapsed)
    assert RoundReport(claimed=1, called=1, late=1) == drain(dispatcher(store, provider))
    assert {"touch-1": "unknown"} == states(store)
    assert not [one for one in told(store) if isinstance(one, Outcome)]


# --- opting out and switches overtake the backlog


def test_a_suppression_between_claim_and_attempt_stops_the_call(store: Store) -> None:
    reserve(store, touch("1"), touch("2"))

    def permitted(row: TouchRow, at: int) -> Closed | None:
        # the member opts out just now: after the claim, before the attempt
        if row.touch_id == "touch-1":
            store.suppress([SuppressionRow("contact-1", "*", "marketing", at, "consent_withdrawn")], [])
        return None

    provider = Provider()
    report = drain(dispatcher(store, provider, permitted=permitted))
    assert (2, 1, 1) == (report.claimed, report.stopped, report.called)
    assert ["touch-2"] == provider.calls
    assert {"touch-1": "cancelled", "touch-2": "accepted"} == states(store)


@pytest.mark.parametrize("scope", ["all", "channel:email", "journey:welcome"])
def test_a_switch_stops_calls_until_it_is_lifted(store: Store, scope: str) -> None:
    reserve(store, touch())
    provider = Provider()
    made = dispatcher(store, provider)
    store.switch(SwitchRow(scope, NOW, "ana"), True, [])
    assert RoundReport() == drain(made)
    store.switch(SwitchRow(scope, NOW, "ana"), False, [])
    assert 1 == drain(made).called


def test_a_switch_between_claim_and_attempt_stops_the_call_and_loses_nothing(store: Store) -> None:
    reserve(store, touch())
    on = [True]

    def permitted(row: TouchRow, at: int) -> Closed | None:
        store.switch(SwitchRow("all", at, "ana"), on.pop() if on else False, [])
        return None

    provider = Provider()
    made = dispatcher(store, provider, permitted=permitted)
    assert RoundReport(claimed=1, stopped=1) == drain(made)
    assert {"touch-1": "reserved"} == states(store)
    store.switch(SwitchRow("all", NOW, "ana"), False, [])
    assert 1 == drain(made).called


# --- the moment


def test_a_closed_moment_goes_back_to_the_member_with_rule_and_window(store: Store) -> None:
    reserve(store, touch())
    opens = instant(NOW + HOUR)

    def closed(row: TouchRow, at: int) -> Closed | None:
        return Closed("house.quiet", instant(at), opens)

    provider = Provider()
    assert RoundReport(claimed=1, returned=1) == drain(dispatcher(store, provider, permitted=closed))
    assert ([], {"touch-1": "cancelled"}) == (provider.calls, states(store))
    assert [Returned(touch_id="touch-1", rule="house.quiet", closed_from=instant(NOW), closed_until=opens)] == told(
        store
    )


def test_at_the_end_of_validity_nothing_is_called(store: Store) -> None:
    reserve(store, touch("1", valid_until=NOW + HOUR), touch("2", valid_until=NOW + HOUR + 1))
    provider = Provider()
    drain(dispatcher(store, provider), NOW + HOUR)
    assert ["touch-2"] == provider.calls


def test_what_is_not_due_waits(store: Store) -> None:
    reserve(store, touch(due=NOW + 1))
    provider = Provider()
    made = dispatcher(store, provider)
    assert RoundReport() == drain(made, NOW)
    assert 1 == drain(made, NOW + 1).called


def test_a_message_whose_key_is_gone_is_cancelled(store: Store) -> None:
    reserve(store, touch("1"), touch("2"))
    provider = Provider(slots=1)
    made = dispatcher(
        store, provider, open_message=lambda row: None if row.touch_id == "touch-1" else open_message(row)
    )
    drain(made)
    assert ["touch-2"] == provider.calls
    assert Cancelled(touch_id="touch-1", reason="erased", occurred_at=instant(NOW)) in told(store)


def test_a_fault_of_ours_before_the_attempt_leaves_touches_reserved(store: Store) -> None:
    def broken(row: TouchRow) -> Message | None:
        raise RuntimeError("a fault")

    reserve(store, touch("1"), touch("2"))
    with pytest.raises(RuntimeError, match="a fault"):
        drain(dispatcher(store, Provider(), open_message=broken))
    assert {"touch-1": "reserved", "touch-2": "reserved"} == states(store)


# --- calling again


def test_a_passing_refusal_is_called_again_after_a_gap_and_at_last_given_up(store: Store) -> None:
    reserve(store, touch())
    provider = Provider(*[Answer(kind="transient", code="451 4.3.0")] * 9)
    made = dispatcher(store, provider)
    calls, now = [], NOW
    while (report := drain(made, now)).again:
        calls.append(now)
        now = due_next(store)
        assert RoundReport() == drain(made, now - 1)
    assert 1 == report.rejected
    assert [1, 2, 3] == [one.attempt for one in told(store) if isinstance(one, Outcome)]
    assert [False, False, True] == [one.final for one in told(store) if isinstance(one, Outcome)]
    gaps = [later - sooner for sooner, later in zip(calls, [*calls[1:], now], strict=True)]
    assert gaps == sorted(gaps)
    assert 300 * SECOND <= gaps[0] < gaps[1]
    assert {"touch-1": "rejected"} == states(store)


def test_a_throttled_channel_rests_for_as_long_as_the_provider_asked(store: Store) -> None:
    reserve(store, touch("1"), touch("2"), touch("3", channel="sms"))
    email = Provider(Answer(kind="throttled", code="429", retry_after=timedelta(seconds=600)), slots=1)
    sms = Provider(channel="sms")
    made = dispatcher(store, email, sms)
    assert (2, 1, 1) == ((report := drain(made)).called, report.again, report.accepted)
    assert ["touch-1"] == email.calls
    # the other channel goes on
    assert ["touch-3"] == sms.calls
    assert RoundReport() == drain(made, NOW + 600 * SECOND - 1)
    drain(made, NOW + HOUR)
    assert ["touch-1", "touch-1", "touch-2"] == sorted(email.calls)
    assert {"accepted"} == set(states(store).values())


def test_retries_do_not_outlive_validity(store: Store) -> None:
    reserve(store, touch(valid_until=NOW + 300 * SECOND))
    provider = Provider(Answer(kind="transient"))
    assert 1 == drain(dispatcher(store, provider)).rejected
    assert {"touch-1": "rejected"} == states(store)


def test_a_sender_refused_again_and_again_is_left_alone_and_its_touches_wait(store: Store) -> None:
    reserve(store, *(touch(f"{n:02d}") for n in range(30)))
    provider = Provider(*[Answer(kind="rejected_sender", code="535 5.7.8")] * 30, slots=5)
    made = dispatcher(store, provider)
    assert RoundReport(claimed=10, called=10, again=10) == drain(made)
    assert RoundReport() == drain(made, NOW + 59 * SECOND)
    assert {"reserved"} == set(states(store).values())
    provider.answers.clear()
    switches.switch(store, "account:email", off=False, actor="ana", at=instant(NOW))
    # those that were refused before anybody knew have their gap
    assert 25 == drain(made).accepted
    assert 5 == drain(made, NOW + HOUR).accepted


# --- slots and members


def test_no_more_attempts_on_record_than_call_slots(store: Store) -> None:
    most: list[int] = []
    reserve(store, *(touch(str(n)) for n in range(30)))
    provider = Provider(
        slots=4, look=lambda: most.append(sum(state in {"claimed", "attempting"} for state in states(store).values()))
    )
    assert 30 == drain(dispatcher(store, provider)).accepted
    assert (4, 4) == (max(most), provider.peak)


def test_a_member_has_one_touch_in_flight_at_most(store: Store) -> None:
    most: list[int] = []
    reserve(store, *(touch(str(n), member="the same") for n in range(5)))
    provider = Provider(look=lambda: most.append(sum(state == "attempting" for state in states(store).values())))
    assert 5 == drain(dispatcher(store, provider)).accepted
    assert [1] * 5 == most


def test_two_dispatchers_on_one_store_call_each_touch_once(store: Store) -> None:
    reserve(store, *(touch(f"{n:02d}") for n in range(40)))
    one, two = Provider(slots=3), Provider(slots=5)
    first, second = dispatcher(store, one, prefix="one"), dispatcher(store, two, prefix="two")

    async def both() -> None:
        await asyncio.gather(first.drain(NOW), second.drain(NOW))

    asyncio.run(both())
    assert [f"touch-{n:02d}" for n in range(40)] == sorted(one.calls + two.calls)
    assert one.calls
    assert two.calls


def test_the_same_outbox_gives_the_same_record(tmp_path: Path) -> None:
    def record(made: Store) -> list[InternalInput]:
        reserve(made, *(touch(f"{n:02d}") for n in range(20)))
        provider = Provider(
            *[Answer(kind="transient") if n % 3 else Answer(kind="accepted") for n in range(20)], slots=7
        )
        drain(dispatcher(made, provider))
        return told(made)

    sql = SqlStore.open(f"sqlite:///{tmp_path / 'store.db'}", 2)
    assert record(MemoryStore(2)) == record(MemoryStore(2)) == record(sql)
    sql.close()


# --- the real clock: threads, calls that hang


class Hanging(Provider):
    """Swallows its cancellation, as no adapter should."""

    def __init__(self, hangs: str) -> None:
        super().__init__()
        self.hangs, self.free = hangs, asyncio.Event()

    async def send(self, message: Message) -> Answer:
        if message.touch_id == self.hangs:
            self.calls.append(message.touch_id)
            while not self.free.is_set():
                try:
                    await self.free.wait()
                except asyncio.CancelledError:
                    continue
            return Answer(kind="accepted")
        return await super().send(message)


def test_a_call_that_never_ends_is_unknown_and_holds_up_no_other(store: Store) -> None:
    reserve(store, *(touch(f"{n:02d}") for n in range(20)))
    provider = Hanging("touch-03")

    async def run() -> RoundReport:
        made = dispatcher(store, provider, elapsed=elapsed, settings=DispatchSettings(lease_s=1.0))
        report = RoundReport()
        while report.accepted < 19:
            report += await made.round(NOW)
            assert 0 == report.unknown
        assert 1 == made.in_flight
        report += await made.finish(NOW)
        provider.free.set()
        return report

    report = asyncio.run(run())
    assert (20, 19, 1) == (report.called, report.accepted, report.unknown)
    assert "unknown" == states(store)["touch-03"]


class Passing:
    """Time that passes only when an attempt has been put on record: the process froze between attempt and call."""

    def __init__(self, store: Store, frozen: int) -> None:
        self.store, self.frozen = store, frozen

    def __call__(self) -> int:
        return self.frozen if any(row.attempts for row in self.store.touches()) else 0


BOUNDS = pytest.mark.parametrize(
    ("bound", "allowed"),
    [({"valid_until": NOW + 10 * SECOND}, 10), ({"call_by": NOW + 20 * SECOND}, 20), ({}, 30)],
    ids=["validity", "hours", "lease"],
)


@BOUNDS
def test_at_its_deadline_an_attempt_is_not_followed_by_a_call_and_says_so(
    store: Store, bound: dict[str, int], allowed: int
) -> None:
    reserve(store, touch(**bound))
    provider = Provider()
    made = dispatcher(store, provider, elapsed=Passing(store, allowed * SECOND))
    assert RoundReport(claimed=1, called=1, again=1) == asyncio.run(made.round(NOW))
    assert ([], {"touch-1": "reserved"}) == (provider.calls, states(store))
    (outcome,) = told(store)
    assert isinstance(outcome, Outcome)
    assert ("not_called", 1, False) == (outcome.kind, outcome.attempt, outcome.final)
    assert instant(NOW) == outcome.attempted_at == outcome.retry_at


@BOUNDS
def test_just_before_its_deadline_an_attempt_is_followed_by_a_call(
    store: Store, bound: dict[str, int], allowed: int
) -> None:
    reserve(store, touch(**bound))
    made = dispatcher(store, Provider(), elapsed=Passing(store, allowed * SECOND - 1))
    assert RoundReport(claimed=1, called=1, accepted=1) == asyncio.run(made.round(NOW))


def test_by_the_stores_clock_attempt_and_outcome_have_instants_of_their_own(store: Store) -> None:
    before = store.clock()
    reserve(store, touch(due=before, valid_until=before + HOUR))
    made = dispatcher(store, Provider(), elapsed=elapsed)
    assert 1 == asyncio.run(made.drain(Clock.store)).accepted
    (outcome,) = told(store)
    assert isinstance(outcome, Outcome)
    assert instant(before) <= outcome.attempted_at <= outcome.occurred_at <= instant(store.clock())


def test_hours_that_close_while_a_message_is_opened_prevent_the_attempt(store: Store) -> None:
    closes = store.clock() + SECOND
    reserve(store, touch(due=0, valid_until=closes + HOUR, call_by=closes))

    def slowly(row: TouchRow) -> Message | None:
        while store.clock() < closes:
            time.sleep(0.01)
        return open_message(row)

    def permitted(row: TouchRow, at: int) -> Closed | None:
        return Closed("house.quiet", instant(closes), instant(closes + HOUR)) if at >= closes else None

    provider = Provider()
    made = dispatcher(store, provider, elapsed=elapsed, open_message=slowly, permitted=permitted)
    assert RoundReport(claimed=1, stopped=1) == asyncio.run(made.round(Clock.store))
    assert [0] == [row.attempts for row in store.touches()]
    assert RoundReport(claimed=1, returned=1) == asyncio.run(made.round(Clock.store))
    assert ([], {"touch-1": "cancelled"}) == (provider.calls, states(store))


def test_an_adapter_that_raises_leaves_doubt(store: Store) -> None:
    def fault() -> None:
        raise ValueError("lucia@example.org")

    reserve(store, touch())
    assert 1 == drain(dispatcher(store, Provider(look=fault))).unknown
    (outcome,) = told(store)
    assert isinstance(outcome, Outcome)
    assert "adapter_error" == outcome.code
