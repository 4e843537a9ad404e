"""The embedded engine: events a second of a grocer's year, SQLite on disk, every batch durable before the next.

Called in a process of its own, so that memory is the engine's alone: `python -m benchmarks.engine` reads a `Job` as
JSON from standard input and writes a list of `Stretch`, one for each file of events, to standard output.
"""

from __future__ import annotations

import resource
import sqlite3
import sys
from collections import Counter
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.yardstick import pieces_per_cpu_s, timed
from orchestrator import starter
from orchestrator.project import Project, open_project
from orchestrator.runtimes.embedded.project_runner import open_runner

# the tables that grow with what happens, and those of their columns that are not numbers
GROWING = ("log", "journal", "touches", "members", "seen", "inbox", "keys")


class Job(Struct, kw_only=True):
    """What to run."""

    # where the project is made: absent or empty
    folder: str
    # run one after the other by one engine
    files: list[str]
    # with dispatch, messages go to the capture adapter; without, touches stay reserved until they expire
    dispatch: bool


class Stretch(Struct, kw_only=True):
    """What one file of events took."""

    events: int
    turns: int
    decisions: int
    touches: int
    wall_s: float
    cpu_s: float
    # pieces a second of processor time, beside this stretch
    yardstick: float
    # of the whole process so far
    peak_rss_mb: float
    # of the whole store so far
    store_bytes: int
    members: int
    member_bytes: int
    bytes_by_table: dict[str, int]


def run(job: Job) -> list[Stretch]:
    """Runs the files in order in a fresh project; what each took."""
    starter.create(Path(job.folder))
    with open_project(Path(job.folder)) as project, open_runner(project, dispatch=job.dispatch) as runner:
        stretches: list[Stretch] = []
        before: Counter[str] = Counter()
        for file in job.files:
            pieces = pieces_per_cpu_s()
            spent = timed(lambda path=Path(file): runner.run([path]))  # type: ignore[misc]  # bound at once
            totals = runner.engine.totals
            now = Counter(events=totals.arrivals, turns=totals.turns, **_decided(project))
            new, before = now - before, now
            stretches.append(
                Stretch(
                    events=new["events"],
                    turns=new["turns"],
                    decisions=new["decisions"],
                    touches=new["touches"],
                    wall_s=spent.wall_s,
                    cpu_s=spent.cpu_s,
                    yardstick=max(pieces, pieces_per_cpu_s()),
                    peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                    **_sizes(Path(job.folder) / "orchestrator.db"),  # type: ignore[arg-type]  # as the query gives
                )
            )
        return stretches


def _decided(project: Project) -> dict[str, int]:
    decided = Counter[str]()
    for (_, _, _, verdict, _), n in project.store.daily().items():
        decided["decisions"] += n
        decided["touches"] += n if verdict == "send" else 0
    return dict(decided)


def _sizes(path: Path) -> dict[str, object]:
    """How much of the file is in use, and by which table (with its indexes)."""
    with sqlite3.connect(path) as store:
        pages, free, size = (
            store.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        members, member_bytes = store.execute(
            "SELECT count(*), coalesce(sum(length(state)), 0) FROM members"
        ).fetchone()
        try:
            tables = dict(
                store.execute(
                    "SELECT m.tbl_name, sum(s.pgsize) FROM dbstat s JOIN sqlite_schema m ON m.name = s.name GROUP BY 1"
                )
            )
        except sqlite3.OperationalError:
            # a SQLite built without dbstat
            tables = {}
    store.close()
    return {
        "store_bytes": (pages - free) * size,
        "members": members,
        "member_bytes": member_bytes,
        "bytes_by_table": {name: tables[name] for name in GROWING if name in tables},
    }


if __name__ == "__main__":
    done = run(msgspec.json.decode(sys.stdin.buffer.read(), type=Job))
    sys.stdout.buffer.write(msgspec.json.encode(done))
