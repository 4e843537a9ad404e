"""`orchestrator replay`: past turns on today's core."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Group, RenderableType

from orchestrator.cli.output import State, show, table, verdict
from orchestrator.errors import UsageError
from orchestrator.project import open_project
from orchestrator.replay import ReplayReport, replay
from orchestrator.revisions import former_contents


def command(
    ctx: typer.Context,
    partition: Annotated[int | None, typer.Option(metavar="N", help="Only this partition.")] = None,
) -> None:
    """Run recorded turns again and compare what they come to with the log; 1 where anything is different.

    Example: orchestrator replay --partition 7
    """
    with open_project(State.of(ctx).project) as project:
        if partition is not None and not 0 <= partition < project.store.partitions:
            raise UsageError(f"there is no partition {partition}: name one from 0 to {project.store.partitions - 1}")
        former = former_contents(project.store, project.settings, project.in_force.revision)
        result = replay(project.store, project.vault, project.in_force, partition, former=former)
    show(ctx, result, lambda: _view(result))
    if not result.ok:
        raise typer.Exit(1)


def _view(result: ReplayReport) -> RenderableType:
    counts = (
        f"{result.turns:,} turns: {result.same:,} the same, {result.found:,} different; {result.outside:,} of erased "
        f"members, {result.elsewhere:,} under content that is not at hand; {result.members:,} members' states the same"
    )
    parts: list[RenderableType] = [counts]
    if result.different:
        rows = [(each.partition, each.turn, each.what) for each in result.different]
        parts.append(table(("partition", "turn", "what"), rows, title="Different"))
    words = "today's core decides as it did" if result.ok else "today's core decides differently"
    parts.append(verdict(result.ok, words))
    return Group(*parts)
