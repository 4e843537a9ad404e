"""Filters whose words depend on the locale: the message's own unless another is given."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

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

from orchestrator.render.filters.offering import number_of, offer, text_of, whole_of
from orchestrator.render.frame import Frame
from orchestrator.render.limits import LIMITS, Refusal

_CURRENCY = re.compile("[A-Z]{3}")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9+_-]*(?:/[A-Za-z0-9+_-]+){0,2}")
_STYLES = frozenset({"short", "medium", "long", "full"})


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


@offer("money")
def _money(frame: Frame, value: object, currency: object, locale: object = None) -> str:
    """An amount in minor units: `123450|money("EUR")` is `1.234,50 €` in Spanish; no decimals where there are none."""
    minor, code = whole_of(value, -LIMITS.number, LIMITS.number, "an amount in minor units"), text_of(currency)
    if not _CURRENCY.fullmatch(code):
        raise Refusal("a currency such as EUR or COP is needed")
    return written(minor, code, _locale_of(frame, locale))


def written(minor: int, currency: str, locale: Locale) -> str:
    """An amount in minor units as the locale's readers write it."""
    form = _money_form(currency, locale, minor < 0)
    major, rest = divmod(abs(minor), 10**form.digits)
    whole, tail, size = str(major), "", form.last
    while len(whole) > size:
        whole, tail, size = whole[:-size], f"{form.group}{whole[-size:]}{tail}", form.others
    decimals = f"{form.point}{rest:0{form.digits}}" if rest else ""
    return f"{form.before}{whole}{tail}{decimals}{form.after}"


@offer("number")
def _format_number(frame: Frame, value: object, locale: object = None) -> str:
    """With the locale's marks: `1234.5|number` is `1.234,5` in Spanish."""
    return format_decimal(number_of(value), locale=_locale_of(frame, locale))


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


@offer("date")
def _date(frame: Frame, value: object, style: object = "long", locale: object = None) -> str:
    """A day in words: `22 de noviembre de 2026`; style is short, medium, long or full."""
    day = _moment(value)
    return format_date(day, _style(style), locale=_locale_of(frame, locale))


@offer("time")
def _time(frame: Frame, value: object, style: object = "short", locale: object = None) -> str:
    """A time of day, on the clock that the value carries; use `local` before it for another zone."""
    moment = _moment(value)
    if not isinstance(moment, datetime):
        raise Refusal("a time of day is asked of a day")
    return format_time(moment.timetz(), _style(style), locale=_locale_of(frame, locale))


@offer("local")
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


@offer("days_until")
def _days_until(_frame: Frame, value: object, other: object) -> int:
    """Whole calendar days from `other` to the value: `event.expires_on|days_until(now)`."""
    end, start = _moment(value), _moment(other)
    day, origin = (m.date() if isinstance(m, datetime) else m for m in (end, start))
    return (day - origin).days
