"""An event type that a project declares by a schema file: schemas/README.md followed, and lived through."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import app
from orchestrator.content import locate
from orchestrator.content.load import files_in, load_content, revision_of, write_body
from orchestrator.replay import replay
from orchestrator.revisions import former_contents
from orchestrator.settings import Settings
from orchestrator.starter import create
from orchestrator.stores.memory import MemoryStore
from orchestrator.testing.builders import enrolled, event
from orchestrator.testing.world import World
from orchestrator.untriggered import not_started
from orchestrator.vault import KeyFile, Vault
from tests.few_journeys import only
from tests.own_types import STAY, declare

README = locate.shipped("schemas") / "README.md"
NOON = "2026-11-24T11:00:00Z"


def follow(project: Path) -> list[str]:
    """Writes each file that the recipe names, with the block below its name; the commands to try."""
    recipe = README.read_text(encoding="utf-8").partition("## Add an event type")[2].partition("\n## ")[0]
    parts = re.split(r"```(\w+)\n(.*?)```", recipe, flags=re.DOTALL)
    commands: list[str] = []
    for before, language, block in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        if language == "sh":
            commands += block.splitlines()
            continue
        (name,) = re.findall(r"`((?:schemas|templates)/[\w./-]+\.(?:json|yaml|j2))`", before)[-1:]
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block, encoding="utf-8")
    return commands


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    project = only(create(tmp_path_factory.mktemp("hotel") / "club").project)
    return project, follow(project)


def told(project: Path, *arguments: str) -> tuple[int, Any]:
    ran = CliRunner().invoke(app, ["--project", str(project), "--json", *arguments])
    return ran.exit_code, json.loads(ran.stdout) if ran.stdout.strip().startswith(("{", "[")) else ran.output


class TestTheRecipe:
    def test_its_commands_succeed_and_its_cases_hold(self, club: tuple[Path, list[str]]) -> None:
        project, commands = club
        assert 3 == len(commands)
        for command in commands:
            words = shlex.split(command)
            assert "orchestrator" == words[0]
            code, answer = told(project, *words[1:])
            assert 0 == code, (command, answer)

    def test_its_cases_can_fail(self, club: tuple[Path, list[str]]) -> None:
        cases = club[0] / "templates/before-arrival/cases.yaml"
        text = cases.read_text(encoding="utf-8")
        try:
            cases.write_text(text.replace("2026-12-19T09:00:00Z", "2026-12-19T09:01:00Z"), encoding="utf-8")
            assert 1 == told(club[0], "journey", "test", "before-arrival")[0]
        finally:
            cases.write_text(text, encoding="utf-8")

    def test_the_text_that_is_previewed_is_of_the_example(self, club: tuple[Path, list[str]], tmp_path: Path) -> None:
        code, answer = told(
            club[0], "template", "preview", "before-arrival", "soon", "--channel", "sms", "--out", str(tmp_path / "x")
        )
        assert 0 == code
        assert "view of the sea" in answer["text"]

    def test_the_topics_are_described_with_it(self, club: tuple[Path, list[str]]) -> None:
        code, answer = told(club[0], "topics", "describe")
        assert 0 == code
        assert "booking.confirmed" in answer["channels"]["events"]["messages"]
        data = answer["components"]["schemas"]["booking.confirmed.data"]
        assert ["booking_id", "starts_on", "nights"] == data["required"]
        assert "A stay was booked, or its booking changed." == data["description"]

    def test_a_file_of_events_is_read_and_what_does_not_fit_is_a_dead_letter_that_names_the_field(
        self, club: tuple[Path, list[str]], tmp_path: Path
    ) -> None:
        project, _ = club
        good = {"specversion": "1.0", "id": "1", "source": "hotel", "type": "booking.confirmed", "subject": "ana",
                "time": NOON, "data": {"booking_id": "b-1", "starts_on": "2026-12-20", "nights": 2}}  # fmt: skip
        bad = [
            good | {"id": "2", "data": good["data"] | {"nights": 0}},
            good | {"id": "3", "data": good["data"] | {"pets": 1}},
            good | {"id": "4", "data": good["data"] | {"room": {"kind": "ana@example.com"}}},
            good | {"id": "5", "type": "booking.confirmd"},
        ]  # type: ignore[operator]
        file = tmp_path / "events.jsonl"
        file.write_text("\n".join(json.dumps(line) for line in (good, *bad)), encoding="utf-8")
        assert 0 == told(project, "run", str(file), "--clock", "events")[0]
        _, dead = told(project, "dlq", "list")
        assert {
            ("bad_data", "Expected `int` >= 1 - at `$.nights`"),
            ("bad_data", "Object contains unknown field `pets`"),
            ("bad_data", "Invalid enum value - at `$.room.kind`"),
            ("unknown_type", "no schema for this type"),
        } == {(letter["reason"], letter["cure"].partition(";")[0]) for letter in dead}
        assert all("schemas/events/booking.confirmed.v1.json" in letter["cure"] for letter in dead
                   if letter["reason"] == "bad_data")  # fmt: skip

    def test_a_programmes_own_file_becomes_such_events(self, club: tuple[Path, list[str]], tmp_path: Path) -> None:
        mapping = tmp_path / "stays.map.yaml"
        mapping.write_text(
            "source: /hotel\nformat: csv\nzone: Europe/Madrid\n"
            "columns:\n  id: {type: text, required: true}\n  guest: {type: text, required: true}\n"
            "  at: {type: datetime, required: true}\n  from: {type: date, required: true}\n"
            "  nights: {type: int, required: true}\n"
            "key: [id]\nsubject: guest\ntime: at\n"
            "emit:\n  - type: booking.confirmed\n    data: {booking_id: =id, starts_on: =from, nights: =nights}\n",
            encoding="utf-8",
        )
        rows = tmp_path / "stays.csv"
        rows.write_text(
            "id,guest,at,from,nights\nb-7,ana,2026-11-24T10:00:00,2026-12-20,2\nb-8,ben,2026-11-24T10:00:00,2026-12-20,0\n"
        )
        code, answer = told(club[0], "ingest", str(rows), "--map", str(mapping), "--into", str(tmp_path / "out.jsonl"))
        assert (0, 1, 1) == (code, answer["events"], answer["refused"])
        assert "booking.confirmed.nights" in Path(answer["refusals"]).read_text(encoding="utf-8")


JOURNEYS = {
    "branched": (
        "trigger: {event: booking.confirmed}\nkey: booking_id\nsteps:\n"
        "  - branch: event.amount >= 500 and aggregates.booking_confirmed.count == 1\n"
        "    then: [{send: a, channels: [sms]}]\n"
        "  - until: {event: stay.paid, within: P2D, where: event.booking_id == start.booking_id}\n"
        "    then: [{send: b, channels: [sms]}]\n    else: [{send: c, channels: [sms]}]\n"
    ),
    "summed": "trigger: {figure: booking.confirmed, of: sum, reaches: 1000}\nsteps: [{send: a, channels: [sms]}]\n",
    "silent": "trigger: {inactivity: P30D, after: stay.paid}\nsteps: [{send: a, channels: [sms]}]\n",
}  # fmt: skip


def written(folder: Path) -> Path:
    """A project of these journeys and two event types of its own."""
    shutil.copytree(locate.shipped("channel_policies"), folder / "channel_policies")
    only(folder)
    for name in ("booking.confirmed", "stay.paid"):
        declare(folder, name)
    for name, text in JOURNEYS.items():
        path = folder / "templates" / name
        path.mkdir(parents=True)
        (path / "journey.yaml").write_text(f"journey: {name}\npurpose: service\n{text}", encoding="utf-8")
        for message in set(re.findall(r"send: ([a-z]+)", text)):
            (path / f"{message}.sms.en.txt.j2").write_text(
                message + " {{ event.booking_id }}\n" if name != "silent" else "a", encoding="utf-8"
            )
    return folder


class TestInJourneys:
    @pytest.fixture
    def world(self, tmp_path: Path) -> World:
        (tmp_path / "project").mkdir()
        content = load_content(written(tmp_path / "project"), Settings())
        return World(MemoryStore(2), Vault(KeyFile.create(tmp_path / "key")), content)

    def live(self, world: World) -> None:
        types = world.content.events
        world.live(
            enrolled("ana", NOON),
            event("booking.confirmed", "ana", "2026-11-24T17:00:00Z", {"booking_id": "x", "amount": 600}, types=types),
            event("booking.confirmed", "ana", "2026-11-24T18:00:00Z", {"booking_id": "y", "amount": 600}, types=types),
            event("stay.paid", "ana", "2026-11-25T17:00:00Z", {"booking_id": "y"}, types=types),
            until="2027-01-31T00:00:00Z",
        )

    def test_it_triggers_branches_ends_waiting_keeps_runs_apart_and_is_summed_up(self, world: World) -> None:
        self.live(world)
        sent = [(row.journey, row.step) for row in world.log("ana", "decision") if row.verdict == "send"]
        texts = [message.text.strip() for message in world.calls("ana")]
        assert [("branched", "a"), ("summed", "a"), ("branched", "b"), ("branched", "c"), ("silent", "a")] == sent
        assert ["a x", "a y", "b y", "c x", "a"] == texts
        world.check()

    def test_what_it_did_not_start_is_explained(self, world: World) -> None:
        self.live(world)
        content, at = world.content, datetime(2027, 1, 31, tzinfo=UTC)
        contents = {content.revision: content}
        found = not_started(world.store, world.vault, contents, content, "ana", content.journeys["summed"], at)
        assert ["figure"] == [each.why for each in found]
        assert "sum of booking.confirmed is 600" in found[0].text


def test_time_travel_has_the_schemas_of_then(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    then = load_content(written(project), Settings())
    world = World(MemoryStore(2), Vault(KeyFile.create(tmp_path / "key")), then)
    TestInJourneys().live(world)
    world.store.put_document("revision", then.revision, write_body(files_in(project)))
    # the type has another form now
    for name in ("booking.confirmed", "stay.paid"):
        declare(project, name, STAY | {"required": ["booking_id", "paid"]})
    now = load_content(project, Settings())
    assert then.revision != now.revision
    alone = replay(world.store, world.vault, now)
    assert alone.elsewhere > 0
    former = former_contents(world.store, Settings(), now.revision)
    again = replay(world.store, world.vault, now, former=former)
    assert (True, 0) == (again.ok, again.elsewhere)
    assert again.same == again.turns


def test_without_types_of_its_own_a_projects_revision_does_not_hang_on_the_schemas_that_lie_there(
    tmp_path: Path,
) -> None:
    project = create(tmp_path / "club").project
    before = revision_of(files_in(project), Settings())
    for path in (project / "schemas").rglob("*.json"):
        path.unlink()
    assert before == revision_of(files_in(project), Settings())
