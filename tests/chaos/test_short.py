"""A short chaos run on real servers keeps every promise; with a safeguard taken out, the checker says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.run import run
from tests.chaos.sabotage import KINDS
from tests.conftest import skip_or_fail
from tests.servers import kafka_missing, postgres_missing


@pytest.fixture
def servers_there() -> None:
    """A skip, or a failure where they are required, without Kafka or PostgreSQL of our own to kill."""
    skip_or_fail(kafka_missing() or postgres_missing())
    if os.environ.get("ORCHESTRATOR_TEST_POSTGRES"):
        pytest.skip("a PostgreSQL that is not ours can't be killed")


@pytest.mark.kafka
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("servers_there")
def test_a_short_run_under_faults_keeps_every_promise(tmp_path: Path) -> None:
    report = run(tmp_path / "chaos", seed=7, events=3_000, faults=5)
    assert [] == report["first"]
    # a starved machine comes to most messages when they are over
    assert report["calls"] > 30
    assert 5 == sum(report["struck"].values()) + len(report["unmet"])


@pytest.mark.soak
@pytest.mark.kafka
@pytest.mark.timeout(1_200)
@pytest.mark.usefixtures("servers_there")
@pytest.mark.parametrize("sabotage", KINDS)
def test_a_safeguard_taken_out_is_missed(sabotage: str, tmp_path: Path) -> None:
    report = run(tmp_path / "chaos", seed=2, events=2_000, faults=5, sabotage=sabotage)
    assert report["found_by"], report["by_kind"]
