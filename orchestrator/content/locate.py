"""Where a project's templates, policies and schemas are read from.

The project's own folder comes first; without one, the copy that came with the wheel; an editable install has no such
copy and reads the folders of its checkout.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import orchestrator
from orchestrator.errors import SetupError

# The folders that marketers and compliance edit.
FOLDERS: Final = ("templates", "channel_policies", "schemas")

_PACKAGE = Path(orchestrator.__file__).parent


def folder(name: str, project: Path | None = None) -> Path:
    """The folder `name` (one of FOLDERS) that holds for a project; never an empty guess.

    Raises SetupError where neither the project nor the installation has one, ValueError for any other name.
    """
    if name not in FOLDERS:
        raise ValueError(f"{name!r} is none of {', '.join(FOLDERS)}")
    for place in (project, *_shipped()):
        if place is not None and (place / name).is_dir():
            return place / name
    where = f"{project / name} does not exist, and this installation" if project else "This installation"
    raise SetupError(f"{where} came without its own {name}/; install the wheel again: pip install --force-reinstall")


def shipped(name: str) -> Path:
    """The folder `name` as this installation brought it, whatever a project has; raises as `folder` does."""
    return folder(name, None)


def _shipped() -> tuple[Path, ...]:
    """The copy in the wheel, then the checkout of an editable install."""
    checkout = _PACKAGE.parent
    return (_PACKAGE / "_content", *([checkout] if (checkout / "pyproject.toml").is_file() else []))
