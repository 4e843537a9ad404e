"""The measurements measure what they say; their figures are nobody's business here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from benchmarks import grocer
from benchmarks.core import LEAST_RULES
from orchestrator.events.envelope import read_event

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def year(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Some weeks of three households of the stand-in."""
    monkeypatch.delenv("REFERENCE_DATA", raising=False)
    made = grocer.year(tmp_path, households=3, days=60)
    assert "stand-in" in made.source
    return made.events


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def test_more_members_are_the_same_year_once_for_each_copy(year: Path, tmp_path: Path) -> None:
    once = [read_event(line) for line in lines(year)]
    thrice = [read_event(line) for line in lines(grocer.more_members(year, 3, tmp_path / "3.jsonl"))]
    assert 3 * len({event.subject for event in once}) == len({event.subject for event in thrice})
    assert 3 * len(once) == len({(event.source, event.id) for event in thrice})
    assert [event.time for event in once for _ in range(3)] == [event.time for event in thrice]
    joined = [event.data for event in thrice if event.type == "member.enrolled"]
    points = [point.address for data in joined for point in data.contact_points]  # type: ignore[union-attr]
    assert len(points) == len(set(points))


def test_a_later_year_has_the_same_members_the_same_weekdays_and_ids_of_its_own(year: Path, tmp_path: Path) -> None:
    first = [event for event in map(read_event, lines(year)) if event.type == "purchase.completed"]
    second = [read_event(line) for line in lines(grocer.later_years(year, 1, tmp_path / "later.jsonl"))]
    assert [event.subject for event in first] == [event.subject for event in second]
    assert {timedelta(days=364)} == {late.time - early.time for early, late in zip(first, second, strict=True)}
    assert not {event.id for event in first} & {event.id for event in second}


def test_the_core_is_measured_on_decisions_with_enough_rules_and_the_figures_are_written(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--only", "core"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    found = json.loads((tmp_path / "build/bench.json").read_text())["core"]
    assert found["rules_asked_least"] >= LEAST_RULES
    assert {"all", "silent", "deferred", "sent"} == set(found["ratio"])


def test_little_and_much_content_are_what_they_say_and_waiting_takes_just_those_due(tmp_path: Path) -> None:
    for part in ("content", "waiting"):
        subprocess.run(
            [sys.executable, "-m", "benchmarks", "--quick", "--only", part],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
        )
        found = json.loads((tmp_path / "build/bench.json").read_text())[part]
        if part == "content":
            sizes = [(found[name]["journeys"], found[name]["policies"]) for name in ("few", "many")]
            assert [(5, 5), (20, 30)] == sizes
            # the further rules are asked, or the comparison would say nothing
            assert found["few"]["rules_asked_median"] < found["many"]["rules_asked_median"]
        else:
            assert [20, 2_000] == [row["waiting"] for row in found["table"]]
