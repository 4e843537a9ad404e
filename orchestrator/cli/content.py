"""`orchestrator content …`: the files that decide."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.approvals import Standing, lines
from orchestrator.cli.completing import journeys as named_journeys
from orchestrator.cli.output import State, counted, key_values, progress, show, table, verdict
from orchestrator.content.check import checked
from orchestrator.content.difference import Change
from orchestrator.orders import activations
from orchestrator.person_keys import PersonKey
from orchestrator.project import open_project
from orchestrator.times import instant

if TYPE_CHECKING:
    from orchestrator.activation import Activation, Comparison

app = typer.Typer(
    no_args_is_help=True,
    help="Check the files that decide (journeys, texts, policies, laws), see what changes, approve, put them in force.",
)


class Checked(Struct, frozen=True, kw_only=True):
    """Content that compiles."""

    # hash of all files, the engine and its tables
    revision: str
    journeys: tuple[str, ...]
    # the event types that the project declares itself
    event_types: tuple[str, ...]


class NewKey(Struct, frozen=True, kw_only=True):
    """A key that was made for a person."""

    # whoever has this file signs as this person
    file: Path
    # for `[approval] people`
    line: str


Journeys = Annotated[
    list[str], typer.Argument(metavar="JOURNEY...", help="The journeys' names.", autocompletion=named_journeys)
]
Key = Annotated[Path, typer.Option(metavar="FILE", help="Your own key, from `content new-key`.")]


@app.callback()
def options() -> None:
    """The files that decide."""


@app.command("check")
def check(ctx: typer.Context) -> None:
    """Compile all content and try every text; exit 3 with each problem's file, line and cure.

    Example: orchestrator content check
    """
    with open_project(State.of(ctx).project) as project:
        content = checked(project.path, project.settings, datetime.now(UTC).date())
    result = Checked(revision=content.revision, journeys=tuple(content.journeys), event_types=tuple(content.events.own))
    show(ctx, result, lambda: _checked(result))


@app.command("diff")
def diff(
    ctx: typer.Context,
    before: Annotated[
        str, typer.Argument(metavar="[BEFORE]", help="A revision; what is in force where left out.", show_default=False)
    ] = "",
    after: Annotated[
        str, typer.Argument(metavar="[AFTER]", help="A revision; the folder where left out.", show_default=False)
    ] = "",
) -> None:
    """Show what putting the folder in force would change, or what differs between two revisions.

    Journeys step by step, policies and laws rule by rule, texts line by line. Revisions are named by how they begin.

    Example: orchestrator content diff
    """
    from orchestrator.activation import compare

    with open_project(State.of(ctx).project) as project:
        result = compare(project, before, after)
    show(ctx, result, lambda: _compared(result))


@app.command("activate")
def activate(
    ctx: typer.Context,
    actor: Annotated[str, typer.Option(help="Who orders it, for the log. Default: the account.")] = "",
) -> None:
    """Put the folder in force as it is, once it is checked, its cases hold, and its journeys are approved.

    Running workers decide by it from their next turn on; the contact log says who ordered it. Exit code 3: it does not
    compile. Exit code 1: a case does not hold, or a journey waits for approval. In both cases nothing was changed.

    Example: orchestrator content activate
    """
    from orchestrator.activation import activate_folder

    with open_project(State.of(ctx).project) as project:
        result = activate_folder(project, actor or getpass.getuser(), datetime.now(UTC).date())
    show(ctx, result, lambda: _activated(result))
    if not result.done:
        raise typer.Exit(1)


@app.command("list")
def list_(ctx: typer.Context) -> None:
    """List the revisions that were put in force, from the first to the one that is: when, and by whom.

    Example: orchestrator content list
    """
    with open_project(State.of(ctx).project) as project:
        found = activations(project.store)
    rows = [(each.revision, (each.at or "")[:19], each.by) for each in found]
    show(
        ctx, found, lambda: table(("revision", "since", "by"), rows) if rows else Text("Nothing was put in force yet.")
    )


@app.command("new-key")
def new_key(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Who signs with it: letters, digits, dot, dash, underline.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the key is written, outside the project.")],
) -> None:
    """Make a person's own key to propose and approve journeys with, and print the line for `[approval] people`.

    Example: orchestrator content new-key ana --out ana.key
    """
    result = NewKey(file=out.resolve(), line=f"{name} {PersonKey.create(out).public}")
    show(ctx, result, lambda: Text(f"{result.file} is {name}'s alone.\nFor [approval] people: {result.line!r}"))


@app.command("propose")
def propose(ctx: typer.Context, journeys: Journeys, key: Key) -> None:
    """Sign, as its author, that a journey is to be activated as its files are now; count whom it may reach.

    Up to `above_members` members it is open at once; above, two others must approve it.

    Example: orchestrator content propose welcome --key ana.key
    """
    with open_project(State.of(ctx).project) as project:
        mine, at = PersonKey.load(key), instant(project.store.clock())
        with progress(ctx, "counting members", None) as advance:
            found = [project.approvals.propose(journey, mine, at, advance) for journey in journeys]
    show(ctx, found, lambda: _standings(found))


@app.command("approve")
def approve(ctx: typer.Context, journeys: Journeys, key: Key) -> None:
    """Sign, as one of two beside the author, that members may enter a journey as its files are now.

    Example: orchestrator content approve welcome --key ben.key
    """
    with open_project(State.of(ctx).project) as project:
        mine, at = PersonKey.load(key), instant(project.store.clock())
        found = [project.approvals.approve(journey, mine, at) for journey in journeys]
    show(ctx, found, lambda: _standings(found))


@app.command("approvals")
def approvals(ctx: typer.Context) -> None:
    """Show how far each journey is: who proposed it as its files are now, whom it may reach, who approved it.

    Exit code 1: members may not enter one of them.

    Example: orchestrator content approvals
    """
    with open_project(State.of(ctx).project) as project:
        found = project.approvals.standings()
        asked = project.approvals.asked
    show(ctx, found, lambda: _standings(found) if asked else Text("[approval] people names nobody: nobody is asked."))
    if any(each.state != "open" for each in found):
        raise typer.Exit(1)


def _standings(found: list[Standing]) -> RenderableType:
    waiting = [each.journey for each in found if each.state != "open"]
    return Group(
        table(("journey", "state", "members", "author", "approved by"), lines(found)),
        verdict(not waiting, f"Not open: {', '.join(waiting)}" if waiting else "Members may enter all of these."),
    )


def _changes(changes: Iterable[Change]) -> RenderableType:
    rows = [
        (each.kind, each.name, each.what or ("added" if each.before is None else "removed"), each.before, each.after)
        for each in changes
    ]
    return table(("kind", "of", "what", "before", "after"), rows)


def _compared(result: Comparison) -> RenderableType:
    names = f"{result.before or 'nothing'} and {'the folder' if result.after == 'folder' else result.after}"
    if result.same and result.revision != result.before:
        return Text(f"No file differs between {names}: what does is the engine, its tables or a setting that decides.")
    if result.same:
        return Text(f"Nothing differs between {names}.")
    parts = [_changes(result.changes), Text(f"{counted(len(result.changes), 'change')} between {names}")]
    if result.after == "folder":
        parts.append(Text("To put the folder in force: orchestrator content activate"))
    return Group(*parts)


def _activated(result: Activation) -> RenderableType:
    parts: list[RenderableType] = [_changes(result.changes)] if result.changes else []
    if result.failed:
        parts += [Text("These cases do not hold:", style="bold"), *[Text(f"  {each}") for each in result.failed]]
    if result.waiting:
        parts.append(table(("journey", "state", "members", "author", "approved by"), lines(result.waiting)))
        parts.append(Text(f"First: orchestrator content propose {' '.join(each.journey for each in result.waiting)}"))
    if not result.done:
        parts.append(verdict(False, f"not put in force: {result.before or 'nothing'} stays in force"))
    elif result.before == result.revision:
        parts.append(verdict(True, f"revision {result.revision} is in force already"))
    else:
        parts.append(verdict(True, f"revision {result.revision} is in force, by order of {result.actor}"))
    return Group(*parts)


def _checked(result: Checked) -> RenderableType:
    shown: dict[str, object] = {"revision": result.revision, "journeys": result.journeys}
    if result.event_types:
        shown["own event types"] = result.event_types
    return Group(
        key_values(shown),
        verdict(True, "it compiles, and every text holds for members of whom much or little is known"),
    )
