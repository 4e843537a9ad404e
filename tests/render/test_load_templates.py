"""A folder of templates becomes compiled templates, or a list of all that is wrong with it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from orchestrator.content.templates import load_templates
from orchestrator.errors import ContentError
from orchestrator.render.contract import RenderError

if TYPE_CHECKING:
    from conftest import Folder

CONTEXT: dict[str, object] = {"member": {"given_name": "Ana"}, "unsubscribe_url": "https://x.org/u"}


def problems(folder: Folder) -> list[str]:
    with pytest.raises(ContentError) as caught:
        load_templates(folder.path)
    return [f"{problem.file}:{problem.line}: {problem.what}" for problem in caught.value.problems]


def test_an_email_has_subject_html_and_text_and_the_layout_around_both(folder: Folder) -> None:
    words = load_templates(folder.path).render("hi", "a", "email", "en", CONTEXT)
    assert ("en", "Hello Ana", "Hello,\nAna\n--\nhttps://x.org/u\n") == (words.locale, words.subject, words.text)
    assert [1, 1] == [words.html.count(part) for part in ("Hello Ana", 'href="https://x.org/u"')]


def test_an_sms_is_text_alone(folder: Folder) -> None:
    words = load_templates(folder.path).render("hi", "a", "sms", "en", CONTEXT)
    assert ("", "", "Hello Ana, reply STOP") == (words.subject, words.html, words.text)


def test_rendering_reads_no_file(folder: Folder) -> None:
    templates = load_templates(folder.path)
    shutil.rmtree(folder.path)
    assert "Hello Ana" == templates.render("hi", "a", "email", "en", CONTEXT).subject


@pytest.mark.parametrize(
    ("wanted", "used"),
    [
        ("pt-BR", "pt-BR"),
        ("pt-br", "pt-BR"),
        ("pt_BR", "pt-BR"),
        ("pt", "pt-BR"),
        ("pt-PT", "pt-BR"),
        ("es-MX", "es"),
        ("ES", "es"),
        ("en-GB", "en"),
        ("fi", "en"),
        ("", "en"),
        ("zz-nonsense-../..", "en"),
    ],
)
def test_locale_exact_then_language_then_the_house_locale(folder: Folder, wanted: str, used: str) -> None:
    folder.write("hi/a.sms.es.txt.j2", "Hola")
    folder.write("hi/a.sms.pt-BR.txt.j2", "Oi")
    assert used == load_templates(folder.path).render("hi", "a", "sms", wanted, CONTEXT).locale


def test_numbers_follow_the_members_own_region_within_the_texts_language(folder: Folder) -> None:
    folder.write("hi/a.sms.es.txt.j2", "{{ 12345.5|number }}")
    folder.write("hi/a.sms.en.txt.j2", "{{ 12345.5|number }}")
    templates = load_templates(folder.path)
    written = [templates.render("hi", "a", "sms", locale, CONTEXT).text for locale in ("es", "es-MX", "es-ZZ", "fi")]
    assert ["12.345,5", "12,345.5", "12.345,5", "12,345.5"] == written


@pytest.mark.parametrize("evil", ["Ana\r\nBcc: x@y.z", "Ana\nx", "Ana\rx", "Ana\0x", "Ana\u2028x", "Ana\x85x"])
def test_a_line_break_or_nul_in_a_subject_is_refused(folder: Folder, evil: str) -> None:
    with pytest.raises(RenderError, match=r"templates/hi/a.email.en.txt.j2:1: the subject would hold") as caught:
        load_templates(folder.path).render("hi", "a", "email", "en", {**CONTEXT, "member": {"given_name": evil}})
    assert "Bcc" not in str(caught.value)


def test_an_empty_subject_is_refused(folder: Folder) -> None:
    folder.write("hi/a.email.en.txt.j2", "Subject: {{ member.given_name }}\n\ntext")
    with pytest.raises(RenderError, match="subject is empty"):
        load_templates(folder.path).render("hi", "a", "email", "en", {**CONTEXT, "member": {"given_name": " "}})


def test_a_hostile_name_is_escaped_in_html_and_left_alone_in_text(folder: Folder) -> None:
    words = load_templates(folder.path).render(
        "hi", "a", "email", "en", {**CONTEXT, "member": {"given_name": "<img src=x onerror=alert(1)>"}}
    )
    assert "<img" not in words.html
    assert "Hello <img src=x onerror=alert(1)>" == words.subject


def test_an_sms_longer_than_ten_segments_is_refused(folder: Folder) -> None:
    with pytest.raises(RenderError, match=r"a\.sms\.en\.txt\.j2:1: its text becomes too long"):
        load_templates(folder.path).render("hi", "a", "sms", "en", {"member": {"given_name": "x" * 1_600}})


@pytest.mark.parametrize("key", [("no", "a", "email"), ("hi", "no", "email"), ("hi", "a", "push")])
def test_what_does_not_exist_is_a_render_error(folder: Folder, key: tuple[str, str, str]) -> None:
    templates = load_templates(folder.path)
    assert not templates.has(*key)
    with pytest.raises(RenderError, match="there is no"):
        templates.render(*key, "en", CONTEXT)


def test_has(folder: Folder) -> None:
    assert load_templates(folder.path).has("hi", "a", "sms")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (1, "Subject: {{ member.given_name }\n\nx"),
        (2, "Subject: a\nPreheader: {{ 1 +\n\nx"),
        (4, "Subject: a\n\nb\n{% if %}"),
        (4, "Subject: a\n\nb\n{{ x.upper() }}"),
        (1, "Hello\n\nx"),
        (2, "Subject: a\nHello"),
        (1, ""),
    ],
)
def test_problems_of_a_text_have_its_own_lines(folder: Folder, line: int, text: str) -> None:
    folder.write("hi/a.email.en.txt.j2", text)
    assert f"templates/hi/a.email.en.txt.j2:{line}" in {problem.rsplit(": ", 1)[0] for problem in problems(folder)}


def test_a_runtime_error_in_the_text_part_has_the_authors_line(folder: Folder) -> None:
    folder.write("hi/a.email.en.txt.j2", "Subject: a\n\nb\n\n{{ zzz }}")
    with pytest.raises(RenderError, match=r"^templates/hi/a.email.en.txt.j2:5: 'zzz'"):
        load_templates(folder.path).render("hi", "a", "email", "en", CONTEXT)


def test_a_runtime_error_in_the_layout_has_the_layouts_line(folder: Folder) -> None:
    with pytest.raises(RenderError, match=r"^templates/_layout/email.en.mjml.j2:3: 'unsubscribe_url'"):
        load_templates(folder.path).render("hi", "a", "email", "en", {"member": {"given_name": "Ana"}})


def test_all_problems_of_all_files_come_together(folder: Folder) -> None:
    folder.write("hi/a.sms.en.txt.j2", "\n{% if %}")
    folder.write("hi/b.email.en.txt.j2", "Subject: x\n\nx")
    folder.write("hi/c.email.en.mjml.j2", "<mj-section></mj-section>")
    folder.write("hi/d.sms.txt.j2", "x")
    folder.write("hi/e.sms.en.mjml.j2", "x")
    folder.write("hi/f.sms.en.txt.j2", b"\xff\xfe")
    folder.write("_layout/sms.j2", "x")
    found = problems(folder)
    for name in (
        "a.sms.en.txt.j2:2",
        "b.email.en.txt",
        "c.email.en.mjml",
        "d.sms.txt",
        "e.sms.en.mjml",
        "f.sms.en.txt",
    ):
        assert any(problem.startswith(f"templates/hi/{name}") for problem in found), (name, found)
    assert any(problem.startswith("templates/_layout/sms.j2:1") for problem in found)


def test_a_message_without_the_house_locale_is_a_problem(folder: Folder) -> None:
    folder.write("hi/b.sms.es.txt.j2", "Hola")
    assert ["templates/hi:1: b for sms has no text in the house locale en"] == problems(folder)


def test_an_email_without_a_layout_is_a_problem(folder: Folder) -> None:
    folder.remove("_layout/email.en.txt.j2")
    assert any("no sound layout for en" in problem for problem in problems(folder))
