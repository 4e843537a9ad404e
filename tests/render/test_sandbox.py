"""Templates reach nothing but plain data, and cost no more than their budget. Bounds are counted, never timed."""

from __future__ import annotations

import pytest

from orchestrator.decide.member import Member
from orchestrator.render.contract import RenderError
from orchestrator.render.frame import Frame
from orchestrator.render.language import reads
from orchestrator.render.limits import LIMITS
from orchestrator.render.program import Program
from orchestrator.render.sandbox import HTML, TEXT, Rejected, Sandbox

PLACES = {line: ("t.j2", line) for line in range(1, 2000)}
DATA = {
    "name": "Ana",
    "empty": None,
    "numbers": list(range(100)),
    "nested": {"a": {"b": 1}},
    "member": Member(id="m-secret", ref="r", given_name="Ana"),
}


def render(source: str, data: dict[str, object] | None = None, sandbox: Sandbox = TEXT) -> str:
    return Program(sandbox, source, PLACES).run(DATA if data is None else data, "en")


def error_of(source: str, data: dict[str, object] | None = None) -> str:
    with pytest.raises(RenderError) as caught:
        render(source, data)
    return str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "{{ name.__class__ }}",
        "{{ name['__class__'] }}",
        "{{ name['__cl' ~ 'ass__'] }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ name.upper() }}",
        "{{ name.upper }}",
        "{{ '{0.__class__}'.format(name) }}",
        "{{ '{0.__class__}'|format(name) }}",
        "{{ '%(__class__)s'|format(name) }}",
        "{{ name|attr('__class__') }}",
        "{{ numbers|map(attribute='__class__')|list }}",
        "{{ [name]|map(attribute='__class__')|join }}",
        "{{ numbers|sort(attribute='__class__') }}",
        "{{ numbers.append(1) }}",
        "{{ nested.items() }}",
        "{{ nested.keys }}",
        "{{ self }}",
        "{{ self.__init__.__globals__ }}",
        "{{ lipsum }}",
        "{{ lipsum() }}",
        "{{ cycler }}",
        "{{ joiner }}",
        "{{ namespace }}",
        "{{ range(10) }}",
        "{{ dict(a=1) }}",
        "{{ caller }}",
        "{{ _name }}",
        "{{ member.__struct_fields__ }}",
        "{{ member.__class__ }}",
        "{{ environment }}",
        "{{ context }}",
        "{{ name|safe }}",
        "{{ name|pprint }}",
        "{{ name|random }}",
        "{% include 'x' %}",
        "{% import 'x' as x %}",
        "{% extends 'x' %}",
        "{% block x %}{% endblock %}",
        "{% macro x() %}{% endmacro %}",
        "{% call x() %}{% endcall %}",
        "{% filter upper %}{% endfilter %}",
        "{% set x %}{% endset %}",
        "{% set nested.a = 1 %}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% for x in [1] %}{{ loop.__class__ }}{% endfor %}",
        "{% for x in [1] %}{{ loop.cycle }}{% endfor %}",
        "{% for x in [1] %}{{ loop }}{% endfor %}",
        "{% autoescape false %}{% endautoescape %}",
        "{% do 1 %}",
        "{% debug %}",
        "{{ name is callable }}",
        "{{ name is sameas name }}",
        "{{ numbers|join(*numbers) }}",
    ],
)
def test_no_way_out_of_plain_data(source: str) -> None:
    with pytest.raises(RenderError):
        render(source)


def test_all_faults_of_a_source_are_told_at_once_with_their_lines() -> None:
    with pytest.raises(Rejected) as caught:
        render("{{ name.upper() }}\n{% include 'x' %}\n\n{{ name|safe }}")
    assert [1, 2, 4] == [fault.line for fault in caught.value.faults]


class TestBounds:
    """Each of these would take seconds or gigabytes in Jinja's own sandbox."""

    @pytest.mark.parametrize(
        ("source", "words"),
        [
            ("{{ name * 1000000000 }}", "not offered"),
            ("{{ [name] * 1000000000 }}", "not offered"),
            ("{{ 9 ** 9 ** 9 }}", "power"),
            ("{{ 999999999 * 9999999999 * 99999999999 }}", "too large"),
            ("{{ '%99999999d' % 1 }}", "not offered"),
            ("{{ '%99999999d'|format(1) }}", "widths"),
            ("{{ '%*d'|format(99999999, 1) }}", "widths"),
            ("{{ name|center(99999999) }}", "width"),
            ("{{ name|indent(99999999) }}", "width"),
            ("{{ name|replace('', 'xxxxxxxxxxx') }}", "look for"),
            ("{{ 1 / 0 }}", "zero"),
            ("{{ 1 // 0 }}", "zero"),
            ("{{ 2.5 ** 16 ** 16 }}", "power"),
            ("{{ 999999.5 ** 16 }}", "too large"),
            ("{{ (0 - 8) ** 0.5 }}", "too large"),
        ],
    )
    def test_one_operation(self, source: str, words: str) -> None:
        assert words in error_of(source)

    def test_loops_within_loops_with_nothing_in_them(self) -> None:
        inner = "{% for a in numbers %}" * 6 + "{% endfor %}" * 6
        assert "steps" in error_of(inner)

    def test_a_loop_costs_its_length_times_what_is_in_it(self) -> None:
        program = Program(TEXT, "{% for a in numbers %}{{ a }}{% endfor %}", PLACES)
        frame = Frame(DATA, "en", 1_000, 1_000)
        code = TEXT.code(TEXT.tree("{% for a in numbers %}{{ a }}{% endfor %}"), "x")
        text = "".join(code.root(frame))
        # 100 items; the loop itself, an output and a name make 3 nodes
        assert (1_000 - 100 * 3, program.run(DATA, "en")) == (frame.steps, text)

    def test_a_text_that_doubles(self) -> None:
        assert "characters" in error_of("{% set a = name %}" + "{% set a = a ~ a %}" * 40)
        assert "characters" in error_of("{% set a = name %}" + "{% set a = a + a %}" * 40)
        assert "characters" in error_of("{% set a = name %}" + "{% set a = [a, a]|join %}" * 40)
        assert "characters" in error_of("{% set a = name %}" + "{% set a = a|replace('a', 'aaaaaaaaaa') %}" * 40)

    def test_many_long_texts(self) -> None:
        long = "{% set a = name|center(500) %}" + "{% set a = a ~ a %}" * 6
        assert "would be built" in error_of(long + "{% for x in numbers %}{% set b = a ~ '!' %}{% endfor %}")

    @pytest.mark.parametrize("grow", ["[a, a]", "(a, a)", "{'x': a, 'y': a}", "[a] + [a]"])
    def test_lists_of_lists_that_double(self, grow: str) -> None:
        doubled = "{% set a = [name] %}" + f"{{% set a = {grow} %}}" * 40
        assert "items" in error_of(doubled + "{{ a|tojson }}{{ a == a }}")

    def test_output(self) -> None:
        source = "x" * 5_000 + "{% for a in numbers %}" + "y" * 5_000 + "{% endfor %}"
        assert "too long" in error_of(source)

    def test_output_within_bounds_is_left_alone(self) -> None:
        assert 3 * LIMITS.output // 4 == len(
            Program(TEXT, "{% for a in [1, 2, 3] %}" + "y" * (LIMITS.output // 4) + "{% endfor %}", PLACES).run(
                {}, "en"
            )
        )

    @pytest.mark.parametrize(
        "source",
        [
            "{{ " + "(" * 3_000 + "1" + ")" * 3_000 + " }}",
            "{{ " + "not " * 3_000 + "1 }}",
            "{{ " + "+".join("1" * 3_000) + " }}",
            "{{ name" + ".a" * 3_000 + " }}",
            "{{ name" + "|upper" * 3_000 + " }}",
            "{{ " + "[" * 1_000 + "]" * 1_000 + " }}",
            "{% if 1 %}" * 500 + "{% endif %}" * 500,
            "{% for a in [] %}" * 21 + "{% endfor %}" * 21,
            "{{ " + "9" * 5_000 + " }}",
            "x" * (LIMITS.source + 1),
        ],
    )
    def test_sources_too_deep_or_too_long_are_refused_before_they_are_compiled(self, source: str) -> None:
        with pytest.raises(Rejected):
            Program(TEXT, source, PLACES)


class TestErrors:
    """An error says where and what, and never shows a value: it goes to logs."""

    def test_a_missing_field_is_named_with_its_path_file_and_line(self) -> None:
        assert error_of("Hello\n{{ name }}\n  {{ nested.a.zzz }}") == "t.j2:3: nested.a.zzz is not known here"

    def test_a_missing_name(self) -> None:
        assert error_of("{{ nmae }}") == "t.j2:1: 'nmae' is undefined"

    def test_a_missing_field_in_a_condition(self) -> None:
        assert "t.j2:2: nested.zzz is not known here" == error_of("\n{% if nested.zzz %}a{% endif %}")

    def test_a_field_of_a_missing_field(self) -> None:
        assert "t.j2:1: nested.zzz is not known here" == error_of("{{ nested.zzz.yyy }}")

    @pytest.mark.parametrize(
        "source",
        [
            "{{ nested[secret] }}",
            "{{ secret + 1 }}",
            "{{ secret < 1 }}",
            "{{ secret|date }}",
            "{{ 1|money(secret) }}",
            "{{ now|local(secret) }}",
            "{{ 1|number(secret) }}",
            "{{ secret|center(secret) }}",
            "{{ -secret }}",
            "{{ 1|date(secret) }}",
            "{{ secret|link }}",
            "{{ numbers|sum(attribute=secret) }}",
            "{{ 'a'|format(secret) }}",
            "{% for x in secret %}{% endfor %}",
            "{{ secret.a }}",
            "{{ {secret: 1} }}",
            "{{ [secret] }}",
        ],
    )
    def test_no_error_shows_a_value(self, source: str) -> None:
        data = {**DATA, "secret": "ana@example.com", "now": "2026-11-22T10:00:00Z"}
        if "sum(attribute" in source:
            data["secret"] = "ana"
        assert "ana" not in error_of(source, data)

    def test_nothing_is_never_written_as_none(self) -> None:
        assert "empty is nothing (None)" in error_of("{{ empty }}")

    @pytest.mark.parametrize("source", ["{{ numbers }}", "{{ nested }}", "{{ true }}", "{{ member }}"])
    def test_only_text_and_numbers_are_written(self, source: str) -> None:
        assert "can't be written" in error_of(source)

    def test_an_error_of_one_run_leaves_the_next_untouched(self) -> None:
        program = Program(TEXT, "{{ name }}", PLACES)
        with pytest.raises(RenderError):
            program.run({}, "en")
        assert "Ana" == program.run(DATA, "en")


class TestWhatIsOffered:
    def test_fields_of_dicts_and_of_our_records(self) -> None:
        assert "1 Ana" == render("{{ nested.a.b }} {{ member.given_name }}")

    def test_a_field_called_like_a_method_is_the_field(self) -> None:
        assert "7" == render("{{ d.items }}", {"d": {"items": 7}})

    def test_default_for_a_field_of_a_missing_field(self) -> None:
        assert "none none" == render("{{ nested.x.y|default('none') }} {{ zzz.y|d('none') }}")

    def test_default_stands_for_nothing_and_for_empty_text_but_not_for_zero(self) -> None:
        assert "a a 0" == render("{{ empty|default('a') }} {{ ''|default('a') }} {{ 0|default('a') }}")

    def test_asking_whether_a_field_is_there(self) -> None:
        assert "no yes" == render("{{ 'yes' if a.b.c is defined else 'no' }} {{ 'yes' if nested.a is defined }}")

    def test_an_if_without_else_writes_nothing(self) -> None:
        assert "Hello" == render("Hello{{ ', ' ~ name if empty }}")

    def test_loops_know_where_they_are(self) -> None:
        assert "1/2a 2/2b" == render("{% for x in ['a', 'b'] %}{{ loop.index }}/{{ loop.length }}{{ x }}{{ ' ' if not loop.last }}{% endfor %}")  # fmt: skip  # noqa: E501  # one source

    def test_control_lines_leave_no_empty_lines(self) -> None:
        assert "a\nb\n" == render("a\n{% if true %}\nb\n{% endif %}\n")

    def test_names_from_outside_are_listed_with_their_lines(self) -> None:
        tree = TEXT.tree(
            "{{ a.b.c|upper }}\n{% for x in a.list %}{{ x.y }}{{ loop.index }}{% endfor %}{% set z = 1 %}{{ z }}"
        )
        assert frozenset({("a.b.c", 1), ("a.list", 2)}) == reads(tree)


class TestEscaping:
    HOSTILE = "<script>alert(1)</script>\"'&"

    def test_html_escapes_what_it_is_given(self) -> None:
        assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;" == render("{{ n }}", {"n": self.HOSTILE}, HTML)

    @pytest.mark.parametrize("source", ["{{ n ~ '' }}", "{{ n|upper|lower }}", "{{ '' + n }}", "{{ [n]|join }}", "{{ n|tojson }}", "{{ n if n }}", "{{ n|replace('z', 'y') }}", "{{ '%s'|format(n) }}", "{{ n[0:99] }}"])  # fmt: skip  # noqa: E501  # a table
    def test_no_filter_undoes_the_escaping(self, source: str) -> None:
        assert "<" not in render(source, {"n": self.HOSTILE}, HTML)

    def test_text_is_left_as_it_is(self) -> None:
        assert self.HOSTILE == render("{{ n }}", {"n": self.HOSTILE}, TEXT)
