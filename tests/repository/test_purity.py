"""The law of the pure folders: a violation planted in a copy of the package is caught, the package itself is clean."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PURE = ("events", "decide", "render")
PURITY_RULES = ("TID251", "T20", "DTZ", "PTH")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package with its configuration, to plant violations in."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "orchestrator", tmp_path / "orchestrator", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def ruff(folder: Path, *paths: str) -> set[tuple[str, str]]:
    """(file, rule) of everything ruff finds."""
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "json", *paths]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return {(Path(found["filename"]).name, found["code"]) for found in json.loads(done.stdout)}


def contracts(folder: Path, *only: str) -> tuple[bool, str]:
    """Whether the import contracts are kept, and what import-linter says."""
    script = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    options = [option for name in only for option in ("--contract", name)]
    done = subprocess.run(
        [sys.executable, "-c", script, "--no-cache", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode == 0, done.stdout + done.stderr


def test_the_pure_folders_break_none_of_their_own_rules() -> None:
    found = ruff(ROOT, *(f"orchestrator/{folder}" for folder in PURE))
    assert {(file, rule) for file, rule in found if rule.startswith(PURITY_RULES)} == set()


@pytest.mark.parametrize("folder", PURE)
def test_each_pure_folder_extends_the_law(copy: Path, folder: str) -> None:
    (copy / "orchestrator" / folder / "planted.py").write_text('"""Planted."""\n\nimport time\n\nprint(time)\n')
    assert {("planted.py", "TID251"), ("planted.py", "T201")} <= ruff(copy, f"orchestrator/{folder}/planted.py")


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ("from time import monotonic as it", "TID251"),
        ("from datetime import UTC, datetime\n\nit = datetime.now(UTC)", "TID251"),
        ("from datetime import datetime\n\nit = datetime.utcnow()", "TID251"),
        ("from datetime import date\n\nit = date.today()", "TID251"),
        ("import datetime\n\nit = datetime.datetime.now(datetime.UTC)", "TID251"),
        ("import random as it", "TID251"),
        ("import secrets as it", "TID251"),
        ("from uuid import uuid4 as it", "TID251"),
        ("from os import environ as it", "TID251"),
        ("from pathlib import Path as it", "TID251"),
        ('it = open("f")', "PTH123"),
        ("import sqlite3 as it", "TID251"),
        ("import socket as it", "TID251"),
        ("import urllib.request", "TID251"),
        ("from urllib.request import urlopen as it", "TID251"),
        ("import logging as it", "TID251"),
        ("import asyncio as it", "TID251"),
        ("from builtins import open as it", "TID251"),
        ('it = print("x")', "T201"),
    ],
)
def test_a_way_out_of_the_pure_core_is_caught(copy: Path, code: str, rule: str) -> None:
    (copy / "orchestrator/decide/planted.py").write_text(f'"""Planted."""\n\n{code}\n')
    assert ("planted.py", rule) in ruff(copy, "orchestrator/decide/planted.py")


def test_the_pure_folders_keep_the_rules_of_all_other_code(copy: Path) -> None:
    (copy / "orchestrator/decide/planted.py").write_text(f'"""Planted."""\n\nimport json\n\n# {"x" * 120}\n')
    assert {("planted.py", "F401"), ("planted.py", "E501")} <= ruff(copy, "orchestrator/decide/planted.py")


def test_what_a_pure_function_needs_is_allowed(copy: Path) -> None:
    modules = ["hashlib", "hmac", "re"]
    names = ["from datetime import UTC, datetime", "from urllib.parse import quote", "from zoneinfo import ZoneInfo"]
    imports = "\n".join([*(f"import {module}" for module in modules), *names])
    used = "all_of_it = (hashlib, hmac, re, datetime(2026, 1, 1, tzinfo=UTC), quote, ZoneInfo)"
    (copy / "orchestrator/decide/planted.py").write_text(f'"""Planted."""\n\n{imports}\n\n{used}\n')
    assert ruff(copy, "orchestrator/decide/planted.py") == set()
    kept, report = contracts(copy, "pure", "layers")
    assert kept, report


def test_the_packages_imports_keep_all_contracts() -> None:
    kept, report = contracts(ROOT)
    assert kept, report


@pytest.mark.parametrize(
    ("place", "code", "contract", "broken"),
    [
        ("decide", "import time", "pure", "orchestrator.decide.planted -> time"),
        ("render", "import os.path", "pure", "orchestrator.render.planted -> os"),
        ("decide", "import orchestrator.stores", "layers", "orchestrator.decide.planted -> orchestrator.stores"),
        ("events", "import orchestrator.decide", "layers", "orchestrator.events.planted -> orchestrator.decide"),
        ("dispatch", "import aiokafka", "engines", "orchestrator.dispatch.planted -> aiokafka"),
        ("channels", "import orchestrator.stores", "adapters", "orchestrator.channels.planted -> orchestrator.stores"),
    ],
)
def test_an_import_the_wrong_way_is_caught(copy: Path, place: str, code: str, contract: str, broken: str) -> None:
    (copy / "orchestrator" / place / "planted.py").write_text(f'"""Planted."""\n\n{code}\n')
    kept, report = contracts(copy, contract)
    assert not kept
    assert broken in " ".join(report.split())
