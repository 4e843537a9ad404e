"""Who judges a run shares nothing with who is judged."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
JUDGES = {"checker", "calls", "chains", "codes", "evidence", "people"}


def imported(module: str) -> set[str]:
    """Every module that one of ours names in an import, wherever in its text."""
    found: set[str] = set()
    for node in ast.walk(ast.parse((HERE / f"{module}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "an import by dots names nothing"
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("module", sorted(JUDGES))
def test_a_judge_knows_the_standard_library_and_the_other_judges_alone(module: str) -> None:
    known = {f"tests.chaos.{judge}" for judge in JUDGES}
    others = {name for name in imported(module) if name.partition(".")[0] not in sys.stdlib_module_names}
    assert others <= known
    # nothing is loaded by a name put together at run time
    assert {"importlib", "runpy", "subprocess"}.isdisjoint(imported(module))


def test_the_checker_needs_all_the_judges() -> None:
    """So that none is left out of the test above."""
    needed, todo = set(), ["checker"]
    while todo:
        module = todo.pop()
        needed.add(module)
        ours = {name.rpartition(".")[2] for name in imported(module) if name.startswith("tests.chaos.")}
        todo += ours - needed
    assert needed == JUDGES
