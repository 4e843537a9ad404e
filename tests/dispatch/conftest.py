"""What the tests of dispatch share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.stores.contract import Store
from orchestrator.stores.memory import MemoryStore
from orchestrator.stores.sql import SqlStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A store of two partitions, in memory and on disk in turn."""
    made: Store = (
        MemoryStore(2) if request.param == "memory" else SqlStore.open(f"sqlite:///{tmp_path / 'store.db'}", 2)
    )
    yield made
    made.close()
