"""Templates read from `templates/` and compiled: MJML to HTML, Jinja to functions. All problems are told at once.

templates/_layout/email.<locale>.mjml.j2      put around every e-mail, at its line {# content #}
templates/_layout/email.<locale>.txt.j2       the same for the text part
templates/<journey>/<message>.email.<locale>.mjml.j2
templates/<journey>/<message>.email.<locale>.txt.j2     Subject: …, Preheader: … (optional), blank line, text
templates/<journey>/<message>.sms.<locale>.txt.j2       the text; before it, if need be, Media: …
templates/<journey>/<message>.whatsapp.<locale>.txt.j2  the text; before it, what the platform approved:

    Template: birthday_gift                         its name at Meta
    Content-Sid: HX0123456789abcdef0123456789abcdef its sid at Twilio; one of the two, or both
    Language: es_MX                                 as it was approved; left out: the file's locale
    Variable: {{ member.given_name|default("you") }}    the values of {{1}}, {{2}}, … in order
    Media: https://example.com/cake.png             the picture of its header

    Happy birthday, …                               the same in full: what pages, previews and open conversations show

The approved text stands in the file of the message it carries, since both change together: who alters the words sees
the name under which they were approved, and a language without approval has no file to forget it in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from orchestrator.content.mjml import CONTENT, around, pieces, to_html
from orchestrator.errors import ContentError, Problem
from orchestrator.render.program import Place, Program
from orchestrator.render.sandbox import HTML, TEXT, Rejected, Sandbox, read
from orchestrator.render.templates import CHAT_LIMIT, SMS_LIMIT, Approved, Compiled, CompiledTemplates, best, canonical

LAYOUT = "_layout"
CHANNELS = ("email", "sms", "whatsapp", "telegram", "push")
_NAME = re.compile(
    r"(?:(?P<message>[a-z][a-z0-9-]*)\.)?(?P<channel>[a-z]+)\.(?P<locale>[a-z]{2,3}(?:-[A-Z]{2})?)\.(?P<form>mjml|txt)\.j2"
)
# channel -> the headers that its texts may begin with; a text of e-mail must
_HEADERS = {
    "email": ("subject", "preheader"),
    "sms": ("media",),
    "whatsapp": ("template", "content-sid", "language", "variable", "media"),
    "telegram": ("media",),
    "push": (),
}
_HEADER = re.compile(r"(?P<name>[A-Za-z-]+):[ \t]*(?P<value>.*)")
# header -> its form where it is taken as it stands, and what is expected
_LITERAL = {
    "template": (re.compile(r"[a-z0-9_]{1,512}"), "lower-case letters, digits and _, as the template is named at Meta"),
    "content-sid": (re.compile(r"HX[0-9a-f]{32}"), "HX and 32 hexadecimal digits, as Twilio shows it"),
    "language": (re.compile(r"[a-z]{2,3}(?:_[A-Z]{2})?"), "as the template was approved in it: es, es_MX"),
}
_MARKER = re.compile(rf"^[ \t]*\{{#-?\s*{CONTENT}\s*-?#\}}[ \t]*$")


class Header(NamedTuple):
    """A line above a text."""

    # in lower case
    name: str
    value: str
    # from 1
    line: int


class TemplateFile(Struct, frozen=True, kw_only=True):
    """One file of text, as its name tells it."""

    # as shown to people: templates/welcome/hello.email.es.txt.j2
    file: str
    journey: str
    # "" for a layout
    message: str
    channel: str
    locale: str
    # mjml | txt
    form: str
    source: str

    @property
    def sandbox(self) -> Sandbox:
        """HTML is escaped by itself, text is not."""
        return HTML if self.form == "mjml" else TEXT

    @property
    def head(self) -> list[Header]:
        """The headers that the text begins with, in order; a blank line ends them."""
        found: list[Header] = []
        if self.form == "txt" and self.message:
            for i, line in enumerate(self.source.split("\n"), 1):
                match = _HEADER.fullmatch(line.rstrip("\r"))
                if match is None or match["name"].lower() not in _HEADERS[self.channel]:
                    break
                found.append(Header(match["name"].lower(), match["value"].strip(), i))
        return found


def load_templates(folder: Path, default_locale: str = "en") -> CompiledTemplates:
    """All templates of a folder, compiled; `default_locale` is the house's.

    Raises ContentError with every problem of every file, with the author's own line numbers.
    """
    files, problems = read_templates(folder)
    return compile_templates(files, default_locale, problems)


def read_templates(folder: Path) -> tuple[list[TemplateFile], list[Problem]]:
    """The template files of a folder in order, and what is wrong with their names or bytes."""
    files: list[TemplateFile] = []
    problems: list[Problem] = []
    for path in sorted(folder.glob("*/*.j2")):
        shown = path.relative_to(folder.parent).as_posix()
        match = _NAME.fullmatch(path.name)
        in_layout = path.parent.name == LAYOUT
        if match is None or (match["message"] is None) != in_layout or match["channel"] not in CHANNELS:
            expected = "email.<locale>.mjml.j2" if in_layout else "<message>.<channel>.<locale>.txt.j2 or .mjml.j2"
            problems.append(Problem(shown, 1, "this name says nothing", f"{expected}; channels: {', '.join(CHANNELS)}"))
            continue
        if match["form"] == "mjml" and match["channel"] != "email":
            problems.append(Problem(shown, 1, "only e-mail is written in MJML", "name it .txt.j2"))
            continue
        try:
            source = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            problems.append(Problem(shown, 1, "this file is not UTF-8 text", "save it as UTF-8"))
            continue
        files.append(
            TemplateFile(
                file=shown,
                journey=path.parent.name,
                message=match["message"] or "",
                channel=match["channel"],
                locale=canonical(match["locale"]),
                form=match["form"],
                source=source,
            )
        )
    return files, problems


def compile_templates(
    files: Iterable[TemplateFile], default_locale: str = "en", problems: Iterable[Problem] = ()
) -> CompiledTemplates:
    """As `load_templates`, from files in hand; `problems` are told together with those found here."""
    compiler = _Compiler(list(files), default_locale, list(problems))
    messages = compiler.messages()
    if compiler.problems:
        raise ContentError(sorted(compiler.problems, key=lambda problem: (problem.file, problem.line)))
    return CompiledTemplates(messages, default_locale)


class _Compiler:
    """Compiles one folder's files, collecting problems."""

    def __init__(self, files: list[TemplateFile], default_locale: str, problems: list[Problem]) -> None:
        self.default_locale, self.problems = default_locale, problems
        sound = [file for file in files if self._reads(file)]
        self.layouts = {
            form: {file.locale: file for file in sound if file.journey == LAYOUT and file.form == form}
            for form in ("mjml", "txt")
        }
        self.all = [file for file in files if file.journey != LAYOUT]
        self.sound = [file for file in sound if file.journey != LAYOUT]

    def messages(self) -> dict[tuple[str, str, str], dict[str, Compiled]]:
        """(journey, message, channel) → locale → compiled."""
        made: dict[tuple[str, str, str], dict[str, Compiled]] = {}
        written = {(file.journey, file.message, file.channel, file.locale, file.form): file for file in self.all}
        for file in self.sound:
            if file.form == "mjml":
                if (file.journey, file.message, "email", file.locale, "txt") not in written:
                    self._problem(
                        file, 1, "this e-mail has no text part", f"add {file.message}.email.{file.locale}.txt.j2"
                    )
                continue
            partner = written.get((file.journey, file.message, file.channel, file.locale, "mjml"))
            if file.channel == "email" and partner is None:
                self._problem(
                    file, 1, "this e-mail has no HTML part", f"add {file.message}.email.{file.locale}.mjml.j2"
                )
                continue
            try:
                compiled = self._email(file, partner) if partner is not None else self._alone(file)
            except ContentError as error:
                self.problems.extend(error.problems)
                continue
            made.setdefault((file.journey, file.message, file.channel), {})[file.locale] = compiled
        for (journey, message, channel), locales in made.items():
            unsound = {locale: None for j, m, c, locale, _ in written if (j, m, c) == (journey, message, channel)}
            # what is written and not sound is told already
            if best(self.default_locale, {**unsound, **locales}) is None:
                folder = next(file for file in self.sound if file.journey == journey).file.rpartition("/")[0]
                self.problems.append(
                    Problem(folder, 1, f"{message} for {channel} has no text in the house locale {self.default_locale}")
                )
        return made

    def _reads(self, file: TemplateFile) -> bool:
        """Whether the file is sound by itself: its syntax, and nothing that the sandbox does not offer."""
        sound = True
        for before, source in sources(file):
            try:
                read(file.sandbox, source)
            except Rejected as error:
                found = [Problem(file.file, before + fault.line, fault.what, fault.cure) for fault in error.faults]
                self.problems.extend(found)
                sound = False
        return sound

    def _alone(self, file: TemplateFile) -> Compiled:
        """A text without HTML, with what stands above it."""
        head, lines = file.head, file.source.split("\n")
        body_at = len(head)
        if head:
            if body_at == len(lines) or lines[body_at].strip():
                cure = f"headers are {', '.join(name.title() for name in _HEADERS[file.channel])}"
                raise ContentError([Problem(file.file, body_at + 1, "a blank line ends the headers", cure)])
            body_at += 1
            if not any(line.strip() for line in lines[body_at:]):
                cure = "write the message in full below: previews and open conversations show it"
                raise ContentError([Problem(file.file, body_at, "there are no words below the headers", cure)])
        media = [_one_line(file, header) for header in head if header.name == "media"]
        return Compiled(
            locale=file.locale,
            text=program(
                TEXT, "\n".join(lines[body_at:]), {n: (file.file, body_at + n) for n in range(1, len(lines) + 1)}
            ),
            approved=_approved(file, head),
            media=media[0] if media else None,
            limit=SMS_LIMIT if file.channel == "sms" else CHAT_LIMIT,
        )

    def _email(self, file: TemplateFile, partner: TemplateFile) -> Compiled:
        headers, body_at = self._headers(file)
        html_layout, text_layout = self._layout("mjml", file), self._layout("txt", file)
        html, html_places = to_html(
            around(pieces(html_layout.source, html_layout.file), pieces(partner.source, partner.file))
        )
        return Compiled(
            locale=file.locale,
            subject=_one_line(file, headers["subject"]),
            preheader=_one_line(file, headers["preheader"]) if "preheader" in headers else None,
            html=program(HTML, html, html_places),
            text=program(TEXT, *_within(text_layout, file, body_at)),
        )

    def _headers(self, file: TemplateFile) -> tuple[dict[str, Header], int]:
        """name → header, and the index of the text's first line."""
        head, lines = file.head, file.source.split("\n")
        headers = {header.name: header for header in head}
        ended = len(head) < len(lines) and not lines[len(head)].strip()
        if ended and "subject" in headers and len(headers) == len(head):
            return headers, len(head) + 1
        raise ContentError(
            [
                Problem(
                    file.file,
                    len(headers) + 1,
                    "an e-mail's text starts with its headers",
                    "first line `Subject: …`, then if you like `Preheader: …`, then a blank line",
                )
            ]
        )

    def _layout(self, form: str, file: TemplateFile) -> TemplateFile:
        layouts = self.layouts[form]
        found = best(file.locale, layouts)
        if found is None:
            missing = f"templates/{LAYOUT}/email.{file.locale}.{form}.j2"
            raise ContentError([Problem(file.file, 1, f"there is no sound layout for {file.locale}", f"see {missing}")])
        return layouts[found]

    def _problem(self, file: TemplateFile, line: int, what: str, cure: str = "") -> None:
        self.problems.append(Problem(file.file, line, what, cure))


def sources(file: TemplateFile) -> list[tuple[int, str]]:
    """The parts of a file that are templates of their own, each with the number of lines before it.

    Each header of an e-mail is one, so that what is wrong with it is not looked for in the text below.
    """
    head = file.head
    body = "\n".join(file.source.split("\n")[len(head) :])
    return [*((header.line - 1, header.value) for header in head if header.name not in _LITERAL), (len(head), body)]


def _one_line(file: TemplateFile, header: Header) -> Program:
    return program(TEXT, header.value, {1: (file.file, header.line)})


def _approved(file: TemplateFile, head: list[Header]) -> Approved | None:
    """What the platform approved, as the headers name it; raises ContentError."""
    problems: list[Problem] = []
    literal: dict[str, str] = {}
    names: set[str] = set()
    for header in head:
        if header.name in names and header.name != "variable":
            problems.append(Problem(file.file, header.line, f"{header.name.title()} stands here twice"))
        names.add(header.name)
        if header.name in _LITERAL:
            form, expected = _LITERAL[header.name]
            if not form.fullmatch(header.value):
                problems.append(Problem(file.file, header.line, f"{header.name.title()} is not of its form", expected))
            literal[header.name] = header.value
    if names & {"language", "variable"} and not names & {"template", "content-sid"}:
        cure = "add `Template: …` (Meta) or `Content-Sid: …` (Twilio)"
        problems.append(Problem(file.file, 1, "no approved template is named", cure))
    if problems:
        raise ContentError(problems)
    if not names & {"template", "content-sid"}:
        return None
    return Approved(
        name=literal.get("template", ""),
        content_sid=literal.get("content-sid", ""),
        language=literal.get("language", file.locale.replace("-", "_")),
        variables=tuple(_one_line(file, header) for header in head if header.name == "variable"),
    )


def program(sandbox: Sandbox, source: str, places: Mapping[int, Place]) -> Program:
    """A compiled template; raises ContentError with the author's lines."""
    try:
        return Program(sandbox, source, places)
    except Rejected as error:
        raise ContentError(
            [_problem_at(fault.line, fault.what, fault.cure, places) for fault in error.faults]
        ) from None


def _problem_at(line: int, what: str, cure: str, places: Mapping[int, Place]) -> Problem:
    file, at = places[max(known for known in places if known <= max(line, min(places)))]
    return Problem(file, at, what, cure)


def _within(layout: TemplateFile, file: TemplateFile, body_at: int) -> tuple[str, dict[int, Place]]:
    """The text layout around a message's text, and where each line came from."""
    body = [(line, (file.file, i)) for i, line in enumerate(file.source.split("\n"), 1) if i > body_at]
    while body and not body[-1][0].strip():
        body.pop()
    whole: list[tuple[str, Place]] = []
    found = 0
    for i, line in enumerate(layout.source.split("\n"), 1):
        if _MARKER.match(line):
            found += 1
            whole.extend(body)
        else:
            whole.append((line, (layout.file, i)))
    if found != 1:
        raise ContentError(
            [Problem(layout.file, 1, "a layout needs the line {# content #} once", "put it where texts go")]
        )
    return "\n".join(line for line, _ in whole), {n: place for n, (_, place) in enumerate(whole, 1)}
