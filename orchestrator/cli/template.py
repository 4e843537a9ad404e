"""`orchestrator template lint|preview|test-send`: whether the texts are sound, and how they look to a member."""

from __future__ import annotations

import webbrowser
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from msgspec import Struct
from rich.console import Group, RenderableType
from rich.text import Text

from orchestrator.cli.completing import journeys as named_journeys
from orchestrator.cli.output import State, counted, key_values, show, table, verdict
from orchestrator.content import locate
from orchestrator.content.check import lint_texts
from orchestrator.content.confine import PreviewRequest, confined_preview
from orchestrator.content.lint import LintReport
from orchestrator.content.load import identity_of
from orchestrator.content.preview import Preview
from orchestrator.project import open_project
from orchestrator.seed_sends import SeedSent, send_to_seeds
from orchestrator.settings import FILE, Settings, load

app = typer.Typer(help="Check and preview the texts of journeys.", no_args_is_help=True)

# what tells which words: `preview` and `test-send` ask for them alike
_Journey = Annotated[str, typer.Argument(help="The journey: a folder of templates/.", autocompletion=named_journeys)]
_Message = Annotated[str, typer.Argument(help="The message, such as hello.")]
_Channel = Annotated[str, typer.Option(help="email, sms, …")]
_Locale = Annotated[str, typer.Option(help="es, pt-BR, …; the member's own where left out.")]


class Previewed(Struct, frozen=True, kw_only=True):
    """What `preview` wrote, and where."""

    # the file to open in a browser or editor
    file: Path
    who: str
    locale: str
    subject: str
    text: str
    # sms: segments that are billed
    segments: int


@app.command("lint", epilog="Example: orchestrator template lint thank-you")
def lint(
    ctx: typer.Context,
    journey: Annotated[
        str, typer.Argument(help="Only this journey; all of them where left out.", autocompletion=named_journeys)
    ] = "",
) -> None:
    """Check every text: syntax, MJML, names, and what members with little or much data would get; exit 1 if unsound."""
    report = lint_texts(State.of(ctx).project, _settings(ctx), datetime.now(UTC).date(), journey)
    show(ctx, report, lambda: _report(report))
    if report.problems:
        raise typer.Exit(1)


@app.command("preview", epilog="Example: orchestrator template preview thank-you thanks --locale es --open")
def preview(  # one argument for each option that a person may give
    ctx: typer.Context,
    journey: _Journey,
    message: _Message,
    channel: _Channel = "email",
    locale: _Locale = "",
    case: Annotated[str, typer.Option(help="Name of a case in cases.yaml whose member gets it.")] = "",
    out: Annotated[Path | None, typer.Option(help="File to write; previews/… in the project where left out.")] = None,
    open_: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write the message as a member would get it, and say where it is."""
    state = State.of(ctx)
    words = _rendered(state.project, _settings(ctx), journey, message, channel, locale, case)
    file = (out or state.project / "previews" / _name(words)).resolve()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(words.html or words.text, encoding="utf-8")
    result = Previewed(
        file=file, who=words.who, locale=words.locale, subject=words.subject, text=words.text, segments=words.segments
    )
    show(ctx, result, lambda: _previewed(result))
    if open_:
        webbrowser.open(file.as_uri())


@app.command("test-send", epilog="Example: orchestrator template test-send thank-you thanks --locale es")
def send_test(  # one argument for each option that a person may give
    ctx: typer.Context,
    journey: _Journey,
    message: _Message,
    channel: _Channel = "email",
    locale: _Locale = "",
    case: Annotated[str, typer.Option(help="Name of a case in cases.yaml whose member's words they get.")] = "",
) -> None:
    """Send the message to the colleagues under [seeds], by the channel's first account; exit 1 if one is not accepted.

    No rule is asked and no member is written to; the contact log holds nothing of it.
    """
    with open_project(State.of(ctx).project) as project:
        words = _rendered(project.path, project.settings, journey, message, channel, locale, case)
        sender = project.content.policies.sender(channel, datetime.now(UTC))
        sent = send_to_seeds(words, sender, project.settings, project.path)
    show(ctx, sent, lambda: _sent(sent))
    if any(each.answer != "accepted" for each in sent):
        raise typer.Exit(1)


def _rendered(
    project: Path, settings: Settings, journey: str, message: str, channel: str, locale: str, case: str
) -> Preview:
    return confined_preview(
        PreviewRequest(
            folder=str(locate.folder("templates", project).resolve()),
            default_locale=settings.locale,
            identity=identity_of(settings),
            journey=journey,
            message=message,
            channel=channel,
            locale=locale,
            case=case,
            schemas=str(locate.folder("schemas", project).resolve()),
        )
    )


def _sent(sent: list[SeedSent]) -> RenderableType:
    accepted = sum(each.answer == "accepted" for each in sent)
    rows = [(each.seed, each.account, each.answer, each.code) for each in sent]
    return Group(
        table(("seed", "account", "answer", "code"), rows),
        verdict(accepted == len(sent), f"{accepted} of {counted(len(sent), 'seed')} accepted"),
    )


def _settings(ctx: typer.Context) -> Settings:
    project = State.of(ctx).project
    # templates can be checked wherever they lie; without a project the defaults hold
    return load(project) if (project / FILE).is_file() else Settings()


def _name(words: Preview) -> str:
    return f"{words.journey}.{words.message}.{words.channel}.{words.locale}.{'html' if words.html else 'txt'}"


def _report(report: LintReport) -> RenderableType:
    lines: list[RenderableType] = []
    for found in report.problems:
        lines.append(Text.assemble((found.problem().place, "bold"), f": {found.what}"))
        if found.cure:
            lines.append(Text(f"    {found.cure}", style="dim"))
    journeys = counted(len(report.journeys), "journey")
    said = f"{journeys}, {report.files} files, {report.rendered} texts rendered for sample members"
    count = len(report.problems)
    problems = counted(count, "problem") if count else "no problems"
    return Group(*lines, verdict(not count, f"{said}: {problems}"))


def _previewed(result: Previewed) -> RenderableType:
    shown: dict[str, object] = {"for": result.who, "locale": result.locale}
    if result.subject:
        shown["subject"] = result.subject
    if result.segments:
        shown["segments"] = result.segments
    return Group(
        key_values(shown), Text(""), Text(result.text), Text.assemble("written to ", (str(result.file), "bold"))
    )
