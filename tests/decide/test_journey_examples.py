"""The journeys that templates/README.md shows are sound, and between them show every kind of step."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.content.journey_steps import KINDS
from orchestrator.content.journeys import STARTS
from orchestrator.testing.journeys import content_of

README = (Path(__file__).parents[2] / "templates" / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```yaml\n(journey: .*?)```", README, re.DOTALL)


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.split()[1])
def test_a_journey_that_the_readme_shows_is_sound(text: str) -> None:
    name = text.split()[1]
    assert [name] == list(content_of(text).journeys)


def test_the_examples_show_every_kind_of_step_and_the_table_every_way_to_start() -> None:
    shown = "\n".join(EXAMPLES)
    assert [] == [kind for kind in KINDS if not re.search(rf"[-{{ ]{kind}:", shown)]
    assert [] == [way for way in STARTS if f"`{way}: " not in README and f"`{way}: …`" not in README]
