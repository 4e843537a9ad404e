"""The CloudEvents 1.0 envelope (https://github.com/cloudevents/spec): bytes in, a frozen `Event` or `Unreadable` out.

Identity is `source` + `id`; `subject` is the member; `time` is when it happened.
"""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from orchestrator.errors import Unreadable
from orchestrator.events.catalogue import ENGINE, EventTypes
from orchestrator.events.types import Data

# msgspec quotes the word it refuses from a closed vocabulary; a word in the wrong place may be an address
_QUOTED_VALUE = re.compile(r"^(Invalid enum value) .*?( - at `[^`]*`)?$", re.DOTALL)

Word = Annotated[str, Meta(min_length=1, max_length=200)]


class Event(Struct, frozen=True, kw_only=True):
    """One event from outside, valid by construction."""

    id: str
    source: str
    type: str
    # the member
    subject: str
    # when it happened, aware UTC
    time: datetime
    data: Data
    # loaded as history: changes what we know, never triggers
    history: bool = False


class _Envelope(Struct, frozen=True, kw_only=True):
    specversion: str
    id: Word
    source: Word
    type: Word
    subject: Word
    time: datetime
    data: msgspec.Raw
    datacontenttype: str = "application/json"
    history: bool = False


_envelope = msgspec.json.Decoder(_Envelope)


def read_event(raw: bytes, types: EventTypes = ENGINE) -> Event:
    """The event in these bytes (structured mode JSON); `types` are those that are known: a project's, or the engine's.

    Raises Unreadable with a reason code (`not_json`, `bad_envelope`, `unknown_type`, `bad_data`) and a cure. The cure
    names the field at fault and never quotes a value, since values may be personal data.
    """
    envelope = _opened(raw)
    time = _utc(envelope.time)
    decoder = types.decoder(envelope.type)
    if decoder is None:
        cure = f"no schema for this type; known are {', '.join(sorted(types.names))}; schemas/events takes your own"
        raise Unreadable("unknown_type", cure)
    try:
        data = decoder.decode(envelope.data)
    except msgspec.ValidationError as error:
        raise Unreadable("bad_data", f"{without_values(error)}; see {types.file(envelope.type)}") from None
    except RecursionError:
        raise Unreadable("bad_data", f"it is nested too deeply; see {types.file(envelope.type)}") from None
    return Event(
        id=envelope.id,
        source=envelope.source,
        type=envelope.type,
        subject=envelope.subject,
        time=time,
        data=data,
        history=envelope.history,
    )


def subject_of(raw: bytes) -> str:
    """Whom an event is about, whatever its type and data; raises Unreadable as `read_event` does."""
    return _opened(raw).subject


def _opened(raw: bytes) -> _Envelope:
    try:
        envelope = _envelope.decode(raw)
    except msgspec.ValidationError as error:
        raise Unreadable("bad_envelope", f"{without_values(error)}; send a CloudEvents 1.0 envelope") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreadable("not_json", "send one JSON object, in UTF-8") from None
    except RecursionError:
        raise Unreadable("not_json", "it is nested too deeply; send one flat JSON object") from None
    if envelope.specversion != "1.0":
        raise Unreadable("bad_envelope", "specversion must be 1.0")
    return envelope


def _utc(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise Unreadable("bad_envelope", "time must carry an offset, such as Z")
    try:
        return time if time.tzinfo is UTC else time.astimezone(UTC)
    except OverflowError:
        raise Unreadable("bad_envelope", "time is outside the years 1 to 9999 in UTC") from None


def without_values(error: msgspec.ValidationError) -> str:
    """What is wrong and in which field, without the value that msgspec quotes."""
    return _QUOTED_VALUE.sub(r"\1\2", str(error))


def write_event(event: Event) -> bytes:
    """The structured-mode JSON of an event; `read_event` gives the same event back."""
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "subject": event.subject,
            "time": event.time,
            "data": event.data,
            **({"history": True} if event.history else {}),
        }
    )


def identity(source: str, id: str) -> bytes:
    """16 bytes that stand for (source, id): the key of the duplicate index."""
    return hashlib.blake2b(f"{source}\0{id}".encode(), digest_size=16).digest()


def content_hash(raw: bytes) -> bytes:
    """16 bytes that stand for what an event says: equal bytes are the same event told twice."""
    return hashlib.blake2b(raw, digest_size=16).digest()
