"""A grocer's year as a file of events: the real Complete Journey where REFERENCE_DATA is set, else one of its shape.

Either way the rows go through the shipped mapping `complete-journey/baskets`, so events are what `ingest` makes of such
a file. Growth repeats the year: more members are the same households under other names, a longer history is the same
baskets 364 days later (weekdays stay), with ids of their own.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec

from orchestrator.ingest.find import find_mapping
from orchestrator.ingest.load import load_mapping
from orchestrator.ingest.run import ingest

MAPPING = "complete-journey/baskets"
COLUMNS = ("basket_id", "household_id", "store_id", "ts_utc", "lines", "units", "sales_value", "top_department")
# of the real year: households, and baskets of each on average
HOUSEHOLDS, BASKETS = 2_469, 63
YEAR = timedelta(days=364)

Row = dict[str, str]


class Grocer(NamedTuple):
    """Where the year's events lie, and what they were made of."""

    events: Path
    source: str


def year(folder: Path, households: int, days: int = 366) -> Grocer:
    """The events of so many households in the first `days` of the year, as `ingest` writes them."""
    reference = os.environ.get("REFERENCE_DATA")
    real = Path(reference) / "data/complete-journey/baskets.csv.gz" if reference else None
    if real is not None and real.is_file():
        rows, source = _real(real), "Complete Journey"
    else:
        rows, source = _made(), "generated stand-in of the same shape (set REFERENCE_DATA for the real year)"
    table = folder / "baskets.csv"
    _write(table, _slice(rows, households, days))
    events = folder / "year.jsonl"
    ingest([table], load_mapping(find_mapping(MAPPING, folder), shown_as=MAPPING), events)
    return Grocer(events, source)


def more_members(events: Path, times: int, into: Path) -> Path:
    """The same time with `times` as many members, event by event: copies are other households with the same baskets."""
    with events.open("rb") as lines, into.open("wb") as out:
        for line in lines:
            for copy in range(times):
                out.write(_altered(line, f"x{copy}" if copy else "", timedelta(0)) + b"\n")
    return into


def later_years(events: Path, years: int, into: Path) -> Path:
    """The purchases of the same members `years` times 364 days later."""
    with events.open("rb") as lines, into.open("wb") as out:
        for line in lines:
            if b'"purchase.completed"' in line:
                out.write(_altered(line, "", years * YEAR, f"y{years}") + b"\n")
    return into


def _altered(line: bytes, household: str, shift: timedelta, occasion: str = "") -> bytes:
    event: dict[str, Any] = msgspec.json.decode(line)
    data = event["data"]
    event["subject"] += household
    event["id"] += household + occasion
    if shift:
        event["time"] = (datetime.fromisoformat(event["time"]) + shift).isoformat().replace("+00:00", "Z")
    if "purchase_id" in data:
        data["purchase_id"] += household + occasion
    # an address and a number of their own: caps count across members who share one
    for point in data.get("contact_points", ()) if household else ():
        address = point["address"]
        if point["channel"] == "email":
            point["address"] = address.replace("@", f"{household}@")
        else:
            # +1, area, exchange 555, line
            point["address"] = f"{address[:5]}{int(address[5:8]) + int(household[1:])}{address[8:]}"
    return msgspec.json.encode(event)


def _real(path: Path) -> Iterator[Row]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _made() -> Iterator[Row]:
    """A year of baskets: few households buy much, most buy little, all by day, as in the real one."""
    random = Random(2017)  # noqa: S311 - a load, no secret
    start = datetime(2017, 1, 1, 11, tzinfo=UTC)
    for household in range(1, HOUSEHOLDS + 1):
        for _ in range(min(300, 1 + int(random.lognormvariate(3.75, 0.9)))):
            at = start + timedelta(days=random.randrange(365), seconds=int(random.triangular(0, 54_000, 37_000)))
            yield {
                "basket_id": str(random.randrange(31_198_570_044, 41_453_127_919)),
                "household_id": str(household),
                "store_id": str(random.randrange(300, 460)),
                "ts_utc": at.isoformat().replace("+00:00", "Z"),
                "lines": str(random.randrange(1, 20)),
                "units": "1",
                "sales_value": f"{random.lognormvariate(2.7, 1.0):.2f}",
                "top_department": "GROCERY",
            }


def _slice(rows: Iterable[Row], households: int, days: int) -> Iterator[Row]:
    """The households with the smallest hash: the same ones whenever and wherever it is done."""
    until = (datetime(2017, 1, 1, tzinfo=UTC) + timedelta(days=days)).isoformat()
    ranked = sorted(range(1, HOUSEHOLDS + 32), key=lambda n: hashlib.blake2b(b"bench/%d" % n, digest_size=8).digest())
    chosen = {str(number) for number in ranked[:households]}
    return (row for row in rows if row["household_id"] in chosen and row["ts_utc"] < until)


def _write(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
