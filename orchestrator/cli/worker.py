"""`orchestrator worker`: the production engine."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.cli.output import State
from orchestrator.errors import UsageError
from orchestrator.project import open_project

KNOWN = ("decide", "dispatch", "relay")


def command(
    ctx: typer.Context,
    roles: Annotated[
        str, typer.Option(metavar="ROLE,…", help="What this process does: decide, dispatch, relay, or several.")
    ] = ",".join(KNOWN),
) -> None:
    """Run a worker on Kafka: take events, decide, send, and tell the topics; until it is told to end.

    Example: orchestrator worker --roles decide,relay
    """
    named = [role.strip() for role in roles.split(",") if role.strip()]
    if not named or (unknown := sorted(set(named) - set(KNOWN))):
        what = f"there is no role {', '.join(unknown)}" if named else "no role is named"
        raise UsageError(f"{what}; known are {', '.join(KNOWN)}")
    with open_project(State.of(ctx).project) as project:
        from orchestrator.runtimes.kafka.roles import Role
        from orchestrator.runtimes.kafka.worker import run

        run(project, [Role(role) for role in named])
