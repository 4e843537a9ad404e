"""What a member's reply says: whether it is a word to leave, and whether the sender must be told that it was heard."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import msgspec
import phonenumbers
from msgspec import Struct

_FILE = Path(__file__).with_name("replies.yaml")
# a longer text is a message, not a word
LONGEST = 60
# where several languages have a word, English least of all says which is spoken
_ORDER = ("es", "pt", "fr", "de", "en")


class _Confirm(Struct, frozen=True, forbid_unknown_fields=True):
    countries: tuple[str, ...]
    words: dict[str, str]


class _File(Struct, frozen=True, forbid_unknown_fields=True):
    stop: dict[str, tuple[str, ...]]
    confirm: _Confirm


class Replies:
    """The words that count."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        """`more` are words beside those of the file."""
        self._confirm = _read().confirm
        known = {folded(word): language for language in reversed(_ORDER) for word in _read().stop[language]}
        self._words = {**{folded(word): "en" for word in more}, **known}
        self._words.pop("", None)

    def stops(self, text: str) -> str:
        """The language of a text that says stop and nothing else; "" for any other."""
        return self._words.get(folded(text), "") if len(text) <= LONGEST else ""

    def confirmation(self, number: str, language: str, programme: str) -> str:
        """What the owner of a number is told who said stop by SMS; "" where nobody asks for it."""
        try:
            country = phonenumbers.region_code_for_number(phonenumbers.parse(number))
        except phonenumbers.NumberParseException:
            return ""
        words = self._confirm.words
        return (
            words.get(language, words["en"]).format(programme=programme) if country in self._confirm.countries else ""
        )


def folded(text: str) -> str:
    """Without case, accents, punctuation and doubled spaces."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return " ".join(re.sub(r"[\W_]+", " ", plain).split())


@cache
def _read() -> _File:
    return msgspec.yaml.decode(_FILE.read_bytes(), type=_File)
