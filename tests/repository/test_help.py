"""Each verb explains itself, with an example, and showing the list of verbs imports none of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.testing import CliRunner

import orchestrator.cli
from orchestrator.cli.app import app
from orchestrator.cli.verbs import load, verbs

FOUND = list(verbs(Path(orchestrator.cli.__file__).parent))


def commands(name: str, command: TyperCommand | TyperGroup) -> Iterator[tuple[str, TyperCommand]]:
    """Each verb below a command that runs something, by its full name."""
    if isinstance(command, TyperGroup):
        for part, below in command.commands.items():
            yield from commands(f"{name} {part}", below)
    else:
        yield name, command


LEAVES = [leaf for verb in FOUND for leaf in commands(verb.name, load(verb))]


@pytest.mark.parametrize("verb", FOUND, ids=lambda verb: verb.name)
def test_the_list_of_verbs_has_a_line_for_each(verb: object) -> None:
    assert getattr(verb, "help", "") != ""


@pytest.mark.parametrize(("name", "command"), LEAVES, ids=[name for name, _ in LEAVES])
def test_help_of_a_verb_says_what_it_does_and_gives_an_example(name: str, command: TyperCommand) -> None:
    assert (command.help or "").strip(), "the first line says what the verb does"
    text = f"{command.help}\n\n{command.epilog or ''}"
    assert f"orchestrator {name}" in " ".join(text.replace("--json ", "").split()), "an example shows how it is typed"


@pytest.mark.parametrize(("name", "command"), LEAVES, ids=[name for name, _ in LEAVES])
def test_each_option_and_argument_of_a_verb_has_help(name: str, command: TyperCommand) -> None:
    silent = [option.name for option in command.params if not getattr(option, "help", None)]
    assert [] == silent, name


def test_help_is_shown_as_it_is_written() -> None:
    """A part of the settings in brackets would pass for markup, and be missing."""
    shown = CliRunner().invoke(app, ["content", "new-key", "--help"], env={"COLUMNS": "120"}).output
    assert "[approval] people" in shown
    assert "under [seeds]" in CliRunner().invoke(app, ["template", "--help"], env={"COLUMNS": "120"}).output


def test_the_list_of_verbs_is_shown_without_the_database_or_the_providers() -> None:
    script = (
        "import sys; from orchestrator.cli.app import app; app(['--help'], standalone_mode=False);"
        "print({'sqlalchemy', 'jinja2', 'mrml', 'phonenumbers', 'holidays', 'faust'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("set()\n")
