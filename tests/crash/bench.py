"""A small run of the embedded engine that can be ended at every step, and what must hold however often it was.

A child runs the engine over a real SQLite file and a real event file. A *point* is a moment of it: before a SQL
statement, before a commit, before a call, or after the call and before its answer. What lies between two points changes
nothing on disk, so these are all moments that differ.
"""

from __future__ import annotations

import gc
import os
import shutil
import sqlite3
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sqlalchemy import Engine, event

from orchestrator.channels.contract import Answer, Message
from orchestrator.contact_log.reconcile import reconcile
from orchestrator.contact_log.verify import verify
from orchestrator.decide.content import Content
from orchestrator.events.envelope import Event
from orchestrator.replay import replay
from orchestrator.runtimes.embedded.runner import Runner
from orchestrator.settings import Settings
from orchestrator.stores.contract import Store
from orchestrator.stores.memory import MemoryStore
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing import builders
from orchestrator.testing.canonical import Canonical, canonical, column
from orchestrator.testing.world import World, lines, us
from orchestrator.vault import KeyFile, Vault

PARTITIONS = 2
UNTIL = us("2026-03-05T17:01:00Z")
AT_ONCE = 2
CRASHED = 113

STATE, REASON, TOUCH, TRAIL, KIND = (column(name) for name in ("state", "reason", "touch_id", "trail", "kind"))

STORY = (
    builders.enrolled("ana", "2026-03-02T17:00:00Z"),
    builders.enrolled("ben", "2026-03-02T17:05:00Z", channels=("email",), consents=("email",)),
    # at night: waits for the morning
    builders.enrolled("cleo", "2026-03-03T04:00:00Z"),
    builders.purchase("ana", "2026-03-03T18:00:00Z"),
    # deferred over night, and taken back before the morning
    builders.purchase("ben", "2026-03-04T03:00:00Z"),
    builders.event("consent.withdrawn", "ben", "2026-03-04T06:00:00Z", {"method": "link"}),
    b"no event at all",
    # in the other partition: handed over in one transaction, absorbed in another, as is what comes for the old id
    builders.event("member.merged", "ben", "2026-03-04T18:00:00Z", {"into": "ana"}),
    builders.purchase("ben", "2026-03-04T19:00:00Z"),
)


class Points:
    """Counts the points of this process; ends it at one of them, or shows each to whoever watches."""

    def __init__(self, crash_at: int | None = None, shown: Callable[[int], None] | None = None) -> None:
        self.passed, self.crash_at, self.shown = 0, crash_at, shown

    def reached(self, *_: object) -> None:
        if self.passed == self.crash_at:
            os._exit(CRASHED)
        if self.shown is not None:
            self.shown(self.passed)
        self.passed += 1

    def watch(self) -> None:
        """Every statement and commit on every connection that this process opens from now on is a point."""

        @event.listens_for(Engine, "connect")
        def connected(connection: sqlite3.Connection, _record: object) -> None:
            connection.set_trace_callback(self.reached)


class LedgerAdapter:
    """A provider that writes down each call, durably, before it answers."""

    slots = 4

    def __init__(self, channel: str, folder: Path, points: Points) -> None:
        self.channel = channel
        self.path, self.database, self.points = folder / "ledger", folder / "store.db", points

    async def send(self, message: Message) -> Answer:
        self.points.reached()
        record = sqlite3.connect(self.database)
        ((state, attempts),) = record.execute(
            "SELECT state, attempts FROM touches WHERE touch_id = ?", (message.touch_id,)
        ).fetchall()
        record.close()
        with self.path.open("a") as ledger:
            ledger.write(f"{message.touch_id} {state} {attempts}\n")
            ledger.flush()
            os.fsync(ledger.fileno())
        self.points.reached()
        return Answer(kind="accepted", provider_id=f"p-{message.touch_id}")

    async def close(self) -> None:
        """Nothing to end."""


class Bench:
    """One scenario, and what an uninterrupted run of it comes to."""

    # a fault planted in the children, to see that it is found
    fault: Callable[[], None] | None = None
    # what happens, and how members are written to
    story: tuple[Event | bytes, ...] = STORY
    channel = "email"

    def __init__(self, folder: Path, content: Content) -> None:
        self.folder, self.content = folder, content
        self.vault = Vault(KeyFile.create(folder / "key", datetime(2026, 1, 1, tzinfo=UTC)))
        self.file = lines(folder / "events.jsonl", self.story)
        self.empty = folder / "empty.db"
        store = SqlStore.open(f"sqlite:///{self.empty}", PARTITIONS)
        self.furnish(store)
        store.close()
        # what is loaded when first used (locales, templates) is loaded here, and not by each child again
        warm = MemoryStore(PARTITIONS)
        self.furnish(warm)
        World(warm, self.vault, content).run_files(self.file, until="2026-03-05T17:01:00Z")
        gc.collect()
        gc.freeze()
        whole = self.place("whole")
        trace = whole / "trace"
        assert 0 == forked(lambda: self.count(whole), trace), trace.read_text()
        self.points = int((whole / "points").read_text())
        store = SqlStore.open(f"sqlite:///{whole}/store.db", PARTITIONS)
        self.expected: Canonical = canonical(store)
        self.expected_totals = store.totals()
        store.close()
        self.expected_calls = calls(whole)

    def furnish(self, store: Store) -> None:
        """What lies in the store before anything happens."""

    def place(self, name: str) -> Path:
        """A folder with an empty store."""
        place = self.folder / name
        place.mkdir()
        shutil.copy(self.empty, place / "store.db")
        return place

    def run(self, place: Path, points: Points) -> None:
        """The run, to its end or to the point where it is to crash."""
        if self.fault is not None:
            self.fault()
        points.watch()
        store = SqlStore.open(f"sqlite:///{place}/store.db", PARTITIONS)
        adapters = {self.channel: LedgerAdapter(self.channel, place, points)}
        with Runner(store, self.vault, self.content, Settings(), adapters) as runner:
            runner.run([self.file], until=UNTIL)
        store.close()

    def count(self, place: Path) -> None:
        """An uninterrupted run; leaves the number of its points."""
        points = Points()
        self.run(place, points)
        (place / "points").write_text(str(points.passed))

    def finish(self, place: Path) -> None:
        """Runs to the end and judges."""
        self.run(place, Points())
        self.judge(place)

    def judge(self, place: Path) -> None:
        """Everything that must hold after any crash."""
        store = SqlStore.open(f"sqlite:///{place}/store.db", PARTITIONS)
        assert verify(store).ok, verify(store).faults
        books = reconcile(store)
        assert books.holds, (books.broken, books.differences)
        replayed = replay(store, self.vault, self.content)
        assert replayed.ok, replayed.different
        doubtful = {touch.touch_id for touch in store.touches(state="unknown")}
        assert settled(self.expected, doubtful) == settled(canonical(store), doubtful)
        assert [] == [touch for touch in store.touches() if touch.state in ("reserved", "claimed", "attempting")]
        made = calls(place)
        assert {"attempting 1"} >= set(made.values()), made
        # nobody was called twice, and everybody who should be was, but where a crash left it in doubt
        assert set(made) <= set(self.expected_calls)
        assert set(self.expected_calls) - set(made) <= doubtful
        assert self.expected_totals == store.totals()
        store.close()

    def judged(self, cases: dict[str, tuple[int, ...]]) -> list[str]:
        """Crashes at these points, one run after the other, then runs to the end; what failed, and why.

        A second crash may lie behind the end of a run that has less left to do.
        """
        failed: list[str] = []
        waiting, running = list(cases), dict[int, tuple[str, tuple[int, ...] | None]]()

        def start(name: str, crashes: tuple[int, ...]) -> None:
            place = self.folder / name
            work = partial(self.run, place, Points(crashes[0])) if crashes else partial(self.finish, place)
            running[started(work, place / "trace")] = (name, crashes[1:] if crashes else None)

        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                name = waiting.pop(0)
                start(self.place(name).name, cases[name])
            # the eldest by its id: this process may have other children, such as servers of other tests
            pid, status = os.waitpid(next(iter(running)), 0)
            name, left = running.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            if left is not None and code in (0, CRASHED):
                start(name, left)
                continue
            if code != 0:
                failed.append(f"{name}: {(self.folder / name / 'trace').read_text()[-3_000:]}")
            shutil.rmtree(self.folder / name)
        return failed


def started(work: Callable[[], None], trace: Path) -> int:
    """A child that does the work and ends with 0, or with 1 and the reason in `trace`; its process id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - whatever it is, this child must not go on as a second pytest
        trace.write_text(traceback.format_exc())
    finally:
        os._exit(1)


def forked(work: Callable[[], None], trace: Path) -> int:
    """Does the work in a child; its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(started(work, trace), 0)[1])


def calls(place: Path) -> dict[str, str]:
    """touch id -> what was on record when it was called; a touch called twice is told."""
    path = place / "ledger"
    rows = path.read_text().splitlines() if path.exists() else []
    again = [touch for touch, n in Counter(row.split()[0] for row in rows).items() if n > 1]
    assert [] == again, "called twice"
    return {row.split()[0]: " ".join(row.split()[1:]) for row in rows}


def settled(log: Canonical, doubtful: set[str]) -> Canonical:
    """The log with the answers of these touches made unreadable: a crash left them in doubt."""
    answers = ("accepted", "unknown")
    return {
        member: [
            (*line[:TOUCH], line[TOUCH], "in doubt")
            if line[KIND] == "touch" and line[TOUCH] in doubtful and line[STATE] in answers
            else line
            for line in entries
        ]
        for member, entries in log.items()
    }
