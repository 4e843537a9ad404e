"""A run as a whole: repeatable to the byte, all or nothing, in bounded memory, in the order asked for."""

from __future__ import annotations

import csv
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.errors import UsageError
from orchestrator.events.envelope import read_event
from orchestrator.ingest.load import LoadedMapping, load_mapping
from orchestrator.ingest.run import ingest, output_path

Run = Callable[..., Any]
HEADER = "receipt,card,at,total,shop\n"
MAPPING: dict[str, Any] = {
    "source": "/till",
    "format": "csv",
    "zone": "America/New_York",
    "columns": {
        "receipt": {"type": "text"},
        "card": {"type": "text"},
        "at": {"type": "datetime"},
        "total": {"type": "money", "currency": "USD"},
        "shop": {"type": "text"},
    },
    "key": ["receipt"],
    "subject": "card",
    "time": "at",
    "emit": [
        {"type": "member.enrolled", "once_per": "card"},
        {"type": "purchase.completed", "data": {"purchase_id": "=receipt", "amount": "=total", "currency": "USD"}},
    ],
}


def loaded(folder: Path, **changes: Any) -> LoadedMapping:
    path = folder / "a.map.yaml"
    path.write_text(yaml.safe_dump({**MAPPING, **changes}), encoding="utf-8")
    return load_mapping(path)


def rows(n: int, cards: int = 50) -> str:
    return "".join(
        f"r{i},card-{i % cards},2026-01-{1 + i % 28:02d}T12:{i % 60:02d}:00Z,{i % 90}.{i % 100:02d},330\n"
        for i in range(n)
    )


def test_a_repeat_gives_the_same_bytes_under_the_same_name(tmp_path: Path) -> None:
    file = tmp_path / "week.csv"
    file.write_text(HEADER + rows(300) + "broken,,,,\n", encoding="utf-8")
    mapping = loaded(tmp_path)
    out = output_path(tmp_path / "incoming", [file], mapping, history=False)
    first = ingest([file], mapping, out)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "incoming").iterdir()}
    assert first == ingest([file], mapping, output_path(tmp_path / "incoming", [file], mapping, history=False))
    assert kept == {path.name: path.read_bytes() for path in (tmp_path / "incoming").iterdir()}
    assert [f"{out.stem}.jsonl", f"{out.stem}.refused.jsonl"] == sorted(kept)


def test_the_name_depends_on_all_that_the_output_depends_on(tmp_path: Path) -> None:
    a, b = tmp_path / "week.csv", tmp_path / "other.csv"
    a.write_text(HEADER + rows(3), encoding="utf-8")
    b.write_text(HEADER + rows(4), encoding="utf-8")
    plain = output_path(tmp_path, [a], loaded(tmp_path), history=False)
    assert plain.name.startswith("week-")
    names = {
        plain,
        output_path(tmp_path, [a], loaded(tmp_path), history=True),
        output_path(tmp_path, [a, b], loaded(tmp_path), history=False),
        output_path(tmp_path, [a], loaded(tmp_path, source="/other"), history=False),
    }
    b.rename(a)
    assert 5 == len({*names, output_path(tmp_path, [a], loaded(tmp_path), history=False)})


def test_a_report_of_refused_rows_goes_when_they_are_mended(tmp_path: Path) -> None:
    file, out = tmp_path / "week.csv", tmp_path / "out.jsonl"
    file.write_text(HEADER + "broken,,,,\n", encoding="utf-8")
    assert ingest([file], loaded(tmp_path), out).refusals == str(tmp_path / "out.refused.jsonl")
    file.write_text(HEADER + rows(1), encoding="utf-8")
    assert "" == ingest([file], loaded(tmp_path), out).refusals
    assert not (tmp_path / "out.refused.jsonl").exists()


def test_an_error_midway_leaves_the_former_output_as_it_was(tmp_path: Path) -> None:
    file, out = tmp_path / "week.csv", tmp_path / "out.jsonl"
    file.write_text(HEADER + rows(5000), encoding="utf-8")
    ingest([file], loaded(tmp_path), out)
    before = out.read_bytes()

    class PulledPlug(Exception):
        pass

    def pull(_read: int) -> None:
        raise PulledPlug

    with pytest.raises(PulledPlug):
        ingest([file], loaded(tmp_path, source="/other"), out, progress=pull)
    assert before == out.read_bytes()
    assert {"week.csv", "out.jsonl", "a.map.yaml"} == {path.name for path in tmp_path.iterdir()}


def test_only_the_owner_may_read_what_holds_addresses(tmp_path: Path) -> None:
    file, out = tmp_path / "week.csv", tmp_path / "out.jsonl"
    file.write_text(HEADER + rows(5), encoding="utf-8")
    ingest([file], loaded(tmp_path), out)
    assert 0o600 == out.stat().st_mode & 0o777


def test_progress_ends_at_the_bytes_of_all_files(tmp_path: Path) -> None:
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for i, file in enumerate(files):
        file.write_text(HEADER + rows(4500 + i), encoding="utf-8")
    told: list[int] = []
    ingest(files, loaded(tmp_path), tmp_path / "out.jsonl", progress=told.append)
    assert sorted(told) == told
    assert sum(file.stat().st_size for file in files) == told[-1]


@pytest.mark.parametrize("run_bytes", [200, 20_000, 10**9], ids=["many runs", "few runs", "in memory"])
def test_order_by_time_sorts_and_keeps_the_rows_order_within_an_instant(tmp_path: Path, run_bytes: int) -> None:
    lines = (HEADER + rows(500)).splitlines(keepends=True)
    body = [*lines[1:], "old,card-x,1812-06-24T00:00:00Z,1.00,\n"]
    random.Random(7).shuffle(body)
    file, out = tmp_path / "week.csv", tmp_path / "out.jsonl"
    file.write_text(lines[0] + "".join(body), encoding="utf-8")
    as_given = ingest([file], loaded(tmp_path), tmp_path / "given.jsonl")
    by_time = ingest([file], loaded(tmp_path, order="time"), out, run_bytes=run_bytes)
    given = (tmp_path / "given.jsonl").read_bytes().splitlines()
    assert sorted(given, key=lambda line: read_event(line).time) == out.read_bytes().splitlines()
    assert as_given.by_type == by_time.by_type


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Ten times the rows, each with a key of its own, take less than twice the memory; sorted ones too."""

    def peak(n: int) -> int:
        file = tmp_path / f"{n}.csv"
        with file.open("w", encoding="utf-8") as out:
            out.write(HEADER)
            out.writelines(f"r{i},card-{i},2026-01-01T12:00:00Z,1.00,{i % 7}\n" for i in range(n))
        mapping = loaded(tmp_path, order="time")
        tracemalloc.start()
        report = ingest([file], mapping, tmp_path / "out.jsonl", in_memory=500, run_bytes=50_000)
        at_most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (n, 2 * n) == (report.rows, report.events)
        return at_most

    small, large = peak(1_500), peak(15_000)
    assert large < 2 * small


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.lists(
            st.text(max_size=8) | st.sampled_from(["r1", "ana", "2026-03-02T12:00:00Z", "19.99"]),
            min_size=5,
            max_size=5,
        ),
        max_size=6,
    )
)
def test_whatever_a_file_holds_every_row_is_accounted_for_and_every_event_is_readable(
    tmp_path_factory: pytest.TempPathFactory, cells: list[list[str]]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    file, out = folder / "any.csv", folder / "out.jsonl"
    with file.open("w", encoding="utf-8", errors="surrogatepass", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(HEADER.strip().split(","))
        writer.writerows(cells)
    report = ingest([file], loaded(folder), out)
    events = [read_event(line) for line in out.read_bytes().splitlines()]
    assert len(events) == report.events
    taken = sum(event.type == "purchase.completed" for event in events)
    assert report.rows == taken + report.refused + report.duplicates


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=300), st.sampled_from(["csv", "jsonl"]))
def test_any_bytes_are_a_report_or_wrong_use(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, form: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    file = folder / "any"
    file.write_bytes((HEADER.encode() if form == "csv" else b"") + content)
    try:
        report = ingest([file], loaded(folder, format=form), folder / "out.jsonl")
    except UsageError:
        assert content.startswith(b"\x1f\x8b"), "only what calls itself gzip and is none"
        return
    assert report.rows == report.refused + report.duplicates + report.by_type.get("purchase.completed", 0)
