"""`orchestrator ingest`, as it is typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.cli.app import app
from orchestrator.settings import FILE
from orchestrator.starter import create
from tests.servers import free_ports

DEMO = Path(__file__).parents[2] / "orchestrator" / "demo" / "data"


def typed(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_json_gives_the_counts_and_the_files(tmp_path: Path) -> None:
    result = typed(
        "--project", tmp_path, "--json", "ingest", DEMO / "baskets.csv.gz", "--map", "complete-journey/baskets"
    )
    assert 0 == result.exit_code
    report = json.loads(result.stdout)
    counts = {name: report[name] for name in ("rows", "events", "refused", "duplicates")}
    assert {"rows": 4192, "events": 4392, "refused": 0, "duplicates": 0} == counts
    assert [Path(report["output"])] == list((tmp_path / "incoming").iterdir())


def test_into_names_the_file_and_history_marks_the_events(tmp_path: Path) -> None:
    out = tmp_path / "here.jsonl"
    words = ("--map", "complete-journey/demographics", "--history", "--into", out)
    assert 0 == typed("--project", tmp_path, "ingest", DEMO / "demographics.csv", *words).exit_code
    assert all(json.loads(line)["history"] is True for line in out.read_bytes().splitlines())


def test_refused_rows_end_well_and_are_pointed_at(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    file.write_text((DEMO / "demographics.csv").read_text(encoding="utf-8") + "x,,,,,,,\n", encoding="utf-8")
    result = typed("--project", tmp_path, "ingest", file, "--map", "complete-journey/demographics")
    assert 0 == result.exit_code
    assert ".refused.jsonl" in result.stdout.replace("\n", "")
    assert "not_a_number" in result.stdout


@pytest.mark.parametrize(
    ("code", "word", "words"),
    [
        (2, "no mapping", ("x.csv", "--map", "nowhere/nothing")),
        (2, "No such file", ("x.csv", "--map", "complete-journey/baskets")),
        (2, "lacks", (DEMO / "demographics.csv", "--map", "complete-journey/baskets")),
    ],
)
def test_wrong_use_says_how_to_go_on(tmp_path: Path, code: int, word: str, words: tuple[str | Path, ...]) -> None:
    result = typed("--project", tmp_path, "ingest", *words)
    assert (code, True) == (result.exit_code, word in result.output), result.output


def test_a_wrong_mapping_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.map.yaml").write_text("source: /till\nformat: xls\n", encoding="utf-8")
    result = typed("--project", tmp_path, "ingest", DEMO / "demographics.csv", "--map", tmp_path / "a.map.yaml")
    assert (3, True) == (result.exit_code, "a.map.yaml:2:" in result.output.replace("\n", "")), result.output


def test_without_a_broker_nothing_is_left_behind_and_the_cure_is_named(tmp_path: Path) -> None:
    """In a process of its own: kafka-python leaves a socket open where nobody answers."""
    project = create(tmp_path / "club").project
    (port,) = free_ports(1)
    (project / FILE).write_text(f'[kafka]\nbootstrap = "127.0.0.1:{port}"\n', encoding="utf-8")
    words = ("--project", project, "ingest", DEMO / "demographics.csv", "--map", "complete-journey/demographics")
    command = [sys.executable, "-m", "orchestrator.cli", *words, "--into", "kafka"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (3, True) == (done.returncode, f"127.0.0.1:{port}" in done.stderr), done.stderr
    assert [] == list((project / "incoming").glob("*.jsonl"))
