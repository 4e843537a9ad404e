"""A month of the grocer's loyalty card, lived in 2034, whose days fall on the weekdays of 2017."""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from orchestrator.events.envelope import read_event
from orchestrator.events.partition import partition_of
from orchestrator.ingest.find import find_mapping
from orchestrator.ingest.load import load_mapping
from orchestrator.ingest.run import ingest
from orchestrator.times import micros
from tests.parity.recording import Record

SOURCE = "/programmes/complete-journey"


def month(data: Path, folder: Path, households: int | None, partitions: int) -> tuple[Record, ...]:
    """October: what is known of its households, then each basket when it was paid.

    `data` is the folder of the published files; `households` takes so many of them, None all.
    """
    with gzip.open(data / "baskets.csv.gz", "rt", encoding="utf-8", newline="") as file:
        baskets = [row for row in csv.DictReader(file) if row["ts_utc"].startswith("2017-10")]
    chosen = sorted({row["household_id"] for row in baskets}, key=lambda h: hashlib.sha256(h.encode()).digest())
    among = set(chosen[:households])
    with (data / "demographics.csv").open(encoding="utf-8", newline="") as file:
        known = [row for row in csv.DictReader(file) if row["household_id"] in among]
    lived = [row | {"ts_utc": row["ts_utc"].replace("2017", "2034")} for row in baskets if row["household_id"] in among]
    folder.mkdir()
    bought = _records("baskets", lived, folder, partitions, history=False)
    first = min(record.at for record in bought)
    # they are dated years before: old news, to be known and to start nothing
    return (*[r._replace(at=first) for r in _records("demographics", known, folder, partitions, history=True)], *bought)


def _records(
    name: str, rows: list[dict[str, Any]], folder: Path, partitions: int, *, history: bool
) -> tuple[Record, ...]:
    """The rows as events by the shipped mapping, as records that arrive when they happen."""
    _write(folder / f"{name}.csv", rows)
    lines = folder / f"{name}.jsonl"
    report = ingest(
        [folder / f"{name}.csv"], load_mapping(find_mapping(f"complete-journey/{name}", folder)), lines, history=history
    )
    assert report.refused == 0
    return tuple(_told(lines.read_bytes().splitlines(), partitions))


def _told(lines: Iterable[bytes], partitions: int) -> Iterable[Record]:
    for line in lines:
        event = read_event(line)
        yield Record(partition_of(event.subject, partitions), micros(event.time), event.subject.encode(), line)


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
