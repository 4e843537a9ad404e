"""A project with few journeys, or none: it loads and lints in a moment."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

LAYOUT = "_layout"


def only(project: Path, *journeys: str) -> Path:
    """Takes all other journeys out of a project, and what names them out of its policies; the project."""
    templates = project / "templates"
    for path in templates.iterdir() if templates.is_dir() else ():
        if path.is_dir() and path.name not in (LAYOUT, *journeys):
            shutil.rmtree(path)
    (templates / "topics.yaml").unlink(missing_ok=True)
    house = project / "channel_policies" / "house.yaml"
    text = house.read_text(encoding="utf-8")
    gone = r"(?m)^ +(priority|reserved): .*\n|^    profile:\n(      .*\n)+"
    house.write_text(re.sub(gone, "", text), encoding="utf-8")
    return project
