"""What the tests of the server's pages and receivers stand on: keys, and a store to copy."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.stores.sql.store import SqlStore
from orchestrator.vault import KeyFile, Vault

PARTITIONS = 2


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    """A project's keys."""
    return Vault(KeyFile.create(tmp_path_factory.mktemp("keys") / "key", datetime(2026, 1, 1, tzinfo=UTC)))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite store without a row, to be copied: making the tables takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "store.db"
    SqlStore.open(f"sqlite:///{path}", PARTITIONS).close()
    return path
