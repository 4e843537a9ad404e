"""The measurements of the Kafka engine still run; their figures are nobody's business here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kafka.profiling import PARTS, counted
from tests.conftest import skip_or_fail
from tests.servers import ROOT, kafka_missing, postgres_missing


# it starts a broker, a database and five engines to look whether their measurements still run: minutes that no change
# of the product should wait for
@pytest.mark.soak
@pytest.mark.kafka
@pytest.mark.timeout(600)
def test_the_quick_size_measures_everything_on_real_servers(tmp_path: Path) -> None:
    skip_or_fail(kafka_missing() or postgres_missing())
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.kafka", "--quick"],
        cwd=tmp_path,
        env={name: word for name, word in os.environ.items() if name != "REFERENCE_DATA"} | {"PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "build/bench-kafka.json").read_text())
    ours, long = found["(d) ours"], found["(f) long past"]
    assert min(ours["events_per_s"], ours["ratio_to"]["(a) stock Faust"]["by_cpu"], found["start_s"]) > 0
    assert min(ours["touches_per_event"], ours["decisions_per_event"], long["touches_per_event"]) > 0
    for latency in (found["(e) latency"], found["(e) latency, roles apart"]):
        assert 0 < latency["p50_ms"] <= latency["p99_ms"]
    assert 0 < long["latency"]["p50_ms"] <= long["latency"]["p99_ms"]


def test_a_sample_counts_for_the_first_part_that_its_stack_names() -> None:
    stacks = [
        "main;Pipeline.run (orchestrator/pipeline/pipeline.py:1);step (orchestrator/decide/step.py:2) 6",
        "main;Pipeline.run (orchestrator/pipeline/pipeline.py:1) 3",
        "main;BaseEventLoop._run_once (asyncio/base_events.py:1) 1",
    ]
    shares = counted(stacks)
    assert [0.6, 0.3, 0.1] == list(shares.values())
    assert [PARTS[0][0], "pipeline, around step"] == list(shares)[:2]
