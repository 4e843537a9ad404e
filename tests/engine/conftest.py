"""A world of its own for each test, on each kind of store."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.decide.content import Content
from orchestrator.stores.contract import Store
from orchestrator.stores.memory import MemoryStore
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.world import World, shipped_content
from orchestrator.vault import KeyFile, Vault
from tests.engine import workers

PARTITIONS = 3


@pytest.fixture(scope="session")
def content() -> Content:
    """The content that is shipped, with nobody held out: whom a draw by the keys of a session meets is chance."""
    shipped = shipped_content()
    journeys = {name: replace(journey, holdout=None) for name, journey in shipped.journeys.items()}
    return replace(shipped, journeys=journeys)


@pytest.fixture(scope="session")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    """A project's keys."""
    return Vault(KeyFile.create(tmp_path_factory.mktemp("keys") / "key", datetime(2026, 1, 1, tzinfo=UTC)))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store without a row, to be copied: making the tables takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "store.db"
    SqlStore.open(f"sqlite:///{path}", PARTITIONS).close()
    return path


@pytest.fixture
def new_world(vault: Vault, content: Content) -> Callable[[], World]:
    """`new_world()`: a further world in memory, under the same keys."""
    return lambda: World(MemoryStore(PARTITIONS), vault, content)


@pytest.fixture
def opened(postgres_url: str, vault: Vault, content: Content) -> Iterator[workers.Opened]:
    """`opened()`: a further worker on one PostgreSQL."""
    made: list[workers.Worker] = []

    def opened() -> workers.Worker:
        made.append(workers.Worker(SqlStore.open(postgres_url, workers.PARTITIONS), vault, content))
        return made[-1]

    yield opened
    for worker in made:
        worker.store.close()


@pytest.fixture(params=["memory", "sqlite"])
def world(
    request: pytest.FixtureRequest, vault: Vault, content: Content, tmp_path: Path, empty_database: Path
) -> Iterator[World]:
    """An empty world on each kind of store; whatever a test did, the books must balance after it."""
    store: Store = MemoryStore(PARTITIONS)
    if request.param == "sqlite":
        shutil.copy(empty_database, tmp_path / "store.db")
        store = SqlStore.open(f"sqlite:///{tmp_path}/store.db", PARTITIONS)
    world = World(store, vault, content)
    yield world
    world.check()
    store.close()
