"""An account's rate holds over all workers, in every second, and is near what may be had."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as example_settings
from hypothesis import strategies as st

from orchestrator.channels.accounts import Account
from orchestrator.channels.contract import Answer, Message
from orchestrator.clocks import elapsed
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.pace import KIND, USE, Pace
from orchestrator.settings import AccountSettings, DispatchSettings
from orchestrator.stores.contract import Clock, Store
from orchestrator.stores.memory import MemoryStore
from orchestrator.stores.sql import SqlStore
from tests.dispatch.test_dispatcher import HOUR, SECOND, Provider, always, open_message, reserve, states, touch


def busiest(instants: list[int], within: int) -> int:
    """The most of these instants within any span so long, half-open."""
    ordered, first, most = sorted(instants), 0, 0
    for last, at in enumerate(ordered):
        while ordered[first] <= at - within:
            first += 1
        most = max(most, last - first + 1)
    return most


class Noting(Provider):
    """Notes when each call began."""

    def __init__(self, begun: list[int], slots: int) -> None:
        super().__init__(slots=slots)
        self.begun = begun

    async def send(self, message: Message) -> Answer:
        self.begun.append(elapsed())
        return await super().send(message)


@pytest.fixture(params=["sqlite", "postgres"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Store]]:
    """Gives a store of the same rows each time, as each worker has one of its own."""
    url = f"sqlite:///{tmp_path / 'store.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    made: list[Store] = []

    def open_one() -> Store:
        made.append(SqlStore.open(url, 2))
        return made[-1]

    yield open_one
    for store in made:
        store.close()


@pytest.mark.parametrize(("rate", "count"), [(40.0, 100), (2.5, 6)], ids=["forty", "five in two seconds"])
def test_several_dispatchers_never_begin_more_calls_in_any_second_than_the_account_may(
    opened: Callable[[], Store], rate: float, count: int
) -> None:
    stores = [opened() for _ in range(3)]
    now = stores[0].clock()
    reserve(stores[0], *(touch(f"{n:03d}", due=now, valid_until=now + HOUR) for n in range(count)))
    begun: list[int] = []
    faults: list[BaseException] = []

    def work(number: int) -> None:
        async def drain() -> None:
            tokens = iter(range(10**6))
            account = Account("only", Noting(begun, slots=16), AccountSettings(per_second=rate))
            made = Dispatcher(
                stores[number],
                {"email": [account]},
                open_message,
                always,
                DispatchSettings(lease_s=60.0),
                lambda: f"{number}-{next(tokens)}",
                elapsed=elapsed,
            )
            while len(begun) < count:
                report = await made.round(Clock.store)
                if report.claimed == report.deferred and not made.in_flight:
                    await asyncio.sleep(0.02)
            await made.finish(Clock.store)

        try:
            asyncio.run(drain())
        except BaseException as error:
            faults.append(error)
            raise

    workers = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [] == faults
    assert {"accepted"} == set(states(stores[0]).values())
    assert count == len(begun)
    period = int(max(1, int(rate)) / rate * SECOND)
    assert busiest(begun, period) <= max(1, int(rate))


class Times:
    """Time that passes as told, for the clock of a store and for whoever measures."""

    def __init__(self) -> None:
        self.now = 1_790_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


async def at_once(work: Callable[..., Any], *args: Any) -> Any:
    return work(*args)


# by how much time passes (thousandths of a second), which worker asks, for how many, and how late it begins them
STEPS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 2), st.integers(1, 60), st.integers(0, 150)), max_size=60
)


@given(STEPS, st.sampled_from([0.3, 1.0, 7.0, 50.0]))
@example_settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_whoever_asks_when_and_however_late_they_begin_the_rate_holds(
    steps: list[tuple[int, int, int, int]], rate: float
) -> None:
    times = Times()
    store = MemoryStore(1)
    store.clock = times  # type: ignore[method-assign]  # a clock that is told
    paces = [Pace(store, "only", rate, times, at_once) for _ in range(3)]
    begun: list[int] = []

    async def run() -> None:
        for passes, who, wanted, late in steps:
            times.now += passes * 1_000
            await paces[who].lease(wanted)
            times.now += late * 1_000
            while paces[who]._spend():
                begun.append(times.now)

    asyncio.run(run())
    most = max(1, int(rate))
    assert busiest(begun, int(most / rate * SECOND)) <= most


def test_most_of_the_rate_is_had_by_one_who_always_asks() -> None:
    times = Times()
    store = MemoryStore(1)
    store.clock = times  # type: ignore[method-assign]  # a clock that is told
    pace, begun = Pace(store, "only", 80.0, times, at_once), 0

    async def run() -> None:
        nonlocal begun
        for _ in range(2_000):
            times.now += 10_000
            if pace.room():
                await pace.lease(20)
                while pace._spend():
                    begun += 1

    asyncio.run(run())
    assert 0.88 * 80 <= begun / 20 <= 80


def test_what_is_leased_and_not_begun_in_time_is_forfeit() -> None:
    times = Times()
    store = MemoryStore(1)
    store.clock = times  # type: ignore[method-assign]  # a clock that is told
    pace = Pace(store, "only", 8.0, times, at_once)
    assert 2 == asyncio.run(pace.lease(5))
    times.now += USE
    assert not pace._spend()


def test_a_clock_that_is_put_back_does_not_stop_the_account() -> None:
    times = Times()
    store = MemoryStore(1)
    store.clock = times  # type: ignore[method-assign]  # a clock that is told
    assert 2 == asyncio.run(Pace(store, "only", 8.0, times, at_once).lease(5))
    times.now -= HOUR
    assert 2 == asyncio.run(Pace(store, "only", 8.0, times, at_once).lease(5))


def test_what_is_kept_of_a_rate_does_not_grow() -> None:
    times = Times()
    store = MemoryStore(1)
    store.clock = times  # type: ignore[method-assign]  # a clock that is told
    pace, sizes = Pace(store, "only", 4_000.0, times, at_once), []

    async def run() -> None:
        for _ in range(2_000):
            times.now += 3_000
            await pace.lease(1)
            sizes.append(len(store.get_document(KIND, "only") or b""))

    asyncio.run(run())
    assert max(sizes) < 3_000
