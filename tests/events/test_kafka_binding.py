"""CloudEvents in Kafka records: both modes are one event, and anything else is unreadable with a reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import Unreadable
from orchestrator.events.envelope import Event, read_event
from orchestrator.events.kafka_binding import envelope_of, read_record, write_record

ANSWERS = {"event", "not_json", "bad_envelope", "unknown_type", "bad_data"}
DATA = b'{"purchase_id": "b-1", "amount": 1999, "currency": "USD"}'
ATTRIBUTES = {
    "ce_specversion": b"1.0",
    "ce_id": b"b-1",
    "ce_source": b"/till",
    "ce_type": b"purchase.completed",
    "ce_subject": b"m-1",
    "ce_time": b"2026-03-02T12:00:00-05:00",
}
WHOLE = json.dumps(
    {**{name.removeprefix("ce_"): value.decode() for name, value in ATTRIBUTES.items()}, "data": json.loads(DATA)}
).encode()
JSON = ("content-type", b"application/json")


def refusal(key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> Unreadable:
    with pytest.raises(Unreadable) as caught:
        read_record(key, value, headers)
    return caught.value


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("content-type", b"application/cloudevents+json")],
        [("Content-Type", b"application/CloudEvents+JSON; charset=UTF-8")],
        [("content-type", b"application/json"), ("traceparent", b"00-1-1-01")],
        # the media type decides, whatever a copying tool left beside it
        [("content-type", b"application/cloudevents+json"), ("ce_id", b"other")],
    ],
)
def test_structured_mode_is_the_value_as_it_stands(headers: list[tuple[str, bytes | None]]) -> None:
    assert WHOLE == envelope_of(b"m-1", WHOLE, headers)
    assert read_event(WHOLE) == read_record(b"m-1", WHOLE, headers)


def test_binary_mode_is_the_same_event_in_whatever_order_its_headers_stand() -> None:
    headers = [*ATTRIBUTES.items(), JSON, ("ce_traceparent", b"00-1-1-01")]
    assert read_event(WHOLE) == read_record(None, DATA, headers)
    assert envelope_of(None, DATA, headers) == envelope_of(None, DATA, [*reversed(headers)])


def test_a_binary_event_without_a_subject_is_about_its_key() -> None:
    headers = [(name, value) for name, value in ATTRIBUTES.items() if name != "ce_subject"]
    assert "m-9" == read_record(b"m-9", DATA, headers).subject
    assert "m-1" == read_record(b"m-9", DATA, [*ATTRIBUTES.items()]).subject
    assert "bad_envelope" == refusal(None, DATA, headers).reason
    assert "key" in refusal(b"\xff", DATA, headers).cure


def test_history_comes_as_text_in_binary_mode() -> None:
    assert read_record(None, DATA, [*ATTRIBUTES.items(), ("ce_history", b"true")]).history
    assert not read_record(None, DATA, [*ATTRIBUTES.items(), ("ce_history", b"false")]).history
    assert "bad_envelope" == refusal(None, DATA, [*ATTRIBUTES.items(), ("ce_history", b"perhaps")]).reason


@pytest.mark.parametrize(
    ("reason", "value", "more"),
    [
        ("bad_data", None, []),
        ("bad_data", b"", []),
        ("bad_data", b"\xff", []),
        ("bad_data", b"{", []),
        ("bad_data", b"[" * 100_000, []),
        ("bad_data", b"{}", []),
        ("bad_data", DATA, [("content-type", b"application/avro")]),
        ("bad_envelope", DATA, [("content-type", b"application/cloudevents-batch+json")]),
        ("bad_envelope", DATA, [("content-type", b"application/cloudevents+avro")]),
        ("bad_envelope", DATA, [("ce_id", b"b-2")]),
        ("bad_envelope", DATA, [("content-type", b"\xff")]),
        # data that ends early and goes on with attributes of its own
        ("bad_data", DATA + b', "subject": "m-2"', []),
    ],
    ids=str,
)
def test_what_is_no_event_says_why(reason: str, value: bytes | None, more: list[tuple[str, bytes | None]]) -> None:
    assert reason == refusal(None, value, [*ATTRIBUTES.items(), *more]).reason


def test_a_record_without_anything_is_not_json() -> None:
    assert "not_json" == refusal(b"m-1", None, []).reason


def test_no_value_and_no_unknown_header_is_quoted() -> None:
    said = str(refusal(None, DATA, [*ATTRIBUTES.items(), ("ce_ana@example.com", b"\xff")]))
    said += str(refusal(b"ana@example.com", b'{"ana@example.com"', [*ATTRIBUTES.items()]))
    assert "ana@" not in said


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["content-type", "CE_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_specversion"])
        | st.text(max_size=12),
        st.none()
        | st.binary(max_size=30)
        | st.sampled_from([*ATTRIBUTES.values(), b"application/json", b"application/cloudevents+json"]),
    ),
    max_size=9,
)


@given(
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=60) | st.sampled_from([DATA, WHOLE, b"{}", b"null", b"[1]"]),
    HEADERS,
)
def test_any_record_is_an_event_or_unreadable(
    key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    try:
        answer = "event" if isinstance(read_record(key, value, headers), Event) else "something else"
    except Unreadable as error:
        answer = error.reason
    assert answer in ANSWERS


@given(
    st.text(min_size=1, max_size=200),
    st.integers(0, 10**15),
    st.booleans(),
)
def test_what_is_written_is_read_back(member: str, amount: int, history: bool) -> None:
    data = {"purchase_id": "b-1", "amount": amount, "currency": "USD"}
    envelope = {**json.loads(WHOLE), "subject": member, "data": data, "history": history}
    event = read_event(json.dumps(envelope).encode())
    key, value, headers = write_record(event)
    assert member.encode() == key
    assert event == read_record(key, value, [*headers])


def test_vectors_of_others_give_their_attributes_and_data(reference_data: Path) -> None:
    path = reference_data / "data" / "cloudevents" / "vectors.json"
    vectors = [each for each in json.loads(path.read_text(encoding="utf-8")) if each["binding"] == "kafka"]
    assert vectors
    for vector in vectors:
        headers = [(name, value.encode()) for name, value in vector["headers"].items()]
        found = json.loads(envelope_of(None, vector["body"].encode(), headers))
        expected = {name: value for name, value in vector["expect"].items() if name != "datacontenttype"}
        assert expected == {name: found[name] for name in expected}, vector["name"]
        assert vector["data"] == found["data"], vector["name"]
        # their type is none of ours, and they name no member
        with pytest.raises(Unreadable, match="subject"):
            read_record(None, vector["body"].encode(), headers)
        if "ce_id" in vector["headers"]:
            assert "unknown_type" == refusal(b"m-1", vector["body"].encode(), headers).reason
