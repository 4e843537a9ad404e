"""A short chaos run on real servers keeps every promise; with a safeguard taken out, the checker says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.chaos.run import run
from tests.chaos.sabotage import KINDS
from tests.conftest import skip_or_fail
from tests.servers import kafka_missing, postgres_missing

# what the missing safeguard must at least be found by
FOUND_BY = {
    "epoch": {"decided_once", "equation", "chain", "one_end"},
    "recheck": {"hours"},
    "dedupe": {"decided_once"},
    "cas": {"call_after_final", "one_end"},
    "suppression": {"after_optout"},
    "attempt": {"call_after_final", "call_without_attempt"},
}


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
    report = run(tmp_path / "chaos", seed=1, events=3_000, faults=5)
    assert [] == report["first"]
    assert report["calls"] > 100
    assert 5 == sum(report["struck"].values()) + len(report["unmet"])


@pytest.mark.soak
@pytest.mark.kafka
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("servers_there")
@pytest.mark.parametrize("sabotage", KINDS)
def test_a_safeguard_taken_out_is_missed(sabotage: str, tmp_path: Path) -> None:
    report = run(tmp_path / "chaos", seed=2, events=2_000, faults=5, sabotage=sabotage)
    assert FOUND_BY[sabotage] & set(report["by_kind"]), report["by_kind"]
