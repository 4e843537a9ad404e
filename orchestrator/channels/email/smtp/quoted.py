"""The body of a text part as `email.message` would encode it, byte for byte, in a fraction of the time.

`email.contentmanager` and `email.quoprimime` (CPython 3.11 to 3.14) say how: a text whose lines are short and in ASCII
goes as it is; else its first ten lines decide between quoted-printable and base64. What they translate character by
character and then flatten line by line is done here on the whole. `tests/channels/test_smtp_bytes.py` compares.
"""

from __future__ import annotations

import re
from typing import NamedTuple

# of the policy: lines that may stay as they are, and encoded lines, the soft break included
WIDTH = 78
# lines that the encoding is chosen by
_SNIFFED = 10
# RFC 2045, section 6.7: what stands for itself, and the ends of lines; "=" is quoted before
_PLAIN = b"\t\n" + bytes(range(0x20, 0x7F))
# a piece of a long line, that no escape is cut through: at most 77 octets where 79 or more are left; then the rest
_PIECES = re.compile(rb"(?=.{79}).{75}(?:[^=][^=]?)?|.+", re.DOTALL)
_QUOTED = {bytes([octet]): b"=%02X" % octet for octet in range(256)}


class Encoded(NamedTuple):
    """A text as it travels."""

    # the word for Content-Transfer-Encoding
    encoding: bytes
    # its lines, each ended by CRLF
    body: bytes


def encode(text: str) -> Encoded | None:
    """The text in UTF-8, encoded; None where base64 is the shorter way. Raises UnicodeError for half a pair."""
    raw = text.encode("utf-8")
    lines = raw.splitlines()
    if raw.isascii() and max(map(len, lines), default=0) <= WIDTH:
        return Encoded(b"7bit", b"\r\n".join(lines) + b"\r\n")
    first = lines[:_SNIFFED]
    sniffed = quoted_printable(first)
    # base64 of these lines with CRLF, and the newline that ends it
    if len(sniffed) > (sum(map(len, first)) + 2 * len(first) + 2) // 3 * 4 + 1:
        return None
    body = sniffed if len(lines) <= _SNIFFED else quoted_printable(lines)
    return Encoded(b"quoted-printable", body.replace(b"\n", b"\r\n"))


def quoted_printable(lines: list[bytes]) -> bytes:
    """The lines, each ended by a newline, at most WIDTH characters wide."""
    whole = b"\n".join(lines).replace(b"=", b"=3D")
    # whatever is left of it once the plain octets are taken out: few kinds, most often none
    for octet in set(whole.translate(None, _PLAIN)):
        whole = whole.replace(bytes([octet]), _QUOTED[bytes([octet])])
    out: list[bytes] = []
    for line in whole.split(b"\n"):
        if line.endswith((b" ", b"\t")):
            _wrap(line, out)
        elif len(line) <= WIDTH:
            out.append(line)
        else:
            out.append(b"=\n".join(_PIECES.findall(line)))
    out.append(b"")
    return b"\n".join(out)


def _wrap(line: bytes, out: list[bytes]) -> None:
    """One quoted line that ends in white space, which would be lost on the way."""
    pieces = _PIECES.findall(line)
    rest, white = pieces[-1][:-1], line[-1:]
    if len(rest) + 3 <= WIDTH:
        pieces[-1] = rest + _QUOTED[white]
    elif len(rest) + 2 <= WIDTH:
        pieces[-1] = rest + white
        pieces.append(b"")
    else:
        pieces[-1] = rest
        pieces.append(_QUOTED[white])
    out.append(b"=\n".join(pieces))
