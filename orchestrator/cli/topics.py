"""`orchestrator topics …`: the topics of Kafka that a project needs."""

from __future__ import annotations

import json

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator import settings
from orchestrator.cli.output import State, show, table, verdict
from orchestrator.ingest.asyncapi import document
from orchestrator.project import open_project
from orchestrator.topics import Difference, check, create

app = typer.Typer(no_args_is_help=True, help="Make the topics of Kafka that the project needs, and check them.")


@app.command("create")
def create_(ctx: typer.Context) -> None:
    """Make the topics that are missing; those that exist stay as they are. It may be repeated.

    Exit code 1: an existing topic is not as it must be.

    Example: orchestrator topics create
    """
    result = create(settings.load(State.of(ctx).project))
    lines = [f"made {name}" for name in result.made] + [f"{name} was there" for name in result.kept]
    show(ctx, result, lambda: Group(*[Text(line) for line in lines], _view(result.differences)))
    if result.differences:
        raise typer.Exit(1)


@app.command("check")
def check_(ctx: typer.Context) -> None:
    """Compare each topic with what it must be, and say what cures each difference.

    Exit code 1: something differs.

    Example: orchestrator topics check
    """
    result = check(settings.load(State.of(ctx).project))
    show(ctx, result, lambda: _view(result.differences))
    if result.differences:
        raise typer.Exit(1)


@app.command("describe")
def describe_(ctx: typer.Context) -> None:
    """Print the AsyncAPI document of the project's topics, for whoever writes to them or reads them.

    It names the topics as the settings do, and holds the project's own event types too.

    Example: orchestrator topics describe > asyncapi.json
    """
    with open_project(State.of(ctx).project) as project:
        told = document(project.event_types, project.settings)
    typer.echo(json.dumps(told, indent=2, ensure_ascii=False))


def _view(differences: list[Difference]) -> RenderableType:
    if not differences:
        return verdict(True, "All topics are as they must be.")
    rows = [(row.topic, row.what, row.found, row.wanted, row.cure) for row in differences]
    return Group(
        verdict(False, f"{len(rows)} differences"), table(["topic", "what", "found", "wanted", "what cures it"], rows)
    )
