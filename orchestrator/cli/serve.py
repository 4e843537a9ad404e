"""`orchestrator serve`: HTTP."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.output import State, show
from orchestrator.project import open_project


def command(
    ctx: typer.Context,
    new_key: Annotated[
        str, typer.Option("--new-key", metavar="NAME", help="Make an API key, show it once, and end.")
    ] = "",
    roles: Annotated[
        str, typer.Option("--role", metavar="ROLE,…", help="With --new-key: events, links, status, or several.")
    ] = "events",
) -> None:
    """Take events by HTTP, and what providers tell; show members the pages that are theirs.

    With a SQLite store this one process also decides and sends; with PostgreSQL it hands events to Kafka, for the
    workers. It ends in order when it is told to.

    Example: orchestrator serve --new-key shop --role events
    """
    if new_key:
        from orchestrator.serve.keys import new_key as made

        key = made(new_key, [role.strip() for role in roles.split(",") if role.strip()])
        show(ctx, key, f"{key.key}\nThis key is shown once. Put this line into [serve] api_keys:\n{key.line}")
        return
    with open_project(State.of(ctx).project) as project:
        from orchestrator.serve.process import run

        run(project)
