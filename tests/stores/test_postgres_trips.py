"""Statements that travel together are done as if each had been asked alone, and fail as it would have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from orchestrator.errors import Refused
from orchestrator.stores.contract import Changes, Expected
from orchestrator.stores.sql import SqlStore
from orchestrator.stores.sql.postgres import statements as words
from orchestrator.stores.sql.postgres.connecting import is_away
from orchestrator.stores.sql.postgres.trips import BEGIN, ROLLBACK, Asked, Trips
from orchestrator.testing.store_rows import Owner, digest, full_changes, furnish, log_row

NUMBERS = "SELECT each FROM unnest(%b::int8[]) AS each"
# a value of a type, and how it is sent
CARRIED: list[tuple[str, list[Any]]] = [
    ("int8", [0, 1, -1, 2**63 - 1, -(2**63)]),
    ("text", ["", "a", "ñandú", "日本", "'\"\\,{}NULL"]),
    ("bytea", [b"", b"\0", bytes(range(256))]),
    ("bool", [True, False]),
]


@pytest.fixture
def session(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url) as session:
        session.execute("CREATE TEMP TABLE kept (n int8 PRIMARY KEY, said text)")
        session.commit()
        yield session


@pytest.fixture
def store(postgres_url: str) -> Iterator[SqlStore]:
    store = SqlStore.open(postgres_url, 4)
    yield store
    store.close()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What each trip asked, from now on."""
    trips: list[list[str]] = []
    go = Trips.go

    def counting(self: Trips, asked: list[Asked]) -> Any:
        trips.append([each.statement for each in asked])
        return go(self, asked)

    monkeypatch.setattr(Trips, "go", counting)
    return trips


@pytest.mark.parametrize(("kind", "values"), CARRIED)
def test_values_arrive_as_they_were_given(session: psycopg.Connection[Any], kind: str, values: list[Any]) -> None:
    asked = f"SELECT each FROM unnest(%b::{kind}[]) AS each"
    assert [(value,) for value in values] == Trips(session).ask(asked, [values])


@pytest.mark.parametrize("kind", [kind for kind, _ in CARRIED])
def test_a_list_of_nothing_is_a_list(session: psycopg.Connection[Any], kind: str) -> None:
    assert [(0,)] == Trips(session).ask(f"SELECT cardinality(%b::{kind}[])::int8", [[]])


@pytest.mark.parametrize("value", ["a", "", 7, None])
def test_what_has_no_cast_is_what_the_statement_makes_of_it(session: psycopg.Connection[Any], value: Any) -> None:
    kind = "int8" if isinstance(value, int) else "text"
    assert [(value,)] == Trips(session).ask(f"SELECT %s::{kind}", [value])


def test_a_number_that_is_too_large_is_refused_before_anything_is_sent(session: psycopg.Connection[Any]) -> None:
    trips = Trips(session)
    with pytest.raises(psycopg.DataError):
        trips.go([Asked("INSERT INTO kept VALUES (1, '')"), Asked(NUMBERS, [[2**63]])])
    assert [(0,)] == trips.ask("SELECT count(*) FROM kept")


def test_each_gives_its_own_rows_in_order(session: psycopg.Connection[Any]) -> None:
    asked = [Asked(NUMBERS, [[1, 2]]), Asked("INSERT INTO kept VALUES (1, 'a')"), Asked("SELECT n, said FROM kept")]
    assert ([[(1,), (2,)], [], [(1, "a")]], None) == Trips(session).go(asked)


def test_a_statement_is_prepared_once_a_session(session: psycopg.Connection[Any]) -> None:
    trips = Trips(session)
    for _ in range(3):
        trips.go([Asked(NUMBERS, [[1]]), Asked(NUMBERS, [[300, 70_000]]), Asked(ROLLBACK)])
    prepared = trips.ask("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT each%'")
    assert [(1,)] == prepared


@pytest.mark.parametrize("wrong", ["INSERT INTO kept VALUES (1, 'again')", "SELECT nothing FROM nowhere"])
def test_after_one_that_fails_none_is_done_and_the_session_goes_on(
    session: psycopg.Connection[Any], wrong: str
) -> None:
    trips = Trips(session)
    before = [Asked(BEGIN), Asked("INSERT INTO kept VALUES (1, 'first')"), Asked("SELECT n FROM kept")]
    rows, error = trips.go([*before, Asked(wrong), Asked("INSERT INTO kept VALUES (2, '')"), Asked(NUMBERS, [[1]])])
    assert [[], [], [(1,)]] == rows
    assert isinstance(error, psycopg.errors.UniqueViolation | psycopg.errors.UndefinedTable)
    assert ([[]], None) == trips.go([Asked(ROLLBACK)])
    # what was prepared before the failure still is, what was not is prepared now
    assert ([[], [], [], [(1,)]], None) == trips.go(
        [Asked(BEGIN), before[1], Asked("INSERT INTO kept VALUES (2, '')"), Asked(NUMBERS, [[1]])]
    )


def test_a_session_that_ends_on_the_way_is_given_up(session: psycopg.Connection[Any]) -> None:
    trips = Trips(session)
    ended = Asked("SELECT pg_terminate_backend(pg_backend_pid())")
    _, error = trips.go([Asked(BEGIN), ended, Asked(NUMBERS, [[1]])])
    assert error is not None
    assert is_away(error)
    assert session.closed
    _, error = trips.go([Asked(NUMBERS, [[1]])])
    assert error is not None
    assert is_away(error)


def test_what_is_larger_than_any_buffer_goes_both_ways(session: psycopg.Connection[Any]) -> None:
    """The server answers while more is still being sent to it."""
    large = [bytes(1 << 20)] * 8
    rows, error = Trips(session).go([Asked("SELECT each FROM unnest(%b::bytea[]) AS each", [large])] * 4)
    assert error is None
    assert [[(each,) for each in large]] * 4 == rows


def test_a_batch_is_written_in_one_trip(store: SqlStore, counted: list[list[str]]) -> None:
    owner = furnish(store)
    changes = full_changes(owner)._replace(suppressions=(), reserved=())
    with store.batch([owner.held[0]]) as batch:
        counted.clear()
        batch.write(changes)
    assert 1 == len(counted)


def test_what_was_expected_is_asked_in_one_trip_and_answered_from_it(store: SqlStore, counted: list[list[str]]) -> None:
    owner = furnish(store)
    store.load_registry("list", ["c-ann"], 5)
    member, identities = (0, digest("ann")), [digest("an event")]
    with store.batch([owner.held[0]]) as batch:
        alone = (
            batch.due({0: 1000}, 50),
            batch.switches(),
            batch.seen([0, 1], identities),
            batch.members([member]),
            batch.keys([row.ref for row in batch.members([member]).values()]),
            batch.quarantined([digest("ann")]),
            batch.registry([("list", "c-ann"), ("another", "c-ann")]),
        )
    with store.batch([owner.held[0]]) as batch:
        batch.expect(Expected({0: 1000}, 50, [0, 1], identities, [member]))
        counted.clear()
        together = (
            batch.due({0: 1000}, 50),
            batch.switches(),
            batch.seen([0, 1], identities),
            batch.members([member]),
            batch.keys([row.ref for row in batch.members([member]).values()]),
            batch.quarantined([digest("ann")]),
            batch.registry([("list", "c-ann"), ("another", "c-ann")]),
        )
    assert alone == together
    assert alone[3]
    # of lists that were loaded, and of quarantines where there are any, who stands there
    assert [[words.QUARANTINED_OF], [words.LISTED_OF], [ROLLBACK]] == counted


def test_whoever_asks_for_something_else_is_answered_that(store: SqlStore) -> None:
    owner = furnish(store)
    with store.batch([owner.held[0]]) as batch:
        batch.expect(Expected({0: -1}, 50, [0], [digest("unheard of")], [(0, digest("nobody"))]))
        assert {} == batch.members([(0, digest("nobody"))])
        found = batch.members([(0, digest("ann")), (0, digest("nobody"))])
        assert [digest("ann")] == list(found)
        refs = [row.ref for row in found.values()]
        assert refs == list(batch.keys(refs))
    with store.batch([owner.held[0]]) as batch:
        due = batch.due({0: 2**60}, 50)
        batch.expect(Expected({0: -1}, 50, [], [], []))
        assert due == batch.due({0: 2**60}, 50)


def test_a_stale_place_is_refused_whatever_else_is_wrong(store: SqlStore) -> None:
    """The first thing that is wrong is what is told."""
    owner = Owner(store)
    owner.commit(log=[log_row(0, 1)])
    before, after = owner.step()
    stale = (before._replace(turn=before.turn + 5), after)
    with pytest.raises(Refused), store.batch([before]) as batch:
        batch.write(Changes([stale], log=[log_row(0, 1)]))
