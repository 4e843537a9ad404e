"""The body of a text part as `email.message` would encode it, byte for byte, in a twentieth of the time.

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
# RFC 2045, section 6.7: what stands for itself, but for "="
_TO_QUOTE = re.compile(rb"[^\t\n -~]")
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
    out: list[bytes] = []
    for line in _TO_QUOTE.sub(_quote, whole).split(b"\n"):
        if len(line) <= WIDTH - 2 and not line.endswith((b" ", b"\t")):
            out.append(line)
        else:
            _wrap(line, out)
    out.append(b"")
    return b"\n".join(out)


def _quote(found: re.Match[bytes]) -> bytes:
    return _QUOTED[found[0]]


def _wrap(line: bytes, out: list[bytes]) -> None:
    """One quoted line in pieces, as `quoprimime.body_encode` cuts them: no escape is cut through."""
    start, last_start = 0, len(line) - 1 - WIDTH
    while start <= last_start:
        stop = start + WIDTH - 1
        if line[stop - 2] == 0x3D:
            out.append(line[start : stop - 1])
            start = stop - 2
        elif line[stop - 1] == 0x3D:
            out.append(line[start:stop])
            start = stop - 1
        else:
            out.append(line[start:stop] + b"=")
            start = stop
    if not line.endswith((b" ", b"\t")):
        out.append(line[start:])
        return
    # white space at the end of a line would be lost on the way
    room, white = start - last_start, line[-1:]
    if room >= 3:
        out.append(line[start:-1] + _QUOTED[white])
    elif room == 2:
        out += [line[start:-1] + white + b"=", b""]
    else:
        out += [line[start:-1] + b"=", _QUOTED[white]]
