"""`orchestrator suppress`: whom not to contact, from now on."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from orchestrator.cli.output import State, show
from orchestrator.errors import UsageError
from orchestrator.project import open_project
from orchestrator.times import instant


def command(
    ctx: typer.Context,
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="The member's id.")] = "",
    contact: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Instead of a member: an address or number, whoever has it.")
    ] = "",
    channel: Annotated[str, typer.Option(help="Only this channel, such as email.")] = "*",
    purpose: Annotated[str, typer.Option(help="Only this purpose, such as marketing.")] = "*",
    lift: Annotated[bool, typer.Option("--lift", help="End the suppression of exactly these.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Show all suppressions.")] = False,
    actor: Annotated[str, typer.Option(help="Who orders it, for the log. Default: the account.")] = "",
) -> None:
    """Contact a member, or whoever has an address, no more: no call begins after this has returned.

    Example: orchestrator suppress member-0042 --channel email --purpose marketing
    """
    from orchestrator import suppression

    with open_project(State.of(ctx).project) as project:
        if list_:
            found = suppression.suppressions(project.store)
            show(ctx, found, None if found else "Nobody is suppressed.")
            return
        if not member and not contact:
            raise UsageError("name a member, or a contact point with --contact; --list shows who is suppressed")
        whom = suppression.Whom(member=member, contact=contact, channel=channel, purpose=purpose)
        who, now = actor or getpass.getuser(), instant(project.store.clock())
        if lift:
            suppression.lift(project.store, project.vault, whom, who, now)
            show(ctx, suppression.Suppressed(cancelled=()), "It ends with the next turn.")
            return
        done = suppression.suppress(project.store, project.vault, whom, who, now)
        show(ctx, done, f"No call begins from now on; {len(done.cancelled)} messages that waited were cancelled.")
