"""How each account stands: its breaker, what switches stop it, its rate, and what waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from orchestrator.channels.contract import Answer
from orchestrator.cli.lag import view
from orchestrator.clocks import elapsed
from orchestrator.dispatch.breaker import Breaker
from orchestrator.dispatch.pace import Pace
from orchestrator.dispatch.standing import AccountStanding, accounts
from orchestrator.runtimes.kafka.lag import LagReport
from orchestrator.settings import AccountSettings, DispatchSettings
from orchestrator.stores.contract import Store, SwitchRow
from orchestrator.testing.store_rows import Owner, touch_row
from orchestrator.times import instant, rfc3339

SECOND = 1_000_000
TWO = DispatchSettings(
    adapters={"email": ("mailer", "relay"), "sms": "twilio"},
    accounts={"mailer": AccountSettings(adapter="smtp", per_second=40, failures=1, rest_s=60)},
)


def standing(store: Store) -> dict[str, AccountStanding]:
    """How they stand, by name."""
    return {each.account: each for each in accounts(store, TWO)}


def fail(store: Store) -> Breaker:
    """The account fails once, which is enough."""
    breaker = Breaker(store, "mailer", TWO.account("mailer"))
    breaker.learn(Answer(kind="transient", code="421"), store.clock())
    return breaker


def test_accounts_stand_in_the_order_in_which_they_are_tried_and_are_well_at_first(store: Store) -> None:
    known = accounts(store, TWO)
    assert [("email", "mailer"), ("email", "relay"), ("sms", "twilio")] == [(a.channel, a.account) for a in known]
    assert ["closed"] * 3 == [each.breaker for each in known]
    assert AccountStanding(channel="sms", account="twilio") == known[2]


def test_what_waits_for_a_channel_waits_for_each_of_its_accounts(store: Store) -> None:
    at = store.clock()
    rows = [touch_row(f"t-{name}", member=name, due=at) for name in ("ann", "bob", "cid")]
    Owner(store).commit(reserved=[*rows, touch_row("t-eve", member="eve", due=at + 3_600 * SECOND)])
    store.attempt(store.claim(at + 1, 60 * SECOND, "token", 1, "email"), at + 1, "relay")
    told = {name: (each.calling, each.waiting, each.later) for name, each in standing(store).items()}
    assert {"mailer": (0, 2, 1), "relay": (1, 2, 1), "twilio": (0, 0, 0)} == told


def test_an_open_breaker_says_since_when_until_when_and_why(store: Store) -> None:
    stands = fail(store).stands
    mailer = standing(store)["mailer"]
    assert ("open", "transient 421") == (mailer.breaker, mailer.said)
    assert (rfc3339(instant(stands.since)), rfc3339(instant(stands.until))) == (mailer.since, mailer.until)
    assert stands.until - stands.since == 60 * SECOND
    assert "closed" == standing(store)["relay"].breaker


@pytest.mark.parametrize(
    ("scope", "stopped"), [("all", 3), ("channel:email", 2), ("account:relay", 1), ("journey:x", 0)]
)
def test_a_switch_is_told_at_each_account_that_it_stops(store: Store, scope: str, stopped: int) -> None:
    store.switch(SwitchRow(scope, store.clock(), "ann"), True, [])
    assert [(scope,)] * stopped == [each.off for each in standing(store).values() if each.off]


def test_a_rate_tells_what_workers_have_leased_of_it(store: Store) -> None:
    async def at_once(work: Callable[..., Any], *args: object) -> Any:
        return work(*args)

    assert (0, 40) == (standing(store)["mailer"].leased, standing(store)["mailer"].of)
    assert 7 == asyncio.run(Pace(store, "mailer", 40, elapsed, at_once).lease(7))
    assert (7, 40) == (standing(store)["mailer"].leased, standing(store)["mailer"].of)
    assert (0, 0) == (standing(store)["relay"].leased, standing(store)["relay"].of)


def test_a_channel_without_an_account_is_told_once_something_waits_for_it(store: Store) -> None:
    Owner(store).commit(reserved=[touch_row("t")._replace(channel="whatsapp")])
    assert AccountStanding(channel="whatsapp", account="", waiting=1) == accounts(store, TWO)[-1]


def test_people_see_all_of_it(store: Store) -> None:
    fail(store)
    store.switch(SwitchRow("account:relay", store.clock(), "ann"), True, [])
    report = LagReport(
        topic="member-events", group="g", lag=0, due=0, reserved=0, untold=0, partitions=[],
        accounts=accounts(store, TWO),
    )  # fmt: skip
    console = Console(width=200, record=True)
    with console.capture() as shown:
        console.print(view(report))
    for word in ("open (transient 421)", "account:relay", "40/s", "0 of 40", "twilio"):
        assert word in shown.get()
