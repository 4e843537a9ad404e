"""`orchestrator demo`: a minute that shows what this is."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.output import State, show, stderr, verdict

if TYPE_CHECKING:
    from rich.console import RenderableType

    from orchestrator.demo.run import DemoReport


def command(
    ctx: typer.Context,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Where to make the demo's project; else a fresh temporary one."),
    ] = None,
) -> None:
    """Live a real grocer's quarter: ingest, decide, send, explain, and prove the record.

    Example: orchestrator demo
    """
    from rich.progress import BarColumn, Progress, TextColumn

    from orchestrator.demo.run import run_demo

    where = folder if folder is not None else Path(tempfile.mkdtemp(prefix="orchestrator-demo-"))
    quiet = State.of(ctx).json or not stderr().is_terminal
    with Progress(
        TextColumn("{task.description}"), BarColumn(), console=stderr(), transient=True, disable=quiet
    ) as bar:
        task = bar.add_task("making a project", total=None)
        result = run_demo(
            where, lambda name, done, of: bar.update(task, description=name, completed=done, total=of or None)
        )
    show(ctx, result, lambda: _view(result))
    if not (result.run.adds_up and result.log_verifies):
        raise typer.Exit(1)


def _view(result: DemoReport) -> RenderableType:
    from rich.console import Group
    from rich.padding import Padding
    from rich.panel import Panel
    from rich.text import Text

    from orchestrator.cli.run import view

    told: list[RenderableType] = []
    for paragraph in result.explained:
        told.append(Text(paragraph.title, style="bold"))
        kept = [sentence for sentence in paragraph.sentences if not sentence.detail]
        told.extend(Padding(Text(sentence.text), (0, 0, 0, 2)) for sentence in kept)
        more = f"({len(paragraph.sentences) - len(kept)} rules that let it pass: explain --full)"
        told.append(Padding(Text(more, style="dim"), (0, 0, 1, 2)))
    project = result.project
    parts: list[RenderableType] = [
        Text(f"{result.rows:,} rows of a real grocer's loyalty card, October to December 2017 (CC0)", style="dim"),
        view(result.run),
    ]
    if told:
        parts.append(Panel(Group(*told), title=f"orchestrator explain {result.member}", title_align="left"))
    parts.append(
        verdict(result.log_verifies, f"{result.log_entries:,} log entries: the chain holds; signed {result.checkpoint}")
    )
    if result.messages is not None:
        parts.append(Text.assemble("Open the messages: ", (str(result.messages), "bold")))
    parts.append(Text(f"Ask on: orchestrator --project {project} explain {result.member} · log show · journey list"))
    return Group(*parts)
