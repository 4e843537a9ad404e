"""What the documents say is so: their commands exist, their links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

import orchestrator.cli
from orchestrator.cli.verbs import verbs
from orchestrator.settings import Settings
from orchestrator.starter import create

ROOT = Path(__file__).parents[2]
LISTED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
).stdout.split()
DOCUMENTS = sorted({*(ROOT / name for name in LISTED if (ROOT / name).exists()), ROOT / "README.md"})
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
VERBS = {verb.name for verb in verbs(Path(orchestrator.cli.__file__).parent)}
FIXED_TARGETS = ("demo", "test", "bench", "bench-kafka", "chaos", "soak", "lint", "format", "help")


def shell_lines(document: Path) -> list[str]:
    """The lines of a document's shell blocks, without prompts and comments."""
    blocks = re.findall(r"```(?:sh|bash|console|shell)\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    return [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]


def verb_of(line: str) -> str:
    """The verb of a line that starts with `orchestrator`, or ""."""
    words = iter(shlex.split(line, comments=True)[1:])
    for word in words:
        if word == "--project":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return ""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_command_of_a_document_exists(document: Path) -> None:
    unknown = []
    for line in shell_lines(document):
        match line.split():
            case ["make", target, *_] if target not in TARGETS and "=" not in target:
                unknown.append(line)
            case ["orchestrator", *_] if verb_of(line) not in VERBS | {""}:
                unknown.append(line)
    assert [] == unknown


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_link_of_a_document_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text(encoding="utf-8"))
    inside = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert [] == [link for link in inside if not (document.parent / link).exists()]


def test_the_readme_shows_a_newcomer_how_to_start_and_how_to_test() -> None:
    assert {"make demo", "make test"} <= set(shell_lines(ROOT / "README.md"))


def test_the_next_steps_that_init_prints_exist(tmp_path: Path) -> None:
    made = create(tmp_path / "club")
    assert (tmp_path / "club" / Settings().keys.file).is_file()
    assert set() == {verb_of(step) for step in made.next if step.startswith("orchestrator")} - VERBS


@pytest.mark.parametrize("target", FIXED_TARGETS)
def test_the_makefile_has_each_target_with_a_line_of_help(target: str) -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^make {target} +\S", listed, re.MULTILINE)


def test_the_last_thing_make_test_does_is_pytest() -> None:
    planned = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert ".venv/bin/pytest" == planned.strip().splitlines()[-1].split()[0]


def test_continuous_integration_can_start() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=False).returncode == 0
