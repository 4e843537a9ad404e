"""The SQL store on a real PostgreSQL holds what every store holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest
from hypothesis import settings

from orchestrator.stores.contract import Store
from orchestrator.stores.sql import SqlStore
from orchestrator.stores.sql.schema import metadata
from orchestrator.testing.store_comparison import StoreComparison
from orchestrator.testing.store_suite import PARTITIONS, StoreSuite
from tests.servers import Postgres


class Databases:
    """Opens the store of one test, as often as asked, and closes what it opened."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: list[SqlStore] = []

    def open(self) -> SqlStore:
        self.close()
        self.opened.append(SqlStore.open(self.url, PARTITIONS))
        return self.opened[-1]

    def close(self) -> None:
        while self.opened:
            self.opened.pop().close()

    def empty(self) -> None:
        """Takes out every row that a test wrote: quicker than a new database."""
        tables = [name for name in metadata.tables if name not in {"shape", "registries"}]
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("; ".join(f"DELETE FROM {name}" for name in (*tables, "registries")))


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> Iterator[str]:
    """A database for the tests of this file."""
    url = postgres.fresh_database()
    SqlStore.open(url, PARTITIONS).close()
    yield url
    postgres.drop(url)


@pytest.fixture
def databases(url: str) -> Iterator[Databases]:
    databases = Databases(url)
    databases.empty()
    yield databases
    databases.close()


class TestPostgresStore(StoreSuite):
    @pytest.fixture
    def store(self, databases: Databases) -> Store:
        return databases.open()

    @pytest.fixture
    def reopen(self, databases: Databases) -> Callable[[], Store]:
        return databases.open


class Comparison(StoreComparison):
    """The SQL store and the memory store answer alike through random histories."""

    url: str

    def open(self) -> Store:
        Databases(self.url).empty()
        return SqlStore.open(self.url, PARTITIONS)


@pytest.mark.timeout(400)
class TestComparison(Comparison.TestCase):
    # each step shows everything that both stores hold
    settings = settings(max_examples=4, stateful_step_count=25, deadline=None)

    @pytest.fixture(autouse=True)
    def _database(self, url: str) -> None:
        Comparison.url = url


@pytest.mark.soak
@pytest.mark.timeout(0)
class TestLongComparison(TestComparison):
    settings = settings(max_examples=750, stateful_step_count=60, deadline=None)
