"""`template lint` and `template preview`: what they find, what they write, and that they can be stopped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import app
from orchestrator.content.cases import Expected, read_cases, unkept
from orchestrator.content.confine import LintRequest, confined_lint
from orchestrator.content.disclosures import Disclosure
from orchestrator.content.lint import Found, lint
from orchestrator.content.preview import preview
from orchestrator.errors import ContentError, UsageError
from orchestrator.testing.builders import CLUB

if TYPE_CHECKING:
    from conftest import Folder


def found(folder: Folder) -> list[Found]:
    return list(lint(folder.path, "en", CLUB).problems)


def test_a_sound_folder_has_no_problems(folder: Folder) -> None:
    report = lint(folder.path, "en", CLUB)
    assert (("hi",), 5, 2, ()) == (report.journeys, report.files, report.rendered, report.problems)


def test_a_name_that_no_decision_offers_is_found_with_the_likely_one(folder: Folder) -> None:
    folder.write("hi/a.sms.en.txt.j2", "Hello\n{{ member.givenname|default('you') }} STOP\n")
    (problem,) = found(folder)
    assert ("templates/hi/a.sms.en.txt.j2", 2, "`member.givenname` is not known here") == (
        problem.file, problem.line, problem.what,
    )  # fmt: skip
    assert "did you mean `given_name`?" in problem.cure


@pytest.mark.parametrize(
    ("expression", "cure"),
    [
        ("event.amuont", "amount"),
        ("aggregates.purchase_complete.count", "purchase_completed"),
        ("aggregates.purchase_completed.total", "count"),
        ("membr.tier", "member"),
    ],
)
def test_names_are_known_by_the_journeys_trigger(folder: Folder, expression: str, cure: str) -> None:
    folder.write("hi/a.sms.en.txt.j2", f"{{{{ {expression}|default('') }}}}x STOP")
    assert [True] == [cure in problem.cure for problem in found(folder)]


def test_a_journey_that_starts_by_silence_offers_how_long_it_lasted(folder: Folder) -> None:
    silence = "trigger: {inactivity: P30D, after: purchase.completed}"
    folder.write(
        "hi/journey.yaml",
        (folder.path / "hi/journey.yaml").read_text().replace("trigger: {event: purchase.completed}", silence),
    )
    folder.write("hi/a.sms.en.txt.j2", "{{ event.days }} days since {{ event.last|date }} STOP")
    assert [] == found(folder)
    folder.write("hi/a.sms.en.txt.j2", "{{ event.amount }} STOP")
    assert {"`event.amount` is not known here"} <= {problem.what for problem in found(folder)}


def test_a_field_without_a_default_is_found_by_a_member_of_whom_nothing_is_known(folder: Folder) -> None:
    folder.write("hi/a.sms.en.txt.j2", "a STOP\n{{ member.attributes.shop }}")
    assert [("templates/hi/a.sms.en.txt.j2", 2)] == [(p.file, p.line) for p in found(folder)]
    folder.write("hi/a.sms.en.txt.j2", "a STOP\n{{ event.store }}")
    assert ["a member of whom nothing is known"] == [p.what.rpartition("for ")[2] for p in found(folder)]


def test_marketing_without_an_unsubscribe_link_is_found_and_service_is_not(folder: Folder) -> None:
    folder.write("_layout/email.en.txt.j2", "{# content #}\n")
    (problem,) = found(folder)
    assert "the text part of a (en) lacks `unsubscribe_url`, as the house asks" == problem.what
    journey = folder.path / "hi/journey.yaml"
    folder.write("hi/journey.yaml", journey.read_text().replace("marketing", "service"))
    assert [] == found(folder)


def test_a_marketing_text_that_does_not_say_how_to_stop_is_found_and_a_service_text_is_not(folder: Folder) -> None:
    folder.write("hi/a.sms.en.txt.j2", "Don't stop now!\n")
    assert ["a marketing text must say how to stop"] == [problem.what for problem in found(folder)]
    folder.write("hi/a.sms.en.txt.j2", "Out: {{ unsubscribe_url }}\n")
    assert [] == found(folder)
    folder.write("hi/a.sms.en.txt.j2", "Don't stop now!\n")
    journey = folder.path / "hi/journey.yaml"
    folder.write("hi/journey.yaml", journey.read_text().replace("marketing", "service"))
    assert [] == found(folder)


def test_marketing_that_hides_what_a_law_asks_for_is_found_with_the_article(folder: Folder) -> None:
    asked = (Disclosure(name="site", asked_by="rule x.content (XX@2026.11.0), art. 1"),)
    report = lint(folder.path, "en", CLUB, disclosures=asked)
    assert ["HTML", "text"] == [problem.what.split()[1] for problem in report.problems]
    assert {"use {{ site }}, best in the layout"} == {problem.cure for problem in report.problems}
    assert "as rule x.content (XX@2026.11.0), art. 1 asks" in report.problems[0].what
    folder.write("_layout/email.en.txt.j2", "{# content #}\n{{ unsubscribe_url }}\n{{ site }}\n")
    report = lint(folder.path, "en", CLUB, disclosures=asked)
    assert ["HTML"] == [problem.what.split()[1] for problem in report.problems]


def test_a_text_that_is_not_sound_is_not_missed_as_well(folder: Folder) -> None:
    for name in ("_layout/email", "hi/a.email"):
        for form in ("mjml", "txt"):
            folder.write(f"{name}.es.{form}.j2", (folder.path / f"{name}.en.{form}.j2").read_bytes())
    folder.write("hi/a.email.en.txt.j2", "Subject: Hello\n\n{% if %}\n")
    assert ["templates/hi/a.email.en.txt.j2"] == [problem.file for problem in found(folder)]


def test_cases_that_do_not_fit_are_found(folder: Folder) -> None:
    folder.write(
        "hi/cases.yaml",
        "- name: one\n  member: {}\n  events: [{type: purchase.done, time: 2026-11-24T10:00:00Z}]\n"
        "  until: 2026-11-24T10:00:00\n  expect:\n    - {journey: hi, step: a, verdict: suppress, reason: no_consnt}\n",
    )
    assert [3, 4, 6] == [p.line for p in found(folder)]


def test_only_the_journey_asked_for_is_looked_at(folder: Folder) -> None:
    folder.write("other/journey.yaml", "journey: [")
    assert () == lint(folder.path, "en", CLUB, "hi").problems
    assert () != lint(folder.path, "en", CLUB, "other").problems
    with pytest.raises(UsageError, match="did you mean `hi`"):
        lint(folder.path, "en", CLUB, "hj")


def test_a_preview_shows_what_a_cases_member_gets(folder: Folder) -> None:
    folder.write(
        "hi/cases.yaml",
        "- name: Bo buys\n  member: {given_name: Bo}\n  events:\n    - type: purchase.completed\n"
        "      time: 2026-11-24T10:00:00Z\n      data: {purchase_id: p, amount: 5, currency: EUR}\n"
        "  until: 2026-11-24T10:00:00Z\n",
    )
    words = preview(folder.path, "en", CLUB, "hi", "a", case="Bo buys")
    assert ("Hello Bo", "Bo buys", "en") == (words.subject, words.who, words.locale)
    with pytest.raises(UsageError, match="did you mean `Bo buys`"):
        preview(folder.path, "en", CLUB, "hi", "a", case="Bo bys")


def test_expected_words_are_found_whatever_space_stands_between_them() -> None:
    expected = Expected(journey="j", step="s", contains=("5 €", "no such"), lacks=("a b", "zzz"))
    assert (["no such"], ["a b"]) == unkept(expected, "subject", "for 5\u00a0€", "a\n  b")


def test_two_cases_of_one_name_are_refused(folder: Folder) -> None:
    one = "- name: one\n  member: {}\n  events: []\n  until: 2026-11-24T10:00:00Z\n"
    folder.write("hi/cases.yaml", one + one)
    with pytest.raises(ContentError, match=r"cases\.yaml:5:3: two cases"):
        read_cases(folder.path / "hi/cases.yaml")


class TestConfinement:
    def test_the_report_is_the_same_as_without(self, folder: Folder) -> None:
        folder.write("hi/a.sms.en.txt.j2", "{{ zzz }}")
        request = LintRequest(folder=str(folder.path), default_locale="en", identity=CLUB)
        assert lint(folder.path, "en", CLUB) == confined_lint(request)

    def test_wrong_use_is_told_as_wrong_use(self, folder: Folder) -> None:
        with pytest.raises(UsageError, match="no journey"):
            confined_lint(LintRequest(folder=str(folder.path), default_locale="en", identity=CLUB, journey="zz"))

    def test_a_process_that_needs_too_much_memory_ends_as_a_content_error(self, folder: Folder) -> None:
        folder.write("hi/b.sms.en.txt.j2", b"STOP " + b"x" * 64 * 1024**2)
        request = LintRequest(folder=str(folder.path), default_locale="en", identity=CLUB)
        assert ["longer than 200000 characters"] == [problem.what for problem in confined_lint(request).problems]
        with pytest.raises(ContentError, match="rendering was stopped"):
            confined_lint(request, memory_bytes=32 * 1024**2)


class TestCommand:
    def test_lint_ends_with_0_when_sound_and_1_when_not(self, folder: Folder) -> None:
        words = ["--project", str(folder.path.parent), "--json", "template", "lint"]
        # the laws that were shipped are asked, and want a postal address
        for name in ("_layout/email.en.txt.j2", "_layout/email.en.mjml.j2"):
            shown = "{{ unsubscribe_url }}{{ postal_address }}"
            folder.write(name, (folder.path / name).read_text().replace("{{ unsubscribe_url }}", shown))
        assert 0 == CliRunner().invoke(app, words).exit_code
        folder.write("hi/a.sms.en.txt.j2", "{{ zzz }}")
        result = CliRunner().invoke(app, words)
        problem = json.loads(result.stdout)["problems"][0]
        assert (1, "templates/hi/a.sms.en.txt.j2", 1) == (result.exit_code, problem["file"], problem["line"])

    def test_lint_tells_people_file_line_and_cure(self, folder: Folder) -> None:
        folder.write("hi/a.sms.en.txt.j2", "\n{{ member.givn_name|default('x') }}")
        result = CliRunner().invoke(app, ["--project", str(folder.path.parent), "template", "lint", "hi"])
        assert "templates/hi/a.sms.en.txt.j2:2: `member.givn_name` is not known here" in result.stdout
        assert "did you mean `given_name`" in result.stdout

    def test_preview_writes_the_html_and_says_where(self, folder: Folder) -> None:
        out = folder.path.parent / "out.html"
        words = ["--project", str(folder.path.parent), "--json", "template", "preview", "hi", "a", "--out", str(out)]
        shown = json.loads(CliRunner().invoke(app, words).stdout)
        assert (str(out), "Hello Lucía") == (shown["file"], shown["subject"])
        assert "Hello Lucía" in out.read_text(encoding="utf-8")

    def test_preview_of_what_does_not_exist_is_wrong_use(self, folder: Folder) -> None:
        words = ["--project", str(folder.path.parent), "template", "preview", "hi", "zzz"]
        assert 2 == CliRunner().invoke(app, words).exit_code


def test_a_text_may_name_the_voucher_of_each_step_that_sends_it_and_no_other(folder: Folder) -> None:
    folder.write("vouchers.yaml", "pools: {gifts: {low_water: 1}}\n")
    folder.write("hi/a.sms.en.txt.j2", "{{ voucher.code }} STOP\n")
    cures = {problem.what: problem.cure for problem in found(folder)}
    assert "give each step that sends it a `voucher: POOL`" == cures["`voucher.code` is not known here"]
    plain = (folder.path / "hi/journey.yaml").read_text()
    promising = plain.replace("channels:", "voucher: gifts\n    channels:", 1)
    folder.write("hi/journey.yaml", promising)
    assert [] == found(folder)
    assert "SAMPLE-7Q4X2 STOP" == preview(folder.path, "en", CLUB, "hi", "a", "sms").text
    folder.write("hi/a.sms.en.txt.j2", "{{ voucher.cod }} STOP\n")
    assert "did you mean `code`?" in found(folder)[0].cure
    # without a last day the pool has none to tell
    folder.write("hi/a.sms.en.txt.j2", "{{ voucher.code }} {{ voucher.last_day|date }} STOP\n")
    assert ["templates/hi/a.sms.en.txt.j2"] == [problem.file for problem in found(folder)]
    folder.write("vouchers.yaml", "pools: {gifts: {low_water: 1, last_day: 2027-01-31}}\n")
    assert [] == found(folder)
