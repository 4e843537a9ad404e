"""How a rendered message lies in the outbox, before it is sealed: JSON, compressed where that is worth it.

An e-mail is some fourteen kilobytes of HTML, nearly all of it the same tags: it shrinks to a fifth. What is sealed
can't be compressed any more, so it is done here, on both ways, for every engine.
"""

from __future__ import annotations

import zlib

import msgspec

from orchestrator.channels.contract import Message

# shorter bodies, such as text messages, stay as they are
WORTH_IT = 1_024
# a fifth of the time of the usual level, for a seventh more bytes
LEVEL = 1

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Message).decode


def write_body(message: Message) -> bytes:
    """The bytes to seal."""
    body = _encode(message)
    return body if len(body) < WORTH_IT else zlib.compress(body, LEVEL)


def read_body(body: bytes) -> Message:
    """The message that `write_body` was given; JSON begins with a brace, which nothing compressed does."""
    return _decode(body if body.startswith(b"{") else zlib.decompress(body))
