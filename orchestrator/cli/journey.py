"""`orchestrator journey …`: see and test journeys."""

from __future__ import annotations

from typing import Annotated

import typer
from msgspec import Struct
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.cli.output import State, show, table, verdict
from orchestrator.decide.journey import Journey, Send, Wait
from orchestrator.project import open_project
from orchestrator.runtimes.embedded.cases import CaseResult, run_cases
from orchestrator.times import in_words

app = typer.Typer(no_args_is_help=True, help="See and test journeys.")

ENTERS = {"each": "each time", "never": "once"}


class Listed(Struct, frozen=True, kw_only=True):
    """One journey in a line."""

    journey: str
    purpose: str
    starts: str
    # once, each time, or again after so long
    enters: str
    steps: str


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List the project's journeys.

    Example: orchestrator journey list
    """
    with open_project(State.of(ctx).project) as project:
        rows = [_listed(journey) for journey in project.content.journeys.values()]
    show(ctx, rows)


@app.command("test")
def live_cases(
    ctx: typer.Context,
    journeys: Annotated[
        list[str] | None, typer.Argument(metavar="[JOURNEY]", help="Only these journeys.", show_default=False)
    ] = None,
) -> None:
    """Live the cases beside each journey on the virtual clock; exit 1 when one does not hold.

    Example: orchestrator journey test welcome
    """
    with open_project(State.of(ctx).project) as project:
        results = run_cases(project.path, project.content, project.settings, project.vault, journeys or ())
    show(ctx, results, lambda: _view(results))
    if not all(result.holds for result in results):
        raise typer.Exit(1)


def _listed(journey: Journey) -> Listed:
    trigger = journey.trigger
    starts = trigger.event if trigger.inactivity is None else f"{in_words(trigger.inactivity)} without {trigger.event}"
    steps = [_step(step) for step in journey.steps]
    enters = f"again after {in_words(journey.gap)}" if journey.gap is not None else ENTERS[journey.reentry]
    return Listed(journey=journey.name, purpose=journey.purpose, starts=starts, enters=enters, steps=" → ".join(steps))


def _step(step: Send | Wait) -> str:
    if isinstance(step, Wait):
        return f"wait {in_words(step.duration)}"
    return f"{step.name} ({', '.join(step.channels)})"


def _view(results: list[CaseResult]) -> RenderableType:
    failed = [result for result in results if not result.holds]
    lines: list[RenderableType] = []
    for result in failed:
        lines.append(verdict(False, f"{result.journey}: {result.name}"))
        lines.extend(Text(f"    {failure}") for failure in result.failures)
    counts = {name: [r for r in results if r.journey == name] for name in dict.fromkeys(r.journey for r in results)}
    lines.append(
        table(
            ("journey", "cases", "hold"),
            [(name, len(of), sum(result.holds for result in of)) for name, of in counts.items()],
        )
    )
    lines.append(verdict(not failed, f"{len(results) - len(failed)} of {len(results)} cases hold"))
    return Group(*lines)
