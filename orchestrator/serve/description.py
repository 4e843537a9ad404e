"""The API's own description (OpenAPI 3.1) at /openapi.json, made from the types that read the events."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from orchestrator.events.catalogue import EventTypes
from orchestrator.events.schemas import event_schemas
from orchestrator.serve.problems import MEDIA_TYPE
from orchestrator.settings import ServeSettings

ONE, BATCH, JSON = "application/cloudevents+json", "application/cloudevents-batch+json", "application/json"

Described = dict[str, Any]

_AT = "#/components/schemas/"
_EVENT = {"$ref": f"{_AT}event"}
_PROBLEM = {
    "title": "problem",
    "type": "object",
    "properties": {
        "title": {"type": "string", "description": "A code, for programs."},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What would cure it."},
    },
    "required": ["title", "status", "detail"],
    "additionalProperties": False,
}
_RESULT = {
    "type": "object",
    "properties": {
        "status": {"enum": ["accepted", "refused"]},
        "reason": {"enum": ["bad_data", "bad_envelope", "not_json", "unknown_type"]},
        "cure": {"type": "string"},
    },
    "required": ["status"],
    "additionalProperties": False,
}
_TAKEN = {
    "title": "taken",
    "type": "object",
    "properties": {
        "accepted": {"type": "integer", "minimum": 0},
        "refused": {"type": "integer", "minimum": 0},
        "results": {"type": "array", "items": _RESULT, "description": "One for each event, in their order."},
    },
    "required": ["accepted", "refused", "results"],
    "additionalProperties": False,
}
_HEALTH = {
    "title": "health",
    "type": "object",
    "properties": {
        "status": {"enum": ["live", "ready", "not_ready"]},
        "parts": {"type": "object", "additionalProperties": {"enum": ["ok", "down"]}},
    },
    "required": ["status"],
    "additionalProperties": False,
}
_WHY = {
    400: "The body is no JSON array of events.",
    401: "No key, or nobody's.",
    403: "The key has not this role.",
    404: "There is no such thing.",
    408: "The body came too slowly.",
    413: "Too many bytes, or too many events.",
    415: "Another media type.",
    422: "What was asked for makes no sense.",
    429: "Too many requests with this key; wait as long as Retry-After says.",
    503: "Not now; send all of it again, no event is applied twice.",
}


def describe_events(settings: ServeSettings) -> Described:
    """What FastAPI is told of POST /events."""
    many = {"type": "array", "items": _EVENT, "minItems": 1, "maxItems": settings.max_batch}
    said = {
        202: "Each event is taken: it will be applied once, whatever happens now.",
        207: "Some are taken and some refused: look at each.",
        422: "None is taken.",
    }
    taken = {status: _answer(words, "taken", JSON) for status, words in said.items()}
    return {
        "summary": "Send events",
        "description": "CloudEvents 1.0 in structured JSON, one or a batch. The same `source` and `id` again is the "
        "same event: a request that got no answer is sent again as it was.",
        "operation_id": "send_events",
        "responses": {**taken, **problems(400, 401, 403, 408, 413, 415, 429, 503)},
        "openapi_extra": {
            "security": [{"key": []}],
            "requestBody": {
                "required": True,
                "content": {
                    ONE: {"schema": _EVENT},
                    BATCH: {"schema": many},
                    JSON: {"schema": {"anyOf": [_EVENT, many]}},
                },
            },
        },
    }


def describe_health(summary: str, statuses: Iterable[int]) -> Described:
    """What FastAPI is told of a route of /health."""
    return {
        "summary": summary,
        "responses": {
            status: _answer("Well." if status == 200 else "Not well.", "health", JSON) for status in statuses
        },
    }


def problems(*statuses: int) -> dict[int | str, Described]:
    """The answers of requests that are not carried out."""
    return {status: _answer(_WHY[status], "problem", MEDIA_TYPE) for status in statuses}


def _answer(words: str, schema: str, media_type: str) -> Described:
    return {
        "description": words,
        "content": {media_type: {"schema": {"$ref": f"{_AT}{schema}"}}},
    }


def describe(app: FastAPI, types: EventTypes) -> Described:
    """The whole description, with events of these types."""
    told = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    schemas = {"taken": _TAKEN, "problem": _PROBLEM, "health": _HEALTH, **_event_schemas(types)}
    told["components"] = {
        "schemas": schemas,
        "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}},
    }
    for path in told["paths"].values():
        for operation in path.values():
            # FastAPI adds a success of its own to each
            operation["responses"] = {
                status: answer
                for status, answer in operation["responses"].items()
                if "schema" not in answer.get("content", {}).get(JSON, {}) or answer["content"][JSON]["schema"]
            }
    return told


def _event_schemas(types: EventTypes) -> dict[str, Described]:
    """`event`, and one schema for each type's data, with references as OpenAPI has them.

    An event is one of its types written out: what makes clients from descriptions understands that, and few of them
    `if` and `then`.
    """
    named = {}
    for file, schema in event_schemas(types).items():
        name = file.removesuffix(".v1.json")
        named[name] = _moved({key: value for key, value in schema.items() if key != "$schema"}, f"{_AT}{name}")
    envelope = named.pop("envelope")
    kinds = [
        {
            "title": name,
            "type": "object",
            "properties": {**envelope["properties"], "type": {"const": name}, "data": {"$ref": f"{_AT}{name}"}},
            "required": envelope["required"],
        }
        for name in named
    ]
    return {"event": {"title": "event", "description": envelope["description"], "oneOf": kinds}, **named}


def _moved(schema: Any, place: str) -> Any:
    if isinstance(schema, list):
        return [_moved(item, place) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _reference(value, place) if key == "$ref" and isinstance(value, str) else _moved(value, place)
        for key, value in schema.items()
    }


def _reference(target: str, place: str) -> str:
    if target.startswith("#/"):
        return place + target[1:]
    return f"{_AT}{target.removesuffix('.v1.json')}"
