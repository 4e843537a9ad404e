"""What is assembled from parts made before says what `email.message` makes of the whole message."""

from __future__ import annotations

import email
import email.policy
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.channels.contract import Message
from orchestrator.channels.email.smtp import message as wire
from orchestrator.channels.email.smtp.quoted import Forms, encode

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


def read(raw: bytes) -> list[tuple[list[tuple[str, str]], bytes]]:
    """Headers and words of each part; how the words travel is not looked at."""
    return [
        (
            [(name, value) for name, value in part.items() if name != "Content-Transfer-Encoding"],
            b"" if part.is_multipart() else part.get_payload(decode=True),
        )
        for part in email.message_from_bytes(raw, policy=email.policy.SMTP).walk()
    ]


@given(
    st.uuids().map(str),
    SUBJECTS,
    WORDS.filter(bool),
    WORDS,
    st.sampled_from(["", "Club", "Club Ñandú, S.A.", "a" * 90]),
)
@example(str(uuid.UUID(int=0)), "a", "x" * 77 + " ", "x" * 78 + "\t", "Club")
@example("t", "Welcome, Ana: Club starts here", "x" * 79 + " ", "<p>" + "=" * 300 + "</p>", "Club")
def test_it_says_what_email_message_says(touch_id: str, subject: str, text: str, html: str, name: str) -> None:
    given = made(touch_id, subject, text, html, name)
    try:
        expected = wire.whole(given, SENDER, touch_id)
    except ValueError as error:
        with pytest.raises(type(error)):
            wire._set_in(given, SENDER, touch_id)
        return
    put = wire._set_in(given, SENDER, touch_id)
    assert put is None or read(expected) == read(put)


@given(
    st.lists(st.text("abc =\té.", max_size=260), min_size=1, max_size=14).map("\n".join), st.sampled_from([7, 36, 40])
)
def test_what_is_mostly_ascii_needs_no_email_message(text: str, id_length: int) -> None:
    """The way that is compared above is the one that is taken."""
    given = made("a" * id_length, "Hello", "x" * 400 + text, "y" * 400 + text, "Club")
    put = wire._set_in(given, SENDER, given.touch_id)
    assert put is not None
    assert all(len(line) <= 78 for line in put.split(b"\r\n"))
    assert read(wire.whole(given, SENDER, given.touch_id)) == read(put)


def test_base64_is_left_to_email_message() -> None:
    assert encode("ありがとう" * 40) is None
    assert b"base64" in wire.whole(made("t", "s", "ありがとう" * 40, "", ""), SENDER, "t")


# pieces of a template as they are, each long enough to be worth keeping in company; a hole takes what differs
FIXED = st.lists(
    st.sampled_from(
        ["<td style='é'>" + "x" * 60, "<p>=" + "y" * 90, "plain", " ", "", "z" * 70 + "\t", "\r", "</p></td>", "\n\n"]
    ),
    min_size=8,
    max_size=24,
).map("".join)
HOLE = st.lists(
    st.sampled_from(["Ana", "é", "=", " ", "\t", "\n", "\r", "\r\n", "x" * 80, "<b>", "</b>", "<td style='é'>"]),
    max_size=5,
).map("".join)


@given(
    st.lists(FIXED, min_size=1, max_size=3), st.lists(st.lists(HOLE, min_size=3, max_size=3), min_size=3, max_size=6)
)
def test_what_texts_share_is_encoded_as_if_they_shared_nothing(pieces: list[str], members: list[list[str]]) -> None:
    forms = Forms()
    for holes in members:
        text = "<html lang='é'>" + "".join(f"{piece}{hole}" for piece, hole in zip(pieces, holes, strict=False))
        text += "<p>" + "é" + "p" * 400 + "</p>"
        assert encode(text, Forms()) == encode(text, forms)


def test_of_texts_of_one_template_only_what_differs_is_encoded() -> None:
    forms = Forms()
    cells = "".join(f"<td style='padding:{n}px'>é</td>" for n in range(100))

    def text(name: str, token: str) -> bytes:
        return f"{cells}<p>Hello {name}</p>{cells}<a href='{token}'>out</a><p>{'x' * 300}</p>\n".encode()

    for member in (("Ana", "t1"), ("María", "t2-longer")):
        assert forms.body(text(*member)) is None
        encode(text(*member).decode(), forms)
    made = forms.body(text("Zoë\nof two lines", "t3"))
    assert made is not None
    assert (b"quoted-printable", made) == encode(text("Zoë\nof two lines", "t3").decode(), Forms())
    # another template, or one whose fixed pieces are not whole
    assert forms.body(text("Zoë", "t3").replace(b"padding:3px", b"padding:4px")) is None
    assert forms.body(text("Zoë", "t3").replace(b"<p>Hello", b"Hello")) is None
