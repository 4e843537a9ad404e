"""A trap at a point takes the first worker that comes by, and no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.chaos.points import WHERE, Trap
from tests.chaos.stage import ROOT

MEETS = "from tests.chaos.points import meet; meet('claimed', ['t1', 't2']); print('passed')"


def worker(folder: Path) -> subprocess.Popen[str]:
    """A process that comes by the point."""
    env = os.environ | {WHERE: str(folder)}
    return subprocess.Popen([sys.executable, "-c", MEETS], env=env, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_of_two_who_come_by_one_is_taken_with_what_it_holds(tmp_path: Path) -> None:
    trap = Trap(tmp_path, "kill", "claimed")
    both = {one.pid: one for one in (worker(tmp_path), worker(tmp_path))}
    said = {pid: one.communicate()[0].strip() for pid, one in both.items()}
    met = trap.met()
    assert met is not None
    assert ("t1", "t2") == met.touches
    assert {met.pid: -signal.SIGKILL} == {pid: one.returncode for pid, one in both.items() if one.returncode}
    assert ["", "passed"] == sorted(said.values())
    assert trap.met() is None


def test_a_frozen_one_goes_on_from_there(tmp_path: Path) -> None:
    trap = Trap(tmp_path, "freeze", "claimed")
    with worker(tmp_path) as one:
        while (met := trap.met()) is None:
            time.sleep(0.01)
        assert one.pid == met.pid
        while Path(f"/proc/{one.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.01)
        one.send_signal(signal.SIGCONT)
        assert "passed" == one.communicate()[0].strip()


def test_what_was_withdrawn_takes_nobody(tmp_path: Path) -> None:
    assert Trap(tmp_path, "kill", "claimed").withdraw()
    with worker(tmp_path) as one:
        assert "passed" == one.communicate()[0].strip()
    assert [] == list(tmp_path.iterdir())
