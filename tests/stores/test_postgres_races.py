"""Several dispatchers, owners and opt-outs at once on one PostgreSQL, each with sessions of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier, Event

import psycopg
import pytest

from orchestrator.stores.contract import Changes, Claim, Clock, NewInbox, SuppressionRow, SwitchRow
from orchestrator.stores.sql.postgres import outbox, statements
from orchestrator.stores.sql.postgres.covering import Ask
from orchestrator.stores.sql.postgres.covering import suppress as covering_suppress
from orchestrator.stores.sql.postgres.store import PostgresStore
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.store_rows import Owner, digest, inbox, outcome, states, told, touch_of, touch_row
from orchestrator.testing.store_suite import ids, reserve

OPT_OUT = SuppressionRow("contact-ann", "*", "*", 1, "withdrawn")


@pytest.fixture
def opened(postgres_url: str) -> Iterator[Callable[[], PostgresStore]]:
    """Opens stores on one database, as several processes would."""
    stores: list[SqlStore] = []

    def opened() -> PostgresStore:
        store = SqlStore.open(postgres_url, 4)
        assert isinstance(store, PostgresStore)
        stores.append(store)
        return store

    yield opened
    for store in stores:
        store.close()


class Attempt:
    """A dispatcher's attempt in a session of its own, frozen before its commit."""

    def __init__(self, url: str, claim: Claim) -> None:
        self.session = psycopg.connect(url)
        values = ([claim.touch.touch_id], claim.token, 10, False, "", "account:")
        self.called = len(self.session.execute(statements.ATTEMPT_FREE, values).fetchall())

    def wait_for_who_waits(self) -> None:
        """Returns when another session waits for a lock."""
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
        with psycopg.connect(self.session.info.dsn, autocommit=True) as looking:
            until = time.monotonic() + 30
            while not looking.execute(waiting).fetchall()[0][0]:
                assert time.monotonic() < until, "nobody waits for the attempt"


def claimed(store: PostgresStore, *names: str) -> list[Claim]:
    reserve(store, *(touch_row(name) for name in names))
    return store.claim(10, 90, "token", 5)


# --- one of a member's at a time
def test_dispatchers_that_claim_at_the_same_moment_get_one_touch_of_a_member_between_them(
    opened: Callable[[], PostgresStore],
) -> None:
    stores = [opened() for _ in range(3)]
    owner = Owner(stores[0])
    members, each = 8, 3
    start = Barrier(len(stores))

    def claim(number: int, turn: int) -> list[Claim]:
        start.wait(30)
        return stores[number].claim(10, 90, f"token-{turn}-{number}", members)

    with ThreadPoolExecutor(len(stores)) as pool:
        for turn in range(15):
            touches = [
                touch_row(f"{turn}-{m}-{i}", f"m{turn}-{m}", rank=i) for m in range(members) for i in range(each)
            ]
            owner.commit(reserved=touches)
            found = [f.result() for f in [pool.submit(claim, number, turn) for number in range(len(stores))]]
            held = [claim.touch.member for claims in found for claim in claims]
            assert len(held) == len(set(held))
            in_flight = [touch.member for touch in stores[0].touches(state="claimed")]
            assert sorted(held) == sorted(in_flight)
            # nobody is left out for long: who was skipped is there in the next round
            late = stores[0].claim(10, 90, f"late-{turn}", members)
            assert {digest(f"m{turn}-{m}") for m in range(members)} == {*held, *(claim.touch.member for claim in late)}
            owner.commit(cancelled=[touch.touch_id for touch in touches])


def test_the_database_itself_refuses_a_second_touch_of_a_member_in_flight(
    opened: Callable[[], PostgresStore], postgres_url: str
) -> None:
    reserve(opened(), touch_row("a"), touch_row("b"))
    with (
        psycopg.connect(postgres_url) as session,
        pytest.raises(psycopg.errors.UniqueViolation, match="ix_touches_one_in_flight"),
    ):
        session.execute("UPDATE touches SET state = 'claimed'")


def test_every_touch_is_called_exactly_once_by_many_dispatchers_beside_several_owners(
    opened: Callable[[], PostgresStore],
) -> None:
    owners, dispatchers, batches, each = 2, 3, 20, 4
    done = [Event() for _ in range(owners)]

    def write(number: int, store: PostgresStore) -> None:
        owner = Owner(store, [number])
        try:
            for batch in range(batches):
                touches = [
                    touch_row(f"{number}-{batch:02}-{i}", f"{number}-{i // 2}", partition=number) for i in range(each)
                ]
                owner.commit(owner.step(number), reserved=touches, daily={("2026-11-22", "j", "email", "send", ""): 1})
        finally:
            done[number].set()

    def dispatch(number: int, store: PostgresStore) -> list[str]:
        called: list[str] = []
        turn = 0
        while True:
            finished = all(each.is_set() for each in done)
            turn += 1
            claims = store.attempt(store.claim(10, 90, f"{number}-{turn}", 3), 10)
            called += ids(claims)
            assert all(store.outcomes([outcome(claim.touch) for claim in claims]))
            if finished and not claims and not list(store.touches(state="reserved")):
                return called

    stores = [opened() for _ in range(owners + dispatchers)]
    with ThreadPoolExecutor(owners + dispatchers) as pool:
        writing = [pool.submit(write, number, stores[number]) for number in range(owners)]
        dispatching = [pool.submit(dispatch, number, store) for number, store in enumerate(stores[owners:])]
        for future in writing:
            future.result()
        called = [touch_id for future in dispatching for touch_id in future.result()]
    assert owners * batches * each == len(called) == len(set(called))
    assert {"accepted"} == set(states(stores[0]).values())
    assert len(called) == len(inbox(stores[0]))
    assert {("2026-11-22", "j", "email", "send", ""): owners * batches} == stores[0].daily()


def test_lapsed_attempts_are_told_of_once_however_many_look(opened: Callable[[], PostgresStore]) -> None:
    stores = [opened() for _ in range(3)]
    reserve(stores[0], *(touch_row(f"t{i}", f"m{i}") for i in range(30)))
    stores[0].attempt(stores[0].claim(10, 90, "token", 30), 10)

    def lapse(store: PostgresStore) -> int:
        return store.lapse(101, lambda touch, _: NewInbox(0, 0, touch.member, touch.touch_id.encode()))

    with ThreadPoolExecutor(3) as pool:
        assert 30 == sum(pool.map(lapse, stores))
    assert sorted(f"t{i}".encode() for i in range(30)) == sorted(row.input for row in inbox(stores[0]))


# --- opting out and attempts: see stores/sql/postgres/covering.py
def suppressing(store: PostgresStore, pool: ThreadPoolExecutor) -> Future[list[str]]:
    return pool.submit(store.suppress, [OPT_OUT], [told("opt-out")])


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_an_opt_out_waits_for_an_attempt_under_way(
    opened: Callable[[], PostgresStore], postgres_url: str, ends: str
) -> None:
    store = opened()
    (claim,) = claimed(store, "t")
    attempt = Attempt(postgres_url, claim)
    assert 1 == attempt.called
    with ThreadPoolExecutor(1) as pool:
        opting = suppressing(store, pool)
        attempt.wait_for_who_waits()
        assert not opting.done()
        getattr(attempt.session, ends)()
        assert ([] if ends == "commit" else ["t"]) == opting.result()
    assert {"t": "attempting" if ends == "commit" else "cancelled"} == states(store)
    attempt.session.close()


@pytest.mark.parametrize("ends", ["commit", "rollback"])
def test_an_opt_out_waits_for_an_attempt_of_a_touch_that_it_could_not_see(
    opened: Callable[[], PostgresStore], postgres_url: str, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """Reserved, claimed and being attempted between the opt-out's first look and its commit."""
    store, other = opened(), opened()
    attempts: list[Attempt] = []

    def then_the_others(ask: Ask, rows: list[SuppressionRow]) -> list[str]:
        found = covering_suppress(ask, rows)
        (claim,) = claimed(other, "t")
        attempts.append(Attempt(postgres_url, claim))
        return found

    monkeypatch.setattr(outbox, "suppress", then_the_others)
    with ThreadPoolExecutor(1) as pool:
        opting = suppressing(store, pool)
        while not attempts:
            assert not opting.done()
        (attempt,) = attempts
        assert 1 == attempt.called
        attempt.wait_for_who_waits()
        # committed already, and not answered yet: the attempt did not see it
        assert [OPT_OUT] == store.suppressions()
        assert not opting.done()
        getattr(attempt.session, ends)()
        assert ([] if ends == "commit" else ["t"]) == opting.result()
    assert {"t": "attempting" if ends == "commit" else "cancelled"} == states(store)
    attempt.session.close()


def test_an_opt_out_of_a_batch_waits_in_the_same_way(opened: Callable[[], PostgresStore], postgres_url: str) -> None:
    store, other = opened(), opened()
    owner = Owner(store, [0])
    with ThreadPoolExecutor(1) as pool:
        written, go_on = Event(), Event()

        def commit() -> None:
            with store.batch([owner.held[0]]) as batch:
                batch.write(Changes([owner.step()], suppressions=[OPT_OUT]))
                written.set()
                go_on.wait(30)

        opting = pool.submit(commit)
        written.wait(30)
        seller = Owner(other, [1])
        seller.commit(seller.step(1), reserved=[touch_row("t", partition=1)])
        (claim,) = other.claim(10, 90, "token", 5)
        attempt = Attempt(postgres_url, claim)
        go_on.set()
        attempt.wait_for_who_waits()
        assert not opting.done()
        attempt.session.commit()
        opting.result()
    assert {"t": "attempting"} == states(store)
    attempt.session.close()


def test_an_attempt_waits_for_an_opt_out_under_way_and_is_not_made(
    opened: Callable[[], PostgresStore], postgres_url: str
) -> None:
    store = opened()
    claims = claimed(store, "t")
    with psycopg.connect(postgres_url) as session, ThreadPoolExecutor(1) as pool:
        covering_suppress(lambda statement, values: _rows(session, statement, values), [OPT_OUT])
        attempting = pool.submit(store.attempt, claims, 10)
        Attempt.wait_for_who_waits(_Waited(session))
        assert not attempting.done()
        session.commit()
        assert [] == attempting.result()
    assert {"t": "cancelled"} == states(store)


def test_an_attempt_that_waited_is_judged_by_the_time_after_the_wait(
    opened: Callable[[], PostgresStore], postgres_url: str
) -> None:
    """Its instant is read once the row is its own: a wait must not make an attempt look earlier than it is."""
    store = opened()
    soon = store.clock() + 600_000
    reserve(store, touch_row("long", "ann"), touch_row("short", "bob", valid_until=soon))
    claims = store.claim(Clock.store, 60_000_000, "token", 5)
    assert ["long", "short"] == ids(claims)
    with psycopg.connect(postgres_url) as session, ThreadPoolExecutor(1) as pool:
        session.execute("SELECT 1 FROM touches FOR UPDATE")
        attempting = pool.submit(store.attempt, claims, Clock.store)
        Attempt.wait_for_who_waits(_Waited(session))
        while store.clock() < soon:
            time.sleep(0.05)
        session.commit()
        (called,) = attempting.result()
    assert ("long", True) == (called.touch.touch_id, soon <= called.touch.attempted_at)
    assert {"long": "attempting", "short": "claimed"} == states(store)


def test_a_switch_holds_once_it_has_returned(opened: Callable[[], PostgresStore], postgres_url: str) -> None:
    store = opened()
    (claim,) = claimed(store, "t")
    attempt = Attempt(postgres_url, claim)
    with ThreadPoolExecutor(1) as pool:
        switching = pool.submit(store.switch, SwitchRow("all", 1, "operator"), True, [])
        attempt.wait_for_who_waits()
        assert not switching.done()
        attempt.session.commit()
        switching.result()
    attempt.session.close()
    assert "attempting" == touch_of(store, "t").state


def test_an_opt_out_that_has_returned_is_never_followed_by_an_attempt(opened: Callable[[], PostgresStore]) -> None:
    """Not steered: dispatchers at full speed, a new member each time."""
    stores = [opened() for _ in range(3)]
    owner = Owner(stores[0])
    for turn in range(20):
        name = f"m{turn}"
        owner.commit(reserved=[touch_row(f"{turn}-{i}", name, contact=f"contact-{name}") for i in range(3)])
        silence, done = Event(), Event()

        def attempt(store: PostgresStore, turn: int = turn, silence: Event = silence, done: Event = done) -> list[str]:
            late: list[str] = []
            number = 0
            while not done.is_set():
                number += 1
                claims = store.claim(10, 90, f"{turn}-{number}-{id(store)}", 2)
                before = silence.is_set()
                called = store.attempt(claims, 10)
                late += ids(called) if before else []
                store.outcomes([outcome(claim.touch, "reserved") for claim in called])
            return late

        with ThreadPoolExecutor(2) as pool:
            attempting = [pool.submit(attempt, store) for store in stores[1:]]
            stores[0].suppress([SuppressionRow(f"contact-{name}", "*", "*", 1, "withdrawn")], [])
            silence.set()
            stores[0].claim(10, 90, f"own-{turn}", 5)
            done.set()
            assert [[], []] == [future.result() for future in attempting]


# --- owners beside each other
def test_batches_of_different_owners_do_not_wait_for_each_others_counts(opened: Callable[[], PostgresStore]) -> None:
    one, two = opened(), opened()
    mine, theirs = Owner(one, [0]), Owner(two, [1])
    counted = {("2026-11-22", "welcome", "email", "send", "allowed"): 1}
    two.wait_with(lambda: True, lambda _: None)
    with one.batch([mine.held[0]]) as batch:
        batch.write(Changes([mine.step()], daily=counted, totals={(0, "inputs"): 1}))
        # waiting would end as an Interrupted: this store does not try again
        theirs.commit(theirs.step(1), daily=counted, totals={(1, "inputs"): 1})
    assert {next(iter(counted)): 2} == one.daily()


def _rows(session: psycopg.Connection[tuple[object, ...]], statement: str, values: object) -> list[object]:
    cursor = session.execute(statement, values)  # type: ignore[call-overload]
    return list(cursor.fetchall()) if cursor.description else []


class _Waited(Attempt):
    """Any session that others wait for."""

    def __init__(self, session: psycopg.Connection[tuple[object, ...]]) -> None:
        self.session = session
