"""The SQL store on real SQLite files holds what every store holds, and what a file on disk must."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from sqlite3 import IntegrityError
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings

from orchestrator.stores.contract import Store
from orchestrator.stores.sql import SqlStore
from orchestrator.testing.store_comparison import StoreComparison
from orchestrator.testing.store_suite import PARTITIONS, StoreSuite


class Files:
    """Opens the store of one test, as often as asked, and closes what it opened."""

    def __init__(self, folder: Path) -> None:
        self.url = f"sqlite:///{folder}/store.db"
        self.opened: list[SqlStore] = []

    def open(self) -> SqlStore:
        self.close()
        self.opened.append(SqlStore.open(self.url, PARTITIONS))
        return self.opened[-1]

    def close(self) -> None:
        while self.opened:
            self.opened.pop().close()


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    files = Files(tmp_path)
    yield files
    files.close()


class TestSqliteStore(StoreSuite):
    already_there = IntegrityError

    @pytest.fixture
    def store(self, files: Files) -> Store:
        return files.open()

    @pytest.fixture
    def reopen(self, files: Files) -> Callable[[], Store]:
        return files.open


class Comparison(StoreComparison):
    """The SQL store and the memory store answer alike through random histories."""

    def open(self) -> Store:
        self.folder = TemporaryDirectory()
        return SqlStore.open(f"sqlite:///{self.folder.name}/store.db", PARTITIONS)

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


TestComparison = Comparison.TestCase
TestComparison.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)


@pytest.mark.soak
class TestLongComparison(Comparison.TestCase):
    settings = settings(max_examples=750, stateful_step_count=60, deadline=None)
