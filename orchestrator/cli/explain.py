"""`orchestrator explain MEMBER`: why this member was, and was not, contacted."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from msgspec import Struct
from msgspec.structs import replace
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from orchestrator.cli.completing import journeys as named_journeys
from orchestrator.cli.output import State, counted, show, stderr, verdict
from orchestrator.contact_log.about import Explanation, NotStarted, about, cites
from orchestrator.contact_log.explain import CiteOf, Paragraph, no_cite
from orchestrator.decide.law import LawBook
from orchestrator.errors import ContentError, UsageError
from orchestrator.events.partition import partition_of
from orchestrator.located import nearest
from orchestrator.project import Project, open_project
from orchestrator.replay import ReplayReport, replay
from orchestrator.revisions import former_contents
from orchestrator.times import instant
from orchestrator.untriggered import not_started

# stories on a screen or two
FEW = 12
_MARKS = {"touch": ("✉ ", "green"), "silence": ("∅ ", "yellow"), "waiting": ("… ", "cyan")}


def command(
    ctx: typer.Context,
    member: Annotated[str, typer.Argument(metavar="MEMBER", help="The member's id.")],
    journey: Annotated[str, typer.Option(help="Only this journey.", autocompletion=named_journeys)] = "",
    at: Annotated[
        str, typer.Option(metavar="TIME", help="As it stood at this moment, such as 2026-03-01T09:00:00-05:00.")
    ] = "",
    full: Annotated[bool, typer.Option("--full", help="Also every rule that let it pass.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help=f"So many stories, the latest; all with --json, else {FEW}.", show_default=False),
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Also decide it all again from the journal; 1 where anything differs.")
    ] = False,
) -> None:
    """Tell every touch and every silence of a member: when, by which rule, which numbers, which article.

    With --journey also each occasion on which that journey did not start, and what was in the way.

    Example: orchestrator explain member-0042 --journey welcome
    """
    until = _moment(at)
    with open_project(State.of(ctx).project) as project:
        told = about(project.store, project.vault, member, _cites(project), journey=journey, until=until)
        if journey:
            told = replace(told, not_started=tuple(_not_started(project, told, member, journey, until)))
        most = limit or (sys.maxsize if State.of(ctx).json else FEW)
        shown = replace(told, paragraphs=told.paragraphs[-most:], not_started=told.not_started[-most:])
        if not recompute:
            show(ctx, shown, lambda: _view(told, shown, full=full))
            return
        former = former_contents(project.store, project.settings, project.in_force.revision)
        partition = partition_of(member, project.store.partitions)
        again = replay(project.store, project.vault, project.in_force, partition, former=former)
    result = Recomputed(explanation=shown, replay=again)
    words = f"decided again from the journal: {again.turns:,} turns of partition {partition}, {again.found:,} different"
    show(ctx, result, lambda: Group(_view(told, shown, full=full), verdict(again.ok, words)))
    if not again.ok:
        raise typer.Exit(1)


class Recomputed(Struct, frozen=True):
    """An explanation, and what today's core makes of the same turns."""

    explanation: Explanation
    replay: ReplayReport


def _cites(project: Project) -> CiteOf:
    """Articles of the law packs as they lie on disk; without their links where the content has an error."""
    try:
        laws = project.in_force.laws
    except ContentError:
        stderr().print(
            "The content has errors (see: orchestrator content check), so articles come without their links."
        )
        return no_cite
    return cites(laws) if isinstance(laws, LawBook) else no_cite


def _moment(text: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError("--at takes a moment such as 2026-03-01T09:00:00-05:00") from None
    if at.tzinfo is None:
        raise UsageError("--at needs an offset, such as Z or -05:00")
    return at.astimezone(UTC)


def _not_started(
    project: Project, told: Explanation, member: str, journey: str, until: datetime | None
) -> list[NotStarted]:
    """What did not start this journey; nothing where the content has errors, or has it no more.

    Raises UsageError for a journey that neither the content nor the log knows.
    """
    try:
        current = project.in_force
    except ContentError:
        return []
    if journey not in current.journeys:
        if told.paragraphs:
            return []
        raise UsageError(f"there is no journey {journey}; {nearest(journey, current.journeys)}")
    contents = former_contents(project.store, project.settings, current.revision) | {current.revision: current}
    # not the wall clock's moment: a project on the events' clock lives in its own time
    clock = max((row.clock for row in project.store.progress()), default=0)
    at = until or instant(clock)
    return not_started(project.store, project.vault, contents, current, member, current.journeys[journey], at)


def _view(told: Explanation, shown: Explanation, *, full: bool) -> RenderableType:
    if not told.paragraphs and not told.not_started:
        return Text("The log holds nothing about this member.")
    parts: list[RenderableType] = []
    if told.merged_into:
        parts.append(Text(f"This id is an alias of {told.merged_into}: orchestrator explain {told.merged_into}\n"))
    if told.absorbed:
        parts.append(Text(f"With the stories of the merged ids: {', '.join(told.absorbed)}\n"))
    if left_out := len(told.paragraphs) - len(shown.paragraphs):
        parts.append(Text(f"{left_out:,} earlier ones are not shown; see --limit\n", style="dim"))
    parts.extend(_paragraph(paragraph, full=full) for paragraph in shown.paragraphs)
    if told.not_started:
        more = len(told.not_started) - len(shown.not_started)
        before = f", the latest of {len(told.not_started):,}" if more else ""
        parts.append(Text(f"What did not start {told.not_started[0].journey}{before}", style="bold"))
        parts.extend(Padding(Text(each.text), (0, 0, 0, 4), expand=False) for each in shown.not_started)
        parts.append(Text())
    counts = (
        f"{counted(told.touches, 'touch', 'touches')}, {counted(told.silences, 'silence')}, {told.waiting:,} waiting"
    )
    return Group(*parts, Text(counts, style="bold"))


def _paragraph(paragraph: Paragraph, *, full: bool) -> RenderableType:
    mark, style = _MARKS.get(paragraph.outcome, ("· ", "dim"))
    told = [each.text for each in paragraph.sentences if full or not each.detail]
    hidden = len(paragraph.sentences) - len(told)
    if paragraph.outcome in _MARKS:
        title = Text.assemble((mark, f"bold {style}"), (paragraph.title, "bold"))
    else:
        # a fact is one sentence, which says more than its title
        title, told = Text.assemble((mark, style), " ".join(told)), []
    more = f"; {hidden} more sentences on rules that let it pass: --full" if hidden else ""
    where = Text(f"Log entries {', '.join(paragraph.entries)}{more}", style="dim")
    lines = [Padding(line, (0, 0, 0, 4), expand=False) for line in [*map(Text, told), where]]
    return Group(title, *lines, Text())
