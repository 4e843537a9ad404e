"""Reading and writing events: any bytes are answered, nothing is lost on the way, no value leaks into a message."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import Unreadable
from orchestrator.events.envelope import Event, read_event, write_event
from orchestrator.events.types import EVENT_TYPES, PurchaseCompleted

ANSWERS = {"event", "not_json", "bad_envelope", "unknown_type", "bad_data"}
WHOLE = {
    "specversion": "1.0",
    "id": "b-1",
    "source": "/till",
    "type": "purchase.completed",
    "subject": "m-1",
    "time": "2026-03-02T12:00:00-05:00",
    "data": {"purchase_id": "b-1", "amount": 1999, "currency": "USD"},
}


def raw(**changes: Any) -> bytes:
    """The whole event with changes; an attribute set to `...` is left out."""
    return json.dumps({name: value for name, value in {**WHOLE, **changes}.items() if value is not ...}).encode()


def answer(message: bytes) -> str:
    """`event`, or the reason why not."""
    try:
        read_event(message)
    except Unreadable as error:
        return error.reason
    return "event"


def refusal(message: bytes) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        read_event(message)
    return caught.value


@given(st.binary(max_size=400))
def test_any_bytes_are_an_event_or_unreadable(message: bytes) -> None:
    assert answer(message) in ANSWERS


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(list(EVENT_TYPES))
    | st.datetimes().map(str)
    | st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2)
)


@given(st.dictionaries(st.sampled_from([*WHOLE, "history", "extension"]), VALUES, max_size=3))
def test_any_envelope_is_an_event_or_unreadable(changes: dict[str, Any]) -> None:
    """As above, but close enough to an event to come past the first door."""
    assert answer(raw(**changes)) in ANSWERS


def test_time_is_read_as_utc() -> None:
    assert datetime(2026, 3, 2, 17, tzinfo=UTC) == read_event(raw()).time


def test_history_is_marked_only_where_it_is_history() -> None:
    event = Event(
        id="1",
        source="/s",
        type="purchase.completed",
        subject="m",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        data=PurchaseCompleted(purchase_id="1", amount=0, currency="USD"),
    )
    assert "history" not in json.loads(write_event(event))
    assert read_event(raw(history=True)).history is True


def test_unknown_attributes_are_passed_over() -> None:
    """CloudEvents: extension attributes must not make an event unreadable."""
    assert read_event(raw()) == read_event(raw(traceparent="00-ab-cd-01", dataschema="urn:x"))


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "subject", "time", "data"])
def test_an_attribute_left_out_is_named(name: str) -> None:
    error = refusal(raw(**{name: ...}))
    assert "bad_envelope" == error.reason
    assert f"`{name}`" in error.cure


@pytest.mark.parametrize(
    ("message", "reason", "word"),
    [
        (b"", "not_json", "JSON"),
        (b"\xff\xfe", "not_json", "UTF-8"),
        (b"[]", "bad_envelope", "object"),
        (raw(specversion="0.3"), "bad_envelope", "specversion"),
        (raw(id=""), "bad_envelope", "id"),
        (raw(id="x" * 201), "bad_envelope", "id"),
        (raw(time="2026-03-02T12:00:00"), "bad_envelope", "offset"),
        (raw(time="0001-01-01T00:00:00+14:00"), "bad_envelope", "years"),
        (raw(type="purchase.imagined"), "unknown_type", "purchase.completed"),
        (raw(data={"purchase_id": "1", "amount": 19.99, "currency": "USD"}), "bad_data", "amount"),
        (raw(data={"purchase_id": "1", "amount": -1, "currency": "USD"}), "bad_data", "amount"),
        (raw(data={"purchase_id": "1", "amount": 1, "currency": "usd"}), "bad_data", "currency"),
        (raw(data={"purchase_id": "1", "amount": 1, "currency": "USD", "colour": "red"}), "bad_data", "colour"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not_json", "nested"),
        (raw(type="survey.answered", data={"survey_id": "1", "answers": [[]]}), "bad_data", "answers"),
    ],
)
def test_what_is_wrong_is_named_with_a_cure(message: bytes, reason: str, word: str) -> None:
    error = refusal(message)
    assert reason == error.reason
    assert word in error.cure


@pytest.mark.parametrize(
    "data",
    [
        {"channel": "ana@example.com", "wording": "w", "method": "m", "evidence": "e"},
        {"channel": "email", "purpose": "ana@example.com - at `$.x`", "wording": "w", "method": "m", "evidence": "e"},
        {"channel": "email", "wording": "w", "method": "m", "evidence": "e", "at": "ana@example.com"},
        {"channel": "email", "wording": "w", "method": "m" + "ana@example.com" * 20, "evidence": "e"},
    ],
)
def test_a_refusal_never_quotes_a_value(data: dict[str, str]) -> None:
    """A value in the wrong field may be an address."""
    error = refusal(raw(type="consent.granted", data=data))
    assert "bad_data" == error.reason
    assert "ana@" not in str(error)


def test_an_instant_without_offset_is_refused_inside_data_too() -> None:
    data = {"channel": "email", "wording": "w", "method": "m", "evidence": "e", "at": "2026-01-01T00:00:00"}
    assert "`$.at`" in refusal(raw(type="consent.granted", data=data)).cure


def vectors() -> list[dict[str, Any]]:
    """The structured-mode cases of the CloudEvents conformance scenarios."""
    folder = os.environ.get("REFERENCE_DATA")
    if not folder:
        return []
    cases = json.loads((Path(folder) / "data/cloudevents/vectors.json").read_text(encoding="utf-8"))
    return [case for case in cases if "structured" in case["name"]]


@pytest.mark.skipif(not os.environ.get("REFERENCE_DATA"), reason="REFERENCE_DATA is not set")
@pytest.mark.parametrize("case", vectors(), ids=lambda case: case["name"])
class TestConformance:
    """The published scenarios; their event has no subject and a type of nobody's, which we need and know."""

    def test_as_published_it_lacks_our_subject(self, case: dict[str, Any]) -> None:
        error = refusal(case["body"].encode())
        assert ("bad_envelope", True) == (error.reason, "`subject`" in error.cure)

    def test_with_a_subject_its_type_is_unknown(self, case: dict[str, Any]) -> None:
        assert "unknown_type" == refusal(json.dumps({**json.loads(case["body"]), "subject": "m"}).encode()).reason

    def test_its_attributes_are_read_as_expected(self, case: dict[str, Any]) -> None:
        ours = {"subject": "m", "type": "purchase.completed", "data": WHOLE["data"]}
        event = read_event(json.dumps({**json.loads(case["body"]), **ours}).encode())
        assert (case["expect"]["id"], case["expect"]["source"]) == (event.id, event.source)
        assert datetime.fromisoformat(case["expect"]["time"]) == event.time
