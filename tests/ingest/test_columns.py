"""One text becomes one value, exactly; what can't is refused by reason, or made null where the mapping says so."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.ingest.clocks import LocalClock
from orchestrator.ingest.columns import reader
from orchestrator.ingest.mapping import Column
from orchestrator.ingest.refusal import RowRefused

NEW_YORK = LocalClock(ZoneInfo("America/New_York"))


def read(text: str | None, clock: LocalClock = NEW_YORK, cured: Counter[str] | None = None, **column: Any) -> Any:
    return reader("c", msgspec.convert(column, Column), clock, Counter() if cured is None else cured)(text)


def why(text: str | None, clock: LocalClock = NEW_YORK, **column: Any) -> str:
    with pytest.raises(RowRefused) as caught:
        read(text, clock, **column)
    assert caught.value.cure
    return caught.value.reason


@pytest.mark.parametrize(
    ("expected", "text", "column"),
    [
        (1234, "12.34", {"currency": "USD"}),
        (-1234, "-12.34", {"currency": "USD"}),
        (1230, "12.3", {"currency": "USD"}),
        (1200, "12", {"currency": "USD"}),
        (50, ".50", {"currency": "USD"}),
        (0, "0.00", {"currency": "USD"}),
        (5, "0.05", {"currency": "USD"}),
        (12, "12", {"currency": "JPY"}),
        (12345, "12.345", {"currency": "KWD"}),
        (123456, "1.234,56", {"currency": "EUR", "decimal_mark": ",", "thousands_mark": "."}),
        (1235, "12.345", {"currency": "USD", "round": "half_up"}),
        (1234, "12.345", {"currency": "USD", "round": "half_even"}),
        (1234, "12.349", {"currency": "USD", "round": "down"}),
        (-1235, "-12.345", {"currency": "USD", "round": "half_up"}),
    ],
)
def test_money_is_whole_minor_units_of_its_currency(expected: int, text: str, column: dict[str, str]) -> None:
    assert expected == read(text, type="money", **column)


@given(st.integers(-(10**15), 10**15))
def test_any_amount_is_read_to_the_cent(cents: int) -> None:
    sign, whole, part = "-" if cents < 0 else "", abs(cents) // 100, abs(cents) % 100
    assert cents == read(f"{sign}{whole}.{part:02d}", type="money", currency="USD")


@given(st.text(max_size=12) | st.from_regex(r"[-+]?[0-9]{0,18}[.,eE_]?[0-9]{0,4}", fullmatch=True))
def test_any_text_is_a_value_or_refused(text: str) -> None:
    """Whatever a file holds, no other error comes out of a column."""
    for column in (
        {"type": "int"}, {"type": "decimal"}, {"type": "money", "currency": "USD"}, {"type": "bool"},
        {"type": "date"}, {"type": "datetime"}, {"type": "date", "format": "%d.%m.%Y"},
        {"type": "datetime", "format": "%d/%m/%y %H:%M"}, {"type": "int", "round": "up", "min": 0, "max": 9},
    ):  # fmt: skip
        try:
            read(text, **column)
        except RowRefused as refused:
            assert text.strip() not in refused.cure or len(text.strip()) < 5  # noqa: PT017  # it may also hold


@pytest.mark.parametrize(
    ("reason", "text", "column"),
    [
        ("required", "", {"type": "text", "required": True}),
        ("required", None, {"type": "text", "required": True}),
        ("required", " - ", {"type": "text", "required": True, "null": ["-"]}),
        ("not_a_number", "twelve", {"type": "int"}),
        ("not_a_number", "1_000", {"type": "int"}),
        ("not_a_number", "٣", {"type": "int"}),
        ("not_a_number", "NaN", {"type": "decimal"}),
        ("not_a_number", "Infinity", {"type": "decimal"}),
        ("not_a_number", "1.5", {"type": "decimal", "decimal_mark": ","}),
        ("not_whole", "1.5", {"type": "int"}),
        ("too_precise", "1.005", {"type": "money", "currency": "USD"}),
        ("out_of_range", "1e400", {"type": "decimal"}),
        ("out_of_range", "1000000000000001", {"type": "int"}),
        ("out_of_range", "13", {"type": "int", "min": 1, "max": 12}),
        ("out_of_range", "0.99", {"type": "money", "currency": "USD", "min": 1}),
        ("out_of_range", "2016-12-31", {"type": "date", "min": "2017-01-01"}),
        ("negative", "-1", {"type": "int", "negative": "refuse"}),
        ("not_a_date", "2017-02-29", {"type": "date"}),
        ("not_a_date", "29/02/2017", {"type": "date", "format": "%d/%m/%Y"}),
        ("not_an_instant", "yesterday", {"type": "datetime"}),
        ("out_of_range", "0001-01-01T00:00:00+14:00", {"type": "datetime"}),
        ("not_a_truth_value", "maybe", {"type": "bool"}),
        ("not_one_of", "Gold", {"type": "text", "one_of": ["Silver"]}),
    ],
)
def test_what_can_not_be_read_is_refused_by_reason(reason: str, text: str | None, column: dict[str, Any]) -> None:
    assert reason == why(text, **column)


@pytest.mark.parametrize(
    ("count", "text", "column"),
    [
        ("c.negative", "-1", {"type": "int", "negative": None}),
        ("c.out_of_range", "99", {"type": "int", "max": 10, "out_of_range": None}),
        ("c.not_a_number", "n/k", {"type": "int", "unreadable": None}),
        ("c.not_a_date", "0000-00-00", {"type": "date", "unreadable": None}),
    ],
)
def test_a_cure_makes_it_null_and_is_counted(count: str, text: str, column: dict[str, Any]) -> None:
    cured: Counter[str] = Counter()
    assert read(text, cured=cured, **column) is None
    assert {count: 1} == cured


def test_a_cure_of_one_kind_is_none_of_another() -> None:
    assert "not_a_number" == why("x", type="int", negative=None)
    assert "negative" == why("-1", type="int", negative="refuse", unreadable=None)


def test_a_required_column_is_not_cured_into_nothing() -> None:
    assert "required" == why("-1", type="int", negative=None, required=True)


@pytest.mark.parametrize(("expected", "text"), [(True, "TRUE"), (True, "y"), (True, "1"), (False, "No"), (False, "0")])
def test_truth_in_common_words(expected: bool, text: str) -> None:
    assert expected is read(text, type="bool")


def test_days() -> None:
    assert date(2026, 2, 28) == read("28.02.2026", type="date", format="%d.%m.%Y")


class TestClockChanges:
    """New York 2026: clocks skip 02:00-03:00 on 8 March and repeat 01:00-02:00 on 1 November."""

    @pytest.mark.parametrize(
        ("expected", "text"),
        [
            ((3, 8, 6, 59), "2026-03-08T01:59:00"),
            ((3, 8, 7, 0), "2026-03-08T03:00:00"),
            ((11, 1, 4, 59), "2026-11-01T00:59:00"),
            ((11, 1, 5, 0), "2026-11-01T01:00:00"),
            ((11, 1, 7, 0), "2026-11-01T02:00:00"),
            # an offset in the text wins over the zone
            ((11, 1, 6, 30), "2026-11-01T01:30:00-05:00"),
            ((11, 1, 6, 30), "2026-11-01T06:30:00Z"),
        ],
    )
    def test_a_local_time_is_its_instant(self, expected: tuple[int, int, int, int], text: str) -> None:
        assert datetime(2026, *expected, tzinfo=UTC) == read(text, type="datetime")

    @pytest.mark.parametrize("text", ["2026-03-08T02:00:00", "2026-03-08T02:59:59"])
    def test_an_hour_that_never_was_is_refused(self, text: str) -> None:
        assert "skipped_hour" == why(text, type="datetime")

    def test_or_read_by_the_clock_that_was_not_put_forward(self) -> None:
        clock = LocalClock(NEW_YORK.zone, skipped_hour="later")
        assert datetime(2026, 3, 8, 7, 30, tzinfo=UTC) == read("2026-03-08T02:30:00", clock, type="datetime")

    @pytest.mark.parametrize(("which", "hour"), [("first", 5), ("second", 6)])
    def test_an_hour_that_comes_twice_is_the_one_that_is_meant(self, which: Any, hour: int) -> None:
        clock = LocalClock(NEW_YORK.zone, repeated_hour=which)
        assert datetime(2026, 11, 1, hour, 30, tzinfo=UTC) == read("2026-11-01T01:30:00", clock, type="datetime")

    def test_or_refused(self) -> None:
        clock = LocalClock(NEW_YORK.zone, repeated_hour="refuse")
        assert "repeated_hour" == why("2026-11-01T01:30:00", clock, type="datetime")
