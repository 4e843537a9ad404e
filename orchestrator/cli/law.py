"""Law packs: what they say, what changed, and whether they agree with cases."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from orchestrator.cli.output import State, remark, show, table, verdict
from orchestrator.content import law_reports, locate
from orchestrator.content.law_reports import Checked, Coverage, PackDiff, PackLine, PackShown
from orchestrator.content.laws import load_laws
from orchestrator.content.registry_file import keep_registry, load_registry_file
from orchestrator.decide.law import LawBook
from orchestrator.errors import UsageError
from orchestrator.settings import FILE, LawSettings, load

app = typer.Typer(help=__doc__, no_args_is_help=True)
registry = typer.Typer(help="Do-not-contact lists.", no_args_is_help=True)
app.add_typer(registry, name="registry")

WANTING = 1


@app.command("list")
def list_packs(ctx: typer.Context) -> None:
    """Every pack with its status; reviews that are overdue end with exit code 1.

    Example: orchestrator law list
    """
    packs = law_reports.listed(_book(ctx), datetime.now(UTC).date())
    show(ctx, packs, lambda: _packs(packs))
    if any(pack.overdue for pack in packs):
        raise typer.Exit(WANTING)


@app.command("show")
def show_pack(
    ctx: typer.Context,
    jurisdiction: Annotated[str, typer.Argument(metavar="CC", help="ISO 3166-1 or -2, such as CO or US-NY.")],
) -> None:
    """The rules of a jurisdiction, with article, source, dates, and how sure we are.

    Example: orchestrator law show CO
    """
    found = law_reports.shown(_book(ctx), jurisdiction, datetime.now(UTC).date())
    show(ctx, found, lambda: _rules(found))


@app.command("diff")
def diff(
    ctx: typer.Context,
    before: Annotated[str, typer.Argument(metavar="A", help="A jurisdiction, or the path of a pack.")],
    after: Annotated[str, typer.Argument(metavar="B", help="A jurisdiction, or the path of a pack.")],
) -> None:
    """What changes from one pack to another, with the days and contacts that each change bears on.

    Example: orchestrator law diff CO drafts/CO/pack.yaml
    """
    folder = _folder(ctx)
    found = law_reports.compare(law_reports.pack_at(folder, before), law_reports.pack_at(folder, after))
    show(ctx, found, lambda: _changes(found))


@app.command("check")
def check(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="A table of cases; its head is in laws/README.md.")],
) -> None:
    """Weigh a table of cases; any row that disagrees ends with exit code 1.

    Example: orchestrator --json law check cases.csv
    """
    checked = law_reports.check(_book(ctx), file)
    show(ctx, checked, lambda: _disagreements(checked))
    if checked.disagree:
        raise typer.Exit(WANTING)


@app.command("coverage")
def coverage(ctx: typer.Context) -> None:
    """Run the cases beside the packs; rules and reasons that no case reaches end with exit code 1.

    Example: orchestrator law coverage
    """
    found = law_reports.coverage(_book(ctx), _folder(ctx))
    show(ctx, found, lambda: _coverage(found))
    if not found.complete:
        raise typer.Exit(WANTING)


@registry.command("load")
def load_list(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The list's name in the law packs, such as RNE.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="One number or address a line, or address,channel.")],
    checked_at: Annotated[
        str, typer.Option("--checked-at", metavar="TIME", help="When it was obtained (RFC 3339), unless the file says.")
    ] = "",
    country: Annotated[str, typer.Option("--country", help="Country (alpha-2) of numbers without a prefix.")] = "",
) -> None:
    """Replace a do-not-contact list in the store; only keyed fingerprints are kept.

    Example: orchestrator law registry load RNE rne.txt --checked-at 2026-11-20T06:00:00Z --country CO
    """
    from orchestrator.project import open_project

    entries, stamped = load_registry_file(file, country)
    at = _instant(checked_at) if checked_at else stamped
    if at is None:
        raise UsageError("when was the list obtained? give --checked-at, or a line `# checked-at: …` in the file")
    book = _book(ctx)
    with open_project(State.of(ctx).project) as project:
        loaded = keep_registry(book, project.store, project.vault, name, entries, at)
    show(ctx, loaded, lambda: table(("list", "entries"), loaded.lists.items()))


def _folder(ctx: typer.Context) -> Path:
    return locate.folder("channel_policies", State.of(ctx).project) / "laws"


def _book(ctx: typer.Context) -> LawBook:
    """The project's law book; with default settings where there is no project."""
    project = State.of(ctx).project
    laws = load(project).laws if (project / FILE).is_file() else LawSettings()
    return load_laws(_folder(ctx), laws.profile, laws.require_reviewed)


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no instant such as 2026-11-20T06:00:00Z") from None
    if at.tzinfo is None:
        raise UsageError(f"{text!r} has no offset: write 2026-11-20T06:00:00Z or …-05:00")
    return at


def _packs(packs: tuple[PackLine, ...]) -> RenderableType:
    late = [pack.pack for pack in packs if pack.overdue]
    drafts = [pack.pack for pack in packs if pack.status == "draft"]
    return Group(
        table(PackLine.__struct_fields__, ([getattr(pack, name) for name in pack.__struct_fields__] for pack in packs)),
        verdict(not late, f"review overdue: {', '.join(late)}" if late else "no review is overdue"),
        remark(f"reviewed by nobody yet: {', '.join(drafts)}") if drafts else verdict(True, "every pack is reviewed"),
    )


def _rules(found: PackShown) -> RenderableType:
    columns = ("rule", "binds", "confidence", "for", "terms", "in force", "articles")
    rows = [
        (
            rule.rule,
            rule.authority if rule.binds else f"{rule.authority} (advisory)",
            rule.confidence + (", pending" if rule.pending else ""),
            f"{rule.channels} / {rule.purposes}",
            "\n".join(
                filter(None, (rule.terms, rule.reading and f"read as: {rule.reading}", rule.alt and f"or: {rule.alt}"))
            ),
            f"{rule.since or '…'} to {rule.until or '…'}",
            "\n".join(rule.cites),
        )
        for rule in found.rules
    ]
    return Group(_packs(found.packs), table(columns, rows))


def _changes(found: PackDiff) -> RenderableType:
    title = f"{found.before} to {found.after}"
    columns = ("rule", "what", "before", "after", "since", "until", "area")
    rows = ([getattr(change, name) for name in columns] for change in found.changes)
    return table(columns, rows, title) if found.changes else verdict(True, f"{title}: nothing changes")


def _disagreements(checked: Checked) -> RenderableType:
    said = verdict(not checked.disagree, f"{checked.agree} of {checked.rows} rows agree")
    columns = ("id", "expected", "got", "earliest_expected", "earliest_got")
    rows = [
        (
            *(getattr(row, name) for name in columns),
            ", ".join(f"{finding.rule} {finding.reason}" for finding in row.trail if finding.says != "pass"),
        )
        for row in checked.disagree
    ]
    return Group(table((*columns, "rules"), rows), said) if rows else said


def _coverage(found: Coverage) -> RenderableType:
    parts: list[RenderableType] = []
    if found.failed:
        columns = ("place", "case", "expected", "got")
        parts.append(table(columns, ([getattr(row, name) for name in columns] for row in found.failed)))
    parts.append(verdict(not found.failed, f"{found.cases - len(found.failed)} of {found.cases} cases hold"))
    for what, names in (("rules", found.unreached_rules), ("reasons", found.unreached_reasons)):
        parts.append(
            verdict(not names, f"{what} that no case reaches: {', '.join(names)}" if names else f"all {what} reached")
        )
    return Group(*parts)
