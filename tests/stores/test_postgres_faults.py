"""Lost sessions, lost answers, a server that is away, former owners: nothing is lost, done twice, or half done."""

# ruff: noqa: PT012 - it is a block that is interrupted

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection

from orchestrator.errors import Interrupted, Refused, SetupError
from orchestrator.stores.contract import Changes
from orchestrator.stores.sql.postgres import connecting, statements
from orchestrator.stores.sql.postgres.store import PostgresStore
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.store_rows import (
    Owner,
    digest,
    everything,
    full_changes,
    furnish,
    journal_row,
    log_row,
    member_row,
    states,
    told,
    touch_of,
    touch_row,
)
from orchestrator.testing.store_suite import ids, reserve
from tests.servers import Postgres

CHILD = Path(__file__).with_name("postgres_child.py")
TABLES = [name for name in Changes._fields if name not in {"totals", "daily", "progress"}]


class Pauses:
    """Waits for nothing; does something instead, once, and counts."""

    def __init__(self, then: Callable[[], object] = lambda: None) -> None:
        self.then, self.count = then, 0

    def __call__(self, _: float) -> None:
        self.count += 1
        if self.count == 1:
            self.then()


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


def asked(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """As an administrator."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement, values)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


def session_of(url: str, partition: int = 0) -> int:
    return int(asked(url, "SELECT backend FROM progress WHERE partition = %s", partition)[0][0])


def end_session(url: str, pid: int) -> None:
    asked(url, "SELECT pg_terminate_backend(%s, 5000)", pid)


# --- a session that is ended in mid-batch
def test_a_session_ended_before_the_write_leaves_nothing(
    opened: Callable[[], PostgresStore], postgres_url: str
) -> None:
    store = opened()
    owner = furnish(store)
    then = everything(store)
    with pytest.raises(Interrupted), store.batch([owner.held[0]]) as batch:
        end_session(postgres_url, session_of(postgres_url))
        batch.members([(0, digest("ann"))])
    assert then == everything(store)
    owner.commit(*full_changes(owner).progress)


def test_a_session_ended_after_the_write_leaves_nothing(opened: Callable[[], PostgresStore], postgres_url: str) -> None:
    store = opened()
    owner = furnish(store)
    changes = full_changes(owner)
    then = everything(store)
    with pytest.raises(Interrupted), store.batch([owner.held[0]]) as batch:
        batch.write(changes)
        end_session(postgres_url, session_of(postgres_url))
    assert then == everything(store)
    with store.batch([owner.held[0]]) as batch:
        batch.write(changes)
    assert [changes.progress[0][1]] == store.progress()


def test_a_batch_that_swallows_the_interruption_still_leaves_nothing(
    opened: Callable[[], PostgresStore], postgres_url: str
) -> None:
    store = opened()
    owner = furnish(store)
    changes = full_changes(owner)
    then = everything(store)
    with store.batch([owner.held[0]]) as batch:
        end_session(postgres_url, session_of(postgres_url))
        with pytest.raises(Interrupted):
            batch.write(changes)
    assert then == everything(store)


def test_a_session_ended_between_batches_is_opened_anew_and_put_on_record(
    opened: Callable[[], PostgresStore], postgres_url: str
) -> None:
    store = opened()
    owner = furnish(store)
    first = session_of(postgres_url)
    end_session(postgres_url, first)
    pauses = Pauses()
    store.wait_with(lambda: False, pauses)
    owner.commit(log=[log_row(0, 2)])
    assert first != session_of(postgres_url)
    alive = asked(postgres_url, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", session_of(postgres_url))
    assert [(1,)] == alive


class Muted:
    """A session whose answer to the commit is lost: the server did it, and nobody heard."""

    def __init__(self, session: Any, *, committed: bool) -> None:
        self._session, self._committed = session, committed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def commit(self) -> None:
        if self._committed:
            self._session.commit()
        else:
            self._session.rollback()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


def mute(store: PostgresStore, *, committed: bool) -> None:
    store._writer._session = Muted(store._writer._session, committed=committed)  # type: ignore[assignment]


def test_a_commit_whose_answer_was_lost_is_found_out_and_is_no_failure(opened: Callable[[], PostgresStore]) -> None:
    store = opened()
    owner = furnish(store)
    changes = full_changes(owner)
    with store.batch([owner.held[0]]) as batch:
        batch.write(changes)
        mute(store, committed=True)
    assert [changes.progress[0][1]] == store.progress()


def test_a_commit_that_never_arrived_is_found_out_and_interrupts(opened: Callable[[], PostgresStore]) -> None:
    store = opened()
    owner = furnish(store)
    then = everything(store)
    changes = full_changes(owner)
    with pytest.raises(Interrupted), store.batch([owner.held[0]]) as batch:
        batch.write(changes)
        mute(store, committed=False)
    assert then == everything(store)


@pytest.mark.parametrize("committed", [True, False])
def test_a_write_whose_answer_was_lost_is_done_once(
    opened: Callable[[], PostgresStore], postgres_url: str, monkeypatch: pytest.MonkeyPatch, committed: bool
) -> None:
    """The session is ended just before the commit, or just after it, once."""
    store = opened()
    lost = Event()
    commit = psycopg.Connection.commit

    def losing(self: psycopg.Connection[Any]) -> None:
        if lost.is_set():
            return commit(self)
        lost.set()
        if committed:
            commit(self)
        pid = self.info.backend_pid
        end_session(postgres_url, pid)
        return commit(self) if not committed else self.execute("SELECT 1") and None

    monkeypatch.setattr(psycopg.Connection, "commit", losing)
    assert 1 == store.count_try(0, 5)
    assert lost.is_set()
    assert 2 == store.count_try(0, 5)


def test_claims_and_attempts_whose_answers_were_lost_are_known_all_the_same(
    opened: Callable[[], PostgresStore], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    reserve(store, touch_row("a"), touch_row("b", "bob"))
    commit = psycopg.Connection.commit
    losses = 0

    def losing(self: psycopg.Connection[Any]) -> None:
        nonlocal losses
        commit(self)
        if losses < 1:
            losses += 1
            end_session(postgres_url, self.info.backend_pid)
            self.execute("SELECT 1")

    for step in ("claim", "attempt"):
        losses = 0
        with monkeypatch.context() as patch:
            patch.setattr(psycopg.Connection, "commit", losing)
            if step == "claim":
                claims = store.claim(10, 90, "token", 5)
            else:
                assert ["a", "b"] == ids(store.attempt(claims, 10))
        assert 1 == losses
    assert {"a": "attempting", "b": "attempting"} == states(store)
    assert 1 == touch_of(store, "a").attempts


def test_a_failing_batch_tells_no_values(opened: Callable[[], PostgresStore]) -> None:
    store = opened()
    owner = Owner(store)
    owner.commit(log=[log_row(0, 1)], members=[member_row("ann")])
    with pytest.raises(ValueError, match="duplicate key") as raised:
        owner.commit(journal=[journal_row(0, 1), journal_row(0, 1)])
    told_of = "".join(str(each) for each in (raised.value, raised.value.__cause__))
    assert digest("ann").hex() not in told_of
    assert "DETAIL" not in told_of


@pytest.mark.parametrize("field", TABLES)
def test_a_failure_at_any_table_leaves_nothing_of_the_batch(opened: Callable[[], PostgresStore], field: str) -> None:
    store = opened()
    owner = furnish(store)
    changes = full_changes(owner)
    good = getattr(changes, field)[0]
    # the driver can't carry the second row's first value
    bad = object() if isinstance(good, str) else (object(), *good[1:])
    then = everything(store)
    with pytest.raises((psycopg.Error, TypeError, AttributeError)), store.batch([owner.held[0]]) as batch:
        batch.write(changes._replace(**{field: [good, bad]}))
    assert then == everything(store)
    owner.commit(*changes.progress)


# --- former owners
def test_a_former_owner_in_mid_batch_is_ended_and_refused(
    opened: Callable[[], PostgresStore], postgres_url: str
) -> None:
    """A worker that was frozen with its rows locked holds up nobody, and is refused when it wakes."""
    former, new = opened(), opened()
    owner = furnish(former)
    changes = full_changes(owner)
    then = everything(new)["log"]
    with pytest.raises(Interrupted), former.batch([owner.held[0]]) as batch:
        batch.write(changes)
        assert 2 == new.take([0])[0].epoch
    with pytest.raises(Refused):
        owner.commit(log=[log_row(0, 2)])
    assert then == list(new.log())


def test_a_former_owner_that_opened_a_new_session_is_ended_too(
    opened: Callable[[], PostgresStore], postgres_url: str
) -> None:
    former, new = opened(), opened()
    owner = furnish(former)
    end_session(postgres_url, session_of(postgres_url))
    with pytest.raises(Interrupted), former.batch([owner.held[0]]) as batch:
        batch.due({0: 10}, 10)
        assert 2 == new.take([0])[0].epoch
        batch.due({0: 10}, 10)


def test_a_former_owner_is_not_ended_for_partitions_that_it_keeps(opened: Callable[[], PostgresStore]) -> None:
    former, new = opened(), opened()
    owner = Owner(former, [0, 1])
    new.take([2])
    owner.commit(owner.step(0))
    assert 1 == former.progress()[0].next_offset


def test_a_process_number_that_came_again_is_left_alone(opened: Callable[[], PostgresStore], postgres_url: str) -> None:
    former, new = opened(), opened()
    owner = Owner(former, [0])
    asked(postgres_url, "UPDATE progress SET started = started - 1")
    with former.batch([owner.held[0]]) as batch:
        batch.write(Changes([owner.step()]))
    new.take([0])
    with pytest.raises(Refused):
        owner.commit()
    # its session lives: nothing had to be opened anew
    assert former._writer._session is not None
    assert not former._writer._session.closed


def test_a_lock_that_no_worker_holds_stops_the_taking_with_what_to_do(
    opened: Callable[[], PostgresStore], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    store.take([0])
    monkeypatch.setattr("orchestrator.stores.sql.postgres.store.TRIES", 2)
    monkeypatch.setitem(connecting.SETTINGS, "lock_timeout", "50ms")
    other = opened()
    with psycopg.connect(postgres_url) as somebody:
        somebody.execute("SELECT FROM progress FOR UPDATE")
        with pytest.raises(SetupError, match="pg_terminate_backend"):
            other.take([0])
    assert 2 == other.take([0])[0].epoch


def test_a_frozen_process_in_mid_batch_holds_up_nobody(opened: Callable[[], PostgresStore], postgres_url: str) -> None:
    """SIGSTOP with the rows locked; on waking it is interrupted, then refused."""
    with subprocess.Popen(
        [sys.executable, str(CHILD), postgres_url, "frozen"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert "locked\n" == child.stdout.readline()
        os.kill(child.pid, signal.SIGSTOP)
        store = opened()
        assert 2 == store.take([0])[0].epoch
        owner = Owner(store)
        owner.commit(log=[log_row(0, 1)])
        os.kill(child.pid, signal.SIGCONT)
        out, err = child.communicate(timeout=60)
    assert ("interrupted\nrefused\n", 0) == (out, child.returncode), err
    assert [log_row(0, 1)] == list(store.log())


@pytest.mark.parametrize("acknowledged", [1, 9])
def test_a_kill_at_any_moment_keeps_what_was_acknowledged_and_no_half_batch(
    opened: Callable[[], PostgresStore], postgres_url: str, acknowledged: int
) -> None:
    with subprocess.Popen(
        [sys.executable, str(CHILD), postgres_url, "loop"], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(acknowledged):
            child.stdout.readline()
        child.kill()
        rest = child.stdout.read().splitlines()
    consistent(opened(), acknowledged + len(rest))


def consistent(store: PostgresStore, acknowledged: int) -> None:
    """What the child wrote is all there, batch by batch, and at most one more than it was told of."""
    store.take([0])
    (progress,) = store.progress()
    turns = progress.turn
    assert turns - acknowledged in {0, 1}
    assert turns * 50 == progress.log_n == len(list(store.log())) == len(list(store.journal(0)))
    assert {(0, "inputs"): turns * 50} == store.totals()
    assert {f"{turn}" for turn in range(1, turns + 1)} == set(states(store))


# --- a server that is away
def test_the_server_restarts_under_a_writer_and_nothing_is_lost_or_doubled(
    postgres: Postgres, opened: Callable[[], PostgresStore], postgres_url: str
) -> None:
    if not postgres.owned:
        pytest.skip("this server is not ours to restart")
    with subprocess.Popen(
        [sys.executable, str(CHILD), postgres_url, "patient"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        for _ in range(5):
            child.stdout.readline()
        postgres.kill()
        postgres.start()
        for _ in range(5):
            assert child.stdout.readline()
        postgres.restart()
        for _ in range(5):
            last = child.stdout.readline()
        child.kill()
        rest = child.stdout.read().splitlines()
    consistent(opened(), int(rest[-1] if rest else last))


def test_calls_wait_while_the_server_is_away(postgres: Postgres, opened: Callable[[], PostgresStore]) -> None:
    if not postgres.owned:
        pytest.skip("this server is not ours to stop")
    store = opened()
    reserve(store, touch_row("t"), touch_row("u", "bob"))
    for call in (
        lambda: store.count_try(0, 1),
        lambda: store.claim(10, 90, "token", 1),
        lambda: store.suppress([], [told("x")]),
        store.next_due,
        lambda: store.take([1]),
        lambda: Owner(store).commit(),
        store.progress,
    ):
        postgres.stop()
        pauses = Pauses(postgres.start)
        store.wait_with(lambda: False, pauses)
        call()
        assert pauses.count > 0


def test_a_wait_can_be_ended(postgres: Postgres, opened: Callable[[], PostgresStore]) -> None:
    if not postgres.owned:
        pytest.skip("this server is not ours to stop")
    store = opened()
    owner = Owner(store)
    store.wait_with(lambda: True, Pauses())
    postgres.stop()
    try:
        with pytest.raises(Interrupted):
            store.progress()
        with pytest.raises(Interrupted):
            owner.commit()
    finally:
        postgres.start()
    store.wait_with(lambda: False, Pauses())
    assert [0] == [row.next_offset for row in store.progress()]


def test_a_deadlock_is_tried_again(opened: Callable[[], PostgresStore]) -> None:
    """Two writers that meet crosswise: the server ends one, and both get through."""
    one, two = opened(), opened()
    barrier = [Event(), Event()]
    tries = [0, 0]

    def crossing(me: int) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            tries[me] += 1
            first, second = (("a", "b"), ("b", "a"))[me]
            for place, name in enumerate((first, second)):
                connection.exec_driver_sql(statements.SHARED.put_document, ("k", name, b"%d" % me))
                if place == 0:
                    barrier[me].set()
                    barrier[1 - me].wait(10)

        return work

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(store._write, crossing(me)) for me, store in enumerate((one, two))]:
            future.result()
    assert [1, 2] == sorted(tries)
    assert ["a", "b"] == one.documents("k")
