"""The doctor says what is wrong with a project, and what cures it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator import starter
from orchestrator.clocks import wall_clock
from orchestrator.doctor import Check, examine
from orchestrator.stores.sql.sqlite import SqliteStore


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A starter project."""
    starter.create(tmp_path / "club")
    return tmp_path / "club"


def clocks(project: Path) -> Check:
    """What is said of the clocks."""
    (check,) = [check for check in examine(project, datetime.now(UTC).date()) if check.name == "clocks"]
    return check


def test_clocks_that_agree_are_well(project: Path) -> None:
    assert ("ok", "the store's clock and this machine's differ by 0.0 s") == (
        clocks(project).state,
        clocks(project).found,
    )


@pytest.mark.parametrize(("seconds", "state"), [(1.9, "ok"), (-1.9, "ok"), (2.1, "fail"), (-2.1, "fail")])
def test_a_skew_over_two_seconds_is_refused_with_its_cure(
    project: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, state: str
) -> None:
    monkeypatch.setattr(SqliteStore, "clock", lambda _self: wall_clock() + int(seconds * 1_000_000))
    check = clocks(project)
    assert (state, f"differ by {abs(seconds):.1f} s") == (check.state, check.found[-15:])
    assert ("NTP" in check.cure) == (state == "fail")
