"""The measurements of e-mail still run; their figures are nobody's business here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail
from tests.servers import ROOT, kafka_missing, postgres_missing


# it starts a broker, a database and eight runs of workers to look whether their measurements still run
@pytest.mark.soak
@pytest.mark.kafka
@pytest.mark.timeout(600)
def test_the_quick_size_measures_both_ways_on_real_servers(tmp_path: Path) -> None:
    skip_or_fail(kafka_missing() or postgres_missing())
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.mail", "--quick", "--delays", "0"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    runs = json.loads((tmp_path / "build/bench-mail.json").read_text())["runs"]
    assert {("backlog", 1), ("backlog", 2), ("campaign", 1), ("campaign", 2)} == {
        (run["way"], run["dispatchers"]) for run in runs
    }
    assert all(run["messages"] > 0 and run["per_s"] > 0 and run["octets"] > 1_000 for run in runs)
