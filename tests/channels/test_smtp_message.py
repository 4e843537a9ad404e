"""The bytes of an e-mail: the headers that receivers ask for, and no way to break out of them."""

from __future__ import annotations

import email
import email.policy
from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.channels.contract import Message
from orchestrator.channels.email.headers import Unsendable, recipient
from orchestrator.channels.email.smtp.message import bounce_address, build

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def message(**changes: str) -> Message:
    facts = {
        "touch_id": "0193-touch",
        "channel": "email",
        "to": "lucia@example.org",
        "purpose": "marketing",
        "journey": "welcome",
        "locale": "es-ES",
        "subject": "Lucía, te damos la bienvenida",
        "html": "<p>¡Hola, Lucía!</p>",
        "text": "¡Hola, Lucía!\n.\n.fin",
        "sender_name": "Club Ñandú",
        "sender": "club@example.com",
        "reply_to": "help@example.com",
        "unsubscribe": "https://example.com/u/Zx81kQ",
    }
    return Message(**{**facts, **changes})


def read(raw: bytes) -> EmailMessage:
    return email.message_from_bytes(raw, _class=EmailMessage, policy=email.policy.default)


def test_every_automated_mail_says_what_it_is_and_which_touch_it_carries() -> None:
    mail = read(build(message(), NOW, "Our programme"))
    assert "<0193-touch@example.com>" == mail["Message-ID"]
    assert "auto-generated" == mail["Auto-Submitted"]
    assert "Sun, 22 Nov 2026 09:30:00 +0000" == mail["Date"]
    assert "welcome:es-ES:marketing:Our-programme" == mail["Feedback-ID"]
    assert "Club Ñandú <club@example.com>" == mail["From"]
    assert "help@example.com" == mail["Reply-To"]
    assert "Lucía, te damos la bienvenida" == mail["Subject"]
    assert [] == mail.defects


def test_where_an_address_takes_opt_outs_the_header_names_it_behind_the_one_click() -> None:
    token = "Zx81kQ_-" * 4 + "abcd"
    there = message(unsubscribe=f"https://club.example.com/u/{token}")
    raw = build(there, NOW, "Club", "leave@in.some-loyalty-club.com")
    line = f"List-Unsubscribe: <{there.unsubscribe}>, <mailto:leave+{token}@in.some-loyalty-club.com>\r\n"
    assert line.encode() in raw
    assert all(len(way) <= 76 for way in line.removeprefix("List-Unsubscribe: ").rstrip().split(", "))
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw
    assert b"mailto" not in build(there, NOW, "Club")
    assert b"mailto" not in build(message(purpose="service"), NOW, "Club", "leave@in.example.com")
    elsewhere = message(unsubscribe="https://example.com/u/?who=1")
    assert b"mailto" not in build(elsewhere, NOW, "Club", "leave@in.example.com"), "nobody could read it"


def test_text_stands_beside_html_and_both_come_back_as_they_were() -> None:
    mail = read(build(message(), NOW, "Club"))
    assert "multipart/alternative" == mail.get_content_type()
    text, html = mail.iter_parts()
    assert ["¡Hola, Lucía!", ".", ".fin"] == text.get_content().splitlines()
    assert ["<p>¡Hola, Lucía!</p>"] == html.get_content().splitlines()


def test_only_seven_bits_and_crlf_leave() -> None:
    raw = build(message(), NOW, "Club")
    assert raw.isascii()
    assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")
    assert max(map(len, raw.split(b"\r\n"))) <= 998


def test_marketing_carries_one_click_opt_out_and_service_does_not() -> None:
    marketing = read(build(message(), NOW, "Club"))
    assert "<https://example.com/u/Zx81kQ>" == marketing["List-Unsubscribe"]
    assert "List-Unsubscribe=One-Click" == marketing["List-Unsubscribe-Post"]
    service = read(build(message(purpose="service"), NOW, "Club"))
    assert (None, None) == (service["List-Unsubscribe"], service["List-Unsubscribe-Post"])


def test_a_long_opt_out_address_is_never_turned_into_an_encoded_word() -> None:
    uri = "https://a-rather-long-host-name.of.the.programme.example.com/unsubscribe/" + "x" * 400
    head = build(message(unsubscribe=uri), NOW, "Club").partition(b"\r\n\r\n")[0]
    lines = [line for line in head.split(b"\r\n") if line.startswith(b"List-Unsubscribe:")]
    assert [f"List-Unsubscribe: <{uri}>".encode()] == lines


def test_the_same_message_gives_the_same_bytes() -> None:
    assert build(message(), NOW, "Club") == build(message(), NOW, "Club")


def test_bounces_come_back_to_an_address_that_names_the_touch() -> None:
    assert "bounce+0193-touch@example.com" == bounce_address(message())


def test_an_internationalised_domain_travels_in_ascii() -> None:
    assert "lucia@xn--and-6ma2c.example" == recipient(message(to="lucia@ñandú.example"))


@pytest.mark.parametrize("break_out", ["\r\n", "\n", "\r", "\x00", "\x85", "\u2028"])
@pytest.mark.parametrize("field", ["subject", "sender_name", "to", "sender", "reply_to", "unsubscribe", "touch_id"])
def test_no_header_can_be_broken_out_of(field: str, break_out: str) -> None:
    with pytest.raises(Unsendable):
        build(message(**{field: f"{getattr(message(), field)}{break_out}Bcc: everyone@example.org"}), NOW, "Club")


@pytest.mark.parametrize(
    ("changes", "kind", "code"),
    [
        ({"to": "no address"}, "rejected_recipient", "bad_recipient"),
        ({"to": "ñandú@example.org"}, "rejected_recipient", "smtputf8"),
        ({"to": "a@b@c.example"}, "rejected_recipient", "bad_recipient"),
        ({"sender": ""}, "rejected_sender", "bad_sender"),
        ({"subject": ""}, "rejected_message", "no_subject"),
        ({"text": ""}, "rejected_message", "no_text"),
        ({"unsubscribe": "http://example.com/u"}, "rejected_message", "bad_unsubscribe"),
        ({"unsubscribe": "https://example.com/>,<mailto:x@example.com"}, "rejected_message", "bad_unsubscribe"),
    ],
)
def test_what_cant_be_carried_faithfully_is_refused_by_name(changes: dict[str, str], kind: str, code: str) -> None:
    with pytest.raises(Unsendable) as refused:
        build(message(**changes), NOW, "Club")
    assert (kind, code) == (refused.value.kind, refused.value.code)


@given(subject=st.text(min_size=1, max_size=200), name=st.text(max_size=80), journey=st.text(max_size=30))
def test_any_words_are_carried_or_refused_and_add_no_header(subject: str, name: str, journey: str) -> None:
    try:
        raw = build(message(subject=subject, sender_name=name, journey=journey), NOW, "Club")
    except Unsendable:
        return
    head = read(raw.partition(b"\r\n\r\n")[0])
    known = set(read(build(message(), NOW, "Club")).keys())
    assert known == set(head.keys())
    assert len(known) == len(head.keys())
