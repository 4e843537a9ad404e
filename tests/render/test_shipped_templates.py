"""The journeys that come with the orchestrator read well for everybody: with all known of a member, or nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from orchestrator.channels.segments import segments
from orchestrator.content.cases import read_cases
from orchestrator.content.lint import lint, occasion_of
from orchestrator.content.locate import shipped
from orchestrator.content.samples import LINKS, MEMBER_FIELDS, samples
from orchestrator.content.templates import load_templates
from orchestrator.decide import context
from orchestrator.decide.member import Member
from orchestrator.decide.policies import HousePolicies
from orchestrator.testing.builders import CLUB
from orchestrator.times import EPOCH

FOLDER = shipped("templates")
TEMPLATES = load_templates(FOLDER)
ALL = list(TEMPLATES)
LOCALES = {"en", "es", "pt"}
NO_ADVERTISING = {"en": "It is no advertising", "es": "No es publicidad", "pt": "Não é publicidade"}
_LEFT_OVER = re.compile(r"\{\{|\}\}|\{%|%\}|\{#|zq\d+qz|None|undefined")


class Balance(HTMLParser):
    """Notes tags that are not closed in order, and addresses of links."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("br", "img", "meta", "hr", "input", "link"):
            self.open.append(tag)
        self.links += [value or "" for name, value in attrs if name == "href"]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if self.open[-1:] == [tag]:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop(), tag


def test_lint_finds_nothing() -> None:
    report = lint(FOLDER, "en", CLUB)
    assert () == report.problems
    assert 12 == len(report.journeys)


@pytest.mark.parametrize("key", sorted({key[:3] for key in ALL}))
def test_every_message_is_there_in_every_language(key: tuple[str, str, str]) -> None:
    assert LOCALES == {locale for *found, locale in ALL if tuple(found) == key}


def channels_of(journey: str) -> set[str]:
    """Those that a journey must have words for: who asks whether a mailbox is theirs can ask there alone."""
    return {"email"} if journey == "confirm-contact" else {"email", "sms", "whatsapp"}


@pytest.mark.parametrize("journey", sorted({key[0] for key in ALL}))
def test_every_journey_has_words_for_mail_text_and_whatsapp(journey: str) -> None:
    assert channels_of(journey) == {channel for name, _, channel, _ in ALL if name == journey}


@pytest.mark.parametrize(("journey", "message", "channel", "locale"), ALL)
def test_every_text_reads_whole_for_empty_and_full_profiles(
    journey: str, message: str, channel: str, locale: str
) -> None:
    for sample in samples(occasion_of(FOLDER, journey), locale, CLUB, journey):
        words = TEMPLATES.render(journey, message, channel, locale, sample.context)
        assert locale == words.locale
        for part in (words.subject, words.html, words.text):
            assert not _LEFT_OVER.search(part), part
        assert not re.search(r"[,:] *[!.,]|\( *\)|  +\S|^[,.]", words.subject + "|" + words.text.split("\n--\n")[0])
        if channel == "email":
            balance = Balance()
            balance.feed(words.html)
            assert [] == balance.open
            # marketing says how to leave; what is no marketing says that it is none, and has no dead link
            assert "" not in balance.links
            if way_out := str(sample.context["unsubscribe_url"]):
                assert way_out in balance.links
                assert way_out in words.text
            else:
                assert NO_ADVERTISING[locale] in words.text
                assert NO_ADVERTISING[locale] in words.html
            assert f'lang="{locale}"' in words.html
            assert f"Club, {CLUB.postal_address}" in words.text
            assert f"Club, {CLUB.postal_address}" in words.html
        elif channel == "whatsapp":
            assert len(words.text) <= 1024, "the platform approves no longer text"
        else:
            assert segments(words.text).count <= 2, "an SMS of three segments or more costs three messages or more"


def test_a_service_message_without_an_opt_out_address_has_no_dead_link() -> None:
    sample = samples(occasion_of(FOLDER, "welcome"), "en", CLUB, "welcome")[0]
    words = TEMPLATES.render("welcome", "hello", "email", "en", {**sample.context, **dict.fromkeys(LINKS, "")})
    balance = Balance()
    balance.feed(words.html)
    assert ["https://example.com/account"] == balance.links


@pytest.mark.parametrize("journey", sorted({key[0] for key in ALL}))
def test_cases_cover_touches_silences_and_more_than_one_language(journey: str) -> None:
    expected = [e for case in read_cases(FOLDER / journey / "cases.yaml") for e in case.expect if e.journey == journey]
    assert {"send", "suppress"} <= {e.verdict for e in expected}
    assert {"es", "en", "pt"} <= {e.locale for e in expected}
    assert channels_of(journey) <= {e.channel for e in expected}


def test_samples_offer_the_very_names_that_decisions_offer() -> None:
    class Stand:
        zones: dict[str, object] = {}  # noqa: RUF012  # read only
        identity = CLUB
        policies = HousePolicies()

    member = Member(id="m", ref="r")
    decided = context.view(member, {}, Stand(), EPOCH)  # type: ignore[arg-type]  # all of Content that view reads
    sample = samples(occasion_of(FOLDER, "welcome"), "en", CLUB, "welcome")[0].context
    assert set(decided) | {*LINKS, "journey"} == set(sample)
    view_of_member, sample_of_member = decided["member"], sample["member"]
    assert isinstance(view_of_member, dict)
    assert isinstance(sample_of_member, dict)
    assert set(MEMBER_FIELDS) == set(view_of_member) == set(sample_of_member)
