"""With a safeguard taken out the checker names the promise that did not hold; with all in place it finds nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.stage import ROOT

# the promise that each safeguard stands for
BROKEN = {
    "epoch": "decided_once",
    "recheck": "hours",
    "dedupe": "decided_once",
    "cas": "call_after_final",
    "suppression": "after_optout",
    "attempt": "call_after_final",
}


def judged(folder: Path, database: str, *sabotage: str) -> tuple[int, str]:
    """The checker's exit code and words on the moments that were brought about."""

    def module(name: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", f"tests.chaos.{name}", str(folder), *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    steered = module("steered", database, *sabotage)
    assert 0 == steered.returncode, steered.stderr[-3000:]
    checked = module("checker")
    return checked.returncode, checked.stdout


def test_with_every_safeguard_in_place_every_moment_keeps_every_promise(tmp_path: Path, postgres_url: str) -> None:
    assert (0, "0 violations\n") == judged(tmp_path, postgres_url)


@pytest.mark.parametrize(("sabotage", "promise"), BROKEN.items())
def test_a_safeguard_taken_out_is_missed(tmp_path: Path, postgres_url: str, sabotage: str, promise: str) -> None:
    code, said = judged(tmp_path, postgres_url, sabotage)
    assert 1 == code
    assert f"{promise}: " in said
