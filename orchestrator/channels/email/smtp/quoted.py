"""The body of a text part as it travels: as it is where it can be, else quoted-printable (RFC 2045, section 6.7).

A soft break stands wherever a tag follows another, and else where a line would become too long; so how a piece between
two such places is written depends on that piece alone. Texts of one template have most pieces in common: runs of pieces
that two texts share are kept as they travel, and of the next text only what stands between them is encoded. What comes
of it is the same as without.
"""

from __future__ import annotations

import re
from itertools import groupby
from typing import NamedTuple

# a line that may stay as it is (RFC 5322, 2.1.1); an encoded one has at most 76, its soft break included
WIDTH = 78
_ENCODED = 75
# what stands for itself, and the ends of lines; "=" is quoted before
_PLAIN = b"\t\n" + bytes(range(0x20, 0x7F))
# at most so many octets of a long piece, no escape cut through
_CHUNKS = re.compile(rb".{1,%d}(?<!=)(?<!=.)" % _ENCODED, re.DOTALL)
_QUOTED = {bytes([octet]): b"=%02X" % octet for octet in range(256)}
# no quoted text holds it
_MARK = b"\0"
_SOFT = b"=\r\n"
# behind each of these a piece begins
_PIECES = re.compile(rb"(?<=\n)|(?<=>)(?=<)")
# base64 is shorter where more than a sixth would be quoted; so much of a text decides
_SNIFFED, _SIXTH = 2_048, 6
# octets of a text, and of a run, from which on it is worth keeping what is shared
_LONG, _RUN = 512, 128
# a text is made from runs where they are all of it but one part in so many
_LOOSE = 3
# texts, and forms of texts, that are kept
_TEXTS, _FORMS = 4, 16
# octets that a run is found by
_HEAD = 64


class Encoded(NamedTuple):
    """A text as it travels."""

    # the word for Content-Transfer-Encoding
    encoding: bytes
    # its lines, each ended by CRLF
    body: bytes


class _Run(NamedTuple):
    """Whole pieces that texts share."""

    raw: bytes
    encoded: bytes


class Forms:
    """What the texts of late have in common. It changes how long encoding takes, never what comes of it."""

    def __init__(self) -> None:
        # of one template each, the one used last in front
        self._forms: list[tuple[_Run, ...]] = []
        # pieces of texts that no form fitted
        self._texts: list[list[bytes]] = []

    def body(self, raw: bytes) -> bytes | None:
        """The text in quoted-printable, where a form fits it; None where none does. `raw` ends as a line does."""
        for form in self._forms:
            if (made := _filled(raw, form)) is not None:
                if form is not self._forms[0]:
                    self._forms = [form, *(other for other in self._forms if other is not form)]
                return made
        return None

    def learn(self, raw: bytes) -> None:
        """Compares a text that had to be quoted with others that no form fitted."""
        pieces = _PIECES.split(raw)
        form = max((_shared(pieces, other) for other in self._texts), key=_octets, default=())
        if _octets(form) * _LOOSE >= len(raw) * (_LOOSE - 1):
            self._forms = [form, *self._forms[: _FORMS - 1]]
        self._texts = [pieces, *self._texts[: _TEXTS - 1]]


_forms = Forms()


def encode(text: str, forms: Forms = _forms) -> Encoded | None:
    """The text in UTF-8, encoded; None where base64 is the shorter way. Raises UnicodeError for half a pair."""
    raw = text.encode("utf-8")
    if not raw.endswith((b"\n", b"\r")):
        raw += b"\n"
    begins = raw[:_SNIFFED]
    dear = (len(begins.translate(None, _PLAIN)) + begins.count(b"=")) * _SIXTH > len(begins)
    if not dear and len(raw) >= _LONG and (made := forms.body(raw)) is not None:
        return Encoded(b"quoted-printable", made)
    if raw.isascii() and max(map(len, lines := raw.splitlines())) <= WIDTH:
        return Encoded(b"7bit", b"\r\n".join(lines) + b"\r\n")
    if dear:
        return None
    if len(raw) >= _LONG:
        forms.learn(raw)
    return Encoded(b"quoted-printable", quoted_printable(raw))


def quoted_printable(raw: bytes) -> bytes:
    """Some pieces of a text; each line ends with CRLF, pieces that end none with a soft break."""
    whole = b"\n".join(raw.splitlines()).replace(b"=", b"=3D")
    # whatever is left of it once the plain octets are taken out: few kinds, most often none
    for octet in set(whole.translate(None, _PLAIN)):
        whole = whole.replace(bytes([octet]), _QUOTED[bytes([octet])])
    lines = whole.replace(b"><", b">" + _MARK + b"<").split(b"\n")
    out = b"\r\n".join([_line(line) if len(line) > _ENCODED or _MARK in line else _end(line) for line in lines])
    return out + (b"\r\n" if raw.endswith((b"\n", b"\r")) else _SOFT)


def _line(line: bytes) -> bytes:
    chunks: list[bytes] = []
    for piece in line.split(_MARK):
        if len(piece) <= _ENCODED:
            chunks.append(piece)
        else:
            chunks += _CHUNKS.findall(piece)
    chunks[-1] = _end(chunks[-1])
    return _SOFT.join(chunks)


def _end(line: bytes) -> bytes:
    """The last of a line: white space there would be lost on the way."""
    if not line.endswith((b" ", b"\t")):
        return line
    rest, white = line[:-1], _QUOTED[line[-1:]]
    return rest + white if len(line) + 2 <= _ENCODED else rest + _SOFT + white


def _octets(form: tuple[_Run, ...]) -> int:
    return sum(len(run.raw) for run in form)


def _shared(pieces: list[bytes], others: list[bytes]) -> tuple[_Run, ...]:
    """The runs that both texts have; none where such texts could do without quoting."""
    if len(pieces) != len(others):
        return ()
    groups = groupby(zip(pieces, others, strict=True), lambda pair: pair[0] == pair[1])
    raws = [b"".join(piece for piece, _ in group) for alike, group in groups if alike]
    runs = tuple(_Run(raw, quoted_printable(raw)) for raw in raws if len(raw) >= _RUN)
    wide = any(not run.raw.isascii() or max(map(len, run.raw.splitlines())) > WIDTH for run in runs)
    return runs if wide else ()


def _filled(raw: bytes, form: tuple[_Run, ...]) -> bytes | None:
    """The text from a form's runs, and what stands between them; None where it is not of the form."""
    at, loose, out = 0, 0, list[bytes]()
    for run in form:
        found = _found(raw, run.raw, at)
        if found < 0:
            return None
        if found > at:
            loose += found - at
            out.append(quoted_printable(raw[at:found]))
        out.append(run.encoded)
        at = found + len(run.raw)
    if at < len(raw):
        loose += len(raw) - at
        out.append(quoted_printable(raw[at:]))
    return b"".join(out) if loose * _LOOSE <= len(raw) else None


def _found(raw: bytes, run: bytes, at: int) -> int:
    """Where the run stands, from `at` on, with a piece beginning there and behind it; -1: nowhere."""
    head = run[:_HEAD]
    while (at := raw.find(head, at)) >= 0:
        if raw.startswith(run, at) and _begins(raw, at) and _begins(raw, at + len(run)):
            return at
        at += 1
    return -1


def _begins(raw: bytes, at: int) -> bool:
    """Whether a piece begins there, or the text ends."""
    return at in (0, len(raw)) or raw[at - 1] == 0x0A or raw[at - 1 : at + 1] == b"><"
