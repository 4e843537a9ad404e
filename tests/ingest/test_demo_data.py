"""The demo's data are the slice that its script cuts: small, whole, and of the kinds of household it says."""

from __future__ import annotations

import csv
import gzip
import os
from collections import defaultdict
from datetime import date
from pathlib import Path

import pytest

from orchestrator.demo.cut_slice import ACTIVE, DATA, FIRST, HALF, LAST, LATE, QUIET, chosen, cut, day_of


def days() -> dict[str, list[date]]:
    found: dict[str, list[date]] = defaultdict(list)
    with gzip.open(DATA / "baskets.csv.gz", "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["household_id"]].append(day_of(row))
    return found


def test_it_is_small_and_says_where_it_comes_from() -> None:
    assert sum(path.stat().st_size for path in DATA.iterdir()) < 300 * 1024
    assert "CC0" in (DATA / "ATTRIBUTION.md").read_text(encoding="utf-8")


def test_its_days_are_the_quarters_of_new_york() -> None:
    every = [day for at in days().values() for day in at]
    assert (FIRST, LAST) == (min(every), max(every))


def test_it_holds_the_households_it_says() -> None:
    found = days()
    assert ACTIVE + QUIET + LATE == len(found)
    assert QUIET == sum(max(at) < HALF for at in found.values())
    assert LATE == sum(min(at) >= HALF for at in found.values())
    assert set(found) == chosen(found), "the rule chooses the same ones from what it chose"


def test_demographics_are_of_these_households_alone() -> None:
    with (DATA / "demographics.csv").open(encoding="utf-8", newline="") as file:
        assert {row["household_id"] for row in csv.DictReader(file)} <= set(days())


@pytest.mark.skipif(not os.environ.get("REFERENCE_DATA"), reason="REFERENCE_DATA is not set")
def test_the_script_cuts_the_same_slice_again(tmp_path: Path) -> None:
    cut(Path(os.environ["REFERENCE_DATA"]) / "data" / "complete-journey", tmp_path)
    assert (DATA / "demographics.csv").read_bytes() == (tmp_path / "demographics.csv").read_bytes()
    # compressed bytes may differ with the version of zlib; what they hold may not
    again, kept = (gzip.decompress((folder / "baskets.csv.gz").read_bytes()) for folder in (tmp_path, DATA))
    assert kept == again
