"""`orchestrator dlq …`: what could not be applied, and doing it again."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.output import State, show
from orchestrator.deadletters import listed, redrive
from orchestrator.project import open_project
from orchestrator.runtimes.embedded.project_runner import open_runner, wall_clock

app = typer.Typer(no_args_is_help=True, help="See dead letters; apply the parked inputs of a quarantined member.")


@app.command("list")
def list_(
    ctx: typer.Context,
    reason: Annotated[str, typer.Option(help="Only this reason, such as bad_data.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many, the oldest.")] = 100,
    raw: Annotated[bool, typer.Option("--raw", help="Open their content too: it may hold personal data.")] = False,
) -> None:
    """List dead letters with reason, position and cure.

    Example: orchestrator dlq list --reason bad_data
    """
    with open_project(State.of(ctx).project) as project:
        found = listed(project.store, project.vault, reason=reason, limit=limit, show=raw)
    show(ctx, found, None if found else "There are no dead letters.")


@app.command("redrive")
def redrive_(
    ctx: typer.Context, member: Annotated[str, typer.Argument(metavar="MEMBER", help="The member's id.")]
) -> None:
    """End a member's quarantine and apply what was parked, in order, now.

    Example: orchestrator dlq redrive member-0042
    """
    with open_project(State.of(ctx).project) as project, open_runner(project, dispatch=False) as runner:
        result = redrive(runner.engine, project.store, project.vault, member, wall_clock())
    show(ctx, result)
