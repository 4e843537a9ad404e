"""What is assembled from parts made before is, byte for byte, what `email.message` makes of the whole message."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.channels.contract import Message
from orchestrator.channels.email.smtp import message as wire
from orchestrator.channels.email.smtp.quoted import encode

# lines that are cut, that end in white space, that look like headers, boundaries and dots; wide and narrow letters
CHUNKS = (
    "=",
    " ",
    "\t",
    ".",
    "\n",
    "\r\n",
    "\r",
    "--=_",
    "From ",
    "a",
    "é",
    "ñ",
    "✓",
    "\x0b",
    "\x85",
    "\u2028",
    "0" * 70,
)
WORDS = st.one_of(
    st.text(max_size=120),
    st.lists(st.sampled_from(CHUNKS), max_size=60).map("".join),
    st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=160), max_size=14).map("\n".join),
    st.builds(
        lambda n, end: "x" * n + end, st.integers(60, 240), st.sampled_from(["", " ", "\t", "=", "é", " \n", "=\n"])
    ),
)
SUBJECTS = st.one_of(
    st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=160),
    st.text("abc XYZ09!?.,:;'()&%+-=_", min_size=1, max_size=90),
)
SENDER = "club@example.com"


def made(touch_id: str, subject: str, text: str, html: str, name: str) -> Message:
    return Message(
        touch_id=touch_id,
        channel="email",
        to="lucia@example.org",
        purpose="marketing",
        journey="welcome",
        locale="es",
        subject=subject,
        text=text,
        html=html,
        sender_name=name,
        sender=SENDER,
    )


@given(
    st.uuids().map(str),
    SUBJECTS,
    WORDS.filter(bool),
    WORDS,
    st.sampled_from(["", "Club", "Club Ñandú, S.A.", "a" * 90]),
)
@example(str(uuid.UUID(int=0)), "a", "x" * 77 + " ", "x" * 78 + "\t", "Club")
@example("t", "Welcome, Ana: Club starts here", "x" * 79 + " ", "<p>" + "=" * 300 + "</p>", "Club")
def test_the_bytes_are_those_of_email_message(touch_id: str, subject: str, text: str, html: str, name: str) -> None:
    given = made(touch_id, subject, text, html, name)
    try:
        expected = wire.whole(given, SENDER, touch_id)
    except ValueError as error:
        with pytest.raises(type(error)):
            wire._set_in(given, SENDER, touch_id)
        return
    assert wire._set_in(given, SENDER, touch_id) in (expected, None)


@given(
    st.lists(st.text("abc =\té.", max_size=260), min_size=1, max_size=14).map("\n".join), st.sampled_from([7, 36, 40])
)
def test_what_is_mostly_ascii_needs_no_email_message(text: str, id_length: int) -> None:
    """The way that is compared above is the one that is taken."""
    given = made("a" * id_length, "Hello", "x" * 400 + text, "y" * 400 + text, "Club")
    assert wire.whole(given, SENDER, given.touch_id) == wire._set_in(given, SENDER, given.touch_id)


def test_base64_is_left_to_email_message() -> None:
    assert encode("ありがとう" * 40) is None
    assert b"base64" in wire.whole(made("t", "s", "ありがとう" * 40, "", ""), SENDER, "t")
