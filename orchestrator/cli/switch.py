"""`orchestrator switch …`: stop sending at once, all of it, by one channel or of one journey; and go on."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from orchestrator import switches
from orchestrator.cli.output import State, show, stderr
from orchestrator.content import locate
from orchestrator.errors import UsageError
from orchestrator.located import nearest
from orchestrator.project import open_project
from orchestrator.times import instant

app = typer.Typer(
    no_args_is_help=True, help="Stop sending at once: everything, a channel, a journey or an account; and go on."
)
Scope = Annotated[
    str, typer.Argument(metavar="SCOPE", help="all, channel:CHANNEL, journey:JOURNEY or account:ACCOUNT.")
]
Actor = Annotated[str, typer.Option(help="Who orders it, for the log. Default: the account.")]


@app.command("off")
def off_(ctx: typer.Context, scope: Scope, actor: Actor = "") -> None:
    """Begin no further call in this scope, on any worker, once this has returned. What was decided waits.

    What would have gone by an account goes by the next one of its channel.

    Example: orchestrator switch off channel:sms
    """
    _set(ctx, scope, actor, off=True)


@app.command("on")
def on_(ctx: typer.Context, scope: Scope, actor: Actor = "") -> None:
    """Go on with what waits; what is out of its time by now is cancelled.

    An account that was left alone because it failed again and again is called again at once.

    Example: orchestrator switch on channel:sms
    """
    _set(ctx, scope, actor, off=False)


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """Show what is switched off, since when and by whom; and accounts left alone since they failed again and again.

    Example: orchestrator switch list
    """
    with open_project(State.of(ctx).project) as project:
        found = switches.switches(project.store)
    show(ctx, found, None if found else "Nothing is switched off.")


def _set(ctx: typer.Context, scope: str, actor: str, *, off: bool) -> None:
    with open_project(State.of(ctx).project) as project:
        journey = scope.removeprefix("journey:")
        if journey != scope and not (locate.folder("templates", project.path) / journey).is_dir():
            stderr().print(f"There is no journey {journey} in templates/: see to it that the workers have one.")
        account, dispatch = scope.removeprefix("account:"), project.settings.dispatch
        named = [name for channel in dispatch.adapters for name in dispatch.names(channel)]
        if account != scope and account not in named:
            raise UsageError(f"there is no account {account!r} in [dispatch.adapters]: {nearest(account, named)}")
        switches.switch(
            project.store, scope, off=off, actor=actor or getpass.getuser(), at=instant(project.store.clock())
        )
        found = switches.switches(project.store)
    show(ctx, found, f"{scope} is switched {'off' if off else 'on'}.")
