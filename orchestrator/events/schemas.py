"""JSON Schemas (draft 2020-12) of the envelope and of each event's data, made from the types that read them.

The types are the source; the files in `schemas/events/` are what other people's tools read. A test fails when the two
drift, and `python -m orchestrator.ingest.write_schemas` writes them anew.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from orchestrator.events.catalogue import ENGINE, EventTypes
from orchestrator.events.envelope import Event

DRAFT = "https://json-schema.org/draft/2020-12/schema"
# a schema of a project is never written by the engine, and says so
_SEAL = "written by the engine: a type of your own has a file of its own; "
_WORD = {"type": "string", "minLength": 1, "maxLength": 200}

Schema = dict[str, Any]


def event_schemas(types: EventTypes = ENGINE) -> dict[str, Schema]:
    """File name -> schema: one `<type>.v1.json` of the data of each event type, and `envelope.v1.json`."""
    schemas = {f"{name}.v1.json": schema_of(name, kind) for name, kind in types.kinds.items()}
    return {"envelope.v1.json": envelope_schema(types), **schemas}


def sealed(schema: Schema) -> Schema:
    """The schema with a seal, by which a copy of it is known as long as nobody edits it."""
    said = {"$schema": schema["$schema"], "$comment": f"{_SEAL}{_digest(schema)}"}
    return said | {key: value for key, value in schema.items() if key not in said}


def untouched(schema: object) -> bool:
    """Whether this is a schema of the engine's, of whichever version, as it was written."""
    return isinstance(schema, Mapping) and schema.get("$comment") == f"{_SEAL}{_digest(schema)}"


def _digest(schema: Mapping[str, Any]) -> str:
    told = {key: value for key, value in schema.items() if key != "$comment"}
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:16]


def schema_of(name: str, type_: type[Struct]) -> Schema:
    """The schema of one type, its own fields at the top; unknown fields are refused where the type refuses them."""
    schema = _settled(msgspec.json.schema(type_))
    kinds = schema.pop("$defs")
    # the type itself stands at the top, so that editors show its fields; only what it is made of is referred to
    top = kinds.pop(type_.__name__)
    top.pop("title", None)
    return {"$schema": DRAFT, "title": name, **top, **({"$defs": kinds} if kinds else {})}


def envelope_schema(types: EventTypes = ENGINE) -> Schema:
    """The schema of a whole event: CloudEvents 1.0 in structured JSON, with `data` as its type says.

    Further attributes are allowed, as CloudEvents has it: they are passed over.
    """
    of_type = [
        {
            "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
            "then": {"properties": {"data": {"$ref": f"{name}.v1.json"}}},
        }
        for name in types.kinds
    ]
    return {
        "$schema": DRAFT,
        "title": "event",
        "description": inspect.cleandoc(Event.__doc__ or ""),
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {**_WORD, "description": "Unique within `source`: the same pair again is the same event."},
            "source": {**_WORD, "description": "Who says so: a URI or a path of the programme's system."},
            "type": {"enum": list(types.kinds), "description": "What happened."},
            "subject": {**_WORD, "description": "The member."},
            "time": {"type": "string", "format": "date-time", "description": "When it happened, with an offset."},
            "datacontenttype": {"type": "string", "default": "application/json"},
            "history": {
                "type": "boolean",
                "default": False,
                "description": "Loaded as history: changes what is known, never triggers.",
            },
            "data": {"type": "object"},
        },
        "required": ["specversion", "id", "source", "type", "subject", "time", "data"],
        "allOf": of_type,
    }


def _settled(schema: Any) -> Any:
    """The same schema without `required: []`, which says nothing, and with words in order: msgspec's may vary."""
    if isinstance(schema, list):
        return [_settled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: sorted(value, key=str) if key == "enum" else _settled(value)
        for key, value in schema.items()
        if not (key == "required" and value == [])
    }
