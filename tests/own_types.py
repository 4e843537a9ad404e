"""Event types that a project declares itself, for tests."""

from __future__ import annotations

import json
from pathlib import Path

STAY: dict[str, object] = {
    "type": "object",
    "properties": {
        "booking_id": {"type": "string"},
        "starts_on": {"type": "string", "format": "date"},
        "amount": {"type": "integer"},
        "paid": {"type": "boolean"},
    },
    "required": ["booking_id"],
    "examples": [{"booking_id": "b", "starts_on": "2026-12-20", "amount": 1, "paid": True}],
}


def declare(project: Path, name: str, schema: object = STAY, file: str = "") -> Path:
    """Writes the schema of a type, or any text, into a project; the project."""
    folder = project / "schemas" / "events"
    folder.mkdir(parents=True, exist_ok=True)
    text = schema if isinstance(schema, str) else json.dumps(schema, indent=1)
    (folder / (file or f"{name}.v1.json")).write_text(text, encoding="utf-8")
    return project
