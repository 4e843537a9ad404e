"""`python -m benchmarks`: measures, prints a table with what each figure counts, writes `build/bench.json`.

`--quick` looks whether every measurement still runs (under 20 seconds; its figures say little); `--only NAME` runs one.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from benchmarks import content_size, core, grocer, startup, store, waiting
from benchmarks.engine import Job, Stretch, run
from benchmarks.table import Line, show, write
from orchestrator import starter

OUT = Path("build/bench.json")
_NAMES = {False: "without dispatch", True: "with dispatch"}


class Size(NamedTuple):
    """How much is measured."""

    core_members: int
    # households and days of the grocer's year
    households: int
    days: int
    # the same for 1x of the growth table, which grows by `growth`
    growth_households: int
    growth_days: int
    growth: tuple[int, ...]
    # the engine runs in processes of its own, so that memory is its alone
    apart: bool
    # whether dispatch is on, in turn
    dispatch: tuple[bool, ...]
    starts: int
    # rows of history for the store alone, and batches measured
    store_rows: int
    store_batches: int
    # members of each run of little and much content; rows that wait in the store
    content_members: int
    waiting: int


FULL = Size(120, 250, 366, 12, 366, (1, 4, 16), True, (False, True), 5, 300_000, 60, 120, 1_000_000)
QUICK = Size(3, 8, 40, 4, 40, (1,), False, (True,), 1, 1, 3, 3, 2_000)


class Part(NamedTuple):
    """One measurement by its name."""

    name: str
    run: Callable[[Path, Size], tuple[dict[str, Any], list[Line]]]


def core_part(folder: Path, size: Size) -> tuple[dict[str, Any], list[Line]]:
    """The pure core alone."""
    starter.create(folder / "project")
    found = core.measure(folder / "project", size.core_members)
    rates, ratio = found["decisions_per_cpu_s"], found["ratio"]
    rules = f"{found['rules_asked_median']:.0f} rules in a trail (median; at least {found['rules_asked_least']})"
    told = {
        "all": f"purchases through `step`: {found['cases']}; {rules}",
        "silent": "those that end as silences",
        "deferred": "those that wait for a better moment",
        "sent": "those that end as touches, rendering included",
    }
    lines = [Line(f"core, {kind}", f"{rates[kind]:,} decisions/s = {ratio[kind]:.3f} y", told[kind]) for kind in rates]
    return found, lines


def engine_part(folder: Path, size: Size) -> tuple[dict[str, Any], list[Line]]:
    """The embedded engine on the grocer's year, without and with dispatch."""
    year = grocer.year(folder, size.households, size.days)
    found: dict[str, Any] = {"source": year.source}
    lines: list[Line] = []
    for dispatch in size.dispatch:
        name = _NAMES[dispatch]
        stretch = _engine(folder / f"dispatch-{dispatch}", [year.events], dispatch=dispatch, apart=size.apart)[0]
        found[name] = {**msgspec.to_builtins(stretch), **_derived(stretch)}
        lines += _engine_lines(f"engine, {name}", stretch, year.source)
    return found, lines


def growth_part(folder: Path, size: Size) -> tuple[dict[str, Any], list[Line]]:
    """Events a second as members, and as their history, become more: the same for each event."""
    year = grocer.year(folder, size.growth_households, size.growth_days)
    found: dict[str, Any] = {"source": year.source}
    lines: list[Line] = []
    most = max(size.growth)
    for dispatch in size.dispatch:
        name = _NAMES[dispatch]
        for times in size.growth:
            events = grocer.more_members(year.events, times, folder / f"members-{times}.jsonl")
            stretch = _engine(folder / f"members-{times}-{dispatch}", [events], dispatch=dispatch, apart=size.apart)[0]
            found[f"members x{times}, {name}"] = _derived(stretch)
            lines.append(_growth_line(f"{times}x members, {name}", stretch, f"{stretch.members} members, one year"))
        years = [year.events]
        years += [grocer.later_years(year.events, n, folder / f"later-{n}.jsonl") for n in range(1, most)]
        stretches = _engine(folder / f"history-{dispatch}", years, dispatch=dispatch, apart=size.apart)
        for times in size.growth:
            stretch = stretches[times - 1]
            found[f"history x{times}, {name}"] = _derived(stretch)
            lines.append(_growth_line(f"{times}x history, {name}", stretch, f"year {times} of the same members alone"))
    return found, lines


def startup_part(folder: Path, size: Size) -> tuple[dict[str, Any], list[Line]]:
    """How long commands take to start."""
    starter.create(folder / "project")
    found = startup.measure(folder / "project", size.starts)
    lines = [
        Line("start", f"{found['version_ms']} ms", f"`orchestrator --version` ({found['python_ms']} ms of it: Python)"),
        Line(
            "start, content",
            f"{found['content_ms']} ms",
            f"open_project and its content, after {found['import_ms']} ms of imports",
        ),
    ]
    return found, lines


def store_part(_folder: Path, size: Size) -> tuple[dict[str, Any], list[Line]]:
    """The SQLite store alone, by batches of 500 inputs."""
    with tempfile.TemporaryDirectory() as folder:
        table = [store.measure(rows, Path(folder), size.store_batches) for rows in (0, size.store_rows)]
    lines = [
        Line(
            f"store, {row['rows']:,} rows before",
            f"{row['batches_s'] * store.INPUTS:,.0f} inputs/s",
            f"batches of {store.INPUTS} inputs, {row['mean']} ms each",
        )
        for row in table
    ]
    return {"table": table}, lines


def content_part(folder: Path, size: Size) -> tuple[dict[str, Any], list[Line]]:
    """The core with little and with much content."""
    found = content_size.compare(folder, size.content_members)
    lines = []
    for name in ("few", "many"):
        some = found[name]
        rate, ratio = some["decisions_per_cpu_s"]["all"], some["ratio"]["all"]
        told = f"{some['rules_asked_median']:.0f} rules in a trail (median); {some['cases']}"
        what = f"core, {some['journeys']} journeys, {some['policies']} policies"
        lines.append(Line(what, f"{rate:,} decisions/s = {ratio:.3f} y", told))
    lines.append(Line("core, speed kept", f"{found['kept']:.0%}", "with much content, of that with little"))
    return found, lines


def waiting_part(folder: Path, size: Size) -> tuple[dict[str, Any], list[Line]]:
    """What taking those due costs, few and many waiting."""
    sizes = (size.waiting // 100, size.waiting)
    table = [waiting.measure(rows, f"sqlite:///{folder / str(rows)}.db") for rows in sizes]
    lines = [
        Line(
            f"{row.waiting:,} members waiting",
            f"{row.due_ms} ms",
            f"{waiting.DUE:,} of them due: asked for ({row.asked_ms} ms), taken; {row.nothing_ms} ms where none is",
        )
        for row in table
    ]
    return {"table": [row._asdict() for row in table]}, lines


PARTS = (
    Part("startup", startup_part),
    Part("core", core_part),
    Part("engine", engine_part),
    Part("growth", growth_part),
    Part("store", store_part),
    Part("content", content_part),
    Part("waiting", waiting_part),
)


def _engine(folder: Path, files: list[Path], *, dispatch: bool, apart: bool) -> list[Stretch]:
    """Runs the engine, where `apart` in a process of its own."""
    job = Job(folder=str(folder), files=[str(file) for file in files], dispatch=dispatch)
    if not apart:
        return run(job)
    done = subprocess.run(
        (sys.executable, "-m", "benchmarks.engine"),
        input=msgspec.json.encode(job),
        stdout=subprocess.PIPE,
        check=True,
    )
    return msgspec.json.decode(done.stdout, type=list[Stretch])


def _derived(stretch: Stretch) -> dict[str, float]:
    per_cpu_s = stretch.events / stretch.cpu_s
    return {
        "events": stretch.events,
        "events_per_s": round(stretch.events / stretch.wall_s),
        "events_per_cpu_s": round(per_cpu_s),
        "ratio": round(per_cpu_s / stretch.yardstick, 5),
        "touches_per_event": round(stretch.touches / stretch.events, 3),
        "decisions_per_event": round(stretch.decisions / stretch.events, 3),
        "peak_rss_mb": round(stretch.peak_rss_mb),
        "member_bytes": round(stretch.member_bytes / stretch.members),
    }


def _engine_lines(name: str, stretch: Stretch, source: str) -> list[Line]:
    derived = _derived(stretch)
    tables = ", ".join(
        f"{table} {size / stretch.events:,.0f}"
        for table, size in sorted(stretch.bytes_by_table.items(), key=lambda each: -each[1])
    )
    return [
        Line(
            name,
            f"{derived['events_per_s']:,} events/s = {derived['ratio']:.4f} y",
            f"{stretch.events:,} events of {stretch.members:,} members ({source}), "
            f"{derived['touches_per_event']} touches and {derived['decisions_per_event']} decisions an event, "
            f"{derived['events_per_cpu_s']:,} events per second of processor time",
        ),
        Line(f"{name}, memory", f"{stretch.peak_rss_mb:,.0f} MB", "peak resident set of the process"),
        Line(
            f"{name}, store",
            f"{stretch.store_bytes / stretch.events:,.0f} bytes/event",
            f"SQLite pages in use: {tables}; a member's sealed state is {derived['member_bytes']:,.0f} bytes",
        ),
    ]


def _growth_line(what: str, stretch: Stretch, counts: str) -> Line:
    derived = _derived(stretch)
    return Line(
        what,
        f"{derived['events_per_s']:,} events/s = {derived['ratio']:.4f} y",
        f"{counts}; {stretch.events:,} events, {derived['touches_per_event']} touches an event, "
        f"{stretch.peak_rss_mb:,.0f} MB",
    )


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test of the measurements, under 20 seconds")
    parser.add_argument("--only", choices=[part.name for part in PARTS], help="this measurement alone")
    asked = parser.parse_args()
    size = QUICK if asked.quick else FULL
    started = time.time()
    found: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count(), "quick": asked.quick}
    print("y: the yardstick, pieces per second of processor time (benchmarks/yardstick.py)\n")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for part in PARTS:
            if asked.only in (None, part.name):
                (Path(folder) / part.name).mkdir()
                found[part.name], lines = part.run(Path(folder) / part.name, size)
                show(lines)
    found["took_s"] = round(time.time() - started)
    write(found, OUT)


if __name__ == "__main__":
    main()
