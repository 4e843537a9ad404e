"""CloudEvents in Kafka records (https://github.com/cloudevents/spec, kafka-protocol-binding.md, 1.0.2).

Structured mode carries the whole event as the record's value; binary mode carries the data as the value and each
attribute as a header `ce_…`. A record of either mode becomes the same envelope, which `envelope.read_event` reads. What
we write ourselves is structured: one value holds all, whoever copies it from topic to topic.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from orchestrator.errors import Unreadable
from orchestrator.events.catalogue import ENGINE, EventTypes
from orchestrator.events.envelope import Event, read_event, write_event

Headers = Iterable[tuple[str, bytes | None]]

CONTENT_TYPE = "content-type"
STRUCTURED = "application/cloudevents+json"
_PREFIX = "ce_"
# attributes of binary mode that are read, in the order they are written; others are passed over, as in structured mode
_ATTRIBUTES = ("specversion", "id", "source", "type", "subject", "time", "history")
_CURE = "send a CloudEvents 1.0 record, structured or binary"


def read_record(key: bytes | None, value: bytes | None, headers: Headers = (), types: EventTypes = ENGINE) -> Event:
    """The event that a record carries, in either mode, if its type is one of these.

    Raises Unreadable as `read_event` does; the cure names the header or field at fault and quotes no value.
    """
    return read_event(envelope_of(key, value, headers), types)


def envelope_of(key: bytes | None, value: bytes | None, headers: Headers = ()) -> bytes:
    """The structured-mode JSON of a record; a structured one's value comes back as it is, unread.

    In binary mode an event without a subject is about its key, as topics are keyed by member. The same record always
    gives the same bytes, whatever the order of its headers. Raises Unreadable (`bad_envelope`, `not_json`, `bad_data`).
    """
    mode, given = _read(headers)
    if mode.startswith("application/cloudevents") and mode != STRUCTURED:
        raise Unreadable("bad_envelope", f"{CONTENT_TYPE} must be {STRUCTURED}, one event a record")
    if mode == STRUCTURED or not given:
        return _present(value, "not_json")
    return msgspec.json.encode(_attributes(key, given) | {"data": _data(mode, _present(value, "bad_data"))})


def write_record(event: Event) -> tuple[bytes, bytes, list[tuple[str, bytes]]]:
    """Key, value and headers of an event in structured mode; `read_record` gives the same event back.

    The key is the member: hashed by `events.partition`, it is the partition.
    """
    headers = [(CONTENT_TYPE, f"{STRUCTURED}; charset=utf-8".encode())]
    return event.subject.encode(), write_event(event), headers


def _read(headers: Headers) -> tuple[str, dict[str, str]]:
    """The media type without its parameters, in small letters, and the attributes in `ce_` headers."""
    mode: str | None = None
    given: dict[str, str] = {}
    for name, raw in headers:
        lowered = name.lower()
        if lowered != CONTENT_TYPE and not lowered.startswith(_PREFIX):
            continue
        attribute = lowered.removeprefix(_PREFIX)
        # of two that differ, either might be meant
        if attribute in given or (lowered == CONTENT_TYPE and mode is not None):
            raise Unreadable("bad_envelope", f"header {_named(lowered)} stands there twice; {_CURE}")
        text = _text(lowered, raw)
        if lowered == CONTENT_TYPE:
            mode = text.partition(";")[0].strip().lower()
        else:
            given[attribute] = text
    return mode or "", given


def _text(name: str, raw: bytes | None) -> str:
    try:
        return (raw or b"").decode()
    except UnicodeDecodeError:
        raise Unreadable("bad_envelope", f"header {_named(name)} must be UTF-8") from None


def _named(name: str) -> str:
    """A header's name where it is one we know: any other may hold anything."""
    return name if name == CONTENT_TYPE or name.removeprefix(_PREFIX) in _ATTRIBUTES else f"{_PREFIX}…"


def _attributes(key: bytes | None, given: dict[str, str]) -> dict[str, Any]:
    if key and "subject" not in given:
        try:
            given = {**given, "subject": key.decode()}
        except UnicodeDecodeError:
            raise Unreadable(
                "bad_envelope", "without a header ce_subject the key must be the member, in UTF-8"
            ) from None
    found: dict[str, Any] = {name: given[name] for name in _ATTRIBUTES if name in given}
    if "history" in found:
        # headers are text; what is neither word is left for the envelope to refuse
        found["history"] = {"true": True, "false": False}.get(found["history"], found["history"])
    return found


def _data(mode: str, value: bytes) -> msgspec.Raw:
    """The value as JSON data: read once, so that what follows a first JSON value can't pass for attributes."""
    if mode and mode != "application/json" and not mode.endswith("+json"):
        raise Unreadable("bad_data", f"{CONTENT_TYPE} of a binary event must be application/json")
    try:
        msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreadable("bad_data", "the value of a binary event must be one JSON object, in UTF-8") from None
    except RecursionError:
        raise Unreadable("bad_data", "it is nested too deeply") from None
    return msgspec.Raw(value)


def _present(value: bytes | None, reason: str) -> bytes:
    if not value:
        raise Unreadable(reason, f"the record has no value; {_CURE}")
    return value
