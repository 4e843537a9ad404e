"""Replay: what it finds, what it can't know, and how the command says so."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator import starter
from orchestrator.events.inputs import Command
from orchestrator.project import open_project
from orchestrator.render.contract import Rendered, Templates
from orchestrator.replay import replay
from orchestrator.revisions import former_contents
from orchestrator.runtimes.embedded.project_runner import open_runner
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import World, lines, us

NOON = "2026-03-02T17:00:00Z"
STORY = (
    enrolled("ana", NOON),
    enrolled("ben", NOON),
    purchase("ana", "2026-03-04T17:00:00Z"),
    purchase("ben", "2026-03-05T04:00:00Z"),
    event("consent.withdrawn", "ben", "2026-03-05T06:00:00Z", {"method": "link"}),
)


def test_every_turn_comes_to_the_rows_on_record_and_every_state_is_the_same(world: World) -> None:
    world.live(*STORY, until="2026-03-20T00:00:00Z")
    found = replay(world.store, world.vault, world.content)
    turns = sum(row.turn for row in world.store.progress())
    assert (True, turns, turns, 0) == (found.ok, found.turns, found.same, found.found)
    assert (0, 0, 2) == (found.outside, found.elsewhere, found.members)


def test_one_partition_alone_may_be_replayed(world: World) -> None:
    world.live(*STORY, until="2026-03-20T00:00:00Z")
    counts = [replay(world.store, world.vault, world.content, partition).turns for partition in range(3)]
    assert [row.turn for row in world.store.progress()] == counts


class Other:
    """Templates that fail at one journey: content that decides differently under the same name."""

    def __init__(self, templates: Templates) -> None:
        self.templates = templates

    def render(self, journey: str, step: str, channel: str, locale: str, view: Mapping[str, object]) -> Rendered:
        if journey == "thank-you":
            raise ZeroDivisionError
        return self.templates.render(journey, step, channel, locale, view)

    def is_approved(self, journey: str, message: str, channel: str, locale: str) -> bool:
        return self.templates.is_approved(journey, message, channel, locale)


def test_a_core_that_decides_differently_is_told_by_turn(world: World) -> None:
    world.live(*STORY, until="2026-03-20T00:00:00Z")
    other = replace(world.content, templates=Other(world.content.templates))
    found = replay(world.store, world.vault, other)
    assert not found.ok
    assert ["it raises ZeroDivisionError"] == [each.what for each in found.different]
    (different,) = found.different
    sent = [row for row in world.log("ana", "decision") if row.journey == "thank-you"]
    assert (sent[0].partition, sent[0].turn) == (different.partition, different.turn)


def test_rules_that_changed_are_told_with_the_columns_that_differ(world: World) -> None:
    world.live(*STORY, until="2026-03-20T00:00:00Z")
    thanks = replace(world.content.journeys["thank-you"], purpose="service")
    other = replace(world.content, journeys={**world.content.journeys, "thank-you": thanks})
    found = replay(world.store, world.vault, other)
    assert not found.ok
    assert any("purpose" in each.what for each in found.different)
    assert not any("ana" in each.what for each in found.different)


def test_turns_of_an_erased_member_are_outside_the_others_are_not(world: World) -> None:
    world.live(*STORY)
    world.tell("ben", "2026-03-06T17:00:00Z", Command(verb="erase", actor="privacy desk"))
    world.live(enrolled("ben", "2026-03-08T17:00:00Z"), until="2026-03-20T00:00:00Z")
    found = replay(world.store, world.vault, world.content)
    assert found.ok
    assert found.outside > 0
    # ana, and ben's new life
    assert 2 == found.members


def test_turns_under_content_that_is_not_at_hand_are_counted_apart(world: World) -> None:
    world.live(*STORY, until="2026-03-20T00:00:00Z")
    first = world.content
    world.content = replace(first, revision="later")
    world.live(enrolled("cleo", "2026-03-21T17:00:00Z"), until="2026-03-30T00:00:00Z")
    found = replay(world.store, world.vault, world.content)
    assert found.ok
    assert found.elsewhere > 0
    assert found.turns == found.same + found.elsewhere
    both = replay(world.store, world.vault, world.content, former={first.revision: first})
    assert (True, 0, both.turns) == (both.ok, both.elsewhere, both.same)


# --- the command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that has lived through the story."""
    folder = tmp_path / "project"
    starter.create(folder)
    with open_project(folder) as opened, open_runner(opened) as runner:
        runner.run([lines(tmp_path / "events.jsonl", STORY)], until=us("2026-03-20T00:00:00Z"))
    return folder


@pytest.fixture
def orchestrator(project: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`orchestrator(*words)` in that project."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "orchestrator.cli", "--project", str(project), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


def test_the_command_replays_a_project_and_finds_an_altered_log(
    project: Path, orchestrator: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = orchestrator("--json", "replay")
    assert 0 == done.returncode, done.stderr
    told = json.loads(done.stdout)
    assert (True, told["turns"]) == (told["ok"], told["same"])
    assert 2 == orchestrator("replay", "--partition", "99").returncode
    with closing(sqlite3.connect(project / "orchestrator.db", isolation_level=None)) as database:
        database.execute("UPDATE log SET reason = 'quiet_hours' WHERE verdict = 'send'")
    done = orchestrator("replay")
    assert 1 == done.returncode, done.stderr
    assert "reason" in done.stdout


def test_content_that_was_changed_since_is_compiled_anew_from_what_the_store_kept(project: Path) -> None:
    with open_project(project) as opened:
        first = opened.content.revision
    journey = project / "templates" / "thank-you" / "journey.yaml"
    journey.write_text(journey.read_text().replace("event.amount >= 500", "event.amount >= 50000"))
    with open_project(project) as opened:
        assert first != opened.content.revision
        former = former_contents(opened.store, opened.settings, opened.content.revision)
        assert [first] == list(former)
        found = replay(opened.store, opened.vault, opened.content, former=former)
        assert (True, found.turns) == (found.ok, found.same)
        assert 0 == replay(opened.store, opened.vault, opened.content).found
