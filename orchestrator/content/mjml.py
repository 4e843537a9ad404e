"""MJML with Jinja in it, compiled to HTML with Jinja in it.

Jinja's tags are replaced by plain words before MJML sees the document and put back afterwards. So nothing in an
expression can disturb MJML or be disturbed by it, and each tag that comes out still knows the author's file and line.
What MJML would lose, move or repeat is found by comparing the words that went in with those that came out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

import mrml
from jinja2 import TemplateSyntaxError
from msgspec import Struct

from orchestrator.errors import ContentError, Problem
from orchestrator.render.sandbox import HTML

CONTENT = "content"
_NAMES = (
    "accordion accordion-element accordion-text accordion-title all attributes body breakpoint button carousel "
    "carousel-image class column divider font group head hero image navbar navbar-link preview raw section selector "
    "social social-element spacer style table text title wrapper"
)
COMPONENTS = frozenset(f"mj-{name}" for name in _NAMES.split())
# attributes whose value is text or an address; all others end up in CSS, where escaping for HTML does not protect
OPEN_ATTRIBUTES = frozenset({"href", "src", "alt", "title"})
_VOID = frozenset({"br", "img", "hr", "wbr", "col", "input", "meta", "link"})
_MARK = re.compile(r"zq(\d+)qz")
_TAG = re.compile(r"<!--.*?-->|<(?P<close>/?)(?P<name>[a-zA-Z][\w-]*)(?P<attributes>[^<>]*?)(?P<empty>/?)>", re.DOTALL)
_ATTRIBUTE = re.compile(r"""(?P<name>[\w:-]+)\s*=\s*("[^"]*"|'[^']*')""", re.DOTALL)
_ADDRESS_STARTS = re.compile(r"""\b(?:href|src)=["']$""")


class Piece(Struct, frozen=True):
    """A stretch of an author's file: plain markup, or one Jinja tag."""

    kind: Literal["data", "value", "control", "comment"]
    # data: the markup; others: what stands between the braces
    text: str
    file: str
    # line of its first character, from 1
    line: int


def pieces(source: str, file: str) -> list[Piece]:
    """A file cut into markup and tags; raises ContentError where Jinja can't read it."""
    cut: list[Piece] = []
    opened: tuple[str, int] | None = None
    inside: list[str] = []
    try:
        for line, part, value in HTML.lex(source):
            if part == "data":
                cut.append(Piece("data", value, file, line))
            elif part.startswith("raw"):
                raise ContentError([Problem(file, line, "raw is not offered", "write {{ '{{' }} for braces")])
            elif part in ("variable_begin", "block_begin", "comment_begin"):
                opened, inside = (part, line), []
            elif part in ("variable_end", "block_end", "comment_end") and opened is not None:
                kind: Literal["value", "control", "comment"] = (
                    "value" if part[0] == "v" else "control" if part[0] == "b" else "comment"
                )
                cut.append(Piece(kind, "".join(inside), file, opened[1]))
                opened = None
            else:
                inside.append(value)
    except TemplateSyntaxError as error:
        raise ContentError([Problem(file, error.lineno or 1, error.message or "syntax error")]) from None
    return cut


def around(layout: Sequence[Piece], content: Sequence[Piece]) -> list[Piece]:
    """The layout with the content where its line `{# content #}` stands; comments are dropped.

    Raises ContentError if the layout has not exactly one such line.
    """
    places = [i for i, piece in enumerate(layout) if piece.kind == "comment" and piece.text.strip() == CONTENT]
    if len(places) != 1:
        file = layout[0].file if layout else "templates/_layout"
        raise ContentError([Problem(file, 1, "a layout needs the line {# content #} once", "put it where messages go")])
    whole = [*layout[: places[0]], *content, *layout[places[0] + 1 :]]
    return [piece for piece in whole if piece.kind != "comment"]


class _Masked:
    """The document with words in place of tags, and where each of its characters came from."""

    def __init__(self, document: Sequence[Piece]) -> None:
        self.document = document
        self.starts: list[int] = []
        text: list[str] = []
        size = 0
        for n, piece in enumerate(document):
            part = piece.text if piece.kind == "data" else f"zq{n}qz"
            self.starts.append(size)
            text.append(part)
            size += len(part)
        self.text = "".join(text)

    def place(self, offset: int) -> tuple[str, int]:
        low, high = 0, len(self.starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.starts[middle] <= offset else (low, middle)
        piece = self.document[low]
        return piece.file, piece.line + self.text.count("\n", self.starts[low], offset)

    def problem(self, offset: int, what: str, cure: str = "") -> Problem:
        file, line = self.place(offset)
        return Problem(file, line, what, cure)


def to_html(document: Sequence[Piece]) -> tuple[str, dict[int, tuple[str, int]]]:
    """The HTML template of a whole MJML document, and for its lines the author's file and line.

    Raises ContentError with all problems found.
    """
    masked = _Masked(document)
    problems = [*_strays(document), *_structure(masked)]
    if problems:
        raise ContentError(problems)
    try:
        html = mrml.to_html(masked.text).content
    except OSError as error:
        at = re.search(r"at position (\d+)", str(error))
        raise ContentError([masked.problem(int(at[1]) if at else 0, f"MJML: {error}")]) from None
    problems = list(_survival(masked, html))
    if problems:
        raise ContentError(problems)
    return _unmask(document, html)


def _strays(document: Sequence[Piece]) -> Iterator[Problem]:
    for piece in document:
        if piece.kind == "data" and _MARK.search(piece.text):
            yield Problem(piece.file, piece.line, "words such as zq1qz are kept for our own use", "write another")


def _structure(masked: _Masked) -> Iterator[Problem]:
    """Unknown components, tags that do not match, and Jinja where it would do harm or be lost."""
    open_tags: list[tuple[str, int]] = []
    for tag in _TAG.finditer(masked.text):
        name = (tag["name"] or "").lower()
        if not name:
            continue
        if name.startswith("mj-") and name not in COMPONENTS:
            yield masked.problem(
                tag.start(), f"there is no component {name}", f"there are: {', '.join(sorted(COMPONENTS))}"
            )
        if name in ("script", "iframe", "object", "embed", "form"):
            yield masked.problem(tag.start(), f"<{name}> does not work in e-mail", "leave it out")
        if tag["close"]:
            if not open_tags or open_tags[-1][0] != name:
                expected = (
                    f"</{open_tags[-1][0]}> of line {masked.place(open_tags[-1][1])[1]}" if open_tags else "nothing"
                )
                yield masked.problem(tag.start(), f"</{name}> closes nothing here", f"still open is {expected}")
                return
            _, start = open_tags.pop()
            if name in ("mj-style", "style") and (mark := _MARK.search(masked.text, start, tag.start())):
                yield masked.problem(
                    mark.start(), "Jinja can't stand in CSS", "choose between classes or sections instead"
                )
            continue
        yield from _attributes(masked, tag)
        if name == "mj-raw" and open_tags and open_tags[-1][0] != "mj-body":
            yield masked.problem(
                tag.start(), "mj-raw moves out of its place here", "Jinja tags need no mj-raw: write them as they are"
            )
        if not tag["empty"] and name not in _VOID:
            open_tags.append((name, tag.start()))
    for name, start in open_tags:
        yield masked.problem(start, f"<{name}> is not closed", f"add </{name}>")


def _attributes(masked: _Masked, tag: re.Match[str]) -> Iterator[Problem]:
    base, allowed = tag.start("attributes"), set[int]()
    for attribute in _ATTRIBUTE.finditer(tag["attributes"]):
        for mark in _MARK.finditer(attribute[0]):
            if attribute["name"].lower() in OPEN_ATTRIBUTES and masked.document[int(mark[1])].kind == "value":
                allowed.add(attribute.start() + mark.start())
    for mark in _MARK.finditer(tag["attributes"]):
        if mark.start() not in allowed:
            yield masked.problem(
                base + mark.start(),
                "Jinja can't stand here in a tag",
                "only as a value {{ … }} between the quotes of href, src, alt or title",
            )


def _survival(masked: _Masked, html: str) -> Iterator[Problem]:
    before = [int(mark[1]) for mark in _MARK.finditer(masked.text)]
    after = [int(mark[1]) for mark in _MARK.finditer(html)]
    controls = [n for n in before if masked.document[n].kind == "control"]
    came_out = [n for n in after if masked.document[n].kind == "control"]
    cure = "put it within mj-text, or directly within mj-body, mj-section or mj-column"
    lost = [n for n in before if n not in set(after)]
    for n in lost:
        piece = masked.document[n]
        yield Problem(piece.file, piece.line, "MJML drops what stands here", cure)
    if not lost and controls != came_out:
        first = next((a for a, b in zip(controls, came_out, strict=False) if a != b), controls[-1])
        yield Problem(masked.document[first].file, masked.document[first].line, "MJML moves what stands here", cure)


def _unmask(document: Sequence[Piece], html: str) -> tuple[str, dict[int, tuple[str, int]]]:
    """Puts the tags back, each on a line of its own number: a line break inside a tag is no text, but counts a line."""
    source: list[str] = []
    places: dict[int, tuple[str, int]] = {}
    line, end = 1, 0
    for mark in _MARK.finditer(html):
        piece = document[int(mark[1])]
        between = html[end : mark.start()]
        line += between.count("\n") + 1
        places |= {line + k: (piece.file, piece.line + k) for k in range(piece.text.count("\n") + 1)}
        line += piece.text.count("\n")
        source += [between, _tag(piece, is_address=bool(_ADDRESS_STARTS.search(between)))]
        end = mark.end()
    return "".join([*source, html[end:]]), places


def _tag(piece: Piece, *, is_address: bool) -> str:
    if piece.kind == "control":
        return f"{{%\n{piece.text}%}}"
    # an address that starts with a member's own words could be a script: `link` refuses all but web, mail, telephone
    return f"{{{{\n({piece.text})|link}}}}" if is_address else f"{{{{\n{piece.text}}}}}"
