"""One batch writer, dispatchers and readers at the same time, on both stores."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Lock, Thread

import pytest

from orchestrator.stores.contract import Store, SuppressionRow
from orchestrator.stores.memory import MemoryStore
from orchestrator.stores.sql import SqlStore
from orchestrator.stores.turnstile import Turnstile
from orchestrator.testing.store_rows import Owner, inbox, log_row, outcome, states, touch_row

BATCHES = 40
EACH = 3


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    match request.param:
        case "memory":
            store: Store = MemoryStore(4)
        case "sqlite":
            store = SqlStore.open(f"sqlite:///{tmp_path}/store.db", 4)
        case _:
            store = SqlStore.open(request.getfixturevalue("postgres_url"), 4)
    yield store
    store.close()


def write(store: Store, done: Event) -> None:
    owner = Owner(store)
    try:
        for number in range(BATCHES):
            before, after = owner.step(log_n=number + 1)
            # two touches of a member in each batch: only one may be in flight
            touches = [touch_row(f"{number:03}-{i}", f"member-{i // 2}") for i in range(EACH)]
            owner.commit((before, after), log=[log_row(0, number + 1)], reserved=touches)
    finally:
        done.set()


def dispatch(store: Store, name: str, done: Event) -> list[str]:
    """Calls everything; the ids called."""
    called: list[str] = []
    turn = 0
    while True:
        finished = done.is_set()
        turn += 1
        claims = store.attempt(store.claim(10, 90, f"{name}-{turn}", 2), 10)
        members = [claim.touch.member for claim in claims]
        assert len(set(members)) == len(members)
        assert all(store.outcomes([outcome(claim.touch) for claim in claims]))
        called += [claim.touch.touch_id for claim in claims]
        if finished and not claims and not list(store.touches(state="reserved")):
            return called


def read(store: Store, done: Event) -> int:
    """Looks until all is written, and once more; how often. The log is as long as progress said, or longer."""
    looks, finished = 0, False
    while not finished:
        looks, finished = looks + 1, done.is_set()
        at_least = max((row.log_n for row in store.progress()), default=0)
        assert at_least <= len(list(store.log()))
    return looks


def test_every_touch_is_called_exactly_once_beside_a_writer_and_readers(store: Store) -> None:
    done = Event()
    with ThreadPoolExecutor(5) as pool:
        writing = pool.submit(write, store, done)
        dispatching = [pool.submit(dispatch, store, name, done) for name in ("one", "two")]
        reading = [pool.submit(read, store, done) for _ in range(2)]
        writing.result()
        called = [touch_id for future in dispatching for touch_id in future.result()]
        looks = [future.result() for future in reading]
    assert BATCHES * EACH == len(called) == len(set(called))
    assert {"accepted"} == set(states(store).values())
    assert BATCHES * EACH == len(inbox(store))
    assert min(looks) > 0


def test_an_opt_out_that_has_returned_is_never_followed_by_an_attempt(store: Store) -> None:
    done, silence = Event(), Event()
    late: list[str] = []

    def attempt() -> None:
        turn = 0
        while not done.is_set() or turn == 0:
            turn += 1
            before = silence.is_set()
            claims = store.attempt(store.claim(10, 90, f"token-{turn}", 1), 10)
            late.extend(claim.touch.touch_id for claim in claims if before)
            store.outcomes([outcome(claim.touch, "reserved") for claim in claims])

    owner = Owner(store)
    owner.commit(reserved=[touch_row("t")])
    with ThreadPoolExecutor(1) as pool:
        attempting = pool.submit(attempt)
        for _ in range(5):
            owner.commit()
        store.suppress([SuppressionRow("contact-ann", "*", "*", 1, "withdrawn")], [])
        silence.set()
        for _ in range(5):
            owner.commit()
        done.set()
        attempting.result()
    assert [] == late


def test_writers_are_let_in_in_the_order_they_came() -> None:
    turnstile, order, guard = Turnstile(), [], Lock()

    def enter(number: int) -> None:
        with turnstile.held(), guard:
            order.append(number)

    with turnstile.held():
        threads = []
        for number in range(5):
            threads.append(Thread(target=enter, args=(number,)))
            threads[-1].start()
            while turnstile.waiting <= number:
                pass
    for thread in threads:
        thread.join()
    assert [0, 1, 2, 3, 4] == order
