"""The commands suppress and switch, on a project of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.app import app
from orchestrator.starter import create
from orchestrator.testing.builders import enrolled
from orchestrator.testing.world import lines

Call = Callable[..., tuple[int, Any, str]]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which one member waits for a message."""
    folder = tmp_path_factory.mktemp("stops") / "club"
    create(folder)
    lines(folder / "events.jsonl", [enrolled("ana", "2026-03-02T17:00:00Z")])
    words = ["--project", str(folder), "run", str(folder / "events.jsonl"), "--clock", "events", "--no-dispatch"]
    assert 0 == app(words, standalone_mode=False)
    return folder


@pytest.fixture
def call(ran: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call("switch", "list")`: exit code, what it printed as JSON, standard error."""

    def called(*words: str) -> tuple[int, Any, str]:
        capsys.readouterr()
        code = app(["--project", str(ran), "--json", *words], standalone_mode=False)
        out = capsys.readouterr()
        return code, json.loads(out.out) if out.out else None, out.err

    return called


def test_a_channel_is_switched_off_listed_and_on_again(call: Call) -> None:
    code, off, _ = call("switch", "off", "channel:sms", "--actor", "carol")
    assert (0, [("channel:sms", "carol")]) == (code, [(row["scope"], row["actor"]) for row in off])
    assert off == call("switch", "list")[1]
    assert (0, []) == call("switch", "on", "channel:sms")[:2]


def test_a_journey_that_is_not_there_is_switched_off_with_a_word(call: Call) -> None:
    """One that was removed from the files may still be run by workers."""
    code, off, said = call("switch", "off", "journey:wellcome")
    assert (0, 1) == (code, len(off))
    assert "no journey wellcome" in said
    call("switch", "on", "journey:wellcome")


def test_a_scope_that_is_none_is_wrong_use(call: Call) -> None:
    assert 2 == call("switch", "off", "everything")[0]


def test_a_member_is_suppressed_listed_and_lifted(call: Call) -> None:
    code, done, _ = call("suppress", "ana", "--channel", "sms")
    assert (0, []) == (code, done["cancelled"])
    code, done, _ = call("suppress", "ana")
    assert (0, 1) == (code, len(done["cancelled"]))
    listed = call("suppress", "--list")[1]
    assert [("*", "*"), ("sms", "*")] == [(row["channel"], row["purpose"]) for row in listed]
    assert 0 == call("suppress", "ana", "--lift")[0]
    assert 2 == call("suppress", "ana", "--lift", "--purpose", "service")[0]


def test_an_address_is_suppressed_and_not_repeated_in_the_list(call: Call) -> None:
    assert 0 == call("suppress", "--contact", "ana@example.com", "--channel", "email")[0]
    assert "ana@example.com" not in json.dumps(call("suppress", "--list")[1])


@pytest.mark.parametrize("words", [(), ("nobody",), ("ana", "--contact", "a@example.com"), ("ana", "--channel", "fax")])
def test_naming_nobody_or_nothing_is_wrong_use(call: Call, words: tuple[str, ...]) -> None:
    assert 2 == call("suppress", *words)[0]
