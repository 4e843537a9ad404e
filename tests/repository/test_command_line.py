"""The frame of the command line: options anywhere, errors to exit codes, nothing personal on standard error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
from typer.testing import CliRunner

from orchestrator import settings, starter
from orchestrator.cli.app import PROJECT_FILE, app, project_of
from orchestrator.cli.output import State, progress, show
from orchestrator.cli.verbs import VerbGroup, hoisted, verbs
from orchestrator.errors import (
    ContentError,
    OrchestratorError,
    Problem,
    Refused,
    SetupError,
    Tampered,
    Unreadable,
    UsageError,
)

ORCHESTRATOR = [sys.executable, "-m", "orchestrator.cli"]
ADDRESS = "ada@example.com"


@pytest.fixture(scope="module")
def starter_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as `init` makes it, with an empty store."""
    folder = tmp_path_factory.mktemp("wrong-use") / "club"
    starter.create(folder)
    return folder


def orchestrator(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*ORCHESTRATOR, *words], cwd=folder, capture_output=True, text=True, check=False)


def cli_with(verb: Any) -> typer.Typer:
    """The real frame around one verb."""
    built = typer.Typer(cls=VerbGroup)

    @built.callback()
    def options(ctx: typer.Context, as_json: bool = typer.Option(False, "--json")) -> None:
        ctx.obj = State(project=Path(), json=as_json)

    built.command("try")(verb)
    return built


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (ContentError([Problem("journey.yaml", 3, "no trigger", "add one")]), 3, "content"),
        (SetupError("no key file"), 3, "setup"),
        (UsageError("no such member"), 2, "usage"),
        (Tampered("entry 7"), 1, "tampered"),
        (Unreadable("bad_json", "send JSON"), 70, "unreadable"),
        (Refused("epoch"), 70, "refused"),
        (OrchestratorError("unlike any other"), 70, "fault"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_error_has_its_exit_code_and_its_message(error: OrchestratorError, code: int, kind: str) -> None:
    def verb() -> None:
        raise error

    plain = CliRunner().invoke(cli_with(verb), ["try"])
    assert (code, "", f"{error}\n") == (plain.exit_code, plain.stdout, plain.stderr)
    machine = CliRunner().invoke(cli_with(verb), ["try", "--json"])
    told = json.loads(machine.stderr)["error"]
    assert (code, "") == (machine.exit_code, machine.stdout)
    assert (kind, str(error), code) == (told["kind"], told["message"], told["exit"])


def test_a_content_error_lists_each_problem_for_machines() -> None:
    def verb() -> None:
        raise ContentError([Problem("a.yaml", 3, "no trigger", "add one"), Problem("b.j2", 1, "unknown word")])

    told = json.loads(CliRunner().invoke(cli_with(verb), ["--json", "try"]).stderr)["error"]
    assert [("a.yaml", 3), ("b.j2", 1)] == [(problem["file"], problem["line"]) for problem in told["problems"]]


def test_a_fault_of_ours_is_one_line_and_a_hint_without_the_text_of_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def verb() -> None:
        raise ValueError(ADDRESS)

    quiet = CliRunner().invoke(cli_with(verb), ["try"])
    assert 70 == quiet.exit_code
    assert "ValueError" in quiet.stderr
    assert "ORCHESTRATOR_DEBUG=1" in quiet.stderr
    assert ADDRESS not in quiet.stderr
    assert "Traceback" not in quiet.stderr
    monkeypatch.setenv("ORCHESTRATOR_DEBUG", "1")
    assert "Traceback" in CliRunner().invoke(cli_with(verb), ["try"]).stderr


def test_found_wanting_is_exit_code_1_and_a_result_is_never_mistaken_for_a_code() -> None:
    def wanting() -> None:
        raise typer.Exit(1)

    def counting() -> int:
        return 7

    assert 1 == CliRunner().invoke(cli_with(wanting), ["try"]).exit_code
    assert 0 == CliRunner().invoke(cli_with(counting), ["try"]).exit_code


def test_wrong_use_is_exit_code_2(tmp_path: Path) -> None:
    assert 2 == orchestrator("nonsense", folder=tmp_path).returncode
    assert 2 == orchestrator("init", folder=tmp_path).returncode
    machine = orchestrator("init", "--json", folder=tmp_path)
    assert "usage" == json.loads(machine.stderr)["error"]["kind"]


def test_a_reader_that_goes_away_ends_the_command_quietly(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    for words in (["--help"], ["--json", "init", "club"]):
        command = [*ORCHESTRATOR, *words]
        done = subprocess.run(command, cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        assert (141, "") == (done.returncode, done.stderr)
    os.close(writing)


@pytest.mark.parametrize(
    ("words", "front"),
    [
        (["law", "check", "f.csv", "--json"], ["--json", "law", "check", "f.csv"]),
        (["log", "--project", "club", "show"], ["--project", "club", "log", "show"]),
        (["log", "show", "--project=club"], ["--project=club", "log", "show"]),
        (["explain", "--", "--json"], ["explain", "--", "--json"]),
        (["log", "--project"], ["--project", "log"]),
        ([], []),
    ],
)
def test_global_options_may_follow_the_verb(words: list[str], front: list[str]) -> None:
    assert front == hoisted(words)


def test_the_project_is_the_nearest_folder_with_settings(tmp_path: Path) -> None:
    (tmp_path / "club" / "templates" / "welcome").mkdir(parents=True)
    assert tmp_path / "club" == project_of(tmp_path / "club")
    (tmp_path / "club" / PROJECT_FILE).touch()
    assert tmp_path / "club" == project_of(tmp_path / "club" / "templates" / "welcome")
    assert settings.FILE == PROJECT_FILE


def test_init_makes_a_project_and_refuses_to_make_it_twice(tmp_path: Path) -> None:
    made = orchestrator("init", "club", "--json", folder=tmp_path)
    assert (0, "") == (made.returncode, made.stderr)
    assert (tmp_path / "club" / settings.FILE).is_file()
    key = tmp_path / "club" / json.loads(made.stdout)["key_file"]
    assert 0o600 == key.stat().st_mode & 0o777
    assert 2 == orchestrator("init", "club", folder=tmp_path).returncode


def test_init_with_force_adds_what_is_missing_and_overwrites_nothing(tmp_path: Path) -> None:
    made = json.loads(orchestrator("init", "club", "--json", folder=tmp_path).stdout)
    key = tmp_path / "club" / made["key_file"]
    secret = key.read_bytes()
    (tmp_path / "club" / settings.FILE).write_text('programme = "Mine"\n')
    (tmp_path / "club" / ".gitignore").unlink()
    again = json.loads(orchestrator("init", "club", "--force", "--json", folder=tmp_path).stdout)
    assert [".gitignore"] == again["written"]
    assert 'programme = "Mine"\n' == (tmp_path / "club" / settings.FILE).read_text()
    assert secret == key.read_bytes()


def test_init_into_a_fresh_repository_needs_no_force(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    assert 0 == orchestrator("init", ".", folder=tmp_path).returncode


class Found(msgspec.Struct, frozen=True):
    member_ref: str
    touches: int
    at: Path


def test_a_result_is_a_table_for_people_and_json_for_machines() -> None:
    def verb(ctx: typer.Context) -> None:
        with progress(ctx, "counting", 2) as advance:
            advance(2)
        show(ctx, [Found("[bold]9f", 1200, Path("a/b")), Found("1c", 3, Path("c"))])

    people = CliRunner().invoke(cli_with(verb), ["try"]).stdout
    assert "member ref" in people
    assert "[bold]9f" in people, "a value is never read as markup"
    assert "1,200" in people
    machine = CliRunner().invoke(cli_with(verb), ["try", "--json"]).stdout
    assert {"member_ref": "[bold]9f", "touches": 1200, "at": "a/b"} == json.loads(machine)[0]


def test_verbs_are_found_by_what_their_source_defines(tmp_path: Path) -> None:
    (tmp_path / "data_quality.py").write_text('def command() -> None:\n    """Judge the data.\n\n    More.\n    """\n')
    (tmp_path / "log.py").write_text('import typer\napp = typer.Typer(help="Read the log.")\n')
    (tmp_path / "notes.py").write_text('"""Neither."""\n')
    (tmp_path / "output.py").write_text("def command() -> None: ...\n")
    found = [(verb.name, verb.help, verb.group) for verb in verbs(tmp_path)]
    assert [("data-quality", "Judge the data.", False), ("log", "Read the log.", True)] == found


def test_completion_knows_the_verbs() -> None:
    environment = {
        **os.environ,
        "_ORCHESTRATOR_COMPLETE": "complete_bash",
        "COMP_WORDS": "orchestrator in",
        "COMP_CWORD": "1",
    }
    script = "from orchestrator.cli.app import app; app(prog_name='orchestrator')"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert "init" in done.stdout.split()


def test_completion_knows_the_journeys_of_the_project(tmp_path: Path) -> None:
    for name in ("welcome", "we-miss-you", "birthday"):
        (tmp_path / "templates" / name).mkdir(parents=True)
        (tmp_path / "templates" / name / "journey.yaml").write_text("not read", encoding="utf-8")
    environment = {
        **os.environ,
        "_ORCHESTRATOR_COMPLETE": "complete_bash",
        "COMP_WORDS": f"orchestrator --project {tmp_path} journey test we",
        "COMP_CWORD": "5",
    }
    script = "from orchestrator.cli.app import app; app(prog_name='orchestrator')"
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert ["we-miss-you", "welcome"] == done.stdout.split()


def test_the_app_is_one_and_the_same_for_programs_and_people() -> None:
    assert "orchestrator 0.1.0\n" == CliRunner().invoke(app, ["--version"]).stdout


def test_a_misspelt_verb_is_told_with_the_likely_one(tmp_path: Path) -> None:
    done = orchestrator("explian", "m", folder=tmp_path)
    assert (2, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("there is no verb explian; did you mean `explain`?")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "nothing.jsonl"), "nothing.jsonl: No such file or directory; name a file of CloudEvents"),
        (("run",), "nothing to run: name files of events, or put some in incoming/ with: orchestrator ingest"),
        (("run", "x", "--until", "noon"), "'noon' is no time; write it like 2018-01-31T00:00:00Z"),
        (("ingest", "nothing.csv", "--map", "airline/members"), "nothing.csv: No such file or directory"),
        (("ingest", "nothing.csv", "--map", "airline/membrs"), "there is no mapping airline/membrs"),
        (("journey", "test", "welcom"), "there is no journey welcom; did you mean `welcome`?"),
        (("template", "preview", "welcom", "hello"), "there is no journey welcom; did you mean `welcome`?"),
        (("template", "preview", "welcome", "helo"), "there is no helo for email in welcome; there is: "),
        (("template", "lint", "welcom"), "there is no journey welcom in "),
        (("law", "show", "XX"), "XX has no pack, so _default answers for it; there is: CO, "),
        (("log", "verify", "--checkpoint", "nothing"), "nothing can't be read: No such file or directory"),
        (("log", "verify", "--key", "zz"), "--key takes 64 hex digits"),
        (("explain", "nobody"), "no member of this id is known here"),
        (("member", "show", "nobody"), "no member of this id is known here"),
        (("member", "export", "nobody"), "no member of this id is known here"),
        (
            ("member", "erase", "nobody", "--yes"),
            "no member of this id is known here",
        ),
        (("explain", "nobody", "--at", "noon"), "--at takes a moment such as 2026-03-01T09:00:00-05:00"),
        (("replay", "--partition", "99"), "there is no partition 99: name one from 0 to 31"),
        (("worker", "--roles", "decider"), "there is no role decider; known are decide, dispatch, relay"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_use_is_told_with_what_would_be_right(starter_project: Path, words: tuple[str, ...], told: str) -> None:
    result = CliRunner().invoke(app, ["--project", str(starter_project), *words], env={"COLUMNS": "200"})
    assert (2, "") == (result.exit_code, result.stdout)
    assert result.stderr.startswith(told)
