"""Whatever is written as a template: it compiles and renders, or ends in an error of ours, and stays within bounds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.content.templates import TemplateFile, compile_templates
from orchestrator.errors import ContentError
from orchestrator.render.contract import RenderError
from orchestrator.render.filters import OFFERED, TESTS
from orchestrator.render.limits import LIMITS
from orchestrator.render.program import Program
from orchestrator.render.sandbox import HTML, TEXT, compile_expression

# three thousand examples take a minute of processor time, and more on a shared machine
pytestmark = pytest.mark.timeout(1_200)

HOSTILE = "<script>\"'&"
DATA: dict[str, object] = {
    "member": {
        "given_name": HOSTILE,
        "tier": None,
        "attributes": {"n": 3, "list": [1, 2, [3, "x"]], "d": {"a": HOSTILE}},
    },
    "event": {"amount": 12345, "currency": "EUR", "day": "2026-11-22"},
    "unsubscribe_url": "https://x.org/u",
    "subject": "s",
}
PLACES = {line: ("t.j2", line) for line in range(1, 100)}

_TOKENS = """\
{{ }} {% %} {# #} {%- -%} {{- -}} if else elif endif for endfor in set = not and or is ( ) [ ] { } : , . | ~ + - * **
/ // % < > == 1 0 9999999999 1.5 'a' "%s" none true loop raw endraw recursive text é <mj-text> </mj-text> <b> x self
member member.given_name member.tier member.attributes attributes.list event event.amount __class__ _x
"""
_words = st.sampled_from([*_TOKENS.split(), "\n", " ", "\x00", "\u2028", *sorted(OFFERED), *sorted(TESTS)])
_anything = st.one_of(st.lists(_words, max_size=25).map(" ".join), st.text(max_size=80))


def _expressions() -> st.SearchStrategy[str]:
    """Expressions that parse more often than not, so that the deeper parts are reached."""
    names = [
        "member.given_name",
        "member.tier",
        "member.attributes.list",
        "member.attributes.d",
        "event.amount",
        "event",
        "zz",
    ]
    leaves = st.one_of(
        st.sampled_from(
            [*names, "1", "0", "2.5", "'a'", "''", "none", "true", "[]", "{}", "10 ** 9", "'%s%d'", "'x' * 3"]
        ),
        st.integers(-(10**6), 10**20).map(str),
    )

    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        operator = st.sampled_from(
            ["+", "-", "*", "/", "//", "%", "**", "~", "==", "<", ">=", "and", "or", "in", "not in"]
        )
        return st.one_of(
            st.tuples(inner, operator, inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
            st.tuples(inner, st.sampled_from(sorted(OFFERED))).map(lambda t: f"({t[0]})|{t[1]}"),
            st.tuples(inner, st.sampled_from(sorted(OFFERED)), inner).map(lambda t: f"({t[0]})|{t[1]}({t[2]})"),
            st.tuples(inner, st.sampled_from(sorted(OFFERED)), inner, inner).map(
                lambda t: f"({t[0]})|{t[1]}({t[2]}, {t[3]})"
            ),
            st.tuples(inner, st.sampled_from(sorted(TESTS))).map(
                lambda t: f"({t[0]} is {t[1]})" if t[1].isalpha() else t[0]
            ),
            st.tuples(inner, inner).map(lambda t: f"[{t[0]}, {t[1]}]"),
            st.tuples(inner, inner).map(lambda t: f"({t[0]})[{t[1]}]"),
            st.tuples(inner, inner, inner).map(lambda t: f"({t[0]} if {t[1]} else {t[2]})"),
        )

    return st.recursive(leaves, grow, max_leaves=8)


def failure(call: Callable[[], object]) -> str:
    """The text of the RenderError that a call ends in, "" if it ends well; any other error passes."""
    try:
        call()
    except RenderError as error:
        return str(error)
    return ""


@given(_anything)
def test_any_text_as_a_template(source: str) -> None:
    for sandbox in (TEXT, HTML):
        with contextlib.suppress(RenderError):
            assert len(Program(sandbox, source, PLACES).run(DATA, "es")) <= LIMITS.output


@given(_expressions())
def test_any_expression_gives_a_value_or_a_render_error_that_shows_no_value(source: str) -> None:
    said = failure(lambda: compile_expression(source)(DATA))
    assert HOSTILE not in said
    assert "Error while" not in said, "this failure lacks an explanation of its own"


@given(_expressions())
def test_what_stands_in_html_is_escaped(source: str) -> None:
    try:
        html = Program(HTML, "{{ " + source + " }}", PLACES).run(DATA, "es")
    except RenderError:
        return
    assert not set("<\"'") & set(html)


@given(_anything, _anything, _anything)
def test_any_files_of_a_message(fragment: str, text: str, sms: str) -> None:
    layout = "<mjml><mj-body>\n{# content #}\n</mj-body></mjml>"

    def file(message: str, channel: str, form: str, source: str, journey: str = "j") -> TemplateFile:
        return TemplateFile(
            file=f"{message}.{channel}.{form}",
            journey=journey,
            message=message,
            channel=channel,
            locale="en",
            form=form,
            source=source,
        )

    files = [
        file("", "email", "mjml", layout, "_layout"),
        file("", "email", "txt", "{# content #}", "_layout"),
        file("a", "email", "mjml", f"<mj-section><mj-column><mj-text>{fragment}</mj-text></mj-column></mj-section>"),
        file("a", "email", "txt", f"Subject: {text}\n\n{text}"),
        file("a", "sms", "txt", sms),
    ]
    try:
        templates = compile_templates(files)
    except ContentError:
        return
    for channel in ("email", "sms"):
        try:
            words = templates.render("j", "a", channel, "es", DATA)
        except RenderError:
            continue
        assert not set("\r\n\0") & set(words.subject)
