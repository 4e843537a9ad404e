"""How long a command takes to start: what a person at a terminal waits for before anything happens."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

# what a process does for nothing: the floor of every command
IDLE = (sys.executable, "-c", "pass")
VERSION = (str(Path(sys.executable).with_name("orchestrator")), "--version")
CONTENT = (
    "import sys, time; started = time.perf_counter()\n"
    "from pathlib import Path\n"
    "from orchestrator.project import open_project\n"
    "imported = time.perf_counter()\n"
    "open_project(Path(sys.argv[1])).content\n"
    "print(imported - started, time.perf_counter() - imported)"
)


def measure(project: Path, tries: int = 5) -> dict[str, Any]:
    """Milliseconds, the median of some tries."""
    parts = [_parts(project) for _ in range(tries)]
    return {
        "python_ms": _ms([_wall(IDLE) for _ in range(tries)]),
        "version_ms": _ms([_wall(VERSION) for _ in range(tries)]),
        "import_ms": _ms([imported for imported, _ in parts]),
        "content_ms": _ms([compiled for _, compiled in parts]),
    }


def _wall(command: tuple[str, ...]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own command
    return time.perf_counter() - started


def _parts(project: Path) -> tuple[float, float]:
    command = (sys.executable, "-c", CONTENT, str(project))
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603 - our own command
    imported, compiled = map(float, printed.split())
    return imported, compiled


def _ms(seconds: list[float]) -> int:
    return round(1000 * median(seconds))
