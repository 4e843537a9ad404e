"""How many segments an SMS is billed as. Source: 3GPP TS 23.038 (GSM 7-bit alphabet), read 2026-11-22."""

from __future__ import annotations

import math

from msgspec import Struct

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# each of these takes two places
_EXTENDED = frozenset("^{}\\[~]|€")
# (one segment, each of several): several carry a header of 48 bits
_GSM, _UCS2 = (160, 153), (70, 67)


class Segments(Struct, frozen=True):
    """The billed size of a text."""

    count: int
    # places it takes: septets, or 16-bit units
    units: int
    # False: a character outside the GSM alphabet more than halves what a segment holds
    gsm: bool


def segments(text: str) -> Segments:
    """The segments of a text; an empty text has none."""
    gsm = all(char in _BASIC or char in _EXTENDED for char in text)
    units = sum(2 if char in _EXTENDED else 1 for char in text) if gsm else len(text.encode("utf-16-le")) // 2
    single, each = _GSM if gsm else _UCS2
    return Segments(count=0 if not units else 1 if units <= single else math.ceil(units / each), units=units, gsm=gsm)
