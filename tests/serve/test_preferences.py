"""A member's own page: it shows what is known, masked; what is changed there holds from the answer on."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from orchestrator.content import locate
from orchestrator.content.topics import load_topics
from orchestrator.decide.member import Limit
from orchestrator.errors import ContentError
from orchestrator.events.inputs import Receipt, Withdrawal
from orchestrator.links import preferences_token, read_preferences
from orchestrator.members import erase
from orchestrator.serve.contacts import A_DAY
from orchestrator.serve.own import masked
from orchestrator.serve.own_words import OWN
from orchestrator.serve.words import CONFIRMING_CONTACT
from orchestrator.stores.contract import SuppressionRow
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import World, shipped_content
from orchestrator.vault import Vault
from tests.serve.club import SETTINGS, Club, club, own_page, stand
from tests.serve.inside import inside

__all__ = ["club"]

THEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
SHOWN = {"shown": "email sms", "limit": "none", "pause": "none", "first": ""}
BOTH = {**SHOWN, "channel": ["email", "sms"]}


@pytest.fixture
def ann(club: Club) -> Club:
    """Ann, who agreed to e-mail and SMS."""
    club[0].live(enrolled("ann", THEN, given_name="Ann", locale="en-US"), dispatch=False)
    return club


def ticked(answer: httpx.Response) -> set[str]:
    """The channels that a page shows ticked."""
    return set(re.findall(r'name="channel" value="(\w+)" checked', answer.text))


def chosen(answer: httpx.Response, name: str) -> str:
    found = re.findall(rf'name="{name}" value="([\w-]*)" checked', answer.text)
    assert 1 == len(found), found
    return str(found[0])


def settle(world: World) -> None:
    """What was put into the inbox is applied."""
    world.live(until=(datetime.now(UTC) + timedelta(seconds=1)).isoformat(), dispatch=False)


# --- the link


def test_the_link_names_the_member_and_its_day_and_ends(ann: Club, vault: Vault) -> None:
    world, client = ann
    token = preferences_token(vault, "ann", THEN)
    link = read_preferences(vault, token)
    assert link is not None
    assert (vault.member("ann"), THEN.date()) == (link.member, link.day)
    for i in range(len(token)):
        assert read_preferences(vault, token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :]) is None
    days = SETTINGS.serve.link_days
    today = datetime.now(UTC)
    for age, status in ((0, 200), (days - 1, 200), (days, 410)):
        path = own_page(vault, "ann", today - timedelta(days=age))
        assert status == client.get(path).status_code, age
        assert status == client.post(path, data=BOTH).status_code, age
    assert 404 == client.get("/p/" + "x" * 39).status_code
    assert set() == stand(world)


def test_a_link_of_nobody_and_of_an_erased_member_shows_nothing(ann: Club) -> None:
    world, client = ann
    assert 404 == client.get(own_page(world.vault, "nobody")).status_code
    erase(world.store, world.vault, "ann", "test", world.store.clock())
    settle(world)
    answer = client.get(own_page(world.vault, "ann"))
    assert (404, False) == (answer.status_code, "Ann" in answer.text)


def test_strangers_who_try_tokens_are_slowed_down(ann: Club) -> None:
    answers = {ann[1].get(f"/p/{'x' * 30}{i:06d}").status_code for i in range(80)}
    assert {404, 429} == answers


# --- what it shows


def test_the_page_shows_what_is_known_and_no_address_in_full(ann: Club) -> None:
    world, client = ann
    world.live(purchase("ann", THEN + timedelta(hours=1)), dispatch=False)
    answer = client.get(own_page(world.vault, "ann"))
    assert (200, {"email", "sms"}, set()) == (answer.status_code, ticked(answer), stand(world))
    assert ("", "none", "none") == tuple(chosen(answer, name) for name in ("first", "limit", "pause"))
    member = world.member("ann")
    assert member is not None
    for point in member.contact_points:
        assert point.address not in answer.text
        assert masked(point.channel, point.address) in answer.text
    assert "Círculo &lt;Uno&gt;" in answer.text
    assert "agreed on November 20, 2026" in answer.text
    assert "1, the last on November 20, 2026" in answer.text
    assert "<script" not in answer.text
    assert ("no-store", "no-referrer") == (answer.headers["cache-control"], answer.headers["referrer-policy"])


@pytest.mark.parametrize(
    ("channel", "address", "shown"),
    [
        ("email", "ana@example.com", "a•••@e•••.com"),
        ("email", "x@localhost.co.uk", "x•••@l•••.uk"),
        ("sms", "+12125550123", "••• 123"),
        ("telegram", "7000", "•••"),
    ],
)
def test_addresses_are_masked(channel: str, address: str, shown: str) -> None:
    assert shown == masked(channel, address)


@pytest.mark.parametrize(("locale", "word"), [("es-CO", "Guardar"), ("pt-BR", "Salvar|Guardar"), ("fr-FR", "Save")])
def test_the_page_speaks_the_members_language_whatever_the_browser_asks_for(club: Club, locale: str, word: str) -> None:
    world, client = club
    world.live(enrolled("bea", THEN, locale=locale), dispatch=False)
    answer = client.get(own_page(world.vault, "bea"), headers={"Accept-Language": "en"})
    language = locale[:2] if locale[:2] in OWN else "en"
    assert f'<html lang="{language}">' in answer.text
    assert re.search(word, answer.text)


def test_every_language_has_every_word() -> None:
    assert OWN["en"].keys() == OWN["es"].keys() == OWN["pt"].keys()
    for name, text in OWN["en"].items():
        fields = set(re.findall(r"{\w+}", text))
        assert all(fields == set(re.findall(r"{\w+}", words[name])) for words in OWN.values()), name


# --- what it changes


def test_a_channel_left_is_silent_from_the_answer_on_and_the_ledger_tells_how(ann: Club) -> None:
    world, client = ann
    answer = client.post(own_page(world.vault, "ann"), data={**SHOWN, "channel": ["sms"]})
    assert (200, {"sms"}) == (answer.status_code, ticked(answer))
    assert OWN["en"]["saved"] in answer.text
    assert {("email", "marketing")} == stand(world), "before anything is decided"
    settle(world)
    member = world.member("ann")
    assert member is not None
    consent = member.consents["email/marketing"]
    assert ("withdrawn", "preference_centre", "granted") == (
        consent.state,
        consent.method,
        member.consents["sms/marketing"].state,
    )
    assert {"sms"} == ticked(client.get(own_page(world.vault, "ann")))
    world.check()


def test_a_channel_joined_is_a_consent_with_its_proof_and_lifts_what_the_member_said_before(ann: Club) -> None:
    world, client = ann
    page = own_page(world.vault, "ann")
    client.post(page, data={**SHOWN, "channel": ["sms"]})
    settle(world)
    # a reply STOP had silenced the number itself
    member = world.member("ann")
    assert member is not None
    number = next(point.fingerprint for point in member.contact_points if point.channel == "email")
    world.store.suppress([SuppressionRow(number, "email", "marketing", world.store.clock(), "opted_out")], [])
    assert {"sms"} == ticked(client.get(page))
    answer = client.post(page, data={**SHOWN, "shown": "sms", "channel": ["sms", "email"]})
    assert {"email", "sms"} == ticked(answer)
    settle(world)
    member = world.member("ann")
    assert member is not None
    consent = member.consents["email/marketing"]
    assert ("granted", "preference-centre-email-en-1", True) == (consent.state, consent.wording, consent.is_proven())
    assert set() == stand(world)
    assert {"email", "sms"} == ticked(client.get(page))
    world.check()


def test_what_an_operator_ordered_no_member_lifts(ann: Club) -> None:
    world, client = ann
    member = world.member("ann")
    assert member is not None
    number = next(point.fingerprint for point in member.contact_points if point.channel == "email")
    world.store.suppress([SuppressionRow(number, "email", "marketing", world.store.clock(), "suppressed")], [])
    client.post(own_page(world.vault, "ann"), data={**SHOWN, "shown": "sms", "channel": ["sms", "email"]})
    settle(world)
    assert {("email", "marketing")} == stand(world)


def test_saving_something_else_does_not_agree_again_to_what_was_stopped_meanwhile(ann: Club) -> None:
    world, client = ann
    page = own_page(world.vault, "ann")
    assert {"email", "sms"} == ticked(client.get(page))
    at = datetime.now(UTC)
    world.tell("ann", at.isoformat(), Withdrawal(channel="sms", purpose="marketing", method="reply", occurred_at=at))
    settle(world)
    answer = client.post(page, data={**BOTH, "limit": "1-week"})
    assert {"email"} == ticked(answer)
    settle(world)
    member = world.member("ann")
    assert member is not None
    assert "withdrawn" == member.consents["sms/marketing"].state


@pytest.mark.parametrize(
    ("fields", "limit", "days"),
    [
        ({"limit": "1-week", "pause": "none"}, Limit(1, "week"), None),
        ({"limit": "none", "pause": "30"}, None, 30),
        ({"limit": "2-month", "pause": "open", "first": "sms"}, Limit(2, "month"), 0),
    ],
    ids=["cap", "pause", "all"],
)
def test_wishes_are_kept_and_shown(ann: Club, fields: dict[str, str], limit: Limit | None, days: int | None) -> None:
    world, client = ann
    page = own_page(world.vault, "ann")
    answer = client.post(page, data={**BOTH, **fields})
    settle(world)
    member = world.member("ann")
    assert member is not None
    wishes = member.preferences
    assert (limit, ("sms",) if "first" in fields else ()) == (wishes.limit, wishes.channels)
    if days is None:
        assert wishes.pause is None
    elif days == 0:
        assert wishes.pause is not None
        assert wishes.pause.until is None
    else:
        assert wishes.pause is not None
        assert wishes.pause.until is not None
        assert timedelta(days=days - 1) < wishes.pause.until - datetime.now(UTC) < timedelta(days=days, minutes=1)
    again = client.get(page)
    for name in ("limit", "first"):
        assert fields.get(name, "") == chosen(again, name) == chosen(answer, name)
    assert {"none": "none", "30": "keep", "open": "open"}[fields["pause"]] == chosen(again, "pause")
    # saving once more keeps the pause as it is
    entries = len(world.log("ann"))
    client.post(page, data={**BOTH, **fields, "pause": chosen(again, "pause")})
    settle(world)
    kept = world.member("ann")
    assert kept is not None
    assert (wishes, entries) == (kept.preferences, len(world.log("ann")))


def test_a_cap_that_the_page_does_not_offer_is_shown_and_kept(ann: Club) -> None:
    world, client = ann
    wish: dict[str, Any] = {"preferences": {"limit": {"max": 5, "per": "week"}}}
    world.live(event("member.updated", "ann", THEN + timedelta(hours=1), wish), dispatch=False)
    answer = client.get(own_page(world.vault, "ann"))
    assert "5-week" == chosen(answer, "limit")
    assert "5 times a week" in answer.text


def test_out_of_everything_is_one_click_and_holds_for_channels_that_come_later(ann: Club) -> None:
    world, client = ann
    answer = client.post(own_page(world.vault, "ann"), data={"do": "leave"})
    assert (200, set()) == (answer.status_code, ticked(answer))
    assert OWN["en"]["gone"] in answer.text
    channels = {channel for channel, purpose in stand(world) if purpose == "marketing"}
    assert {"email", "sms", "whatsapp", "telegram", "push", "phone"} == channels
    settle(world)
    member = world.member("ann")
    assert member is not None
    assert {"withdrawn"} == {consent.state for consent in member.consents.values()}
    world.check()


def test_who_is_written_to_after_leaving_here_is_nobody(ann: Club) -> None:
    world, client = ann
    world.live(purchase("ann", THEN + timedelta(hours=1)), until="2026-11-21T20:00:00Z")
    before = [message for message in world.calls("ann") if message.purpose == "marketing"]
    assert before, "ann is written to"
    links = re.findall(r"https://example\.com(/p/[\w-]+)", before[0].text)
    assert [own_page(world.vault, "ann", THEN)] == links, "by a link in the message itself"
    client.post(own_page(world.vault, "ann"), data={"do": "leave"})
    settle(world)
    later = datetime.now(UTC) + timedelta(days=1)
    world.live(purchase("ann", later), until=(later + timedelta(days=2)).isoformat())
    assert before == [message for message in world.calls("ann") if message.purpose == "marketing"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"channel": "fax"},
        {"limit": "1-year"},
        {"limit": "-1-day"},
        {"limit": "9999-day"},
        {"pause": "3"},
        {"pause": ["7", "30"]},
        {"first": "fax"},
        {f"f{i}": "x" for i in range(80)},
    ],
)
def test_a_form_of_somebody_elses_changes_nothing(ann: Club, wrong: dict[str, Any]) -> None:
    world, client = ann
    answer = client.post(own_page(world.vault, "ann"), data={**BOTH, **wrong})
    assert (400, set()) == (answer.status_code, stand(world))
    assert 413 == client.post(own_page(world.vault, "ann"), content=b"x" * 9_000).status_code


def test_a_channel_that_the_member_has_not_is_not_joined(ann: Club) -> None:
    world, client = ann
    client.post(own_page(world.vault, "ann"), data={**SHOWN, "channel": ["email", "sms", "whatsapp"]})
    settle(world)
    member = world.member("ann")
    assert member is not None
    assert "whatsapp/marketing" not in member.consents


def test_a_contact_point_that_bounced_is_named(ann: Club) -> None:
    world, client = ann
    world.live(purchase("ann", THEN + timedelta(hours=1)), until="2026-11-21T20:00:00Z")
    touch = next(touch for touch in world.touches("ann") if touch.channel == "email")
    at = datetime.now(UTC)
    world.tell("ann", at.isoformat(), Receipt(touch_id=touch.touch_id, state="bounced", occurred_at=at))
    settle(world)
    assert OWN["en"]["unreachable"] in client.get(own_page(world.vault, "ann")).text


def test_the_length_of_a_link_is_a_setting(ann: Club) -> None:
    world, _ = ann
    shorter = replace(SETTINGS, serve=replace(SETTINGS.serve, link_days=1))
    with inside(shorter, world.store, world.vault) as client:
        assert 410 == client.get(own_page(world.vault, "ann", datetime.now(UTC) - timedelta(days=1))).status_code


# --- topics


def wanted(answer: httpx.Response) -> set[str]:
    return set(re.findall(r'name="topic" value="([\w-]+)" checked', answer.text))


def test_a_topic_that_is_switched_off_is_not_written_about_and_the_others_are(ann: Club) -> None:
    world, client = ann
    page = own_page(world.vault, "ann")
    every = {"acquisition", "retention", "about-to-leave"}
    assert every == wanted(client.get(page))
    kept = sorted(every - {"retention"})
    form = {**BOTH, "topics": " ".join(sorted(every)), "topic": kept}
    assert set(kept) == wanted(client.post(page, data=form))
    settle(world)
    assert set(kept) == wanted(client.get(page))
    later = datetime.now(UTC) + timedelta(days=1)
    world.live(purchase("ann", later), until=(later + timedelta(hours=1)).isoformat(), dispatch=False)
    assert ("thanks", "suppress", "topic_declined") == world.decisions("ann", "thank-you")[-1]
    # a page that shows no topics leaves them as they are
    client.post(page, data={**BOTH, "limit": "1-week"})
    settle(world)
    assert set(kept) == wanted(client.get(page))
    assert 400 == client.post(page, data={**form, "topic": ["fax"]}).status_code
    world.check()


def test_shipped_topics_are_all_marketing_and_have_a_name_in_every_language() -> None:
    content = shipped_content()
    categories = {journey.category for journey in content.journeys.values() if journey.purpose == "marketing"}
    assert categories == load_topics(locate.shipped("templates"), categories).keys()


def test_a_topic_of_no_journey_or_without_a_name_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "topics.yaml").write_text(
        "topics:\n  retention: {en: Thanks, es: Gracias}\n  retntion: {en: a, es: b, pt: c}\n"
    )
    with pytest.raises(ContentError) as told:
        load_topics(tmp_path, ["retention"])
    assert ["`pt`" in str(told.value), "retntion" in str(told.value)] == [True, True]


# --- contact data


def test_a_new_address_counts_once_whoever_reads_it_says_so(ann: Club) -> None:
    world, client = ann
    page = own_page(world.vault, "ann")
    answer = client.post(page, data={"do": "contact", "email": " Ann@Example.ORG ", "phone": ""})
    assert (200, True) == (answer.status_code, "A•••@e•••.org" in answer.text)
    world.live(until=(datetime.now(UTC) + timedelta(seconds=1)).isoformat())
    (asked,) = [message for message in world.calls("ann") if message.journey == "confirm-contact"]
    assert "Ann@example.org" == asked.to
    assert "/p/" not in asked.text
    assert "Ann" not in asked.text.replace("Ann@", "")

    def address() -> str:
        member = world.member("ann")
        assert member is not None
        return next(point.address for point in member.contact_points if point.channel == "email")

    assert "ann@example.com" == address()
    assert "A•••@e•••.org" in client.get(page).text
    (link,) = re.findall(r"https://example\.com(/c/[\w-]+)", asked.text)
    assert 200 == client.get(link).status_code
    settle(world)
    assert "ann@example.com" == address(), "opening it confirms nothing"
    for _ in range(2):
        answer = client.post(link)
        assert (200, True) == (answer.status_code, CONFIRMING_CONTACT["en"]["done_title"] in answer.text)
        settle(world)
    assert "Ann@example.org" == address()
    assert {"email", "sms"} == ticked(client.get(page)), "what was agreed to by e-mail stands"
    world.check()


def test_of_two_addresses_asked_for_the_later_one_can_be_confirmed(ann: Club) -> None:
    world, client = ann
    links = []
    for hours, address in ((2, "one@example.org"), (1, "two@example.org")):
        at = datetime.now(UTC) - timedelta(hours=hours)
        wanted = {"channel": "email", "address": address}
        world.live(event("contact.requested", "ann", at, wanted), until=at.isoformat())
        (asked,) = [message for message in world.calls("ann") if message.to == address]
        links += re.findall(r"https://example\.com(/c/[\w-]+)", asked.text)
    assert [410, 200] == [client.post(link).status_code for link in links]
    settle(world)
    assert [410, 200] == [client.post(link).status_code for link in links]


def test_a_new_number_holds_at_once_on_every_channel_that_had_it(ann: Club) -> None:
    world, client = ann
    answer = client.post(own_page(world.vault, "ann"), data={"do": "contact", "phone": "(212) 555-0187", "email": ""})
    assert (200, True) == (answer.status_code, "••• 187" in answer.text)
    settle(world)
    member = world.member("ann")
    assert member is not None
    assert {("email", "ann@example.com"), ("sms", "+12125550187")} == {
        (point.channel, point.address) for point in member.contact_points
    }


def test_what_is_wrong_is_said_beside_the_field_in_the_member_s_language(club: Club) -> None:
    world, client = club
    for locale, fields, field, what in (
        ("en-US", {"email": "nowhere"}, "email", "email_wrong"),
        ("es-MX", {"email": "ann@example.org", "phone": "12"}, "phone", "phone_wrong"),
        ("pt-BR", {"email": "pt-BR@example.com"}, "email", "address_known"),
        ("es-MX", {"phone": "+34 900 123 456"}, "phone", "phone_line"),
        ("pt-BR", {"email": "", "phone": " "}, "email", "nothing_entered"),
    ):
        if world.member(locale) is None:
            world.live(enrolled(locale, THEN, locale=locale), dispatch=False)
        answer = client.post(own_page(world.vault, locale), data={"do": "contact", **fields})
        assert (422, True) == (answer.status_code, OWN[locale[:2]][what] in html.unescape(answer.text)), what
        assert f'aria-invalid="true" aria-describedby="{field}-wrong"' in answer.text
        for entered in filter(str.strip, fields.values()):
            assert f'value="{entered}"' in answer.text, "what was entered is there to be corrected"
    settle(world)
    for locale in ("en-US", "es-MX", "pt-BR"):
        member = world.member(locale)
        assert member is not None
        assert (False, 2) == (bool(member.requested), len(member.contact_points))


def test_addresses_are_not_asked_for_without_end(ann: Club) -> None:
    world, client = ann
    page = own_page(world.vault, "ann")
    answers = []
    for n in range(A_DAY + 1):
        answers.append(client.post(page, data={"do": "contact", "email": f"a{n}@example.org"}).status_code)
        settle(world)
    assert [200] * A_DAY + [422] == answers


def test_the_page_escapes_what_was_entered(ann: Club) -> None:
    world, client = ann
    answer = client.post(own_page(world.vault, "ann"), data={"do": "contact", "email": '"><script>x</script>'})
    assert (422, False) == (answer.status_code, "<script" in answer.text)
    assert 400 == client.post(own_page(world.vault, "ann"), data={"do": "contact", "email": "x" * 400}).status_code
