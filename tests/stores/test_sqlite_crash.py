"""A process that is killed at any point leaves all of its batch or nothing, and all that was acknowledged."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from shutil import copyfile

import pytest

from orchestrator.stores.contract import Changes
from orchestrator.stores.sql import SqlStore
from orchestrator.testing.store_rows import digest, everything, furnish, states

CHILD = Path(__file__).with_name("crash_child.py")
TABLES = [name for name in Changes._fields if name not in {"totals", "daily"}]


POINTS = [*TABLES, "commit", "after"]


def shown(url: str) -> dict[str, object]:
    store = SqlStore.open(url, 4)
    try:
        # the child's taking of the partition is a transaction of its own
        return everything(store) | {"progress": [row._replace(epoch=0) for row in store.progress()]}
    finally:
        store.close()


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of stores alike, on each of which a process was killed at its point; `untouched` is as all were."""
    folder = tmp_path_factory.mktemp("killed")
    store = SqlStore.open(f"sqlite:///{folder}/untouched.db", 4)
    furnish(store)
    store.close()
    for point in POINTS:
        copyfile(folder / "untouched.db", folder / f"{point}.db")
    command = [sys.executable, str(CHILD), "each", str(folder), *POINTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [f"{point} {-signal.SIGKILL}" for point in POINTS] == done.stdout.splitlines(), done.stderr
    return folder


@pytest.mark.parametrize("point", [*TABLES, "commit"])
def test_a_kill_before_the_commit_leaves_nothing(killed: Path, point: str) -> None:
    assert shown(f"sqlite:///{killed}/untouched.db") == shown(f"sqlite:///{killed}/{point}.db")


def test_a_kill_after_the_commit_leaves_all(killed: Path) -> None:
    store = SqlStore.open(f"sqlite:///{killed}/after.db", 4)
    assert [(0, 2, 2, 900, 2)] == [(p.partition, p.next_offset, p.turn, p.clock, p.log_n) for p in store.progress()]
    assert {"t1": "cancelled", "t2": "reserved", "t3": "cancelled"} == states(store)
    assert 2 == len(list(store.log()))
    store.close()


@pytest.mark.parametrize("acknowledged", [1, 7, 20])
def test_a_kill_at_any_moment_keeps_what_was_acknowledged_and_no_half_batch(tmp_path: Path, acknowledged: int) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with subprocess.Popen([sys.executable, str(CHILD), "loop", url], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(acknowledged):
            child.stdout.readline()
        child.kill()
        rest = child.stdout.read().splitlines()
    store = SqlStore.open(url, 4)
    (progress,) = store.progress()
    turns = progress.turn
    # the last batch may be committed and not yet acknowledged
    assert turns - (acknowledged + len(rest)) in {0, 1}
    assert turns * 50 == progress.log_n == len(list(store.log())) == len(list(store.journal(0)))
    assert digest(f"head-{turns}", 32) == progress.head
    assert {(0, "inputs"): turns * 50} == store.totals()
    assert {f"{turn}" for turn in range(1, turns + 1)} == set(states(store))
    member = store.member(digest("m0"))
    assert member is not None
    assert b"%d" % turns == member.state
    store.close()
