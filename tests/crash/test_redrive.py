"""The process ends at every step of a redrive, in turn: what was parked is applied once, or is parked still."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.contact_log.reconcile import reconcile
from orchestrator.contact_log.verify import verify
from orchestrator.deadletters import redrive
from orchestrator.decide.content import Content
from orchestrator.events.inputs import Redriven, read_input
from orchestrator.render.contract import Rendered, Templates
from orchestrator.replay import replay
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.builders import enrolled, purchase
from orchestrator.testing.store_rows import inbox
from orchestrator.testing.world import World, shipped_content
from orchestrator.vault import KeyFile, Vault
from tests.crash.bench import CRASHED, Points, forked

pytestmark = pytest.mark.timeout(300)

PARTITIONS = 2
PARKED = 4
LATER = datetime(2026, 3, 20, tzinfo=UTC)


class Broken:
    """Templates with a fault of ours in them."""

    def __init__(self, templates: Templates) -> None:
        self.templates = templates

    def is_approved(self, journey: str, message: str, channel: str, locale: str) -> bool:
        return self.templates.is_approved(journey, message, channel, locale)

    def render(self, journey: str, step: str, channel: str, locale: str, view: Mapping[str, object]) -> Rendered:
        raise ZeroDivisionError(journey, step, channel, locale, len(view))


class Bench:
    """A store with one member in quarantine, to be copied for each crash."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.content = folder, shipped_content()
        self.vault = Vault(KeyFile.create(folder / "key", datetime(2026, 1, 1, tzinfo=UTC)))
        broken: Content = replace(self.content, templates=Broken(self.content.templates))
        store = SqlStore.open(f"sqlite:///{folder}/store.db", PARTITIONS)
        World(store, self.vault, broken).live(
            enrolled("ana", "2026-03-02T17:00:00Z"),
            *(purchase("ana", f"2026-03-0{day}T17:00:00Z", id=f"p{day}") for day in (3, 4, 5)),
        )
        assert PARKED == len(store.parked(self.vault.member("ana")))
        store.close()

    def place(self, name: str) -> Path:
        """A copy."""
        place = self.folder / name
        place.mkdir()
        shutil.copy(self.folder / "store.db", place / "store.db")
        return place

    def run(self, place: Path, points: Points) -> None:
        """The order, where it was not given yet, and what follows from it; to its end, or to where it crashes."""
        points.watch()
        store = SqlStore.open(f"sqlite:///{place}/store.db", PARTITIONS)
        if store.quarantine():
            redrive(store, self.vault, "ana", "operator", LATER)
        with World(store, self.vault, self.content).runner(dispatch=False) as runner:
            runner.engine.carry_out()
        store.close()

    def count(self) -> int:
        """How many points there are."""
        place = self.place("whole")

        def whole() -> None:
            points = Points()
            self.run(place, points)
            (place / "points").write_text(str(points.passed))

        assert 0 == forked(whole, place / "trace"), (place / "trace").read_text()
        return int((place / "points").read_text())

    def judge(self, place: Path, *, done: bool) -> None:
        """Each input is applied, waiting or parked, in one of these alone; `done`: all are applied."""
        store = SqlStore.open(f"sqlite:///{place}/store.db", PARTITIONS)
        applied = [row.offset for p in range(PARTITIONS) for row in store.journal(p) if row.kind == "event"]
        waiting = [given.offset for row in inbox(store) if isinstance(given := read_input(row.input), Redriven)]
        parked = [row.offset for row in store.parked(self.vault.member("ana"))]
        assert list(range(PARKED)) == sorted(applied + waiting + parked)
        assert sorted(applied) == applied
        assert reconcile(store).holds
        if done:
            assert (PARKED, []) == (len(applied), store.quarantine())
            assert verify(store).ok
            assert replay(store, self.vault, self.content).ok
        store.close()


def test_a_crash_at_any_point_of_a_redrive_loses_nothing_and_applies_nothing_twice(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for point in range(bench.count()):
        place = bench.place(f"at-{point}")
        assert CRASHED == forked(partial(bench.run, place, Points(point)), place / "trace"), point
        bench.judge(place, done=False)
        assert 0 == forked(partial(bench.run, place, Points()), place / "trace"), (place / "trace").read_text()
        bench.judge(place, done=True)
        shutil.rmtree(place)
