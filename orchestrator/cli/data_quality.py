"""`orchestrator data-quality`: who can be reached, why others can't, what members lack."""

from __future__ import annotations

import typer
from rich.console import Group, RenderableType

from orchestrator.cli.output import State, counted, progress, show, table
from orchestrator.clocks import wall_clock
from orchestrator.data_quality import PARTS, Quality, data_quality
from orchestrator.project import open_project
from orchestrator.times import instant


def command(ctx: typer.Context) -> None:
    """Show how many members can be reached on each channel, why others can't, and which facts journeys miss.

    Rules are asked without hours and caps; do-not-contact lists are not looked at. Each row names what cures it.

    Example: orchestrator data-quality --json
    """
    with open_project(State.of(ctx).project) as project, progress(ctx, "Members", PARTS) as moved:
        result = data_quality(project.store, project.vault, project.in_force, instant(wall_clock()), moved)
    show(ctx, result, lambda: view(result))


def view(result: Quality) -> RenderableType:
    """The report as people read it."""
    share = max(result.members, 1)
    reach = [(r.channel, r.purpose, r.reachable, f"{100 * r.reachable / share:.1f} %") for r in result.reach]
    why = [(r.channel, r.purpose, w.members, w.because, w.cure) for r in result.reach for w in r.others]
    lacking = [(each.journey, each.field, each.members, each.cure) for each in result.lacking]
    points = [(p.channel, p.what.replace("_", " "), p.points, p.members, p.cure) for p in result.points]
    parts: list[RenderableType] = [f"{counted(result.members, 'member')}, {result.enrolled:,} of them enrolled"]
    if result.unreadable:
        parts.append(f"{counted(result.unreadable, 'member')} without a key: run `orchestrator doctor`")
    for columns, rows, title in (
        (("channel", "purpose", "reachable", "share"), reach, "Can be reached"),
        (("channel", "purpose", "members", "not reached because", "cure"), why, "Why others are not"),
        (
            ("journey", "asks for", "members without", "cure"),
            lacking,
            "What journeys ask for and members lack",
        ),
        (("channel", "what", "points", "members", "cure"), points, "Contact points worth knowing"),
    ):
        if rows:
            parts += ["", table(columns, rows, title=title)]
    return Group(*parts)
