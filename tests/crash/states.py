"""What a crash leaves on disk, named by what it says; and a walk through all of it, crash upon crash.

A crash at a point leaves the files as they stand at that point, and nothing else: how many points lie between two
writes, and which process made them, plays no part. So one run whose files are copied at each of its points yields every
crash of it; where two crashes leave the same, one run from there judges both. The copies are made by a process of
their own while the run waits: opening and closing a file of SQLite's in the run itself would drop its locks.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.contact_log.walk import Faults, walk
from orchestrator.events.inputs import Forwarded, read_input
from orchestrator.outbox_body import read_body
from orchestrator.stores.contract import LogRow
from orchestrator.vault import Sealer, Vault
from tests.crash.bench import AT_ONCE, Bench, Points, forked, started

# the database with the part of it that is not worked in yet, and the provider's own record
FILES = ("store.db", "store.db-wal", "ledger")
# drawn anew by each run, or a number that says only how often something was tried:
# the epoch counts starts and is compared with itself alone, a claim's token is a name, hashes follow from references
DRAWN = {
    "progress": {"epoch", "head"},
    "keys": {"wrapped"},
    "log": {"prev_hash", "hash"},
    "inbox": {"seq"},
    "dead": {"seq"},
    "parked": {"seq"},
}
# rows whose order of writing is their meaning; the others are named in the order of what they say
IN_ORDER = {"inbox", "dead", "parked"}
# SQLite's own counter of the numbers left out above
NOT_OURS = {"sqlite_sequence"}

Row = dict[str, Any]


# --- the name of a state


def name_of(place: Path, vault: Vault) -> str:
    """The name of what these files say: whatever is sealed is opened, whatever is drawn by chance is left out.

    Two crashes with one name leave the same for whoever starts next. Whether each chain holds is part of it.
    """
    with tempfile.TemporaryDirectory(prefix="state-") as folder:
        # looked at in a copy: opening the database works its log into it
        copy(place, Path(folder))
        connection = sqlite3.connect(f"{folder}/store.db")
        said = spelled(tables(connection), vault)
        connection.close()
    return sha256("\n".join([said, *sorted(calls(place))]).encode()).hexdigest()[:16]


def tables(connection: sqlite3.Connection) -> dict[str, list[Row]]:
    """Every row of every table, in the order of writing."""
    names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
    found: dict[str, list[Row]] = {}
    for name in names:
        if name not in NOT_OURS:
            cursor = connection.execute(f"SELECT * FROM {name}")
            columns = [column[0] for column in cursor.description]
            found[name] = [dict(zip(columns, row, strict=True)) for row in cursor]
    for name in IN_ORDER:
        found[name].sort(key=lambda row: row["seq"])
    return found


def spelled(found: dict[str, list[Row]], vault: Vault) -> str:
    """The rows in words that two runs share."""
    sealers = {row["ref"]: vault.sealer(row["ref"], row["wrapped"]) for row in found["keys"]}
    sound = chains(found)
    lines = [sound]
    for table, rows in found.items():
        told = [repr(spelled_row(table, row, sealers, vault)) for row in rows]
        lines += [f"{table} {line}" for line in (told if table in IN_ORDER else sorted(told))]
    text = "\n".join(lines)
    # the random reference of each member, by the keyed hash that never changes
    for row in found["members"]:
        text = text.replace(row["ref"], f"ref of {row['member'].hex()}")
    # where references stood in the order of rows
    return "\n".join(sorted(text.split("\n"))) if sealers else text


def spelled_row(table: str, row: Row, sealers: dict[str, Sealer], vault: Vault) -> Row:
    """One row, opened, without what is drawn."""
    plain = {name: value for name, value in row.items() if name not in DRAWN.get(table, ())}
    if table == "members" and not row["erased"]:
        plain["state"] = sealers[row["ref"]].open(row["state"])
    elif table == "journal" and row["member"]:
        plain["input"] = sealers[row["ref"]].open(row["input"])
    elif table == "touches":
        plain["message"] = read_body(sealers[row["ref"]].open(row["message"]))
        plain["token"] = bool(row["token"])
    elif table == "inbox" and isinstance(given := read_input(row["input"]), Forwarded):
        plain["input"] = (given.event, sealers[given.ref].open(given.sealed))
    elif table in ("dead", "parked"):
        plain["raw"] = vault.open_dead(row["raw"])
    return plain


def chains(found: dict[str, list[Row]]) -> str:
    """Whether the log's chains hold up to the heads on record."""
    faults = Faults()
    rows = sorted((LogRow(**row) for row in found["log"]), key=lambda row: (row.partition, row.n))
    ends = walk(rows, faults).ends
    heads = {row["partition"]: (row["log_n"], row["head"]) for row in found["progress"] if row["log_n"]}
    return f"chains {faults.found} {ends == heads}"


def calls(place: Path) -> list[str]:
    """The provider's record, line by line."""
    path = place / "ledger"
    return path.read_text().splitlines() if path.exists() else []


def copy(place: Path, to: Path) -> None:
    """The files of a state."""
    to.mkdir(exist_ok=True)
    for name in FILES:
        if (place / name).exists():
            shutil.copyfile(place / name, to / name)


# --- all states of one run


class Left(NamedTuple):
    """What a crash at some points of one run leaves."""

    name: str
    # the first of the points, and how many in a row
    first: int
    points: int
    files: Path


def lived(bench: Bench, start: Path, name: str) -> list[Left]:
    """A run from these files, and what it leaves at its points."""
    place = bench.folder / name
    copy(start, place)
    assert 0 == forked(partial(observe, bench, place, place / "left"), place / "trace"), (place / "trace").read_text()
    return left_by(place / "left")


def observe(bench: Bench, place: Path, into: Path) -> None:
    """The run to its end, and its verdict; what each of its points would leave is in `into`. In a child of its own."""
    ours, theirs = os.pipe(), os.pipe()
    copier = os.fork()
    if not copier:
        # nothing of SQLite's was opened yet: this process has no locks to lose
        try:
            os.close(ours[1])
            os.close(theirs[0])
            copied(place, into, ours[0], theirs[1], bench.vault)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(ours[0])
    os.close(theirs[1])

    def shown(point: int) -> None:
        os.write(ours[1], point.to_bytes(4, "big"))
        if os.read(theirs[0], 1) != b"+":
            raise RuntimeError("nobody copies")

    bench.run(place, Points(shown=shown))
    os.close(ours[1])
    assert os.waitpid(copier, 0)[1] == 0, "the copier failed"
    bench.judge(place)


def copied(place: Path, into: Path, asked: int, answer: int, vault: Vault) -> None:
    """Copies the files at each point at which they differ from those before; then gives each copy its name."""
    into.mkdir()
    before, left = b"", list[tuple[int, int]]()
    while point := os.read(asked, 4):
        number = int.from_bytes(point, "big")
        now = digest(place)
        if now != before:
            copy(place, into / str(number))
            assert now == digest(into / str(number)), "the files changed while the run waited"
            before = now
            left.append((number, 1))
        else:
            left[-1] = (left[-1][0], left[-1][1] + 1)
        os.write(answer, b"+")
    named = [(name_of(into / str(first), vault), first, points) for first, points in left]
    (into / "names").write_text(json.dumps(named))


def digest(place: Path) -> bytes:
    """A hash of the files."""
    told = sha256()
    for name in FILES:
        path = place / name
        raw = path.read_bytes() if path.exists() else b""
        told.update(b"%d " % len(raw) + raw)
    return told.digest()


def left_by(into: Path) -> list[Left]:
    """What a run left at its points, in order."""
    return [Left(*row, files=into / str(row[1])) for row in json.loads((into / "names").read_text())]


# --- crash upon crash


class State(NamedTuple):
    """Files to start from, and the points of the crashes that led there."""

    crashes: tuple[int, ...]
    files: Path


class Walked:
    """What a walk came to."""

    def __init__(self, start: str) -> None:
        self.began = time.monotonic()
        self.start = start
        # state -> how many crashes lead there at least
        self.depth = {start: 0}
        # state -> what a crash at each point of a run from there leaves, and at how many points
        self.leads: dict[str, Counter[str]] = {}
        self.runs = 0
        self.failed: list[str] = []

    def ways(self, crashes: int) -> int:
        """Ways to crash so often, one at each point of each run, that the walk answers for."""
        ways = Counter({self.start: 1})
        for _ in range(crashes):
            further = Counter[str]()
            for state, n in ways.items():
                for left, points in self.leads.get(state, {}).items():
                    further[left] += n * points
            ways = further
        return ways.total()

    def __str__(self) -> str:
        """One line for each number of crashes, and the sums."""
        seen = Counter(self.depth.values())
        lines = [
            f"{crashes} crashes: {self.ways(crashes):,} ways, {seen[crashes]:,} states that fewer do not leave"
            for crashes in range(1, max(seen) + 1)
        ]
        took = time.monotonic() - self.began
        return "\n".join([*lines, f"{self.runs:,} runs to the end, {len(self.failed)} failed, {took:.0f} s"])


def walked(bench: Bench, crashes: int, start: State | None = None, *, first: bool = False) -> Walked:
    """From `start` (an empty store), every way to crash up to so often, each state run to its end and judged once.

    `first`: ends with the first state that does not come to what it should.
    """
    start = start or State((), bench.place("start"))
    found = Walked(name_of(start.files, bench.vault))
    level = {found.start: start}
    for depth in range(crashes + 1):
        further: dict[str, State] = {}
        for name, left in runs(bench, level, found, watch=depth < crashes):
            for one in left:
                found.leads.setdefault(name, Counter())[one.name] += one.points
                if one.name not in found.depth:
                    found.depth[one.name] = depth + 1
                    kept = one.files.rename(bench.folder / f"state-{one.name}")
                    further[one.name] = State((*level[name].crashes, one.first), kept)
            if first and found.failed:
                return found
        level = further
    return found


def runs(bench: Bench, level: dict[str, State], found: Walked, *, watch: bool) -> Iterator[tuple[str, list[Left]]]:
    """Each of the states run to its end and judged, a few at a time, in order; what each left at its points."""
    waiting = list(level)
    running: list[tuple[int, str, Path]] = []
    while waiting or running:
        while waiting and len(running) < AT_ONCE:
            name = waiting.pop(0)
            found.runs += 1
            place = bench.folder / f"run-{found.runs}"
            copy(level[name].files, place)
            work = partial(observe, bench, place, place / "left") if watch else partial(bench.finish, place)
            running.append((started(work, place / "trace"), name, place))
        pid, name, place = running.pop(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            found.failed.append(f"{level[name].crashes}: {(place / 'trace').read_text()[-3_000:]}")
        yield name, left_by(place / "left") if watch and not code else []
        shutil.rmtree(place)
        if level[name].crashes:
            shutil.rmtree(level[name].files)
