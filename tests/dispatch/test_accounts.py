"""Several accounts of one channel: the next one takes what the first surely did not; what is broken is left alone."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from orchestrator import switches
from orchestrator.channels.accounts import Account
from orchestrator.channels.contract import Answer
from orchestrator.clocks import elapsed
from orchestrator.dispatch.breaker import open_breakers
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.outage import Outage, outages
from orchestrator.dispatch.report import RoundReport
from orchestrator.events.inputs import AnswerKind, Outcome
from orchestrator.settings import AccountSettings, DispatchSettings
from orchestrator.stores.contract import Changes, Clock, Store, TouchRow
from orchestrator.times import instant
from tests.dispatch.test_dispatcher import (
    HOUR,
    NOW,
    SECOND,
    Provider,
    always,
    drain,
    open_message,
    reserve,
    states,
    told,
    touch,
)

BOUNDS = AccountSettings(failures=4, rest_s=60.0, failure_window_s=60.0)


def dispatcher(store: Store, *named: tuple[str, Provider], prefix: str = "token", **changes: Any) -> Dispatcher:
    tokens = iter(range(10**6))
    bounds = changes.pop("bounds", BOUNDS)
    accounts = [Account(name, provider, bounds) for name, provider in named]
    settings = DispatchSettings(lease_s=60.0, max_attempts=changes.pop("max_attempts", 5))
    return Dispatcher(
        store, {"email": accounts}, open_message, always, settings, lambda: f"{prefix}-{next(tokens)}", **changes
    )


def outcomes(store: Store) -> list[tuple[str, str, int, bool]]:
    return [(one.account, one.kind, one.attempt, one.final) for one in told(store) if isinstance(one, Outcome)]


def many(count: int) -> list[TouchRow]:
    return [touch(f"{n:02d}") for n in range(count)]


OWN: list[AnswerKind] = ["rejected_sender", "transient", "throttled"]


@pytest.mark.parametrize("kind", OWN)
def test_a_refusal_of_the_accounts_own_goes_to_the_next_account_each_hop_on_record(
    store: Store, kind: AnswerKind
) -> None:
    reserve(store, touch())
    at_first: list[tuple[str, int, str]] = []

    def look() -> None:
        (row,) = store.touches()
        at_first.append((row.state, row.attempts, row.account))

    first, second = Provider(Answer(kind=kind, code="x"), look=look), Provider(look=look)
    made = dispatcher(store, ("first", first), ("second", second))
    assert RoundReport(claimed=2, called=2, accepted=1, again=1) == drain(made)
    assert (["touch-1"], ["touch-1"]) == (first.calls, second.calls)
    # each attempt was on record, with the account's name, before the account was called
    assert [("attempting", 1, "first"), ("attempting", 2, "second")] == at_first
    assert [("first", kind, 1, False), ("second", "accepted", 2, True)] == outcomes(store)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(kind="accepted"),
        Answer(kind="unknown"),
        Answer(kind="rejected_recipient"),
        Answer(kind="rejected_message"),
        Answer(kind="transient", in_the_end="rejected_recipient"),
    ],
    ids=lambda answer: answer.kind + bool(answer.in_the_end) * " full",
)
def test_anything_else_never_goes_to_another_account(store: Store, answer: Answer) -> None:
    reserve(store, touch())
    first, second = Provider(answer), Provider()
    drain(dispatcher(store, ("first", first), ("second", second)))
    assert (["touch-1"], []) == (first.calls, second.calls)


def test_refused_by_all_it_waits_for_its_gap_and_each_is_asked_again_until_calls_run_out(store: Store) -> None:
    reserve(store, touch())
    no = [Answer(kind="transient", code="451")] * 9
    first, second = Provider(*no), Provider(*no)
    made = dispatcher(store, ("first", first), ("second", second), max_attempts=4, bounds=AccountSettings())
    assert 2 == drain(made).again
    (row,) = store.touches()
    assert NOW + 300 * SECOND <= row.due <= NOW + 375 * SECOND
    assert RoundReport() == drain(made, row.due - 1)
    assert RoundReport(claimed=2, called=2, again=1, rejected=1) == drain(made, row.due)
    assert [("first", 1), ("second", 2), ("first", 3), ("second", 4)] == [(a, n) for a, _, n, _ in outcomes(store)]
    assert {"touch-1": "rejected"} == states(store)


def test_a_breaker_opens_for_all_workers_and_what_waits_goes_by_the_next_account(store: Store) -> None:
    reserve(store, *many(20))
    broken, well = Provider(*[Answer(kind="transient", code="connection")] * 99, slots=2), Provider(slots=20)
    assert 20 == drain(dispatcher(store, ("broken", broken), ("well", well))).accepted
    assert BOUNDS.failures == len(broken.calls)
    assert ["broken"] == list(open_breakers(store))
    reserve(store, touch("late"))
    # another worker sees it in the store
    assert 1 == drain(dispatcher(store, ("broken", broken), ("well", well), prefix="other")).accepted
    assert BOUNDS.failures == len(broken.calls)
    assert {} == outages(store)


def test_a_few_failures_among_many_that_are_well_open_nothing(store: Store) -> None:
    reserve(store, *many(30))
    answers = [Answer(kind="transient" if n % 3 == 0 else "accepted") for n in range(30)]
    drain(dispatcher(store, ("only", Provider(*answers, slots=3))))
    assert {} == open_breakers(store)


def test_after_its_rest_one_worker_makes_one_call_that_finds_out(store: Store) -> None:
    reserve(store, *many(20))
    provider = Provider(*[Answer(kind="unknown")] * 5, slots=2)
    one, two = (dispatcher(store, ("only", provider), prefix=name) for name in ("one", "two"))
    drain(one)
    assert 4 == len(provider.calls)

    async def both(now: int) -> RoundReport:
        reports = await asyncio.gather(one.round(now), two.round(now))
        return reports[0] + reports[1]

    assert 0 == asyncio.run(both(NOW + 60 * SECOND - 1)).called
    # not well: twice the rest
    assert 1 == asyncio.run(both(NOW + 60 * SECOND)).called
    assert 0 == asyncio.run(both(NOW + 180 * SECOND - 1)).called
    # well: the slots are open again, for both
    assert 1 == asyncio.run(both(NOW + 180 * SECOND)).called
    assert {} == open_breakers(store)
    assert 4 == asyncio.run(both(NOW + 180 * SECOND)).called


def test_a_worker_that_dies_with_the_call_that_finds_out_keeps_nobody_from_trying(store: Store) -> None:
    reserve(store, *many(9))
    provider = Provider(*[Answer(kind="unknown")] * 4, slots=2)
    drain(dispatcher(store, ("only", provider)))
    dies = dispatcher(store, ("only", provider), prefix="dies")
    asyncio.run(dies._look(NOW + 60 * SECOND, 0))
    assert dies._outlets[0].all[0].breaker.seize(NOW + 60 * SECOND)
    other = dispatcher(store, ("only", provider), prefix="other")
    assert 0 == drain(other, NOW + 119 * SECOND).called
    assert 5 == drain(other, NOW + 120 * SECOND).accepted


def test_with_all_accounts_out_touches_wait_and_the_store_says_since_when_and_until_when(store: Store) -> None:
    reserve(store, *many(12))
    refuses = [Answer(kind="rejected_sender", code="401")] * 4
    first, second = Provider(*refuses, slots=2), Provider(*refuses, slots=2)
    made = dispatcher(store, ("first", first), ("second", second))
    assert 0 == drain(made).accepted
    assert {"email": Outage(NOW)} == outages(store)
    assert {"reserved"} == set(states(store).values())
    calls = len(first.calls) + len(second.calls)
    assert RoundReport() == drain(made, NOW + 59 * SECOND)
    drain(made, NOW + 60 * SECOND)
    assert {"email": Outage(NOW, NOW + 60 * SECOND)} == outages(store)
    drain(made, NOW + 2 * HOUR)
    assert {"accepted"} == set(states(store).values())
    assert 8 == calls


def test_the_next_account_is_not_there_for_what_is_merely_too_much(store: Store) -> None:
    reserve(store, *many(30))
    first, second = Provider(slots=3), Provider(slots=20)
    assert 30 == drain(dispatcher(store, ("first", first), ("second", second))).accepted
    assert (30, 0) == (len(first.calls), len(second.calls))


def test_a_paused_account_is_passed_over_until_it_goes_on(store: Store) -> None:
    first, second = Provider(), Provider()
    made = dispatcher(store, ("first", first), ("second", second))
    switches.switch(store, "account:first", off=True, actor="ana", at=instant(NOW))
    reserve(store, touch("1"))
    drain(made)
    switches.switch(store, "account:second", off=True, actor="ana", at=instant(NOW))
    reserve(store, touch("2"))
    assert RoundReport() == drain(made)
    assert {"email": Outage(NOW)} == outages(store)
    switches.switch(store, "account:first", off=False, actor="ana", at=instant(NOW))
    drain(made, NOW + SECOND)
    assert (["touch-2"], ["touch-1"]) == (first.calls, second.calls)


def test_a_pause_between_claim_and_attempt_stops_the_call_and_loses_nothing(store: Store) -> None:
    def pause(row: TouchRow, at: int) -> None:
        switches.switch(store, "account:first", off=True, actor="ana", at=instant(NOW))

    reserve(store, touch())
    first, second = Provider(), Provider()
    made = dispatcher(store, ("first", first), ("second", second))
    made._permitted = pause
    assert RoundReport(claimed=2, stopped=1, called=1, accepted=1) == drain(made)
    assert ([], ["touch-1"]) == (first.calls, second.calls)


def test_the_list_of_switches_shows_what_is_left_alone_and_why(store: Store) -> None:
    reserve(store, *many(4))
    drain(dispatcher(store, ("relay", Provider(*[Answer(kind="rejected_sender", code="535 5.7.8")] * 9))))
    (shown,) = switches.switches(store)
    assert ("account:relay", "dispatch", "rejected_sender 535 5.7.8") == (shown.scope, shown.actor, shown.said)
    switches.switch(store, "account:relay", off=False, actor="ana", at=instant(NOW))
    assert [] == switches.switches(store)


def test_a_throttled_account_rests_and_the_other_goes_on(store: Store) -> None:
    reserve(store, *many(10))
    asks = Answer(kind="throttled", code="429", retry_after=timedelta(seconds=600))
    first, second = Provider(asks, slots=1), Provider(slots=1)
    made = dispatcher(store, ("first", first), ("second", second))
    assert 10 == drain(made).accepted
    assert 1 == len(first.calls)
    assert {} == open_breakers(store)


def test_on_the_partitions_clock_a_broken_account_is_left_alone_and_found_well_again(store: Store) -> None:
    reserve(store, *many(9))
    provider = Provider(*[Answer(kind="transient")] * 4, slots=2)

    def at(clock: int) -> None:
        (before,) = store.take([0]).values()
        with store.batch([before]) as batch:
            batch.write(Changes(progress=[(before, before._replace(turn=before.turn + 1, clock=clock))]))

    made = dispatcher(store, ("only", provider))
    at(NOW)
    assert 4 == asyncio.run(made.drain(Clock.partition)).called
    at(NOW + 59 * SECOND)
    assert 0 == asyncio.run(made.drain(Clock.partition)).called
    at(NOW + 60 * SECOND)
    assert 7 == asyncio.run(made.drain(Clock.partition)).accepted


def test_by_the_stores_clock_too_the_next_account_takes_over_at_once(store: Store) -> None:
    now = store.clock()
    reserve(store, *(each._replace(due=now, valid_until=now + HOUR) for each in many(40)))
    broken, well = Provider(*[Answer(kind="transient")] * 99), Provider()
    made = dispatcher(store, ("broken", broken), ("well", well), elapsed=elapsed)
    assert 40 == asyncio.run(made.drain(Clock.store)).accepted
    assert 40 == len(set(well.calls)) == len(well.calls)
    assert 4 <= len(broken.calls) <= 3 + broken.slots
