"""The committed effects of the policies: what is shipped agrees, and what a changed number moves is shown."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.content import locate
from orchestrator.content.journeys import categories_of
from orchestrator.content.policy_effects import GOLDEN, check_effects
from orchestrator.errors import ContentError

SHIPPED = locate.shipped("channel_policies")
JOURNEYS = categories_of(locate.shipped("templates"))


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "channel_policies", ignore=shutil.ignore_patterns("laws")))


def test_the_shipped_policies_come_to_what_is_committed() -> None:
    """Cure, where the change is meant: orchestrator policy test --write-effects"""
    found = check_effects(SHIPPED, JOURNEYS)
    assert ((), False) == (found.changes, found.missing)
    assert 300 <= found.lines


def test_a_changed_number_shows_the_hours_that_it_moves_and_nothing_else(copied: Path) -> None:
    file = copied / "email.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("21:00-08:00", "22:00-08:00"), encoding="utf-8")
    found = check_effects(copied, JOURNEYS)
    assert not found.ok
    assert {"email marketing"} == {change.what.split(",")[0] for change in found.changes}
    (wednesday,) = [each for each in found.changes if each.what == "email marketing, untouched, 2026-11-18 Wed"]
    assert "08:00-21:00 pass" in wednesday.before
    assert "08:00-22:00 pass" in wednesday.now


def test_what_is_written_is_what_is_compared_next_time(copied: Path) -> None:
    (copied / GOLDEN).unlink()
    assert (True, True) == ((found := check_effects(copied, JOURNEYS)).missing, found.ok)
    assert check_effects(copied, JOURNEYS, write=True).written
    assert (SHIPPED / GOLDEN).read_bytes() == (copied / GOLDEN).read_bytes()
    assert not check_effects(copied, JOURNEYS).missing


def test_a_line_that_is_gone_or_new_is_a_change(copied: Path) -> None:
    (copied / "whatsapp.yaml").unlink()
    changes = check_effects(copied, JOURNEYS).changes
    assert changes
    assert {()} == {change.now for change in changes}


def test_a_file_that_holds_no_effects_is_told_with_its_cure(copied: Path) -> None:
    (copied / GOLDEN).write_text("[]", encoding="utf-8")
    with pytest.raises(ContentError, match="--write-effects"):
        check_effects(copied, JOURNEYS)
