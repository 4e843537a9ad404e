"""Each partition's hash chain, recomputed by the documented form and nothing of the engine's.

The form stands in the docstring of orchestrator/contact_log/chain.py: SHA-256 over a JSON array of the columns, a line
feed, and the trail's own text; `prev_hash` is the array's last element; entries are numbered from 1 without a gap.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from tests.chaos.evidence import Row, Violation, micros

_COLUMNS = [
    "partition",
    "n",
    "turn",
    "at",
    "occurred_at",
    "valid_until",
    "kind",
    "member_ref",
    "journey",
    "step",
    "occurrence",
    "intent_id",
    "touch_id",
    "channel",
    "purpose",
    "verdict",
    "reason",
    "release_at",
    "state",
    "revision",
]
_INSTANTS = frozenset({"at", "occurred_at", "valid_until", "release_at"})
_NUMBERS = frozenset({"partition", "n", "turn"})
# `,"prev_hash":"<64>","hash":"<64>"}` ends every line
_TAIL = len(',"prev_hash":"') + 64 + len('","hash":"') + 64 + len('"}')


def chain_violations(log: Iterable[Row]) -> Iterator[Violation]:
    """Entries that do not have the hash they carry, or do not follow from the one before."""
    ends: dict[int, tuple[int, str]] = {}
    for entry in log:
        partition, n = entry["partition"], entry["n"]
        last, head = ends.get(partition, (0, "0" * 64))
        where = f"partition {partition}, entry {n}"
        if n != last + 1:
            yield Violation("chain", f"{where}: it stands after entry {last}")
        elif entry["prev_hash"] != head:
            yield Violation("chain", f"{where}: it does not follow from entry {last}")
        if entry_hash(entry) != entry["hash"]:
            yield Violation("chain", f"{where}: it does not have the hash it carries")
        ends[partition] = (n, entry["hash"])


def entry_hash(entry: Row) -> str:
    """The hash that an exported entry must have, in hex; `line` holds the bytes it was exported as."""
    columns: list[Any] = []
    for name in _COLUMNS:
        value = entry[name]
        columns.append(micros(value) if name in _INSTANTS else value if name in _NUMBERS else value or "")
    columns.append(entry["prev_hash"])
    array = json.dumps(columns, ensure_ascii=False, separators=(",", ":"))
    return sha256(f"{array}\n{trail_text(entry['line'])}".encode()).hexdigest()


def trail_text(line: str) -> str:
    """The trail as it stands in the store: the object's own text, the text of a string, "" for null."""
    raw = line[line.index('"trail":') + len('"trail":') : -_TAIL]
    if raw == "null":
        return ""
    return raw if raw.startswith("{") else str(json.loads(raw))
