"""Finds a mapping by its path, or by its name below `schemas/sources` of the project or of the installation."""

from __future__ import annotations

from pathlib import Path

from orchestrator.content.locate import folder, shipped
from orchestrator.errors import UsageError
from orchestrator.ingest.load import SUFFIX
from orchestrator.located import nearest


def find_mapping(name: str, project: Path) -> Path:
    """The file that `name` means: a path, or `complete-journey/baskets`; the project's own comes first.

    Raises UsageError that lists the known names.
    """
    if Path(name).is_file():
        return Path(name)
    known: dict[str, Path] = {}
    for sources in (shipped("schemas") / "sources", folder("schemas", project) / "sources"):
        known |= {_name(path, sources): path for path in sorted(sources.rglob(f"*{SUFFIX}"))}
    if found := known.get(name.removesuffix(SUFFIX)):
        return found
    raise UsageError(f"there is no mapping {name}: neither a file nor a name ({nearest(name, known)})")


def _name(path: Path, sources: Path) -> str:
    return path.relative_to(sources).as_posix().removesuffix(SUFFIX)
