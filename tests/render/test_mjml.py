"""Jinja within MJML comes out whole, in place, with the author's lines; what MJML would spoil is refused."""

from __future__ import annotations

import re
from html import unescape

import pytest

from orchestrator.content.mjml import around, pieces, to_html
from orchestrator.errors import ContentError
from orchestrator.render.contract import RenderError
from orchestrator.render.program import Program
from orchestrator.render.sandbox import HTML

LAYOUT = """\
<mjml>
<mj-head>
<mj-title>{{ subject }}</mj-title>
<mj-style inline='inline'>.y { color: #123456; }</mj-style>
</mj-head>
<mj-body>
{# content #}
</mj-body>
</mjml>
"""
COLUMN = "<mj-section><mj-column>{}</mj-column></mj-section>"
TEXT = COLUMN.format("<mj-text>{}</mj-text>")


def compiled(fragment: str, layout: str = LAYOUT) -> Program:
    return Program(HTML, *to_html(around(pieces(layout, "layout.j2"), pieces(fragment, "f.j2"))))


def render(fragment: str, **data: object) -> str:
    return compiled(fragment).run({"subject": "S", **data}, "en")


def problems(fragment: str, layout: str = LAYOUT) -> list[tuple[str, int, str]]:
    with pytest.raises(ContentError) as caught:
        compiled(fragment, layout)
    return [(problem.file, problem.line, problem.what) for problem in caught.value.problems]


def test_comparisons_quotes_and_ampersands_in_jinja_do_not_disturb_the_markup() -> None:
    source = TEXT.format("{% if a < 3 and b > '&\"}}' %}<b>{{ a ~ '<' }}</b>{% endif %}")
    assert "<b>2&lt;</b>" in render(source, a=2, b="z")
    assert "<b>" not in render(source, a=3, b="z")


def test_control_tags_between_components_choose_the_components() -> None:
    source = (
        "{% if wide %}\n<mj-section><mj-column>{% for x in xs %}<mj-text>row {{ x }}</mj-text>{% endfor %}\n"
        "<mj-text>LAST</mj-text></mj-column></mj-section>\n{% else %}\n" + TEXT.format("narrow") + "\n{% endif %}"
    )
    wide, narrow = render(source, wide=True, xs=[1, 2]), render(source, wide=False, xs=[])
    assert [True, True, True, False] == [word in wide for word in ("row 1", "row 2", "LAST", "narrow")]
    assert wide.index("row 1") < wide.index("row 2") < wide.index("LAST")
    assert [False, True] == [word in narrow for word in ("LAST", "narrow")]
    assert wide.count("<table") == wide.count("</table>")
    assert narrow.count("<table") == narrow.count("</table>")


def test_the_unsubscribe_address_survives_in_links_and_buttons() -> None:
    url = "https://x.org/u/9f?a=1&b=2"
    html = render(
        "<mj-section><mj-column><mj-text><a href='{{ url }}'>stop</a></mj-text>"
        '<mj-button href="{{ url }}">go</mj-button></mj-column></mj-section>',
        url=url,
    )
    assert 2 == html.count("https://x.org/u/9f?a=1&amp;b=2")


def test_css_of_the_layout_is_written_into_the_tags() -> None:
    assert 'style="color: #123456;"' in render(TEXT.format("<span class='y'>a</span>"))


def test_an_address_that_comes_from_data_can_not_be_a_script() -> None:
    program = compiled("\n" + TEXT.format('<a href="{{ url }}">x</a>'))
    with pytest.raises(RenderError, match=r"f.j2:2: a link must start with"):
        program.run({"subject": "", "url": "javascript:alert(1)"}, "en")


def test_a_value_can_not_leave_its_attribute() -> None:
    html = render(TEXT.format('<img src="https://x.org/a.png" alt="{{ n }}" />'), n='"><script>')
    assert "<script" not in html


def test_errors_have_the_lines_of_the_file_they_are_in() -> None:
    program = compiled("\n\n" + TEXT.format("a {{ ok }}\n b {{\n  zzz }} {{ ok }}"))
    with pytest.raises(RenderError, match=r"^f.j2:5: 'zzz' is undefined"):
        program.run({"subject": "", "ok": 1}, "en")
    with pytest.raises(RenderError, match=r"^layout.j2:3: 'subject' is undefined"):
        program.run({"ok": 1, "zzz": 1}, "en")


@pytest.mark.parametrize(
    ("fragment", "line", "word"),
    [
        ("<mj-section>\n<mj-column>\n<mj-txt>a</mj-txt></mj-column></mj-section>", 3, "no component mj-txt"),
        ("<mj-section>\n<mj-column>\n</mj-section>", 2, "<mj-column> is not closed"),
        ("\n<mj-section><mj-column></mj-column>", 2, "<mj-section> is not closed"),
        ("<mj-section>\n</mj-column></mj-section>", 2, "</mj-column> closes nothing"),
        ("\n<mj-include path='/etc/passwd' />", 2, "no component mj-include"),
        (TEXT.format("\n<script>1</script>"), 2, "does not work in e-mail"),
        (TEXT.format("\n<a {{ x }}>a</a>"), 2, "can't stand here in a tag"),
        (TEXT.format("\n<a href={{ x }}>a</a>"), 2, "can't stand here in a tag"),
        (TEXT.format("\n<a style='color:{{ x }}'>a</a>"), 2, "can't stand here in a tag"),
        (TEXT.format("\n<a href='{% if x %}a{% endif %}'>a</a>"), 2, "can't stand here in a tag"),
        ("<mj-section background-color='{{ x }}'></mj-section>", 1, "can't stand here in a tag"),
        ("<mj-section><mj-column>\n<mj-raw>{% if x %}</mj-raw>{% endif %}</mj-column></mj-section>", 2, "mj-raw moves"),
        ("<mj-wrapper>\n{% if x %}<mj-section></mj-section>\n{% endif %}</mj-wrapper>", 2, "MJML drops"),
        ("<mj-wrapper>\n{{ x }}<mj-section></mj-section></mj-wrapper>", 2, "MJML drops"),
        (TEXT.format("\n<!-- {{ x }} -->"), 2, "in a comment"),
        (TEXT.format("\n<!-- {% if x %} -->{% endif %}"), 2, "in a comment"),
        (TEXT.format("\n<p>a"), 2, "<p> is not closed"),
        (TEXT.format("zq1qz"), 1, "our own use"),
        ("{% raw %}{{ a }}{% endraw %}", 1, "raw"),
    ],
)
def test_what_would_be_spoiled_is_refused_at_its_line(fragment: str, line: int, word: str) -> None:
    found = problems(fragment)
    assert ("f.j2", line) in {(file, at) for file, at, what in found if word in what}, found


@pytest.mark.parametrize("text", ["año «#> 3", "Ü¦a\x90~>", "a > b", "5 &gt; 3"])
def test_a_sign_for_greater_than_is_text(text: str) -> None:
    assert text.replace("&gt;", ">") in unescape(render(TEXT.format(text)))


def test_jinja_in_css_is_refused() -> None:
    layout = LAYOUT.replace("#123456", "{{ colour }}")
    assert [("layout.j2", 4)] == [(file, line) for file, line, what in problems(TEXT, layout) if "CSS" in what]


def test_rows_of_a_table_can_be_repeated() -> None:
    rows = "<tr><td>a</td></tr>{% for x in xs %}<tr><td>{{ x }}</td></tr>{% endfor %}<tr><td>z</td></tr>"
    for source in (TEXT.format(f"<table>{rows}</table>"), TEXT.replace("mj-text", "mj-table").format(rows)):
        html = render(source, xs=[7, 8])
        assert ["a", "7", "8", "z"] == re.findall(r"<tr><td>(\w)</td></tr>", html)


@pytest.mark.parametrize("layout", [LAYOUT, re.sub(r"<mj-style.*</mj-style>", "", LAYOUT)])
@pytest.mark.parametrize(
    "source",
    [
        COLUMN.format("{% if x %}<mj-text>FIRST</mj-text>{% endif %}<mj-text>SECOND</mj-text>"),
        COLUMN.format("{% if x %}<mj-text>FIRST</mj-text>{% endif %}</mj-column><mj-column><mj-text>SECOND</mj-text>"),
        "<mj-section>{% if x %}<mj-column><mj-text>FIRST</mj-text></mj-column>{% endif %}</mj-section>"
        + TEXT.format("SECOND"),
        "{% if x %}" + TEXT.format("FIRST") + "{% endif %}" + TEXT.format("SECOND"),
        "<mj-hero>{% if x %}<mj-text>FIRST</mj-text>{% endif %}<mj-text>SECOND</mj-text></mj-hero>",
        TEXT.format("<p>{% if x %}<b>FIRST</b>{% endif %} SECOND</p>"),
    ],
)
def test_a_condition_takes_away_just_what_it_encloses(layout: str, source: str) -> None:
    program = compiled(source, layout)
    assert [True, True] == [word in program.run({"subject": "", "x": 1}, "en") for word in ("FIRST", "SECOND")]
    assert [False, True] == [word in program.run({"subject": "", "x": 0}, "en") for word in ("FIRST", "SECOND")]


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", render(TEXT.format("a"))).replace("http-equiv", "")


@pytest.mark.parametrize("layout", [LAYOUT.replace("{# content #}", ""), LAYOUT + "{# content #}"])
def test_a_layout_has_one_place_for_the_content(layout: str) -> None:
    assert [("layout.j2", 1, "a layout needs the line {# content #} once")] == problems(TEXT, layout)
