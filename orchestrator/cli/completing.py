"""What the shell offers where a journey is to be named: the folders that have one, without compiling anything."""

from __future__ import annotations

from pathlib import Path

import typer


def journeys(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of the project's journeys that begin with what was typed; nothing where there is no project."""
    from orchestrator.cli.app import project_of
    from orchestrator.content import locate
    from orchestrator.errors import SetupError

    named = ctx.find_root().params.get("project")
    try:
        folder = locate.folder("templates", Path(named) if named else project_of(Path.cwd()))
    except SetupError:
        return []
    names = sorted(path.parent.name for path in folder.glob("*/journey.yaml"))
    return [name for name in names if name.startswith(incomplete)]
