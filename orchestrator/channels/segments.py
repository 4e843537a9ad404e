"""Into how many parts an SMS is cut: 160/153 GSM-7 septets or 70/67 UCS-2 units (3GPP TS 23.038 and 23.040). Pure."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

# 3GPP TS 23.038, 6.2.1: the default alphabet without its escape
_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# 6.2.1.1: two septets each, never parted
_EXTENDED = frozenset("\f^{}\\[~]|€")


class Segments(Struct, frozen=True):
    """What an SMS weighs."""

    alphabet: Literal["GSM-7", "UCS-2"]
    # septets or 16-bit units
    units: int
    # what one message of that many parts holds
    room: int
    count: int
    # the characters that rule GSM-7 out, in order of appearance, each once
    outside: tuple[str, ...] = ()


def segments(text: str) -> Segments:
    """The alphabet and the number of parts; an empty text is one part."""
    outside = tuple(dict.fromkeys(char for char in text if char not in _BASIC and char not in _EXTENDED))
    if outside:
        sizes = [1 + (ord(char) > 0xFFFF) for char in text]
        return _cut("UCS-2", sizes, 70, 67, outside)
    return _cut("GSM-7", [1 + (char in _EXTENDED) for char in text], 160, 153, ())


def _cut(
    alphabet: Literal["GSM-7", "UCS-2"], sizes: list[int], single: int, several: int, outside: tuple[str, ...]
) -> Segments:
    units = sum(sizes)
    if units <= single:
        return Segments(alphabet, units, single, 1, outside)
    count, used = 1, 0
    for size in sizes:
        if used + size > several:
            count, used = count + 1, 0
        used += size
    return Segments(alphabet, units, several * count, count, outside)
