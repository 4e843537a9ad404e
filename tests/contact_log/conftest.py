"""Logs to test with: entries of every kind, written through a real store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.contact_log import chain
from orchestrator.decide.result import Entry
from orchestrator.stores.contract import Changes, LogRow, Store
from orchestrator.stores.memory import MemoryStore
from orchestrator.stores.sql.store import SqlStore
from orchestrator.times import micros
from orchestrator.vault import KeyFile, Vault

START = datetime(2026, 3, 4, 12, tzinfo=UTC)
PARTITIONS = 4
Append = Callable[..., list[LogRow]]


def some_entries(n: int) -> list[Entry]:
    """`n` entries, of all kinds in turn."""
    kinds = [
        Entry(kind="member", state="enrolled", occurred_at=START),
        Entry(kind="consent", channel="email", purpose="marketing", state="granted", occurred_at=START),
        Entry(
            kind="decision",
            journey="welcome",
            step="hello",
            occurrence="o1",
            intent_id="i1",
            channel="email",
            purpose="marketing",
            verdict="send",
            trail='{"zones":["America/Bogotá"],"zone_from":"profile"}',
        ),
        Entry(
            kind="touch",
            journey="welcome",
            step="hello",
            intent_id="i1",
            touch_id="t1",
            channel="email",
            purpose="marketing",
            state="reserved",
            valid_until=START + timedelta(days=1),
        ),
        Entry(kind="operator", reason="switch", trail='{"actor":"ana","scope":"all"}'),
        Entry(kind="tick"),
    ]
    return [kinds[i % len(kinds)] for i in range(n)]


def append(
    store: Store, partition: int, entries: Sequence[Entry], *, at: datetime = START, ref: str = "ab" * 16
) -> list[LogRow]:
    """Writes one turn's entries as the pipeline does: rows and progress in one batch."""
    before = store.take([partition])[partition]
    rows, n, head = chain.append(
        partition, before.log_n, before.head, before.turn + 1, micros(at), ref, "rev-1", entries
    )
    after = before._replace(log_n=n, head=head, turn=before.turn + 1, clock=micros(at))
    with store.batch([before]) as batch:
        batch.write(Changes(progress=[(before, after)], log=rows))
    return rows


@pytest.fixture(scope="session")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    """A project's keys."""
    return Vault(KeyFile.create(tmp_path_factory.mktemp("keys") / "a.key", START))


@pytest.fixture(scope="session")
def other_vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    """Keys of somebody else."""
    return Vault(KeyFile.create(tmp_path_factory.mktemp("keys") / "b.key", START))


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where the SQLite store lies."""
    return tmp_path / "store.db"


@pytest.fixture
def sqlite(database: Path) -> Iterator[Store]:
    """An empty SQLite store."""
    store = SqlStore.open(f"sqlite:///{database}", PARTITIONS)
    yield store
    store.close()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest) -> Store:
    """An empty store, of each kind."""
    if request.param == "memory":
        return MemoryStore(PARTITIONS)
    made: Store = request.getfixturevalue("sqlite")
    return made


@pytest.fixture
def add() -> Append:
    """`add(store, partition, entries)`: one turn's entries, written."""
    return append


@pytest.fixture
def fill() -> Callable[[Store], None]:
    """Writes three turns to each of two partitions, and one to a third."""

    def filled(store: Store) -> None:
        for partition, turns in ((0, 3), (2, 3), (3, 1)):
            for turn in range(turns):
                append(store, partition, some_entries(4 + turn), at=START + timedelta(minutes=turn))

    return filled


@pytest.fixture
def entries() -> Callable[[int], list[Entry]]:
    """`entries(n)`: so many entries, of all kinds in turn."""
    return some_entries
