"""Subjects that ASCII does not have: read as they were written, on lines as short as they have to be, and quickly."""

from __future__ import annotations

import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.channels.email.smtp.words import encoded_words

PEOPLE = [
    "¡Te damos la bienvenida, Lucía!",
    "María José: tus 1.250 puntos caducan el domingo, ¿los canjeas?",
    "Só até domingo: o dobro de pontos em todas as compras, João",
    "Joyeux anniversaire, Zoë 🎁",
]


def read(words: list[bytes]) -> str:
    """The subject as a mail reader shows it."""
    raw = b"Subject: " + b"\r\n ".join(words) + b"\r\n\r\n"
    return str(email.message_from_bytes(raw, policy=email.policy.SMTP)["Subject"])


@pytest.mark.parametrize("subject", PEOPLE)
def test_what_marketers_write_takes_the_quick_way(subject: str) -> None:
    assert subject == read(encoded_words(subject))


@given(
    st.one_of(
        st.text(min_size=1, max_size=200),
        st.lists(st.sampled_from(["Lucía", "ñ", "=?utf-8?q?x?=", "_", "?=", "=", "a" * 80, "🎁"]), min_size=1).map(
            " ".join
        ),
    ).filter(lambda text: not any("\ud800" <= each <= "\udfff" for each in text))
)
def test_it_is_read_as_it_was_written_or_goes_the_other_way(subject: str) -> None:
    words = encoded_words(subject)
    if words:
        assert subject == read(words)
        assert len(words[0]) <= 76 - len("Subject: ")
        assert all(len(word) <= 75 for word in words)
        # no character is cut in two (RFC 2047, section 5)
        assert subject == "".join(read([word]) for word in words)


@pytest.mark.parametrize("subject", ["Привет, Анна", "こんにちは", "dos  espacios é", " é", "é ", "a\u200bé"])
def test_what_base64_says_in_less_or_readers_may_fold_goes_the_other_way(subject: str) -> None:
    assert [] == encoded_words(subject)


def test_half_a_pair_goes_the_other_way_where_it_is_refused() -> None:
    assert [] == encoded_words("é\ud800")
