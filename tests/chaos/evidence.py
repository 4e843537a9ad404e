"""What a chaos run leaves behind, read with the standard library alone: nothing here or in the checks is the engine's.

ledger.jsonl    every call that reached the provider, written before it answered
log.jsonl       the contact log, exported with members
truth.json      what the plan did and what the policies were, in absolute time
optouts.jsonl   who opted out, and when that was answered
books.json      what the database holds at the end, and when it committed what, by plain SQL
relayed.jsonl   what the topics told, in the order it was read
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

Row = dict[str, Any]
# answers after which nobody knows better than that the message may have been taken
TAKEN_OR_IN_DOUBT = frozenset({"accepted", "hung_up", "5xx", "slow"})


class Violation(NamedTuple):
    """One promise that did not hold: which, and where to look."""

    kind: str
    what: str


class Evidence(NamedTuple):
    """All that the checks read."""

    ledger: list[Row]
    # log entries as dictionaries, with `line`, the bytes they came as, and `committed`, the instant in microseconds
    # since 1970 (0 where the database did not keep it); by (partition, n) as exported
    log: list[Row]
    truth: Row
    optouts: list[Row]
    books: Row
    relayed: list[Row]


def read(folder: Path) -> Evidence:
    """The evidence in a folder; a file that is not there is empty."""
    books = _object(folder / "books.json")
    commits = {int(partition): told for partition, told in books.get("commits", {}).items()}
    log = []
    for line in _lines(folder / "log.jsonl"):
        entry = json.loads(line)
        entry["line"] = line
        entry["committed"] = _committed(commits.get(entry["partition"], ()), entry["n"])
        log.append(entry)
    return Evidence(
        ledger=[json.loads(line) for line in _lines(folder / "ledger.jsonl")],
        log=log,
        truth=_object(folder / "truth.json"),
        optouts=[json.loads(line) for line in _lines(folder / "optouts.jsonl")],
        books=books,
        relayed=[json.loads(line) for line in _lines(folder / "relayed.jsonl")],
    )


def in_order(log: Iterable[Row]) -> list[Row]:
    """The log as it came about over all partitions: what one commit wrote stands by partition."""
    return sorted(log, key=lambda entry: (entry["committed"], entry["partition"], entry["n"]))


def micros(text: str | None) -> int:
    """Whole microseconds since 1970 of an RFC 3339 UTC instant; 0 for none."""
    if not text:
        return 0
    since = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def rfc3339(us: int) -> str:
    """The RFC 3339 UTC text of an instant, with microseconds."""
    return datetime.fromtimestamp(us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{us % 1_000_000:06d}Z"


def _committed(commits: Sequence[tuple[int, int]], n: int) -> int:
    """When entry `n` was committed: that of the last of (first entry, instant) that begins at or before it."""
    place = bisect_right(commits, n, key=lambda commit: commit[0])
    return commits[place - 1][1] if place else 0


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def _object(path: Path) -> Row:
    found: Row = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found
