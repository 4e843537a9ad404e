"""The AsyncAPI 3.0 document (https://www.asyncapi.com/docs/reference/specification/v3.0.0) of what goes over Kafka.

What we receive and what we tell, topic by topic, made from the types that read and write it and from the settings'
defaults; it stands alone, without references to other files. `write_schemas` writes it to `schemas/asyncapi.json`.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from orchestrator.contact_log.export import Line
from orchestrator.deadletters import Notice
from orchestrator.events.catalogue import ENGINE, EventTypes
from orchestrator.events.kafka_binding import CONTENT_TYPE, STRUCTURED
from orchestrator.events.schemas import Schema, envelope_schema, schema_of
from orchestrator.settings import Settings
from orchestrator.topics import Topic, wanted

SPECIFICATION = "3.0.0"
KAFKA_BINDING = "0.5.0"


def document(types: EventTypes = ENGINE, settings: Settings | None = None) -> dict[str, Any]:
    """The whole document of these event types and settings, the defaults where left out; the same give the same one."""
    settings = settings or Settings()
    topics = {topic.name: topic for topic in wanted(settings)}
    kafka = settings.kafka
    events, decisions, touches, dead = (
        topics[name] for name in (kafka.events, kafka.decisions, kafka.touches, kafka.dead_letters)
    )
    schemas: dict[str, Schema] = {}
    messages = {name: _event_message(name, type_, schemas) for name, type_ in types.kinds.items()}
    messages |= {kind: _told_message(kind, schemas) for kind in ("decision", "touch")}
    messages["deadLetter"] = _notice_message(schemas)
    return {
        "asyncapi": SPECIFICATION,
        "info": {
            "title": "Orchestrator",
            "version": "1",
            "description": "What the communication orchestrator hears of members, and what it tells of its decisions. "
            "Names, partitions, copies and retention are the defaults of orchestrator.toml, section [kafka].",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "events": _channel(
                events,
                list(types.kinds),
                "What happened to members. Keyed by member: all of one "
                "member's events are in one partition, murmur2(key) mod partitions as Kafka's Java client has it.",
            ),
            "decisions": _channel(
                decisions,
                ["decision"],
                "Each decision to send, defer or stay silent, in the order "
                "of the contact log; at least once: a repeat has the same header `chain`.",
            ),
            "touches": _channel(
                touches,
                ["touch"],
                "Each state of each touch, in the order of the contact log; at "
                "least once: a repeat has the same header `chain`.",
            ),
            "deadLetters": _channel(
                dead,
                ["deadLetter"],
                "Each input that could not be applied, in the order in which "
                "it was buried; at least once: a repeat has the same header `chain`.",
            ),
        },
        "operations": {
            "hear": _operation("receive", "events", list(types.kinds)),
            "tellDecisions": _operation("send", "decisions", ["decision"]),
            "tellTouches": _operation("send", "touches", ["touch"]),
            "tellDeadLetters": _operation("send", "deadLetters", ["deadLetter"]),
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _channel(topic: Topic, messages: list[str], description: str) -> dict[str, Any]:
    return {
        "address": topic.name,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {
                "partitions": topic.partitions,
                "replicas": topic.replication,
                "topicConfiguration": {
                    "cleanup.policy": [topic.configs["cleanup.policy"]],
                    "retention.ms": int(topic.configs["retention.ms"]),
                },
                "bindingVersion": KAFKA_BINDING,
            }
        },
    }


def _operation(action: str, channel: str, messages: list[str]) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _event_message(name: str, type_: type[Struct], schemas: dict[str, Schema]) -> dict[str, Any]:
    """One event type: its envelope with the type fixed, its data as a schema of its own."""
    envelope = envelope_schema()
    properties = envelope["properties"] | {"type": {"const": name}, "data": _shared(f"{name}.data", type_, schemas)}
    schemas[name] = {"type": "object", "properties": properties, "required": envelope["required"]}
    return {
        "name": name,
        "title": schemas[f"{name}.data"].get("description", name),
        "contentType": STRUCTURED,
        "headers": _headers({CONTENT_TYPE: f"{STRUCTURED}; binary mode (headers ce_…) is read as well"}, []),
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "bindings": _keyed("The member: the event's subject."),
    }


def _told_message(kind: str, schemas: dict[str, Schema]) -> dict[str, Any]:
    """A line of the contact log, of one kind."""
    line = _shared("line", Line, schemas)
    schemas[kind] = {"allOf": [line, {"properties": {"kind": {"const": kind}}}]}
    chain = {"chain": "<partition>/<n> of the line in the contact log: unique, and growing within a partition."}
    return {
        "name": kind,
        "title": f"A line of the contact log about a {kind}; members are named by their reference alone",
        "contentType": "application/json",
        "headers": _headers({**chain, CONTENT_TYPE: "application/json"}, [*chain, CONTENT_TYPE]),
        "payload": {"$ref": f"#/components/schemas/{kind}"},
        "bindings": _keyed("The reference of the member (member_ref); none where the line is about nobody."),
    }


def _notice_message(schemas: dict[str, Schema]) -> dict[str, Any]:
    chain = {"chain": "<partition>/<n> of the dead letter: unique, and growing within a partition."}
    return {
        "name": "deadLetter",
        "title": "An input that could not be applied: where it stood, why, and what cures it; never what it held",
        "contentType": "application/json",
        "headers": _headers({**chain, CONTENT_TYPE: "application/json"}, [*chain, CONTENT_TYPE]),
        "payload": _shared("deadLetter", Notice, schemas),
        "bindings": _keyed("The partition of the store."),
    }


def _keyed(description: str) -> dict[str, Any]:
    return {"kafka": {"key": {"type": "string", "description": description}, "bindingVersion": KAFKA_BINDING}}


def _headers(described: dict[str, str], required: list[str]) -> Schema:
    properties = {name: {"type": "string", "description": text} for name, text in described.items()}
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _shared(name: str, type_: type[Struct], schemas: dict[str, Schema]) -> Schema:
    """A reference to the type's schema, which is put into `schemas` with all that it is made of."""
    schema = schema_of(name, type_)
    schema.pop("$schema")
    parts = schema.pop("$defs", {})
    schemas[name] = _referring(schema)
    schemas.update({part: _referring(kind) for part, kind in parts.items()})
    return {"$ref": f"#/components/schemas/{name}"}


def _referring(schema: Any) -> Any:
    """The same schema, its references pointing into the document's components."""
    if isinstance(schema, list):
        return [_referring(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value.replace("#/$defs/", "#/components/schemas/") if key == "$ref" else _referring(value)
        for key, value in schema.items()
    }
