"""`orchestrator run`: the embedded engine."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from orchestrator.cli.output import State, progress, show, stderr, table, verdict
from orchestrator.errors import UsageError
from orchestrator.project import open_project
from orchestrator.revisions import in_force
from orchestrator.runtimes.embedded.report import RunReport, report
from orchestrator.times import micros


class Clock(StrEnum):
    """Which time the engine lives in."""

    real = "real"
    events = "events"


def command(
    ctx: typer.Context,
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="INPUT", help="Files of CloudEvents, one a line; - is standard input. Default: incoming/"
        ),
    ] = None,
    clock: Annotated[
        Clock, typer.Option(help="real: now. events: each event's own time, as fast as it goes.")
    ] = Clock.real,
    until: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="events: goes on to this time (2018-01-31T00:00Z) after the last."),
    ] = None,
    dispatch: Annotated[bool, typer.Option(help="Send what is decided; off: touches stay reserved.")] = True,
    follow: Annotated[bool, typer.Option(help="real: keep running when the input ends, until interrupted.")] = False,
) -> None:
    """Run events through the journeys: decide, send, and log every touch and every silence.

    The project's folder is put in force, as it is.

    Example: orchestrator run incoming/baskets.jsonl --clock events --until 2018-01-31T00:00Z
    """
    end = instant_of(until)
    with open_project(State.of(ctx).project) as project:
        from orchestrator.runtimes.embedded.project_runner import open_runner

        paths = inputs or sorted((project.path / "incoming").glob("*.jsonl"))
        if not paths and not follow:
            raise UsageError("nothing to run: name files of events, or put some in incoming/ with: orchestrator ingest")
        before = in_force(project.store)
        with open_runner(project, dispatch=dispatch, real=clock is Clock.real) as runner:
            if before not in ("", project.content.revision):
                stderr().print(f"The folder is put in force: revision {project.content.revision}; until now {before}.")
            if clock is Clock.events:
                if any(str(path) == "-" for path in paths):
                    raise UsageError("--clock events reads files, not standard input: save the events first")
                with progress(ctx, "running") as advance:
                    done = 0

                    def progressed(at: int, _total: int) -> None:
                        nonlocal done
                        advance(at - done)
                        done = at

                    totals = runner.run(paths, until=end, progressed=progressed)
            else:
                totals = runner.run_real(paths, follow=follow, until=end)
            runner.write_pages()
        result = report(project.store, totals)
        show(ctx, result, lambda: view(result))
        if not result.adds_up:
            stderr().print(verdict(False, "the counts do not add up; see: orchestrator log verify"))
            raise typer.Exit(1)


def is_report(path: Path) -> bool:
    """Whether a file of `incoming/` lists refused rows instead of events."""
    return path.name.endswith(".refused.jsonl")


def instant_of(text: str | None) -> int | None:
    """Microseconds of an RFC 3339 time with an offset; UsageError for anything else."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time; write it like 2018-01-31T00:00:00Z") from None
    if at.tzinfo is None:
        raise UsageError(f"{text!r} has no offset; write it like 2018-01-31T00:00:00Z")
    return micros(at)


def view(result: RunReport) -> RenderableType:
    """A run as people read it."""
    rate = result.events / result.seconds if result.seconds else 0
    parts: list[RenderableType] = [
        f"{result.events:,} events, {result.calls:,} messages sent in {result.seconds:,.1f} s ({rate:,.0f} events/s)",
    ]
    if result.touches:
        rows = [(row.journey, row.channel, row.n) for row in result.touches]
        parts.append(table(("journey", "channel", "touches"), rows, title="Touches"))
    if result.silences:
        silent = [(row.journey, row.channel, row.reason, row.n) for row in result.silences]
        title = "Silences: whom the rules protected"
        parts.append(table(("journey", "channel", "reason", "silences"), silent, title=title))
    if result.waiting:
        parts.append(f"{result.waiting:,} intents wait for their moment")
    if result.dead_letters:
        parts.append(f"{result.dead_letters:,} dead letters: see them with: orchestrator dlq list")
    parts.extend(verdict(result.adds_up, text) for text in result.equations)
    return Group(*parts)
