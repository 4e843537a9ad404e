"""How a rendered message lies in the outbox, before it is sealed: MessagePack, compressed where that is worth it.

An e-mail is some fourteen kilobytes of HTML, nearly all of it the same tags: it shrinks to a fifth. What is sealed
can't be compressed any more, so it is done here, on both ways, for every engine. MessagePack holds a text as it is;
JSON would escape each of its quotes.
"""

from __future__ import annotations

import zlib

import msgspec

from orchestrator.channels.contract import Message

# shorter bodies, such as text messages, stay as they are
WORTH_IT = 1_024
# a fifth of the time of the usual level, for a seventh more bytes
LEVEL = 1
# what zlib begins with: in MessagePack a small number, which no message is
_ZLIB = b"\x78"
# octets that there is room for at first, when one is read: most need no more
_ROOM = 1 << 15

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Message).decode


def write_body(message: Message) -> bytes:
    """The bytes to seal."""
    body = _encode(message)
    return body if len(body) < WORTH_IT else zlib.compress(body, LEVEL)


def read_body(body: bytes) -> Message:
    """The message that `write_body` was given."""
    return _decode(zlib.decompress(body, bufsize=_ROOM) if body.startswith(_ZLIB) else body)
