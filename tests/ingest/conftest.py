"""What the tests of ingest share: a small mapping, and a way to run it over text."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import Struct

from orchestrator.events.envelope import Event, read_event
from orchestrator.ingest.load import load_mapping
from orchestrator.ingest.run import IngestReport, ingest

TILL: dict[str, Any] = {
    "source": "/till",
    "format": "csv",
    "zone": "America/New_York",
    "columns": {
        "receipt": {"type": "text", "required": True},
        "card": {"type": "text", "required": True},
        "at": {"type": "datetime", "required": True},
        "total": {"type": "money", "currency": "USD", "required": True},
        "shop": {"type": "text"},
    },
    "key": ["receipt"],
    "subject": "card",
    "time": "at",
    "emit": [
        {
            "type": "purchase.completed",
            "data": {"purchase_id": "=receipt", "amount": "=total", "currency": "USD", "store": "=shop"},
        }
    ],
}
HEADER = "receipt,card,at,total,shop\n"


class Outcome(Struct):
    """What a run gave."""

    report: IngestReport
    events: list[Event]
    # field and reason of each refused row, with its number
    refused: list[tuple[int, str, str]]
    raw: bytes
    refusals: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Writes a file, runs it through a mapping (TILL with changes) and reads everything back."""

    def go(
        content: str | bytes, *more: str | bytes, packed: bool = False, mapping: Any = None, **options: Any
    ) -> Outcome:
        files = []
        for i, part in enumerate((content, *more)):
            files.append(tmp_path / f"in-{i}.data")
            plain = part.encode() if isinstance(part, str) else part
            files[-1].write_bytes(gzip.compress(plain) if packed else plain)
        path = tmp_path / "a.map.yaml"
        path.write_text(yaml.safe_dump({**TILL, **(mapping or {})}, sort_keys=False), encoding="utf-8")
        out = tmp_path / "out.jsonl"
        report = ingest(files, load_mapping(path), out, **options)
        raw = out.read_bytes()
        refusals = Path(report.refusals).read_text(encoding="utf-8") if report.refusals else ""
        refused = [json.loads(line) for line in refusals.splitlines()]
        return Outcome(
            report=report,
            events=[read_event(line) for line in raw.splitlines()],
            refused=[(one["row"], one["field"], one["reason"]) for one in refused],
            raw=raw,
            refusals=refusals,
        )

    return go
