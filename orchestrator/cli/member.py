"""`orchestrator member …`: what is known of one member; handing it over; erasing it."""

from __future__ import annotations

import getpass
from typing import Annotated

import msgspec
import typer
from msgspec.structs import replace
from rich.json import JSON

from orchestrator.cli.output import State, show, write_json
from orchestrator.clocks import wall_clock
from orchestrator.errors import UsageError
from orchestrator.members import erase, erased, everything, known
from orchestrator.project import open_project
from orchestrator.runtimes.embedded.project_runner import carry_out

app = typer.Typer(no_args_is_help=True, help="See, hand over or erase what is known of one member.")
Member = Annotated[str, typer.Argument(metavar="MEMBER", help="The member's id.")]


@app.command("show")
def show_(ctx: typer.Context, member: Member) -> None:
    """Show what is known of a member: profile, contact points, consents, running figures, what waits.

    Example: orchestrator member show member-0042
    """
    with open_project(State.of(ctx).project) as project:
        found = known(project.store, project.vault, member)
    show(ctx, found, lambda: JSON(msgspec.json.encode(found).decode()))


@app.command("export")
def export(ctx: typer.Context, member: Member) -> None:
    """Write all that is kept about a member as JSON: state and every log entry.

    Example: orchestrator member export member-0042 > member-0042.json
    """
    with open_project(State.of(ctx).project) as project:
        write_json(everything(project.store, project.vault, member))


@app.command("erase")
def erase_(
    ctx: typer.Context,
    member: Member,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask: it can't be undone.")] = False,
) -> None:
    """Erase a member: no touch from now on, and the key to all that is kept is destroyed. It can't be undone.

    Example: orchestrator member erase member-0042 --yes
    """
    state = State.of(ctx)
    if not yes:
        if state.json:
            raise UsageError("erasing can't be undone: say --yes")
        typer.confirm(f"Erase {member} for good?", abort=True)
    with open_project(state.project) as project:
        result = erase(project.store, project.vault, member, getpass.getuser(), wall_clock())
        carry_out(project)
        result = replace(result, key_destroyed=erased(project.store, project.vault, member))
    show(ctx, result)
