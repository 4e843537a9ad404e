"""The filters and tests that templates and expressions may use: pure, bounded, and nothing else than these.

Each takes and gives plain data. Texts are announced to the frame before they are built, lists before they are walked.
A missing value is refused by every one of them but `default`, `defined` and `undefined`.
"""

from __future__ import annotations

import hashlib
import math
import re
import textwrap
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

import msgspec
from babel import Locale
from babel.core import UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import (
    format_decimal,
    get_currency_precision,
    get_decimal_symbol,
    get_group_symbol,
    parse_pattern,
)
from jinja2 import pass_context
from jinja2.runtime import Undefined
from msgspec import Struct

from orchestrator.render.frame import Frame
from orchestrator.render.language import CONCAT, LOOP, PUT, RESULT, WEIGH
from orchestrator.render.limits import LIMITS, Refusal
from orchestrator.render.missing import present

Filter = Callable[..., Any]
FILTERS: dict[str, Filter] = {}
TESTS: dict[str, Filter] = {}

_CURRENCY = re.compile("[A-Z]{3}")
_FORMAT = re.compile(r"%(?:%|[-+0 ]?\d{0,2}(?:\.\d)?[sdf])")
_LINK = re.compile(r"(?:https?://|mailto:|tel:)[^\s\"'<>\\\x00-\x1f]+", re.IGNORECASE)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9+_-]*(?:/[A-Za-z0-9+_-]+){0,2}")
_STYLES = frozenset({"short", "medium", "long", "full"})


def _offer(*names: str) -> Callable[[Filter], Filter]:
    """Registers `f(frame, value, …)` under these names; missing values are refused before it is called."""

    def register(function: Filter) -> Filter:
        @pass_context
        def guarded(frame: Frame, value: object, *args: object, **kwargs: object) -> object:
            if not args and not kwargs:
                return function(frame, present(value))
            given = {name: present(argument) for name, argument in kwargs.items()}
            try:
                return function(frame, present(value), *map(present, args), **given)
            except TypeError:
                raise Refusal(f"{names[0]} is given arguments that it does not take") from None

        for name in names:
            FILTERS[name] = guarded
        return function

    return register


def text_of(value: object) -> str:
    """Text or number as text; raises Refusal for anything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal(f"a text is needed here, not {_kind(value)}")
    return str(value)


def _kind(value: object) -> str:
    return "nothing (None)" if value is None else type(value).__name__


def _whole(value: object, low: int, high: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Refusal(f"{name} must be a whole number from {low} to {high}")
    return value


def _number(value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal(f"a number is needed here, not {_kind(value)}")
    return value


def _list(frame: Frame, value: object) -> list[Any]:
    if not isinstance(value, list | tuple | dict):
        raise Refusal(f"a list is needed here, not {_kind(value)}")
    frame.items(len(value))
    return list(value)


def _dig(item: object, path: object) -> object:
    for name in text_of(path).split("."):
        if isinstance(item, Mapping) and name in item:
            item = item[name]
        elif isinstance(item, Struct) and name in item.__struct_fields__:
            item = getattr(item, name)
        else:
            raise Refusal("an item has no such field")
    return item


# --- what the rewriting of language.py leads through us


@pass_context
def _loop(frame: Frame, value: object, weight: int, label: str) -> list[Any]:
    value = present(value)
    if not isinstance(value, list | tuple | dict):
        raise Refusal(f"{label} can't be looped over: it is {_kind(value)}, not a list")
    frame.step(len(value) * weight)
    return list(value)


@pass_context
def _concatenate(frame: Frame, *values: object) -> str:
    parts = [text_of(present(value)) for value in values]
    frame.text(sum(map(len, parts)))
    return "".join(parts)


@pass_context
def _put(_frame: Frame, value: object, label: str) -> object:
    if value.__class__ is str or value.__class__ is int:
        return value
    present(value)
    if isinstance(value, Undefined):
        return ""
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, date):
        raise Refusal(f"{label} is a date: say how to write it, as in {{{{ {label}|date }}}}")
    raise Refusal(f"{label} is {_kind(value)} and can't be written; give it a default, as in |default('…')")


@pass_context
def _result(frame: Frame, value: object) -> None:
    frame.value = present(value)


@pass_context
def _weigh(frame: Frame, value: object) -> object:
    frame.weigh(value)
    return value


_OURS: dict[str, Filter] = {LOOP: _loop, CONCAT: _concatenate, PUT: _put, RESULT: _result, WEIGH: _weigh}
FILTERS |= _OURS


# --- absent values


@pass_context
def _default(_frame: Frame, value: object, fallback: object = "") -> object:
    """The fallback where the value is missing, None or empty text."""
    return present(fallback) if isinstance(value, Undefined) or value is None or value == "" else value


FILTERS |= {"default": _default, "d": _default}


# --- text


def _mapped(name: str, change: Callable[[str], str]) -> None:
    @_offer(name)
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


@_offer("truncate")
def _truncate(frame: Frame, value: object, length: object = 255, end: object = "…") -> str:
    """At most `length` characters, cut at a space where there is one, with `end` as the last."""
    text, limit, tail = text_of(value), _whole(length, 1, LIMITS.text, "length"), text_of(end)
    frame.text(min(len(text), limit) + len(tail))
    if len(text) <= limit:
        return text
    kept = text[: max(limit - len(tail), 0)]
    return (kept.rsplit(" ", 1)[0] if " " in kept else kept).rstrip() + tail


@_offer("replace")
def _replace(frame: Frame, value: object, old: object, new: object) -> str:
    text, former, latter = text_of(value), text_of(old), text_of(new)
    if not former:
        raise Refusal("replace needs a text to look for")
    frame.text(len(text) + text.count(former) * max(len(latter) - len(former), 0))
    return text.replace(former, latter)


@_offer("center")
def _center(frame: Frame, value: object, width: object = 80) -> str:
    text, columns = text_of(value), _whole(width, 0, 500, "width")
    frame.text(max(len(text), columns))
    return text.center(columns)


@_offer("indent")
def _indent(frame: Frame, value: object, width: object = 4) -> str:
    """Every line but the first moved to the right."""
    text, columns = text_of(value), _whole(width, 0, 100, "width")
    frame.text(len(text) + (text.count("\n") * columns))
    return text.replace("\n", "\n" + " " * columns)


@_offer("wordwrap")
def _wordwrap(frame: Frame, value: object, width: object = 79) -> str:
    text, columns = text_of(value), _whole(width, 10, 500, "width")
    frame.text(2 * len(text))
    frame.step(len(text) // 10)
    return "\n".join(line for part in text.split("\n") for line in (textwrap.wrap(part, columns) or [""]))


@_offer("format")
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


@_offer("urlencode")
def _urlencode(frame: Frame, value: object) -> str:
    """Fit to stand in the query of a link."""
    text = text_of(value)
    frame.text(len(text) * 12)
    return quote(text, safe="", errors="replace")


@_offer("tojson")
def _tojson(frame: Frame, value: object) -> str:
    frame.text(0)
    try:
        text = msgspec.json.encode(value).decode()
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        raise Refusal("tojson can't write this value") from None
    frame.text(len(text))
    frame.step(len(text) // 10)
    return text


@_offer("link")
def _link(_frame: Frame, value: object) -> str:
    """The address, if it is a web, mail or telephone link; anything else could be a script and is refused."""
    text = text_of(value)
    if text and not _LINK.fullmatch(text):
        raise Refusal("a link must start with https://, http://, mailto: or tel: and hold no spaces or quotes")
    return text


# --- lists


@_offer("length", "count")
def _length(_frame: Frame, value: object) -> int:
    if not isinstance(value, str | list | tuple | dict):
        raise Refusal(f"length is asked of {_kind(value)}")
    return len(value)


@_offer("first")
def _first(frame: Frame, value: object) -> object:
    return next(iter(_list(frame, value)), None)


@_offer("last")
def _last(frame: Frame, value: object) -> object:
    return next(iter(reversed(_list(frame, value))), None)


@_offer("list")
def _as_list(frame: Frame, value: object) -> list[Any]:
    return _list(frame, value)


@_offer("items")
def _items(frame: Frame, value: object) -> list[Any]:
    if not isinstance(value, dict):
        raise Refusal(f"items are asked of {_kind(value)}")
    frame.items(len(value))
    return list(value.items())


@_offer("join")
def _join(frame: Frame, value: object, separator: object = "", attribute: object = None) -> str:
    items = _list(frame, value)
    parts = [text_of(_dig(item, attribute) if attribute is not None else item) for item in items]
    between = text_of(separator)
    frame.text(sum(map(len, parts)) + len(between) * len(parts))
    return between.join(parts)


@_offer("map")
def _map(frame: Frame, value: object, attribute: object) -> list[Any]:
    return [_dig(item, attribute) for item in _list(frame, value)]


@_offer("selectattr")
def _selectattr(frame: Frame, value: object, attribute: object, *equal: object) -> list[Any]:
    """Items whose field is truthy, or equal to the given value."""
    return [item for item in _list(frame, value) if _matches(_dig(item, attribute), equal)]


@_offer("rejectattr")
def _rejectattr(frame: Frame, value: object, attribute: object, *equal: object) -> list[Any]:
    return [item for item in _list(frame, value) if not _matches(_dig(item, attribute), equal)]


def _matches(value: object, equal: tuple[object, ...]) -> bool:
    return value == equal[0] if equal else bool(value)


@_offer("sort")
def _sort(frame: Frame, value: object, attribute: object = None, reverse: object = False) -> list[Any]:
    items = _list(frame, value)
    try:
        keys: list[Any] = items if attribute is None else [_dig(item, attribute) for item in items]
        order = sorted(range(len(items)), key=keys.__getitem__, reverse=bool(reverse))
        return [items[i] for i in order]
    except TypeError:
        raise Refusal("sort is given values that have no common order") from None


@_offer("reverse")
def _reverse(frame: Frame, value: object) -> list[Any]:
    return _list(frame, value)[::-1]


@_offer("unique")
def _unique(frame: Frame, value: object) -> list[Any]:
    try:
        return list(dict.fromkeys(_list(frame, value)))
    except TypeError:
        raise Refusal("unique is given values that can't be compared") from None


@_offer("sum")
def _sum(frame: Frame, value: object, attribute: object = None) -> int | float:
    items = _list(frame, value)
    return sum(_number(_dig(item, attribute) if attribute is not None else item) for item in items)


@_offer("min")
def _min(frame: Frame, value: object) -> object:
    return _sort(frame, value)[0] if value else None


@_offer("max")
def _max(frame: Frame, value: object) -> object:
    return _sort(frame, value)[-1] if value else None


# --- numbers


@_offer("abs")
def _abs(_frame: Frame, value: object) -> int | float:
    return abs(_number(value))


@_offer("round")
def _round(_frame: Frame, value: object, digits: object = 0) -> int | float:
    """Rounded half to even; without digits a whole number."""
    places = _whole(digits, 0, 6, "digits")
    return round(_number(value), places) if places else round(_number(value))


@_offer("int")
def _int(_frame: Frame, value: object, fallback: object = 0) -> object:
    return _read_number(value, int, fallback)


@_offer("float")
def _float(_frame: Frame, value: object, fallback: object = 0.0) -> object:
    return _read_number(value, float, fallback)


def _read_number(value: Any, kind: type[int | float], fallback: object) -> object:
    if isinstance(value, str) and len(value) > 30:
        return fallback
    try:
        number = kind(value)
    except (TypeError, ValueError, OverflowError):
        return fallback
    return number if math.isfinite(number) and abs(number) <= LIMITS.number else fallback


@_offer("bucket")
def _bucket(_frame: Frame, value: object, n: object, salt: object = "") -> int:
    """A stable number from 0 to n-1 for a value: the same on every machine, in every year; other salt, other split."""
    parts = _whole(n, 1, 1_000_000, "bucket")
    digest = hashlib.blake2b(f"{text_of(salt)}\0{text_of(value)}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % parts


# --- what depends on the locale; it is the message's own unless another is given


@lru_cache(maxsize=64)
def _locale(name: str) -> Locale:
    try:
        return Locale.parse(name.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        raise Refusal("a locale such as es, pt or en-GB is needed") from None


def _locale_of(frame: Frame, given: object) -> Locale:
    return _locale(frame.locale if given is None else text_of(given)[:20])


class _MoneyForm(NamedTuple):
    """How a locale writes amounts of a currency that are positive, or those that are negative."""

    # what stands around the number
    before: str
    after: str
    # between groups of digits, and before the decimals
    group: str
    point: str
    # digits of the last group, and of those before it
    last: int
    others: int
    # decimals, as many as minor units have digits
    digits: int


@lru_cache(maxsize=512)
def _money_form(currency: str, locale: Locale, negative: bool) -> _MoneyForm:
    """What Babel does with an amount, read off one that it wrote: written by it each takes ten times as long."""
    pattern = parse_pattern(locale.currency_formats["standard"].pattern)
    pattern.frac_prec = (0, 0)
    one = pattern.apply(Decimal(-1 if negative else 1), locale, currency=currency, currency_digits=False)
    before, _, after = str(one).partition("1")
    return _MoneyForm(
        before, after, get_group_symbol(locale), get_decimal_symbol(locale), *pattern.grouping,
        int(get_currency_precision(currency)),
    )  # fmt: skip


@_offer("money")
def _money(frame: Frame, value: object, currency: object, locale: object = None) -> str:
    """An amount in minor units: `123450|money("EUR")` is `1.234,50 €` in Spanish; no decimals where there are none."""
    minor, code = _whole(value, -LIMITS.number, LIMITS.number, "an amount in minor units"), text_of(currency)
    if not _CURRENCY.fullmatch(code):
        raise Refusal("a currency such as EUR or COP is needed")
    return _written(minor, code, _locale_of(frame, locale))


def _written(minor: int, currency: str, locale: Locale) -> str:
    form = _money_form(currency, locale, minor < 0)
    major, rest = divmod(abs(minor), 10**form.digits)
    whole, tail, size = str(major), "", form.last
    while len(whole) > size:
        whole, tail, size = whole[:-size], f"{form.group}{whole[-size:]}{tail}", form.others
    decimals = f"{form.point}{rest:0{form.digits}}" if rest else ""
    return f"{form.before}{whole}{tail}{decimals}{form.after}"


@_offer("number")
def _format_number(frame: Frame, value: object, locale: object = None) -> str:
    """With the locale's marks: `1234.5|number` is `1.234,5` in Spanish."""
    return format_decimal(_number(value), locale=_locale_of(frame, locale))


def _moment(value: object) -> date:
    if isinstance(value, date):
        return value
    try:
        text = text_of(value)
        return datetime.fromisoformat(text) if len(text) > 10 else date.fromisoformat(text)
    except ValueError:
        raise Refusal("a date such as 2026-11-22 is needed") from None


def _style(value: object) -> str:
    style = text_of(value)
    if style not in _STYLES:
        raise Refusal(f"a style is one of {', '.join(sorted(_STYLES))}")
    return style


@_offer("date")
def _date(frame: Frame, value: object, style: object = "long", locale: object = None) -> str:
    """A day in words: `22 de noviembre de 2026`; style is short, medium, long or full."""
    day = _moment(value)
    return format_date(day, _style(style), locale=_locale_of(frame, locale))


@_offer("time")
def _time(frame: Frame, value: object, style: object = "short", locale: object = None) -> str:
    """A time of day, on the clock that the value carries; use `local` before it for another zone."""
    moment = _moment(value)
    if not isinstance(moment, datetime):
        raise Refusal("a time of day is asked of a day")
    return format_time(moment.timetz(), _style(style), locale=_locale_of(frame, locale))


@_offer("local")
def _local(_frame: Frame, value: object, zone: object) -> datetime:
    """The same instant on the clocks of an IANA zone: `now|local("America/Bogota")|time`."""
    moment, name = _moment(value), text_of(zone)
    if not isinstance(moment, datetime) or moment.tzinfo is None:
        raise Refusal("local needs an instant with an offset")
    try:
        if not _ZONE.fullmatch(name):
            raise ValueError(name)
        return moment.astimezone(ZoneInfo(name))
    except (ValueError, KeyError, OSError, OverflowError):
        raise Refusal("a zone such as Europe/Madrid is needed") from None


@_offer("days_until")
def _days_until(_frame: Frame, value: object, other: object) -> int:
    """Whole calendar days from `other` to the value: `event.expires_on|days_until(now)`."""
    end, start = _moment(value), _moment(other)
    day, origin = (m.date() if isinstance(m, datetime) else m for m in (end, start))
    return (day - origin).days


# names an author may write
OFFERED = frozenset(FILTERS) - frozenset(_OURS)


# --- tests


def _test(*names: str) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
    def register(function: Callable[..., bool]) -> Callable[..., bool]:
        def guarded(value: object, *args: object) -> bool:
            try:
                return function(present(value), *map(present, args))
            except TypeError:
                raise Refusal(f"the test {names[0]} does not fit this value") from None

        TESTS.update(dict.fromkeys(names, guarded))
        return function

    return register


TESTS["defined"] = lambda value: not isinstance(value, Undefined)
TESTS["undefined"] = lambda value: isinstance(value, Undefined)
_test("none")(lambda value: value is None)
_test("true")(lambda value: value is True)
_test("false")(lambda value: value is False)
_test("boolean")(lambda value: isinstance(value, bool))
_test("string")(lambda value: isinstance(value, str))
_test("number")(lambda value: isinstance(value, int | float) and not isinstance(value, bool))
_test("integer")(lambda value: isinstance(value, int) and not isinstance(value, bool))
_test("mapping")(lambda value: isinstance(value, dict))
_test("sequence")(lambda value: isinstance(value, list | tuple))
_test("even")(lambda value: _number(value) % 2 == 0)
_test("odd")(lambda value: _number(value) % 2 == 1)
_test("divisibleby")(lambda value, by: _number(value) % _whole(by, 1, LIMITS.number, "divisibleby") == 0)
_test("in")(lambda value, container: value in container)
_test("eq", "equalto", "==")(lambda value, other: value == other)
_test("ne", "!=")(lambda value, other: value != other)
_test("gt", "greaterthan", ">")(lambda value, other: value > other)
_test("ge", ">=")(lambda value, other: value >= other)
_test("lt", "lessthan", "<")(lambda value, other: value < other)
_test("le", "<=")(lambda value, other: value <= other)
