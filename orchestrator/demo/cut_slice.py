"""Cuts the demo's data from the whole Complete Journey set: `python -m orchestrator.demo.cut_slice REFERENCE_DATA`.

Two hundred households and one quarter: 150 who come all through it, 30 who go quiet before half of it is over, and 20
who first come when half of it is over. Within each group the households with the smallest hash are taken, so that the
cut is the same whenever and wherever it is made.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestrator.errors import UsageError

NEW_YORK = ZoneInfo("America/New_York")
# days of New York, inclusive
FIRST, LAST = date(2017, 10, 1), date(2017, 12, 31)
HALF = date(2017, 11, 15)
ACTIVE, QUIET, LATE = 150, 30, 20
DATA = Path(__file__).parent / "data"


def day_of(row: dict[str, str]) -> date:
    """The New York day of a basket."""
    return datetime.fromisoformat(row["ts_utc"]).astimezone(NEW_YORK).date()


def chosen(days: dict[str, list[date]]) -> set[str]:
    """The households of the slice, from the days of each one's baskets within the quarter."""
    active = [h for h, at in days.items() if len(at) >= 10 and {10, 11, 12} <= {day.month for day in at}]
    quiet = [h for h, at in days.items() if len(at) >= 3 and max(at) < HALF]
    late = [h for h, at in days.items() if len(at) >= 3 and min(at) >= HALF]
    return {*_smallest(active, ACTIVE), *_smallest(quiet, QUIET), *_smallest(late, LATE)}


def _smallest(households: Iterable[str], n: int) -> list[str]:
    return sorted(households, key=lambda h: hashlib.blake2b(f"demo/{h}".encode(), digest_size=8).digest())[:n]


def cut(journey: Path, into: Path) -> tuple[int, int]:
    """Writes `baskets.csv.gz` and `demographics.csv` of the slice; how many rows each has."""
    with gzip.open(journey / "baskets.csv.gz", "rt", encoding="utf-8", newline="") as file:
        baskets = [row for row in csv.DictReader(file) if FIRST <= day_of(row) <= LAST]
    days: dict[str, list[date]] = defaultdict(list)
    for row in baskets:
        days[row["household_id"]].append(day_of(row))
    households = chosen(days)
    with (journey / "demographics.csv").open(encoding="utf-8", newline="") as file:
        known = [row for row in csv.DictReader(file) if row["household_id"] in households]
    baskets = [row for row in baskets if row["household_id"] in households]
    into.mkdir(parents=True, exist_ok=True)
    # neither name nor time in the gzip header, so that the same cut gives the same bytes
    (into / "baskets.csv.gz").write_bytes(gzip.compress(_csv(baskets), 9, mtime=0))
    (into / "demographics.csv").write_bytes(_csv(known))
    return len(baskets), len(known)


def _csv(rows: Sequence[dict[str, str]]) -> bytes:
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    if any(set('",\n') & set(value) for row in rows for value in row.values()):
        raise UsageError("a value of these data holds a comma or a quote, which they never did")
    return ("\n".join(lines) + "\n").encode()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("name the folder of reference data")
    counts = cut(Path(sys.argv[1]) / "data" / "complete-journey", DATA)
    sys.stdout.write("{} baskets, {} households with demographics\n".format(*counts))
