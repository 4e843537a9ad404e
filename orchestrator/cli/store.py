"""`orchestrator store …`: the database that holds all state."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from orchestrator import settings
from orchestrator.cli.output import State, show
from orchestrator.project import Migrated, migrate_store, store_url

app = typer.Typer(no_args_is_help=True, help="Make the store, lead it to this version, give its roles their rights.")


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


@app.command("grants")
def grants_(
    ctx: typer.Context,
    prefix: Annotated[str, typer.Option(help="What the roles' names begin with.")] = "orchestrator",
    show_only: Annotated[bool, typer.Option("--show", help="Print the statements, for someone else to run.")] = False,
) -> None:
    """Make the roles owner, inbox_writer, server, relay and reader on PostgreSQL, each with its work's rights alone.

    Run it as the role that owns the tables, with CREATEROLE, after each migration; then GRANT the roles to logins.

    Example: orchestrator store grants --show
    """
    from orchestrator.stores.sql.postgres.grants import grant

    project = State.of(ctx).project
    granted = grant(store_url(settings.load(project), project), prefix, only_show=show_only)
    if show_only:
        # as it is, however narrow the terminal
        show(ctx, granted, Text(";\n".join(granted.statements) + ";", no_wrap=True, overflow="ignore"))
    else:
        show(ctx, granted, f"These have their rights: {', '.join(granted.roles)}.")


def _said(result: Migrated) -> str:
    if not result.before:
        return f"The store was made, at revision {result.revision}, with {result.partitions} partitions."
    if result.before == result.revision:
        return f"The store is at revision {result.revision}."
    return f"The store was led from revision {result.before} to {result.revision}."
