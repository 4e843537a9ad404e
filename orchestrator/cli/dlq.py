"""`orchestrator dlq …`: what could not be applied, and doing it again."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer
from msgspec import Struct

from orchestrator.cli.output import State, show
from orchestrator.deadletters import listed, quarantined, redrive
from orchestrator.project import open_project
from orchestrator.runtimes.embedded.project_runner import carry_out
from orchestrator.times import instant

app = typer.Typer(no_args_is_help=True, help="See dead letters; apply the parked inputs of a quarantined member.")


class Redrive(Struct, frozen=True, kw_only=True):
    """What became of a redrive."""

    # True: applied by this command; False: workers on Kafka apply it
    carried_out: bool
    # whether an input failed again, so that it is parked with all behind it; False where workers have yet to apply it
    parked_again: bool


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


@app.command("parked")
def parked_(
    ctx: typer.Context,
    members: Annotated[bool, typer.Option("--members", help="Name the members, by opening what is parked.")] = False,
) -> None:
    """List the members in quarantine: an input of theirs failed three times, and all that came since is parked.

    Example: orchestrator dlq parked --members
    """
    with open_project(State.of(ctx).project) as project:
        found = quarantined(project.store, project.vault, show=members)
    show(ctx, found, None if found else "Nobody is in quarantine.")


@app.command("redrive")
def redrive_(
    ctx: typer.Context, member: Annotated[str, typer.Argument(metavar="MEMBER", help="The member's id.")]
) -> None:
    """End a member's quarantine and apply what was parked, in order, before anything that came since.

    Example: orchestrator dlq redrive member-0042
    """
    with open_project(State.of(ctx).project) as project:
        store, vault = project.store, project.vault
        redrive(store, vault, member, getpass.getuser(), instant(store.clock()))
        done = carry_out(project)
        again = done and vault.member(member) in {row.member for row in store.quarantine()}
    show(ctx, Redrive(carried_out=done, parked_again=again))
