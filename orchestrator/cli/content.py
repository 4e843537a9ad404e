"""`orchestrator content …`: the files that decide."""

from __future__ import annotations

from datetime import UTC, datetime

import typer
from msgspec import Struct
from rich.console import RenderableType

from orchestrator.cli.output import State, key_values, show
from orchestrator.content.check import checked
from orchestrator.project import open_project

app = typer.Typer(no_args_is_help=True, help="Check the files that decide: journeys, templates, policies, laws.")


class Checked(Struct, frozen=True, kw_only=True):
    """Content that compiles."""

    # hash of all files, the engine and its tables
    revision: str
    journeys: tuple[str, ...]
    # the event types that the project declares itself
    event_types: tuple[str, ...]


@app.callback()
def options() -> None:
    """The files that decide."""


@app.command("check")
def check(ctx: typer.Context) -> None:
    """Compile all content and try every text; exit 3 with each problem's file, line and cure.

    Example: orchestrator content check
    """
    with open_project(State.of(ctx).project) as project:
        content = checked(project.path, project.settings, datetime.now(UTC).date())
    result = Checked(revision=content.revision, journeys=tuple(content.journeys), event_types=tuple(content.events.own))
    show(ctx, result, lambda: _checked(result))


def _checked(result: Checked) -> RenderableType:
    shown: dict[str, object] = {"revision": result.revision, "journeys": result.journeys}
    if result.event_types:
        shown["own event types"] = result.event_types
    return key_values(shown)
