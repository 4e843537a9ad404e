"""What both benchmarks print and write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple


class Line(NamedTuple):
    """One line of the table."""

    what: str
    figure: str
    counts: str


def show(lines: Iterable[Line]) -> None:
    """Prints lines as they come."""
    for line in lines:
        print(f"{line.what:<34} {line.figure:>34}   {line.counts}", flush=True)


def write(found: Mapping[str, Any], out: Path) -> None:
    """The same for programs."""
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"\n{found['took_s']} s; written to {out}")
