"""A worker's memory is bounded by what it is told to keep at hand, however many members and events pass through it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.pipeline.known import CACHED_MEMBERS
from orchestrator.testing.builders import purchase
from tests.kafka.workers import Running, Town, until
from tests.servers import Kafka, Postgres

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

NOW = datetime.now(UTC)
# MiB by which a worker may grow once its caches are full: measured were 7, and 52 where the cache had no bound
SLACK_MB = 24


@pytest.fixture
def town(kafka: Kafka, postgres: Postgres, tmp_path: Path) -> Iterator[Town]:
    url = postgres.fresh_database()
    town = Town(tmp_path / "town", kafka, url, partitions=4, journeys=["thank-you", "welcome"])
    yield town
    town.close()
    postgres.drop(url)


def resident_mb(worker: Running) -> float:
    """Memory that a process holds, in MiB (Linux)."""
    pages = int(Path(f"/proc/{worker.process.pid}/statm").read_text().split()[1])
    return pages * 4096 / (1 << 20)


def growth_mb(town: Town, warm: int, more: int) -> float:
    """By how much a worker grows with `more` events of as many new members, after `warm` of them."""
    worker = town.worker("decide,relay")

    def sizes(first: int, n: int) -> float:
        step = 20_000
        for start in range(first, first + n, step):
            some = range(start, min(start + step, first + n))
            town.send(purchase(f"m-{i}", NOW - timedelta(hours=1), id=f"p{i}") for i in some)
            reached = some[-1] + 1
            until(lambda: town.totals().get("inputs", 0) >= reached, f"{reached} events", 500, [worker])  # noqa: B023
        until(town.settled, "all was told", workers=[worker])
        return resident_mb(worker)

    before = sizes(0, warm)
    return sizes(warm, more) - before


def test_a_worker_does_not_grow_once_its_caches_are_full(town: Town) -> None:
    assert growth_mb(town, CACHED_MEMBERS + 4_000, 12_000) < SLACK_MB


@pytest.mark.soak
@pytest.mark.timeout(7_200)
def test_a_worker_does_not_grow_over_a_million_members(town: Town) -> None:
    assert growth_mb(town, 100_000, 900_000) < SLACK_MB
