"""`orchestrator doctor`: is this project fit to run?"""

from __future__ import annotations

from datetime import UTC, datetime

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.cli.output import State, show
from orchestrator.doctor import Check, examine

MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}


def command(ctx: typer.Context) -> None:
    """Examine settings, keys, store, content, channels and machine, and say what cures each fault.

    Example: orchestrator doctor
    """
    checks = examine(State.of(ctx).project, datetime.now(UTC).date())
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
