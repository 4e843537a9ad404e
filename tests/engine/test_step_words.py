"""The words of a send step that say what becomes of a refused message, read from its file, and their mistakes."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from orchestrator.content import locate
from orchestrator.content.journeys import categories_of, load_journeys
from orchestrator.decide.journey import Journey, Send, first_of
from orchestrator.errors import ContentError
from orchestrator.testing.world import shipped_content


def altered(tmp_path: Path, old: str, new: str) -> dict[str, Journey]:
    """The shipped journey about points that expire, with other words."""
    folder = tmp_path / "templates"
    shutil.copytree(locate.shipped("templates") / "points-expiring", folder / "points-expiring")
    file = folder / "points-expiring" / "journey.yaml"
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    return load_journeys(folder, shipped_content().templates)


def test_a_step_says_its_fate_and_its_deadline(tmp_path: Path) -> None:
    words = "on_refusal: defer\n    reach_by: {date: event.expires_on, before: P3D, escalate: [sms]}"
    send = first_of(altered(tmp_path, "reach_by: {date: event.expires_on, before: P2D}", words)["points-expiring"])
    assert isinstance(send, Send)
    assert send.reach_by is not None
    assert ("defer", timedelta(days=3), ("sms",)) == (send.on_refusal, send.reach_by.before, send.reach_by.escalate)


@pytest.mark.parametrize(
    ("new", "told"),
    [
        ("reach_by: {date: event.expires_on, before: P2D}\n    on_refusal: drop", "leave `on_refusal` out"),
        ("reach_by: {date: event.expires_on, escalate: [telegram]}", "no template of `last-days` for telegram"),
        ("reach_by: {date: event.expires_on, before: 2 days}", "a duration such as P3D"),
        ("reach_by: {date: 'event.'}", "journey.yaml:"),
        ("reach_by: {before: P2D}", "`date` is missing"),
        ("on_refusal: deferr", "did you mean `defer`?"),
    ],
)
def test_each_mistake_is_told_with_file_line_and_cure(tmp_path: Path, new: str, told: str) -> None:
    with pytest.raises(ContentError) as caught:
        altered(tmp_path, "reach_by: {date: event.expires_on, before: P2D}", new)
    assert told in str(caught.value)
    assert "templates/points-expiring/journey.yaml:" in str(caught.value)


def test_categories_are_read_without_reading_the_journeys() -> None:
    found = categories_of(locate.shipped("templates"))
    assert ("acquisition", "service") == (found["welcome"], found["points-expiring"])
    assert {name: journey.category for name, journey in shipped_content().journeys.items()} == found
