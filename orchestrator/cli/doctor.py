"""`orchestrator doctor`: is this project fit to run?"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.cli.output import State, show
from orchestrator.doctor import examine, examine_domains
from orchestrator.domain import Check

MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


def command(
    ctx: typer.Context,
    domain: Annotated[
        bool,
        typer.Option("--domain", help="Ask the DNS about the domain that e-mail comes from, and try the one click."),
    ] = False,
) -> None:
    """Examine settings, keys, store, content, channels and machine, and say what cures each fault.

    With --domain instead: SPF, DKIM and DMARC of the sender's domain, and the address of links to opt out.

    Example: orchestrator doctor --domain
    """
    path, now = State.of(ctx).project, datetime.now(UTC)
    checks = examine_domains(path, now) if domain else examine(path, now.date())
    show(ctx, checks, lambda: _view(checks))
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(3)


def _view(checks: list[Check]) -> RenderableType:
    lines = []
    for check in checks:
        mark, colour = MARKS[check.state]
        lines.append(Text.assemble((f"{mark} ", f"bold {colour}"), (f"{check.name}: ", "bold"), check.found))
        if check.cure:
            lines.append(Text(f"    {check.cure}", style="cyan"))
    return Group(*lines)
