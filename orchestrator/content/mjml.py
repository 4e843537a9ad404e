"""MJML with Jinja in it, compiled to HTML with Jinja in it.

Jinja's tags are replaced by plain words before MJML sees the document and put back afterwards. So nothing in an
expression can disturb MJML or be disturbed by it, and each tag that comes out still knows the author's file and line.
What MJML would lose, move or repeat is found by comparing all words that went in with those that came out: it writes
some parts into comments for Outlook, and its CSS inliner moves bare text out of tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import unescape
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
_STYLES = frozenset({"mj-style", "style"})
_NOT_IN_MAIL = frozenset({"script", "iframe", "object", "embed", "form"})
_VOID = frozenset({"br", "img", "hr", "wbr", "col", "input", "meta", "link"})
_MARK = re.compile(r"zq(\d+)qz")
# tags that steer are masked as comments, which may stand anywhere in HTML, also between the rows of a table
_UNMASK = re.compile(r"<!--zq(?P<control>\d+)qz-->|zq(?P<value>\d+)qz")
_WORD = re.compile(r"<!--zq\d+qz-->|zq\d+qz|(?:(?!zq\d+qz|<!--zq)\S)+")
_OUTLOOK = re.compile(r"<!--(?!zq\d+qz-->).*?-->", re.DOTALL)
_MARKUP = re.compile(r"<!--(?!zq\d+qz-->).*?-->|<(?!!--)[^<>]*>", re.DOTALL)
_TAG = re.compile(
    r"<!--zq\d+qz-->|(?P<comment><!--.*?-->)"
    r"|<(?P<close>/?)(?P<name>[a-zA-Z][\w-]*)(?P<attributes>(?:<!--zq\d+qz-->|[^<>])*?)(?P<empty>/?)>",
    re.DOTALL,
)
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
            part = piece.text if piece.kind == "data" else f"zq{n}qz" if piece.kind == "value" else f"<!--zq{n}qz-->"
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
        # without fonts: mrml would load some from Google, which tells Google who reads
        html = mrml.to_html(_safe(masked.text), None, mrml.RenderOptions(fonts={})).content
    except OSError as error:
        at = re.search(r"at position (\d+)", str(error))
        raise ContentError([masked.problem(int(at[1]) if at else 0, f"MJML: {error}")]) from None
    except BaseException as error:  # a panic of mrml's Rust is no Exception
        if type(error).__name__ != "PanicException":
            raise
        cure = "look for odd characters within < and >"
        raise ContentError([masked.problem(max(masked.text.find("<mj-body"), 0), "MJML can't be read", cure)]) from None
    problems = list(_survival(masked, html))
    if problems:
        raise ContentError(problems)
    return _unmask(document, html)


def _safe(source: str) -> str:
    """With `&gt;` for each `>` that closes no tag: mrml 0.2 panics at such a one after a letter outside ASCII."""
    parts: list[str] = []
    end, in_style = 0, False
    for tag in _TAG.finditer(source):
        between = source[end : tag.start()]
        parts += [between if in_style else between.replace(">", "&gt;"), tag[0]]
        in_style = (tag["name"] or "").lower() in _STYLES and not tag["close"]
        end = tag.end()
    return "".join([*parts, source[end:]])


def _strays(document: Sequence[Piece]) -> Iterator[Problem]:
    for piece in document:
        if piece.kind == "data" and _MARK.search(piece.text):
            yield Problem(piece.file, piece.line, "words such as zq1qz are kept for our own use", "write another")


def _structure(masked: _Masked) -> Iterator[Problem]:
    """Unknown components, tags that do not match, and Jinja where it would do harm or be lost."""
    open_tags: list[tuple[str, int]] = []
    for tag in _TAG.finditer(masked.text):
        name = (tag["name"] or "").lower()
        if tag["comment"] and (mark := _MARK.search(tag["comment"])):
            yield masked.problem(tag.start() + mark.start(), "Jinja can't stand in a comment", "write {# … #} instead")
        elif name and tag["close"]:
            yield from _closed(masked, open_tags, name, tag.start())
        elif name:
            yield from _opened(masked, tag, name, open_tags[-1][0] if open_tags else "")
            if not tag["empty"] and name not in _VOID:
                open_tags.append((name, tag.start()))
    for name, start in open_tags:
        yield masked.problem(start, f"<{name}> is not closed", f"add </{name}>")


def _closed(masked: _Masked, open_tags: list[tuple[str, int]], name: str, at: int) -> Iterator[Problem]:
    """Takes the tag from the open ones, and with it those within it that were left open."""
    if name not in [other for other, _ in open_tags]:
        yield masked.problem(at, f"</{name}> closes nothing", "take it away, or open it before")
        return
    while open_tags[-1][0] != name:
        unclosed, start = open_tags.pop()
        yield masked.problem(start, f"<{unclosed}> is not closed", f"add </{unclosed}> before </{name}>")
    _, start = open_tags.pop()
    if name in _STYLES and (mark := _MARK.search(masked.text, start, at)):
        yield masked.problem(mark.start(), "Jinja can't stand in CSS", "choose between classes or sections instead")


def _opened(masked: _Masked, tag: re.Match[str], name: str, within: str) -> Iterator[Problem]:
    if name.startswith("mj-") and name not in COMPONENTS:
        yield masked.problem(
            tag.start(), f"there is no component {name}", f"there are: {', '.join(sorted(COMPONENTS))}"
        )
    if name in _NOT_IN_MAIL:
        yield masked.problem(tag.start(), f"<{name}> does not work in e-mail", "leave it out")
    if name == "mj-raw" and within != "mj-body":
        cure = "Jinja tags need no mj-raw: write them as they are"
        yield masked.problem(tag.start(), "mj-raw moves out of its place here", cure)
    yield from _attributes(masked, tag)


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
    """What does not come out, or not in its order, or more than once where it steers."""
    heard = iter([word for word, _ in _words(html, html.find("<body"))])
    cure = "write it within mj-text; Jinja's {% %} may also stand directly within mj-body, mj-section or mj-column"
    for word, offset in _words(masked.text, masked.text.find("<mj-body")):
        if not any(word == other for other in heard):
            yield masked.problem(offset, "MJML drops or moves what stands here", cure)
            return
    everywhere = [mark["control"] or mark["value"] for mark in _UNMASK.finditer(html)]
    shown = {mark["value"] for mark in _UNMASK.finditer(_OUTLOOK.sub("", html))}
    for n, piece in enumerate(masked.document):
        steers_once = piece.kind == "control" and everywhere.count(str(n)) == 1
        if piece.kind != "data" and not steers_once and str(n) not in shown:
            yield Problem(piece.file, piece.line, "MJML drops or repeats what stands here", cure)


def _words(source: str, start: int) -> list[tuple[str, int]]:
    """What stands between the markup, from `start` on, word for word with its offset; Jinja's tags count as words."""
    bare = _MARKUP.sub(lambda markup: " " * len(markup[0]), source)
    return [(unescape(word[0]), word.start()) for word in _WORD.finditer(bare, max(start, 0))]


def _unmask(document: Sequence[Piece], html: str) -> tuple[str, dict[int, tuple[str, int]]]:
    """Puts the tags back, each on a line of its own number: a line break inside a tag is no text, but counts a line."""
    source: list[str] = []
    places: dict[int, tuple[str, int]] = {}
    line, end = 1, 0
    for mark in _UNMASK.finditer(html):
        piece = document[int(mark["control"] or mark["value"])]
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
