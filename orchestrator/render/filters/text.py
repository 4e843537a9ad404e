"""Filters of texts."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from urllib.parse import quote

import msgspec

from orchestrator.render.filters.offering import offer, text_of, whole_of
from orchestrator.render.frame import Frame
from orchestrator.render.limits import LIMITS, Refusal

_FORMAT = re.compile(r"%(?:%|[-+0 ]?\d{0,2}(?:\.\d)?[sdf])")
_LINK = re.compile(r"(?:https?://|mailto:|tel:)[^\s\"'<>\\\x00-\x1f]+", re.IGNORECASE)


def _mapped(name: str, change: Callable[[str], str]) -> None:
    @offer(name)
    def changed(frame: Frame, value: object) -> str:
        text = text_of(value)
        # upper case may lengthen a text: 'ß' becomes 'SS', the longest case triples it
        frame.text(len(text))
        return change(text)


for _name, _change in (
    ("upper", str.upper),
    ("lower", str.lower),
    ("capitalize", str.capitalize),
    ("title", str.title),
    ("trim", str.strip),
    ("string", str),
):
    _mapped(_name, _change)


@offer("truncate")
def _truncate(frame: Frame, value: object, length: object = 255, end: object = "…") -> str:
    """At most `length` characters, cut at a space where there is one, with `end` as the last."""
    text, limit, tail = text_of(value), whole_of(length, 1, LIMITS.text, "length"), text_of(end)
    frame.text(min(len(text), limit) + len(tail))
    if len(text) <= limit:
        return text
    kept = text[: max(limit - len(tail), 0)]
    return (kept.rsplit(" ", 1)[0] if " " in kept else kept).rstrip() + tail


@offer("replace")
def _replace(frame: Frame, value: object, old: object, new: object) -> str:
    text, former, latter = text_of(value), text_of(old), text_of(new)
    if not former:
        raise Refusal("replace needs a text to look for")
    frame.text(len(text) + text.count(former) * max(len(latter) - len(former), 0))
    return text.replace(former, latter)


@offer("center")
def _center(frame: Frame, value: object, width: object = 80) -> str:
    text, columns = text_of(value), whole_of(width, 0, 500, "width")
    frame.text(max(len(text), columns))
    return text.center(columns)


@offer("indent")
def _indent(frame: Frame, value: object, width: object = 4) -> str:
    """Every line but the first moved to the right."""
    text, columns = text_of(value), whole_of(width, 0, 100, "width")
    frame.text(len(text) + (text.count("\n") * columns))
    return text.replace("\n", "\n" + " " * columns)


@offer("wordwrap")
def _wordwrap(frame: Frame, value: object, width: object = 79) -> str:
    text, columns = text_of(value), whole_of(width, 10, 500, "width")
    frame.text(2 * len(text))
    frame.step(len(text) // 10)
    return "\n".join(line for part in text.split("\n") for line in (textwrap.wrap(part, columns) or [""]))


@offer("format")
def _format(frame: Frame, value: object, *args: object) -> str:
    """`"%s of %d"|format(a, b)`; widths below 100, no other conversions than s, d and f."""
    pattern = text_of(value)
    if "%" in _FORMAT.sub("", pattern):
        raise Refusal("format takes %s, %d and %f with widths below 100")
    frame.text(len(pattern) * 50 + sum(len(text_of(a)) for a in args))
    try:
        return pattern % args
    except (TypeError, ValueError, OverflowError):
        raise Refusal("format is given values that do not fit its pattern") from None


@offer("urlencode")
def _urlencode(frame: Frame, value: object) -> str:
    """Fit to stand in the query of a link."""
    text = text_of(value)
    frame.text(len(text) * 12)
    return quote(text, safe="", errors="replace")


@offer("tojson")
def _tojson(frame: Frame, value: object) -> str:
    frame.text(0)
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        raise Refusal("tojson can't write this value") from None
    frame.text(len(text))
    frame.step(len(text) // 10)
    return text


@offer("link")
def _link(_frame: Frame, value: object) -> str:
    """The address, if it is a web, mail or telephone link; anything else could be a script and is refused."""
    text = text_of(value)
    if text and not _LINK.fullmatch(text):
        raise Refusal("a link must start with https://, http://, mailto: or tel: and hold no spaces or quotes")
    return text
