"""Writes the JSON Schemas and the AsyncAPI document from the types that read events, content and source mappings.

`python -m orchestrator.ingest.write_schemas [SCHEMAS_DIR]`; editors read them, and other people's tools.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from orchestrator.content.journey_file import HouseHoldoutFile, JourneyFile, VouchersFile
from orchestrator.content.law_file import PackForm
from orchestrator.content.policy_cases import CaseFile
from orchestrator.content.policy_file import PolicyWords
from orchestrator.content.topics import TopicsFile
from orchestrator.events.schemas import event_schemas, schema_of, sealed
from orchestrator.ingest.asyncapi import document
from orchestrator.ingest.mapping import SourceMapping


def texts() -> dict[str, str]:
    """Path below `schemas/` -> the text that belongs there."""
    schemas = {f"events/{name}": sealed(schema) for name, schema in event_schemas().items()}
    schemas["content/source_mapping.v1.json"] = schema_of("source mapping", SourceMapping)
    schemas["content/journey.v1.json"] = schema_of("journey", JourneyFile)
    schemas["content/holdout.v1.json"] = schema_of("holdout", HouseHoldoutFile)
    schemas["content/topics.v1.json"] = schema_of("topics", TopicsFile)
    schemas["content/vouchers.v1.json"] = schema_of("pools of voucher codes", VouchersFile)
    schemas["content/policy.v1.json"] = schema_of("channel policy", PolicyWords)
    schemas["content/policy_cases.v1.json"] = schema_of("cases of a channel policy", CaseFile)
    schemas["content/law_pack.v1.json"] = schema_of("law pack", PackForm)
    schemas["asyncapi.json"] = document()
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas.items()}


def write(folder: Path) -> int:
    """Writes every schema below `folder`; how many files changed."""
    changed = 0
    for name, text in texts().items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed += 1
    return changed


if __name__ == "__main__":
    changed = write(Path(sys.argv[1] if len(sys.argv) > 1 else "schemas"))
    sys.stdout.write(f"{changed} schemas written anew\n")
