"""`orchestrator init DIR`: a starter project."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.cli.output import show, verdict
from orchestrator.starter import Starter, create


def command(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to make the project; made if it is not there.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also in a folder with files: add what is missing, overwrite nothing.")
    ] = False,
) -> None:
    """Write a starter project: settings, journeys, policies, laws, schemas and a key file.

    Example: orchestrator init club
    """
    made = create(folder, force=force)
    show(ctx, made, lambda: _view(made))


def _view(made: Starter) -> RenderableType:
    lines = [verdict(True, f"{made.project}: {len(made.written)} files written")]
    if made.kept:
        lines.append(Text(f"  {len(made.kept)} files that were there stay as they are"))
    lines += [
        Text(f"  {made.key_file} opens everything kept about members: store a copy of it in a safe place"),
        Text("\nNext:"),
        *[Text(f"  {step}", style="bold") for step in made.next],
    ]
    return Group(*lines)
