"""A text that the platform approved beforehand is named, with its values, above the words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orchestrator.content.lint import lint
from orchestrator.content.templates import load_templates
from orchestrator.errors import ContentError
from orchestrator.render.contract import Rendered, RenderError
from orchestrator.testing.builders import CLUB

if TYPE_CHECKING:
    from conftest import Folder

SID = "HX0123456789abcdef0123456789abcdef"
HEAD = (
    f"Template: birthday_gift\nContent-Sid: {SID}\n"
    "Variable: {{ member.given_name|default('amiga') }}\nVariable: {{ 1200|number }}\n"
)
CONTEXT: dict[str, object] = {"member": {"given_name": "Ana"}}


def words(folder: Folder, source: str, channel: str = "whatsapp", locale: str = "en", name: str = "Ana") -> Rendered:
    folder.write(f"hi/b.{channel}.{locale}.txt.j2", source)
    if locale != "en":
        folder.write(f"hi/b.{channel}.en.txt.j2", "other")
    context = {**CONTEXT, "member": {"given_name": name}}
    return load_templates(folder.path).render("hi", "b", channel, locale, context)


def refused(folder: Folder, source: str, channel: str = "whatsapp") -> list[str]:
    with pytest.raises(ContentError) as caught:
        words(folder, source, channel)
    return [str(problem) for problem in caught.value.problems]


def test_name_sid_language_and_values_in_order_come_out_beside_the_words(folder: Folder) -> None:
    rendered = words(folder, f"{HEAD}Language: en_US\n\nHi {{{{ member.given_name }}}}: a gift.\n")
    assert ("birthday_gift", SID, "en_US") == (rendered.template, rendered.content_sid, rendered.template_language)
    assert (("Ana", "1,200"), "Hi Ana: a gift.") == (rendered.variables, rendered.text)


def test_the_language_is_the_files_own_unless_it_says_otherwise(folder: Folder) -> None:
    assert "es_MX" == words(folder, f"{HEAD}\nHola\n", locale="es-MX").template_language


def test_a_text_without_headers_is_free_text(folder: Folder) -> None:
    rendered = words(folder, "Note: this is no header\n\nHi\n")
    assert ("", "", (), "Note: this is no header\n\nHi") == (
        rendered.template, rendered.content_sid, rendered.variables, rendered.text,
    )  # fmt: skip


@pytest.mark.parametrize("channel", ["sms", "whatsapp", "telegram"])
def test_a_picture_is_named_above_the_words(folder: Folder, channel: str) -> None:
    rendered = words(folder, "Media: https://example.com/{{ member.given_name|urlencode }}.png\n\nHi\n", channel)
    assert ("https://example.com/Ana.png", "Hi") == (rendered.media, rendered.text)


def test_a_value_that_comes_out_empty_stops_the_message(folder: Folder) -> None:
    with pytest.raises(RenderError, match=r"templates/hi/b.whatsapp.en.txt.j2:2: the variable is empty"):
        words(folder, "Template: a\nVariable: {{ member.given_name }}\n\nHi\n", name=" ")


def test_runs_of_space_in_a_value_are_one_since_the_platform_refuses_them(folder: Folder) -> None:
    rendered = words(folder, "Template: a\nVariable: {{ member.given_name }}\n\nHi\n", name="Ana \t     María")
    assert ("Ana María",) == rendered.variables


@pytest.mark.parametrize(
    ("source", "line", "what"),
    [
        ("Template: Birthday Gift\n\nHi\n", 1, "Template is not of its form"),
        ("Content-Sid: 123\n\nHi\n", 1, "Content-Sid is not of its form"),
        ("Template: a\nLanguage: Spanish\n\nHi\n", 2, "Language is not of its form"),
        ("Template: a\nTemplate: b\n\nHi\n", 2, "Template stands here twice"),
        ("Media: a\nMedia: b\n\nHi\n", 2, "Media stands here twice"),
        ("Variable: {{ 1 }}\n\nHi\n", 1, "no approved template is named"),
        ("Template: a\nHi\n", 2, "a blank line ends the headers"),
        ("Template: a\nVariabel: {{ 1 }}\n\nHi\n", 2, "a blank line ends the headers"),
        ("Template: a", 2, "a blank line ends the headers"),
        ("Template: a\n\n \n", 2, "there are no words below the headers"),
        ("Template: a\nVariable: {{ 1 + }}\n\nHi\n", 2, "unexpected 'end of print statement'"),
    ],
)
def test_what_is_wrong_above_the_words_is_told_with_its_line(folder: Folder, source: str, line: int, what: str) -> None:
    found = refused(folder, source)
    assert any(problem.startswith(f"templates/hi/b.whatsapp.en.txt.j2:{line}: {what}") for problem in found), found


def test_an_sms_has_no_approved_template_so_such_a_line_is_its_text(folder: Folder) -> None:
    assert "Template: a\n\nHi" == words(folder, "Template: a\n\nHi\n", "sms").text


def test_lint_looks_into_the_headers_too(folder: Folder) -> None:
    folder.write("hi/b.whatsapp.en.txt.j2", "Template: a\nVariable: {{ membr.given_name }}\n\nHi\n")
    found = [(problem.file, problem.line, problem.what) for problem in lint(folder.path, "en", CLUB).problems]
    assert ("templates/hi/b.whatsapp.en.txt.j2", 2, "`membr.given_name` is not known here") in found
