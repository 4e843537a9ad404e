"""A contact log in a SQLite file, altered behind our back: whatever is changed, removed or put in is found."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.contact_log.verify import verify
from orchestrator.stores.contract import LogRow
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import World, shipped_content
from orchestrator.vault import Vault

COLUMNS = ", ".join(f'"{name}"' for name in LogRow._fields)


class Logged:
    """A store with a log of a few dozen entries, and a second hand in its file."""

    def __init__(self, path: Path, vault: Vault) -> None:
        self.path = path
        self.store = SqlStore.open(f"sqlite:///{path}", 2)
        world = World(self.store, vault, shipped_content())
        world.live(
            *[enrolled(member, "2026-03-02T17:00:00Z") for member in ("ana", "ben", "cleo", "dora")],
            purchase("ana", "2026-03-04T17:00:00Z"),
            purchase("ben", "2026-03-05T04:00:00Z"),
            event("consent.withdrawn", "cleo", "2026-03-05T17:00:00Z", {"method": "link"}),
            until="2026-03-12T00:00:00Z",
        )
        with closing(sqlite3.connect(path)) as database:
            self.places = database.execute('SELECT "partition", n FROM log ORDER BY 1, 2').fetchall()

    @contextmanager
    def altered(self, statement: str, values: tuple[Any, ...]) -> Iterator[None]:
        """Alters the log, and puts it right again afterwards."""
        marks = ", ".join("?" * len(LogRow._fields))
        with closing(sqlite3.connect(self.path, isolation_level=None)) as database:
            kept = database.execute(f"SELECT {COLUMNS} FROM log").fetchall()
            database.execute(statement, values)
            yield
            database.execute("BEGIN")
            database.execute("DELETE FROM log")
            database.executemany(f"INSERT INTO log ({COLUMNS}) VALUES ({marks})", kept)
            database.execute("COMMIT")


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, vault: Vault) -> Iterator[Logged]:
    made = Logged(tmp_path_factory.mktemp("log") / "store.db", vault)
    yield made
    made.store.close()


def changed(value: object, where: int, by: int) -> object:
    """The value with one byte, or one number, changed; `by` is 1 to 255."""
    if isinstance(value, int):
        return value + by
    if isinstance(value, bytes):
        at = where % max(len(value), 1)
        return value[:at] + bytes([(value[at] + by) % 256 if value else by]) + value[at + 1 :]
    text = str(value)
    at = where % (len(text) + 1)
    other = chr(0x61 + by % 26)
    return text[:at] + (other if text[at : at + 1] != other else "_") + text[at + 1 :]


@given(st.integers(0, 10**6), st.sampled_from(LogRow._fields), st.integers(0, 10**6), st.integers(1, 255))
def test_any_byte_of_any_column_that_is_changed_is_found(
    logged: Logged, which: int, column: str, where: int, by: int
) -> None:
    partition, n = logged.places[which % len(logged.places)]
    with closing(sqlite3.connect(logged.path)) as database:
        ((value,),) = database.execute(
            f'SELECT "{column}" FROM log WHERE "partition" = ? AND n = ?', (partition, n)
        ).fetchall()
    other = changed(value, where, by)
    assert value != other
    taken = {place for place in logged.places if place != (partition, n)}
    if (column == "n" and (partition, other) in taken) or (column == "partition" and (other, n) in taken):
        return  # the table itself refuses two entries of one number
    with logged.altered(f'UPDATE log SET "{column}" = ? WHERE "partition" = ? AND n = ?', (other, partition, n)):
        assert not verify(logged.store).ok, (column, value, other)
    assert verify(logged.store).ok


@given(st.integers(0, 10**6))
def test_any_entry_that_is_removed_is_found(logged: Logged, which: int) -> None:
    place = logged.places[which % len(logged.places)]
    with logged.altered('DELETE FROM log WHERE "partition" = ? AND n = ?', place):
        assert not verify(logged.store).ok


@given(st.integers(0, 10**6), st.booleans())
def test_any_entry_that_is_put_in_is_found(logged: Logged, which: int, behind: bool) -> None:
    """A copy of an entry under a number of its own: at the end of its chain, or in a partition that has none."""
    partition, n = logged.places[which % len(logged.places)]
    last = max(number for part, number in logged.places if part == partition)
    target = (partition, last + 1) if behind else (7, 1)
    rest = ", ".join(f'"{name}"' for name in LogRow._fields[2:])
    with logged.altered(
        f'INSERT INTO log ("partition", n, {rest}) SELECT ?, ?, {rest} FROM log WHERE "partition" = ? AND n = ?',
        (*target, partition, n),
    ):
        assert not verify(logged.store).ok


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_any_two_entries_that_change_places_are_found(logged: Logged, which: int, step: int) -> None:
    first = logged.places[which % len(logged.places)]
    second = logged.places[(which + step) % len(logged.places)]
    if first == second:
        return
    where = 'WHERE "partition" = ? AND n = ?'
    with closing(sqlite3.connect(logged.path)) as database:
        (one,) = database.execute(f"SELECT {COLUMNS} FROM log {where}", first).fetchall()
        (two,) = database.execute(f"SELECT {COLUMNS} FROM log {where}", second).fetchall()
    marks = ", ".join("?" * len(LogRow._fields))
    replace = f"INSERT OR REPLACE INTO log ({COLUMNS}) VALUES ({marks}), ({marks})"
    with logged.altered(replace, (*first, *two[2:], *second, *one[2:])):
        assert not verify(logged.store).ok
