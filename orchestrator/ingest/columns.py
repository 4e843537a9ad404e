"""One column's text becomes one value, or says why not.

Numbers are read exactly: money never passes through a binary fraction. A column's reader takes the text (None: the
file has nothing there) and gives str, int, float, bool, date, datetime (aware UTC) or None.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal, InvalidOperation

from babel.numbers import get_currency_precision

from orchestrator.ingest.clocks import LocalClock
from orchestrator.ingest.mapping import Column
from orchestrator.ingest.refusal import Reason, RowRefused

Value = str | int | float | bool | date | datetime | None
Reader = Callable[[str | None], Value]
Parse = Callable[[str], Value]

ROUNDING = {"half_up": ROUND_HALF_UP, "half_even": ROUND_HALF_EVEN, "down": ROUND_DOWN, "up": ROUND_UP}
TRUE = frozenset({"true", "t", "yes", "y", "1"})
FALSE = frozenset({"false", "f", "no", "n", "0"})
# what JSON readers take for sure, and beyond which no count or amount of ours goes
LARGEST = 10**15
_DIGITS = 16


def reader(name: str, column: Column, clock: LocalClock, cured: Counter[str]) -> Reader:
    """A function that reads one column; it adds to `cured` under `<name>.<reason>` what it made null.

    Raises ValueError where the mapping's own bounds can't be read.
    """
    parse = _parser(name, column, clock)
    check = _range(name, column, parse)
    nulls = frozenset(column.null)
    may_cure = {
        "negative": column.negative is None,
        "out_of_range": column.out_of_range is None,
        "skipped_hour": column.unreadable is None,
        "repeated_hour": column.unreadable is None,
    }

    required, as_is = column.required, parse is str

    def read(raw: str | None) -> Value:
        text = None if raw is None else raw.strip()
        if text is None or text in nulls:
            if required:
                raise RowRefused(name, "required", "give a value")
            return None
        if as_is:
            return text
        try:
            value = parse(text)
            if check is not None:
                check(value)
        except RowRefused as refused:
            if not may_cure.get(refused.reason, column.unreadable is None):
                raise
            cured[f"{name}.{refused.reason}"] += 1
            if required:
                raise RowRefused(name, "required", "its value was made null, and it is required") from None
            return None
        return value

    return read


def _parser(name: str, column: Column, clock: LocalClock) -> Parse:
    match column.type:
        case "text":
            return _one_of(name, column.one_of) if column.one_of else str
        case "int":
            return _whole(name, column, 0)
        case "money":
            return _whole(name, column, get_currency_precision(column.currency or "XXX"))
        case "decimal":
            return _decimal(name, column)
        case "bool":
            return _bool(name)
        case "date":
            return _date(name, column.format)
        case "datetime":
            return _datetime(name, column.format, clock)


def _one_of(name: str, words: tuple[str, ...]) -> Parse:
    allowed = frozenset(words)

    def parse(text: str) -> str:
        if text not in allowed:
            raise RowRefused(name, "not_one_of", "use a word of the column's one_of list, or add it there")
        return text

    return parse


def _whole(name: str, column: Column, places: int) -> Parse:
    """Whole numbers of units of 10^-places; digits beyond are refused, or rounded where the mapping says how."""
    plain = column.decimal_mark == "." and not column.thousands_mark

    def exact(text: str) -> int:
        return _rounded(name, column, _exact(name, column, text).scaleb(places))

    def whole(text: str) -> int:
        return int(text) if text.isdigit() and text.isascii() and len(text) < _DIGITS else exact(text)

    def money(text: str) -> int:
        # 12.34 without a detour by Decimal
        digits = text[: -places - 1] + text[-places:]
        usual = text[-places - 1 : -places] == "." and len(digits) > places
        return (
            whole(digits) if usual and digits.isdigit() and digits.isascii() and len(digits) < _DIGITS else exact(text)
        )

    return exact if not plain else money if places else whole


def _exact(name: str, column: Column, text: str) -> Decimal:
    if column.thousands_mark:
        text = text.replace(column.thousands_mark, "")
    if column.decimal_mark == ",":
        if "." in text:
            raise RowRefused(name, "not_a_number", "its decimal mark is a comma")
        text = text.replace(",", ".")
    try:
        # underscores are Python's own, and no number of anybody's file
        number = Decimal(text) if text.isascii() and "_" not in text else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise RowRefused(name, "not_a_number", "give a number in digits")
    if number and number.adjusted() >= _DIGITS:
        raise RowRefused(name, "out_of_range", f"give a number up to {LARGEST}")
    return number


def _rounded(name: str, column: Column, number: Decimal) -> int:
    whole = number.to_integral_value(ROUNDING[column.round] if column.round else ROUND_DOWN)
    if whole != number and column.round is None:
        reason: Reason = "too_precise" if column.type == "money" else "not_whole"
        raise RowRefused(name, reason, "give whole units, or say in the mapping how to round")
    if abs(whole) > LARGEST:
        raise RowRefused(name, "out_of_range", f"give a number up to {LARGEST} units")
    return int(whole)


def _decimal(name: str, column: Column) -> Parse:
    def parse(text: str) -> float:
        number = float(_exact(name, column, text))
        if not math.isfinite(number):
            raise RowRefused(name, "out_of_range", "give a smaller number")
        return number

    return parse


def _bool(name: str) -> Parse:
    def parse(text: str) -> bool:
        word = text.lower()
        if word in TRUE:
            return True
        if word in FALSE:
            return False
        raise RowRefused(name, "not_a_truth_value", "use true or false, yes or no, 1 or 0")

    return parse


def _date(name: str, form: str) -> Parse:
    def parse(text: str) -> date:
        try:
            # a format without a time gives midnight; its zone does not matter to a calendar day
            return datetime.strptime(text, form).date() if form else date.fromisoformat(text)  # noqa: DTZ007  # a day
        except ValueError:
            raise RowRefused(name, "not_a_date", f"write it as {form or 'YYYY-MM-DD'}") from None

    return parse


def _datetime(name: str, form: str, clock: LocalClock) -> Parse:
    """Aware UTC; a time without an offset is local in the source's zone."""
    utc_offsets = ("Z", "+00:00")

    def parse(text: str) -> datetime:
        try:
            at = datetime.strptime(text, form) if form else datetime.fromisoformat(text)  # noqa: DTZ007  # see below
        except ValueError:
            raise RowRefused(name, "not_an_instant", f"write it as {form or 'YYYY-MM-DDThh:mm:ssZ'}") from None
        if not form and text.endswith(utc_offsets):
            return at
        return clock.instant(at, name)

    return parse


def _range(name: str, column: Column, parse: Parse) -> Callable[[Value], None] | None:
    """A function that refuses what lies beyond the column's bounds; None where it has none."""
    low, high = (None if bound is None else parse(str(bound)) for bound in (column.min, column.max))
    negatives = column.negative == "allow"
    if low is None and high is None and negatives:
        return None

    def check(value: Value) -> None:
        if not negatives and value < 0:  # type: ignore[operator]  # only numbers have `negative`; `load` sees to it
            raise RowRefused(name, "negative", "give a number of zero or more")
        if (low is not None and value < low) or (high is not None and value > high):  # type: ignore[operator]  # of one type
            raise RowRefused(name, "out_of_range", f"give a value from {column.min} to {column.max}")

    return check
