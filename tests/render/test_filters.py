"""What each filter gives, at its edges."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from babel import Locale
from babel.localedata import locale_identifiers
from babel.numbers import get_currency_precision, parse_pattern
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from orchestrator.render.contract import RenderError
from orchestrator.render.filters import OFFERED
from orchestrator.render.filters.local import written
from orchestrator.render.limits import LIMITS
from orchestrator.render.program import Program
from orchestrator.render.sandbox import HTML, TEXT, compile_expression

DATA: dict[str, object] = {
    "day": date(2026, 11, 22),
    "now": datetime(2026, 11, 22, 23, 30, tzinfo=UTC),
    "rows": [{"n": 3, "w": "c"}, {"n": 1, "w": "a"}, {"n": 2, "w": "b"}],
    "text": "one two three",
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("text|upper", "ONE TWO THREE"),
        ("text|capitalize", "One two three"),
        ("text|title", "One Two Three"),
        ("'  a '|trim", "a"),
        ("text|truncate(13)", "one two three"),
        ("text|truncate(12)", "one two…"),
        ("'abcdef'|truncate(4)", "abc…"),
        ("'abcdef'|truncate(2, '...')", "..."),
        ("text|replace('o', '0')", "0ne tw0 three"),
        ("'a'|center(5)", "  a  "),
        ("'a\nb'|indent(2)", "a\n  b"),
        ("text|wordwrap(10)", "one two\nthree"),
        ("'%s: %05.1f'|format('a', 2.25)", "a: 002.2"),
        ("'a b&c'|urlencode", "a%20b%26c"),
        ("rows|map('n')|list", [3, 1, 2]),
        ("rows|sort('n')|map(attribute='w')|join('-')", "a-b-c"),
        ("rows|sort('n', reverse=true)|first|tojson", '{"n":3,"w":"c"}'),
        ("rows|sum('n')", 6),
        ("rows|selectattr('n', 1)|length", 1),
        ("rows|rejectattr('n', 1)|count", 2),
        ("[3, 1]|min", 1),
        ("[3, 1]|max", 3),
        ("[]|max", None),
        ("[]|first", None),
        ("[1, 1, 2]|unique|reverse", [2, 1]),
        ("{'a': 1}|items", [("a", 1)]),
        ("2.5|round", 2),
        ("2.345|round(1)", 2.3),
        ("'12'|int + 1", 13),
        ("'x'|int(7)", 7),
        ("'1e999'|float(7)", 7),
        ("0 - 3|abs", -3),
        ("day|days_until(now)", 0),
        ("'2026-12-31'|days_until(day)", 39),
        ("now|local('Asia/Tokyo')|date('short', 'es')", "23/11/26"),
    ],
)
def test_value(source: str, value: object) -> None:
    assert value == compile_expression(source)(DATA)


@pytest.mark.parametrize(
    ("minor", "currency", "locale", "text"),
    [
        (123450, "EUR", "es", "1.234,50 €"),
        (500, "EUR", "es", "5 €"),
        (501, "EUR", "es", "5,01 €"),
        (0, "EUR", "es", "0 €"),
        (-1999, "USD", "en", "-$19.99"),
        (123456, "JPY", "en", "¥123,456"),
        (5_000_000, "COP", "es-CO", "$ 50.000"),
        (1_234_567_890, "EUR", "de", "12.345.678,90 €"),
        (12345, "KWD", "en", "KWD 12.345"),
    ],
)
def test_money_is_written_as_the_reader_writes_it_without_needless_decimals(
    minor: int, currency: str, locale: str, text: str
) -> None:
    expression = compile_expression(f"({minor})|money('{currency}', '{locale}')")
    assert text.replace(" ", "") == "".join(str(expression({})).split())


@given(
    st.sampled_from(sorted(locale_identifiers())),
    st.sampled_from(("EUR", "USD", "COP", "JPY", "KWD", "CLF", "CHF", "INR")),
    st.integers(-LIMITS.number, LIMITS.number)
    | st.integers(-200_000, 200_000)
    | st.integers(-99, 99).map(lambda n: n * 100),
)
def test_money_is_written_as_babel_writes_it(name: str, currency: str, minor: int) -> None:
    locale, digits = Locale.parse(name), int(get_currency_precision(currency))
    pattern = parse_pattern(locale.currency_formats["standard"].pattern)
    pattern.frac_prec = (0, 0) if minor % 10**digits == 0 else (digits, digits)
    expected = pattern.apply(Decimal(minor).scaleb(-digits), locale, currency=currency, currency_digits=False)
    assert expected == written(minor, currency, locale)


@given(st.text(alphabet="ab&<>'\"é \n") | st.text() | st.integers() | st.floats())
def test_what_is_put_out_is_escaped_as_markupsafe_does(value: object) -> None:
    assert str(escape(value)) == str(HTML.escaped(value))


@pytest.mark.parametrize(
    ("locale", "text"),
    [("en", "November 22, 2026"), ("es", "22 de noviembre de 2026"), ("pt", "22 de novembro de 2026")],
)
def test_a_date_follows_the_locale_of_the_message(locale: str, text: str) -> None:
    assert text == Program(TEXT, "{{ day|date }}", {1: ("t", 1)}).run(DATA, locale)


def test_a_bucket_is_the_same_in_every_process_and_year() -> None:
    values = [compile_expression(f"'{member}'|bucket(100, 'spring')")({}) for member in ("m1", "m2", "m3")]
    assert [45, 46, 65] == values


def test_buckets_are_filled_evenly_and_another_salt_splits_otherwise() -> None:
    first, second = (compile_expression(f"m|bucket(2, '{salt}')") for salt in ("a", "b"))
    pairs = [(first({"m": f"m{i}"}), second({"m": f"m{i}"})) for i in range(4_000)]
    assert all(900 < pairs.count((x, y)) < 1_100 for x in (0, 1) for y in (0, 1))


@pytest.mark.parametrize("zone", ["../../etc/passwd", "/etc/passwd", "Nowhere/Never", "", "Europe/../Madrid"])
def test_a_zone_is_a_name_and_no_path(zone: str) -> None:
    with pytest.raises(RenderError, match="zone such as"):
        compile_expression("now|local(zone)")({**DATA, "zone": zone})


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:x",
        "data:text/html,x",
        " https://x",
        "//x",
        "https://x y",
        'https://x"y',
        "https:",
    ],
)
def test_only_web_mail_and_telephone_addresses_are_links(address: str) -> None:
    with pytest.raises(RenderError, match="a link must start"):
        compile_expression("a|link")({"a": address})


@pytest.mark.parametrize("address", ["https://x.org/?a=1&b=2", "mailto:a@b.c", "tel:+34600000000", ""])
def test_links_are_left_as_they_are(address: str) -> None:
    assert address == compile_expression("a|link")({"a": address})


@pytest.mark.parametrize("name", sorted(OFFERED - {"default", "d"}))
def test_every_filter_but_default_refuses_what_is_missing(name: str) -> None:
    with pytest.raises(RenderError, match="not known here"):
        compile_expression(f"rows.zzz|{name}")({"rows": {}})


@pytest.mark.parametrize("name", sorted(OFFERED))
@pytest.mark.parametrize("value", ["None", "true", "{}", "[[]]", "1.5", "now", "''", "'\\u0000'", "10 ** 15"])
def test_no_filter_ends_in_anything_but_a_value_or_a_render_error(name: str, value: str) -> None:
    for arguments in ("", "(1)", "('x')", "(1, 2, 3)", "(zzz=1)", "(none)", "([], {})"):
        said = ""
        try:
            compile_expression(f"({value})|{name}{arguments}")({**DATA, "None": None})
        except RenderError as error:
            said = str(error)
        assert "Error while" not in said, f"{name}{arguments} lacks an explanation of its own"
