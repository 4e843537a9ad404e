"""What all tests share: a clean environment, hypothesis' profiles, the folder of reference material, real servers."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from orchestrator import counters
from tests.detector import Detector, found_in, worth_telling
from tests.servers import ForeignPostgres, Kafka, Postgres, kafka_missing, postgres_missing

# A developer's own settings must not change what tests see; these are the tests' own.
# how wide and how colourful output is, must not hang on who runs the tests (parallel runners set COLUMNS)
NOT_OURS = ("NO_COLOR", "COLUMNS", "LINES")
for name in [name for name in os.environ if name.startswith("ORCHESTRATOR_") or name in NOT_OURS]:
    if name not in {"ORCHESTRATOR_REQUIRE_KAFKA", "ORCHESTRATOR_TEST_POSTGRES", "ORCHESTRATOR_TEST_CHROMIUM"}:
        del os.environ[name]

# Shared machines are uneven: a slow example is no failure. `make soak` asks fifty times as much.
settings.register_profile(
    "short", deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("soak", parent=settings.get_profile("short"), max_examples=3_000, derandomize=False)
settings.load_profile("soak" if os.environ.get("SOAK") == "1" else "short")


DETECTOR = Detector()
DETECTOR.install()


@pytest.fixture(autouse=True)
def _nothing_personal_is_told() -> Iterator[None]:
    """No log line, no error of ours and no figure holds an address, a number or a secret, in any test."""
    DETECTOR.listen()
    yield
    if found := [*DETECTOR.take(), *found_in(counters.exposition().decode())]:
        pytest.fail(worth_telling(found))


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of reference material (`data/`, `law/`, `contracts/` in it), from REFERENCE_DATA; a skip without."""
    named = os.environ.get("REFERENCE_DATA")
    if not named:
        pytest.skip("REFERENCE_DATA names no folder of reference material")
    folder = Path(named)
    assert folder.is_dir(), f"REFERENCE_DATA={named} is no folder"
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In a run of several processes files that wait for brokers begin first: none is left alone with one."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: item.get_closest_marker("kafka") is None)


def skip_or_fail(missing: str) -> None:
    """A laptop without the server skips; where ORCHESTRATOR_REQUIRE_KAFKA=1 that is a failure."""
    if missing and os.environ.get("ORCHESTRATOR_REQUIRE_KAFKA") == "1":
        pytest.fail(f"ORCHESTRATOR_REQUIRE_KAFKA=1, but there is {missing}")
    if missing:
        pytest.skip(missing)


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """A running Kafka broker, one for the whole run. Who stops it starts it again; topics want names of their own."""
    skip_or_fail(kafka_missing())
    with tempfile.TemporaryDirectory(prefix="kafka-", ignore_cleanup_errors=True) as folder:
        broker = Kafka(Path(folder))
        broker.start()
        yield broker
        broker.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL server, one for the whole run. Who stops it must start it again."""
    skip_or_fail(postgres_missing())
    if dsn := os.environ.get("ORCHESTRATOR_TEST_POSTGRES"):
        yield ForeignPostgres(dsn)
        return
    # not below pytest's own folder, which is closed to the account that the server runs under
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    server = Postgres(folder)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database, dropped afterwards."""
    url = postgres.fresh_database()
    yield url
    postgres.drop(url)
