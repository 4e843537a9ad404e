"""requirements.lock pins, with hashes, all that pyproject.toml asks for, and names no address to fetch it from."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

ASKED = [
    *PROJECT["project"]["dependencies"],
    *PROJECT["project"]["optional-dependencies"]["dev"],
    *PROJECT["build-system"]["requires"],
]


def entries() -> dict[str, tuple[str, int]]:
    """name -> (version, number of hashes)."""
    joined = LOCK.replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line and not line.lstrip().startswith("#")]
    pinned = [re.match(r"([A-Za-z0-9._-]+)==(\S+)", line) for line in lines]
    assert all(pinned), "each line of the lock is one exact version"
    return {
        str(canonicalize_name(match[1])): (match[2], line.count("--hash=sha256:"))
        for match, line in zip(pinned, lines, strict=True)
        if match
    }


@pytest.mark.parametrize("asked", sorted(set(ASKED)))
def test_each_dependency_is_locked_within_its_bounds(asked: str) -> None:
    wanted = Requirement(asked)
    version, _ = entries()[canonicalize_name(wanted.name)]
    assert wanted.specifier.contains(version), f"{wanted} is locked at {version}; run: make lock"


def test_every_entry_has_hashes() -> None:
    assert [] == [name for name, (_, hashes) in entries().items() if hashes == 0]


def test_the_lock_names_no_address() -> None:
    assert re.search(r"://|--(extra-)?index|--find-links|--trusted-host", LOCK) is None


@pytest.mark.skipif(os.environ.get("ORCHESTRATOR_REQUIRE_KAFKA") != "1", reason="continuous integration alone decides")
def test_only_the_python_that_these_tests_run_on_is_claimed() -> None:
    claimed = {
        line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if line.startswith("Programming Language")
    }
    assert {f"{sys.version_info.major}.{sys.version_info.minor}"} == claimed
