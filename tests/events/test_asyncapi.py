"""The AsyncAPI document is whole and says what is really read and written.

That the file is what the types say is tested with the other schemas (`test_schemas.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator, ValidationError
from referencing import Registry, Resource

from orchestrator.contact_log.export import line as contact_log_line
from orchestrator.deadletters import notice
from orchestrator.events.types import EVENT_TYPES
from orchestrator.settings import Settings
from orchestrator.stores.contract import Burial, DeadRow
from orchestrator.testing.store_rows import log_row
from orchestrator.topics import wanted

SCHEMAS = Path(__file__).parents[2] / "schemas"
DOCUMENT: dict[str, Any] = json.loads((SCHEMAS / "asyncapi.json").read_text(encoding="utf-8"))

# AsyncAPI 3.0.0: what each object of the document may hold, of which (first) it must hold
SHAPES = {
    "document": (
        {"asyncapi", "info"},
        {"id", "servers", "defaultContentType", "channels", "operations", "components"},
    ),
    "info": ({"title", "version"}, {"description", "termsOfService", "contact", "license", "tags", "externalDocs"}),
    "channel": (
        set(),
        {"address", "messages", "title", "summary", "description", "servers", "parameters", "tags", "bindings"},
    ),
    "operation": (
        {"action", "channel"},
        {"title", "summary", "description", "security", "tags", "bindings", "traits", "messages", "reply"},
    ),
    "message": (
        set(),
        {
            "headers",
            "payload",
            "correlationId",
            "contentType",
            "name",
            "title",
            "summary",
            "description",
            "tags",
            "bindings",
            "examples",
            "traits",
        },
    ),
    "channel binding": ({"bindingVersion"}, {"topic", "partitions", "replicas", "topicConfiguration"}),
    "message binding": (
        {"bindingVersion"},
        {"key", "schemaIdLocation", "schemaIdPayloadEncoding", "schemaLookupStrategy"},
    ),
}


def objects() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(shape, where, the object) of all that AsyncAPI gives a shape to."""
    yield "document", "document", DOCUMENT
    yield "info", "info", DOCUMENT["info"]
    for name, channel in DOCUMENT["channels"].items():
        yield "channel", name, channel
        yield "channel binding", name, channel["bindings"]["kafka"]
    for name, operation in DOCUMENT["operations"].items():
        yield "operation", name, operation
    for name, message in DOCUMENT["components"]["messages"].items():
        yield "message", name, message
        yield "message binding", name, message["bindings"]["kafka"]


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for item in part:
            yield from references(item)


def resolved(reference: str) -> Any:
    """What a reference within the document leads to; KeyError where it leads nowhere."""
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def payload_validator(message: str) -> Draft202012Validator:
    registry: Registry[Any] = Registry().with_resource(
        "urn:document", Resource.from_contents({"$schema": "https://json-schema.org/draft/2020-12/schema", **DOCUMENT})
    )
    return Draft202012Validator({"$ref": f"urn:document#/components/schemas/{message}"}, registry=registry)


@pytest.mark.parametrize(
    ("shape", "where", "found"), list(objects()), ids=lambda part: part if isinstance(part, str) else ""
)
def test_each_object_holds_what_asyncapi_asks_for_and_nothing_else(
    shape: str, where: str, found: dict[str, Any]
) -> None:
    must, may = SHAPES[shape]
    assert must <= set(found)
    assert set(found) <= must | may


def test_each_reference_leads_somewhere_within_the_document() -> None:
    found = set(references(DOCUMENT))
    assert found
    for reference in found:
        assert reference.startswith("#/"), reference
        resolved(reference)


def test_each_operation_is_about_messages_of_its_own_channel() -> None:
    actions = {}
    for name, operation in DOCUMENT["operations"].items():
        channel = operation["channel"]["$ref"]
        assert {message["$ref"] for message in operation["messages"]} == {
            f"{channel}/messages/{message}" for message in resolved(channel)["messages"]
        }, name
        actions[resolved(channel)["address"]] = operation["action"]
    told = dict.fromkeys(("decisions", "touches", "dead-letters"), "send")
    assert {"member-events": "receive", **told} == actions


def test_topics_are_as_topics_create_makes_them() -> None:
    made = {topic.name: topic for topic in wanted(Settings())}
    for channel in DOCUMENT["channels"].values():
        topic, binding = made[channel["address"]], channel["bindings"]["kafka"]
        assert (topic.partitions, topic.replication) == (binding["partitions"], binding["replicas"])
        assert topic.configs["retention.ms"] == str(binding["topicConfiguration"]["retention.ms"])


@pytest.mark.parametrize("name", EVENT_TYPES)
def test_each_event_type_is_a_message_that_its_example_fits_and_a_wrong_one_does_not(name: str) -> None:
    example = json.loads((SCHEMAS / "events" / "examples" / f"{name}.json").read_text(encoding="utf-8"))
    payload_validator(name).validate(example)
    for wrong in ({**example, "type": "other.type"}, {**example, "data": {**example["data"], "socks": "red"}}):
        with pytest.raises(ValidationError):
            payload_validator(name).validate(wrong)


def test_what_is_told_of_a_dead_letter_fits_and_names_nothing_of_its_content() -> None:
    letter = DeadRow(3, 17, 0, "bad_data", "send an amount in cents", b"what it held")
    told: dict[str, Any] = json.loads(msgspec.json.encode(notice(Burial(7, letter))))
    payload_validator("deadLetter").validate(told)
    assert "what it held" not in str(told)
    for wrong in ({**told, "n": "one"}, {**told, "raw": "what it held"}):
        with pytest.raises(ValidationError):
            payload_validator("deadLetter").validate(wrong)


@pytest.mark.parametrize("kind", ["decision", "touch"])
def test_what_is_told_is_a_line_of_the_contact_log(kind: str) -> None:
    # exactly as the relay says it
    told = msgspec.json.encode(contact_log_line(log_row(partition=3, n=7)._replace(kind=kind)))
    line: dict[str, Any] = json.loads(told)
    payload_validator(kind).validate(line)
    for wrong in ({**line, "kind": "consent"}, {**line, "n": "one"}, {**line, "address": "a@example.com"}):
        with pytest.raises(ValidationError):
            payload_validator(kind).validate(wrong)
