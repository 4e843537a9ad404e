"""`orchestrator store …`: the database that holds all state."""

from __future__ import annotations

import os
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
    login: Annotated[
        list[str] | None,
        typer.Option(help="A role that logs in and what it does, such as serve=server. Once for each."),
    ] = None,
    show_only: Annotated[bool, typer.Option("--show", help="Print the statements, for someone else to run.")] = False,
) -> None:
    """Make the roles owner, inbox_writer, server, relay and reader on PostgreSQL, each with its work's rights alone.

    Run it as the role that owns the tables, with CREATEROLE, after each migration. Logins are made, too, and may do
    what is named and no more; ORCHESTRATOR_LOGIN_<NAME>_PASSWORD in the environment becomes the password of one.

    Example: orchestrator store grants --login worker=owner,inbox_writer,relay --login serve=server
    """
    from orchestrator.stores.sql.postgres.grants import grant, read_login

    project = State.of(ctx).project
    logins = [read_login(text) for text in login or ()]
    given = {each.name: os.environ.get(f"ORCHESTRATOR_LOGIN_{each.name.upper()}_PASSWORD", "") for each in logins}
    url = store_url(settings.load(project), project)
    granted = grant(url, prefix, logins, given, only_show=show_only)
    if show_only:
        # as it is, however narrow the terminal
        show(ctx, granted, Text(";\n".join(granted.statements) + ";", no_wrap=True, overflow="ignore"))
    else:
        show(ctx, granted, f"These have their rights: {', '.join((*granted.roles, *granted.logins))}.")


def _said(result: Migrated) -> str:
    if not result.before:
        return f"The store was made, at revision {result.revision}, with {result.partitions} partitions."
    if result.before == result.revision:
        return f"The store is at revision {result.revision}."
    return f"The store was led from revision {result.before} to {result.revision}."
