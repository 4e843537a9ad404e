"""All that can be found wrong with templates before any member is concerned: `orchestrator template lint`."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct

from orchestrator.content.cases import read_cases
from orchestrator.content.disclosures import OPT_OUT, Disclosure
from orchestrator.content.files import read_yaml
from orchestrator.content.journey_file import JourneyFile
from orchestrator.content.journeys import occasion_of as of_file
from orchestrator.content.journeys import promises
from orchestrator.content.samples import Occasion, Promise, declared, samples, unknown, with_voucher
from orchestrator.content.templates import LAYOUT, TemplateFile, compile_templates, read_templates, sources
from orchestrator.decide.content import Identity
from orchestrator.errors import ContentError, Problem, UsageError
from orchestrator.events.catalogue import ENGINE, EventTypes
from orchestrator.located import convert, nearest
from orchestrator.render.contract import RenderError
from orchestrator.render.language import reads
from orchestrator.render.sandbox import Rejected
from orchestrator.render.templates import CompiledTemplates

# what a text message may tell to reply, by the words that carriers and members know
_WAY_OUT = re.compile(r"\b(STOP|BAJA|ALTO|PARAR|SALIR|SAIR|CANCELAR)\b|unsubscribe_url")
_PLACE = re.compile(r"(?P<file>[^:\n]+):(?P<line>\d+): (?P<what>.*)", re.DOTALL)


class Found(Struct, frozen=True, kw_only=True):
    """One problem, for people and for JSON."""

    file: str
    line: int
    what: str
    cure: str = ""
    # on that line; 0 where it is not known
    column: int = 0

    @classmethod
    def of(cls, problem: Problem) -> Found:
        """The same, as data."""
        return cls(file=problem.file, line=problem.line, what=problem.what, cure=problem.cure, column=problem.column)

    def problem(self) -> Problem:
        """The same, as the errors hold it."""
        return Problem(self.file, self.line, self.what, self.cure, self.column)


class LintReport(Struct, frozen=True, kw_only=True):
    """What was looked at and what was found; sound if `problems` is empty."""

    journeys: tuple[str, ...]
    files: int
    # texts that were rendered for sample members
    rendered: int
    problems: tuple[Found, ...]


class _Journey(Struct, frozen=True):
    """What lint needs of a journey.yaml."""

    occasion: Occasion = Occasion()  # frozen
    purpose: str = ""
    # message -> the voucher code that it promises
    promises: dict[str, Promise] = {}


def lint(
    folder: Path,
    default_locale: str,
    identity: Identity,
    journey: str = "",
    disclosures: tuple[Disclosure, ...] = (OPT_OUT,),
    types: EventTypes = ENGINE,
) -> LintReport:
    """All problems of all templates of the folder, or of one journey and the layouts.

    `disclosures` are what marketing e-mail must show, `types` the events that journeys start by.

    Raises UsageError where there is no such journey.
    """
    files, problems = read_templates(folder)
    names = sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name != LAYOUT)
    if journey:
        if journey not in names:
            raise UsageError(f"there is no journey {journey} in {folder}; {nearest(journey, names)}")
        names = [journey]
        files = [file for file in files if file.journey in (journey, LAYOUT)]
        problems = [problem for problem in problems if Path(problem.file).parent.name in (journey, LAYOUT)]
    journeys: dict[str, _Journey] = {}
    for name in names:
        try:
            journeys[name] = _journey(folder, name, types)
        except ContentError as error:
            problems.extend(error.problems)
    for file in files:
        about = journeys.get(file.journey, _Journey())
        problems.extend(_names(file, about.occasion, types, about.promises.get(file.message)))
        if file.channel == "sms" and journeys.get(file.journey, _Journey()).purpose == "marketing":
            problems.extend(_no_way_out(file))
    rendered = 0
    try:
        templates = compile_templates(files, default_locale)
    except ContentError as error:
        problems.extend(error.problems)
    else:
        rendered = len(list(templates))
        problems.extend(_undisclosed(templates, journeys, disclosures))
        problems.extend(_trials(templates, journeys, identity, types))
    seen = {(problem.file, problem.line, problem.what): problem for problem in problems}
    return LintReport(
        journeys=tuple(names),
        files=len(files),
        rendered=rendered,
        problems=tuple(Found.of(seen[k]) for k in sorted(seen)),
    )


def occasion_of(folder: Path, journey: str) -> Occasion:
    """What starts a journey; empty where its file is not sound."""
    try:
        return _journey(folder, journey, None).occasion
    except ContentError:
        return Occasion()


def promise_of(folder: Path, journey: str, message: str) -> Promise | None:
    """The voucher code that a message promises; None for none, and where the journey's file is not sound."""
    try:
        return _journey(folder, journey, None).promises.get(message)
    except ContentError:
        return None


def _journey(folder: Path, name: str, types: EventTypes | None) -> _Journey:
    """`types`: its cases are looked at too, and may be of these events."""
    path = folder / name / "journey.yaml"
    shown = path.relative_to(folder.parent).as_posix()
    file = convert(read_yaml(path, shown), JourneyFile)
    cases = path.with_name("cases.yaml")
    if types is not None and cases.is_file():
        read_cases(cases, cases.relative_to(folder.parent).as_posix(), types)
    return _Journey(of_file(file), file.purpose, promises(folder, file))


def _names(file: TemplateFile, occasion: Occasion, types: EventTypes, promised: Promise | None) -> list[Problem]:
    """Variables that no decision offers."""
    names = declared(occasion, types, promised)
    found: list[Problem] = []
    for before, source in sources(file):
        try:
            tree = file.sandbox.tree(source)
        except Rejected:
            continue
        for path, line in sorted(reads(tree), key=lambda read: (read[1], read[0])):
            missing = unknown(path, names)
            if missing is not None:
                lacks_pool = path.split(".")[0] == "voucher" and promised is None
                cure = "give each step that sends it a `voucher: POOL`" if lacks_pool else nearest(*missing)
                found.append(Problem(file.file, before + line, f"`{path}` is not known here", cure))
    return found


def _no_way_out(file: TemplateFile) -> list[Problem]:
    """A marketing text that does not say how to stop; the law's soft opt-in rests on each of them saying so."""
    if _WAY_OUT.search(file.source):
        return []
    cure = "end with `Reply STOP to opt out.`, or with {{ unsubscribe_url }}"
    return [Problem(file.file, 1, "a marketing text must say how to stop", cure)]


def _undisclosed(
    templates: CompiledTemplates, journeys: dict[str, _Journey], disclosures: tuple[Disclosure, ...]
) -> list[Problem]:
    """What parts of marketing e-mails do not name, and must show."""
    found: list[Problem] = []
    for journey, message, channel, locale in templates:
        compiled = templates.compiled(journey, message, channel, locale)
        if channel != "email" or journeys.get(journey, _Journey()).purpose != "marketing" or compiled.html is None:
            continue
        for part, program in (("HTML", compiled.html), ("text", compiled.text)):
            file, line = program.place(1)
            for asked in disclosures:
                if asked.name not in program.fields:
                    what = f"the {part} part of {message} ({locale}) lacks `{asked.name}`, as {asked.asked_by} asks"
                    found.append(Problem(file, line, what, f"use {{{{ {asked.name} }}}}, best in the layout"))
    return found


def _trials(
    templates: CompiledTemplates, journeys: dict[str, _Journey], identity: Identity, types: EventTypes
) -> list[Problem]:
    """Every text rendered for a member of whom nothing is known, and for one of whom all is known."""
    found: list[Problem] = []
    for journey, message, channel, locale in templates:
        about = journeys.get(journey, _Journey())
        compiled = templates.compiled(journey, message, channel, locale)
        for sample in samples(about.occasion, locale, identity, journey, types):
            try:
                compiled.render(with_voucher(sample, about.promises.get(message)).context, locale)
            except RenderError as error:
                found.append(_of_render(error, sample.who))
                break
    return found


def _of_render(error: RenderError, who: str) -> Problem:
    match = _PLACE.fullmatch(str(error))
    if match is None:
        return Problem("templates", 1, f"{error}, for {who}")
    return Problem(match["file"], int(match["line"]), f"{match['what']}, for {who}")
