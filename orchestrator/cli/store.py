"""`orchestrator store …`: the database that holds all state."""

from __future__ import annotations

import typer

from orchestrator import settings
from orchestrator.cli.output import State, show
from orchestrator.project import Migrated, migrate_store

app = typer.Typer(no_args_is_help=True, help="Make the store, or lead it to this version.")


@app.callback()
def group() -> None:
    """The database that holds all state."""


@app.command("migrate")
def migrate_(ctx: typer.Context) -> None:
    """Make the store in an empty database, or lead an older one to this version's revision. It may be repeated.

    Make a copy and stop every worker before an older one is migrated.

    Example: orchestrator store migrate
    """
    project = State.of(ctx).project
    result = migrate_store(settings.load(project), project)
    show(ctx, result, _said(result))


def _said(result: Migrated) -> str:
    if not result.before:
        return f"The store was made, at revision {result.revision}, with {result.partitions} partitions."
    if result.before == result.revision:
        return f"The store is at revision {result.revision}."
    return f"The store was led from revision {result.before} to {result.revision}."
