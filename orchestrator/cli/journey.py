"""`orchestrator journey …`: see, test, draw, begin, start, pause and stop journeys."""

from __future__ import annotations

import getpass
from typing import Annotated, Literal

import typer
from msgspec import Struct
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator import journey_orders, journey_view, switches
from orchestrator.cli.completing import journeys as named_journeys
from orchestrator.cli.output import State, show, table, verdict
from orchestrator.decide.journey import Journey
from orchestrator.errors import UsageError
from orchestrator.journey_scaffold import scaffold
from orchestrator.located import nearest
from orchestrator.project import Project, open_project
from orchestrator.runtimes.embedded.cases import CaseResult, run_cases
from orchestrator.times import instant

app = typer.Typer(no_args_is_help=True, help="See, test, draw, begin, start, pause and stop journeys.")
Journey_ = Annotated[str, typer.Argument(metavar="JOURNEY", help="The journey's name.", autocompletion=named_journeys)]
Actor = Annotated[str, typer.Option(help="Who orders it, for the log. Default: the account.")]


class Listed(Struct, frozen=True, kw_only=True):
    """One journey in a line."""

    journey: str
    purpose: str
    starts: str
    # once, each time, or again after so long
    enters: str
    steps: str


class Drawing(Struct, frozen=True, kw_only=True):
    """A journey as a flow chart."""

    journey: str
    # https://mermaid.js.org
    mermaid: str


class Ordered(Struct, frozen=True, kw_only=True):
    """An order that was given."""

    journey: str
    order: Literal["start", "pause", "resume", "stop"]


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
        list[str] | None,
        typer.Argument(
            metavar="[JOURNEY]", help="Only these journeys.", show_default=False, autocompletion=named_journeys
        ),
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


@app.command("graph")
def graph_(ctx: typer.Context, journey: Journey_) -> None:
    """Draw a journey as a Mermaid flow chart: for a page, a wiki, or https://mermaid.live.

    Example: orchestrator journey graph welcome > welcome.mmd
    """
    with open_project(State.of(ctx).project) as project:
        drawing = journey_view.mermaid(_known(project, journey))
    show(ctx, Drawing(journey=journey, mermaid=drawing), lambda: Text(drawing.rstrip(), no_wrap=True))


@app.command("new")
def new_(
    ctx: typer.Context, journey: Annotated[str, typer.Argument(metavar="JOURNEY", help="The new journey's name.")]
) -> None:
    """Write a journey to begin with: its file, one message in three languages, and cases that hold.

    Example: orchestrator journey new second-visit
    """
    with open_project(State.of(ctx).project) as project:
        made = scaffold(project.path, journey)
    lines = [*made.written, "", f"Next: orchestrator journey test {journey}"]
    show(ctx, made, lambda: Text("\n".join(lines)))


@app.command("start")
def start_(
    ctx: typer.Context,
    journey: Journey_,
    members: Annotated[
        list[str] | None, typer.Argument(metavar="[MEMBER]...", help="The members' ids.", show_default=False)
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Instead: everybody whom the journey is for.")] = False,
    actor: Actor = "",
) -> None:
    """Have members enter a journey with `trigger: {manual: true}`, where it is for them.

    Example: orchestrator journey start anniversary-offer member-0042
    """
    if bool(members) == everybody:
        raise UsageError("name members, or everybody with --all")
    with open_project(State.of(ctx).project) as project:
        at, who = instant(project.store.clock()), actor or getpass.getuser()
        journey_orders.start(project.store, project.vault, project.in_force, journey, members or (), actor=who, at=at)
    whom = "everybody" if everybody else f"{len(members or ())} members"
    show(ctx, Ordered(journey=journey, order="start"), f"{journey} starts for {whom} with the next turn.")


@app.command("pause")
def pause_(ctx: typer.Context, journey: Journey_, actor: Actor = "") -> None:
    """Hold a journey: who is inside stays where they are, and what comes due waits until it is resumed.

    Example: orchestrator journey pause welcome
    """
    _order(ctx, journey, "pause", actor, f"{journey} is paused.")


@app.command("resume")
def resume_(ctx: typer.Context, journey: Journey_, actor: Actor = "") -> None:
    """Let a paused or stopped journey go on: what came due meanwhile is decided now, what is too old is a silence.

    Example: orchestrator journey resume welcome
    """
    _order(ctx, journey, "resume", actor, f"{journey} goes on.")


@app.command("stop")
def stop_(ctx: typer.Context, journey: Journey_, actor: Actor = "") -> None:
    """End a journey for everybody inside, each run as a silence `stopped`, and let nobody in until it is resumed.

    Example: orchestrator journey stop welcome
    """
    _order(ctx, journey, "stop", actor, f"{journey} is stopped: nothing of it is sent from now on.")


def _order(ctx: typer.Context, journey: str, order: Literal["pause", "resume", "stop"], actor: str, said: str) -> None:
    with open_project(State.of(ctx).project) as project:
        _known(project, journey)
        store, who, at = project.store, actor or getpass.getuser(), instant(project.store.clock())
        if order == "pause":
            switches.switch(store, f"journey:{journey}", off=True, actor=who, at=at)
        elif order == "resume":
            switches.resume(store, journey, actor=who, at=at)
        else:
            switches.stop(store, journey, actor=who, at=at)
    show(ctx, Ordered(journey=journey, order=order), said)


def _known(project: Project, journey: str) -> Journey:
    found = project.content.journeys.get(journey)
    if found is None:
        raise UsageError(f"there is no journey {journey}; {nearest(journey, project.content.journeys)}")
    return found


def _listed(journey: Journey) -> Listed:
    return Listed(
        journey=journey.name,
        purpose=journey.purpose,
        starts=journey_view.starts(journey.trigger),
        enters=journey_view.enters(journey),
        steps=journey_view.in_a_line(journey),
    )


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
