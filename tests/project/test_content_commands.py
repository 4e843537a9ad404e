"""`orchestrator content diff | activate | list`: what a folder would change, and how it comes into force."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from orchestrator.cli.app import app
from orchestrator.doctor import examine
from orchestrator.errors import ContentError
from orchestrator.orders import activate
from orchestrator.project import open_project
from orchestrator.revisions import in_force
from orchestrator.settings import FILE
from orchestrator.starter import create
from orchestrator.testing.store_rows import inbox
from tests.few_journeys import only

JOURNEY = "templates/reward-delivered/journey.yaml"
TEXT = "templates/reward-delivered/enjoy.sms.en.txt.j2"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One journey, and policies whose cases are of no other."""
    made = only(create(tmp_path / "club").project, "reward-delivered")
    for name in ("house.cases.yaml", "golden.json"):
        (made / "channel_policies" / name).unlink()
    return made


def told(project: Path, *arguments: str) -> tuple[int, Any]:
    ran = CliRunner().invoke(app, ["--project", str(project), "--json", "content", *arguments])
    return ran.exit_code, json.loads(ran.stdout or "null")


def shown(project: Path, *arguments: str) -> tuple[int, str]:
    ran = CliRunner().invoke(app, ["--project", str(project), "content", *arguments])
    return ran.exit_code, ran.output


def edit(project: Path, path: str, before: str, after: str) -> None:
    file = project / path
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")


def test_a_folder_comes_into_force_by_an_order_to_each_partition_and_is_kept(project: Path) -> None:
    code, first = told(project, "activate", "--actor", "ana")
    assert (0, True, "", "ana") == (code, first["done"], first["before"], first["actor"])
    assert ("journey", "reward-delivered", "", None) == tuple(
        first["changes"][0][name] for name in ("kind", "name", "what", "before")
    )
    with open_project(project) as opened:
        assert first["revision"] == in_force(opened.store) == opened.content.revision
        assert opened.store.partitions == len(inbox(opened.store))
        assert b"reward-delivered" in (opened.store.get_document("revision", first["revision"]) or b"")
    # once more changes nothing
    assert (0, []) == ((again := told(project, "activate"))[0], again[1]["changes"])
    code, listed = told(project, "list")
    assert [(first["revision"], "ana", True)] == [
        (each["revision"], each["by"], each["at"] > "2026") for each in listed
    ]


def test_the_difference_is_told_in_the_words_of_the_files(project: Path) -> None:
    told(project, "activate")
    assert (0, True) == ((same := told(project, "diff"))[0], same[1]["same"])
    edit(project, JOURNEY, "wait: P1D", "wait: P2D")
    edit(project, TEXT, "{{", "Dear {{")
    edit(project, "channel_policies/email.yaml", "max: 8", "max: 6")
    edit(project, "channel_policies/email.yaml", "21:00-08:00", "20:00-09:00")
    edit(project, "channel_policies/laws/CO/pack.yaml", "07:00-19:00", "08:00-19:00")
    edit(project, "channel_policies/sms.yaml", "# ", "#  ")
    code, found = told(project, "diff")
    changes = [tuple(each.values()) for each in found["changes"]]
    assert (0, False, "folder") == (code, found["same"], found["after"])
    line = (project / TEXT).read_text(encoding="utf-8").splitlines()[0]
    assert [
        ("journey", "reward-delivered", "wait after the start", "P1D", "P2D"),
        ("text", "reward-delivered", "enjoy › sms en txt", line.replace("Dear ", ""), line),
        ("policy", "email", "from 2000-01-01 › quiet_hours › night › closed › mon-sun", "21:00-08:00", "20:00-09:00"),
        ("policy", "email", "from 2026-07-01 › caps › month › max", "8", "6"),
        ("policy", "sms", "comments or layout alone", None, None),
        ("law", "CO", "co.hours from 2023-10-10 › week › mon-fri", "07:00-19:00", "08:00-19:00"),
    ] == changes
    code, text = shown(project, "diff")
    assert 0 == code
    assert "wait after the start" in text
    assert "6 changes" in text


def test_two_revisions_are_compared_whatever_the_folder_is(project: Path) -> None:
    _, first = told(project, "activate")
    edit(project, TEXT, "{{", "Dear {{")
    _, second = told(project, "activate")
    (project / JOURNEY).write_text("journey: [", encoding="utf-8")
    code, found = told(project, "diff", first["revision"][:6], second["revision"][:6])
    assert (0, ["text"]) == (code, [each["kind"] for each in found["changes"]])
    # a folder that does not compile is compared all the same
    assert not told(project, "diff")[1]["same"]
    assert ["journey"] == [each["kind"] for each in told(project, "diff")[1]["changes"]]
    assert 2 == told(project, "diff", "ffff")[0]


def test_a_setting_that_decides_is_another_revision_of_the_same_files(project: Path) -> None:
    told(project, "activate")
    edit(project, FILE, 'locale = "en"', 'locale = "es"')
    assert "a setting that decides" in shown(project, "diff")[1]
    code, done = told(project, "activate")
    assert (0, True, []) == (code, done["done"], done["changes"])
    assert done["before"] != done["revision"]


def test_what_does_not_compile_stays_out_with_file_and_line(project: Path) -> None:
    _, first = told(project, "activate")
    edit(project, JOURNEY, "wait: P1D", "wait: P1X")
    code, said = shown(project, "activate")
    assert 3 == code
    assert f"{JOURNEY}:" in said
    with open_project(project) as opened:
        assert first["revision"] == in_force(opened.store)
        # whoever decides by the store is not concerned
        assert first["revision"] == opened.begin("worker").revision
        assert opened.folder_differs()
        with pytest.raises(ContentError):
            _ = opened.content


def test_what_its_cases_do_not_bear_out_stays_out(project: Path) -> None:
    _, first = told(project, "activate")
    edit(project, JOURNEY, "wait: P1D", "wait: P3D")
    edit(project, "channel_policies/email.yaml", "max: 8", "max: 6")
    code, refused = told(project, "activate")
    assert (1, False, first["revision"]) == (code, refused["done"], refused["before"])
    commands = {line.rpartition("(")[2] for line in refused["failed"]}
    assert {"orchestrator journey test reward-delivered)", "orchestrator policy test)"} == commands
    assert "stays in force" in shown(project, "activate")[1]
    with open_project(project) as opened:
        assert first["revision"] == in_force(opened.store)


def test_a_journey_that_waits_for_approval_stays_out_and_nothing_else_has_to_wait_for_it(
    project: Path, tmp_path: Path
) -> None:
    _, first = told(project, "activate")
    _, made = told(project, "new-key", "ana", "--out", str(tmp_path / "ana.key"))
    edit(project, FILE, "people = []", f"people = {json.dumps([made['line']])}")
    # it is in force as it is: a policy may change beside it
    edit(project, "channel_policies/sms.yaml", "# ", "#  ")
    assert 0 == told(project, "activate")[0]
    edit(project, TEXT, "{{", "Dear {{")
    code, refused = told(project, "activate")
    assert (1, [("reward-delivered", "not_proposed")]) == (
        code,
        [(each["journey"], each["state"]) for each in refused["waiting"]],
    )
    assert "orchestrator content propose reward-delivered" in shown(project, "activate")[1]
    assert 0 == told(project, "propose", "reward-delivered", "--key", str(tmp_path / "ana.key"))[0]
    code, done = told(project, "activate", "--actor", "ana")
    assert (0, True) == (code, done["done"])
    assert first["revision"] != done["revision"]


def test_the_first_to_decide_puts_the_folder_in_force_and_the_next_go_by_it(project: Path) -> None:
    with open_project(project) as opened:
        first = opened.begin("worker").revision
        assert (first, "worker") == (in_force(opened.store), told(project, "list")[1][0]["by"])
    edit(project, TEXT, "{{", "Dear {{")
    with open_project(project) as opened:
        assert first == opened.begin("worker").revision
        assert (True, first) == (opened.folder_differs(), in_force(opened.store))
    warned = [each for each in examine(project, date(2026, 11, 26), ["store"]) if each.name == "in force"]
    assert [("warn", "orchestrator content diff, then content activate")] == [(w.state, w.cure) for w in warned]


def test_files_that_another_version_put_in_force_stay_so_under_the_name_they_have_here(project: Path) -> None:
    with open_project(project) as opened:
        first = opened.begin("worker").revision
        body = opened.store.get_document("revision", first)
        assert body is not None
        opened.store.put_document("revision", "0123456789abcdef", body)
        activate(opened.store, "0123456789abcdef", "another version")
    edit(project, TEXT, "{{", "Dear {{")
    with open_project(project) as opened:
        assert first == opened.begin("worker").revision == in_force(opened.store)


def test_run_puts_the_folder_in_force(project: Path, tmp_path: Path) -> None:
    told(project, "activate")
    edit(project, TEXT, "{{", "Dear {{")
    (tmp_path / "events.jsonl").write_text(
        '{"specversion": "1.0", "source": "shop", "id": "1", "type": "member.enrolled", "subject": "eva", '
        '"time": "2026-11-24T11:00:00Z", "data": {"country": "ES"}}',
        encoding="utf-8",
    )
    ran = CliRunner().invoke(
        app, ["--project", str(project), "run", str(tmp_path / "events.jsonl"), "--clock", "events"]
    )
    assert 0 == ran.exit_code
    assert "The folder is put in force" in ran.stderr
    assert told(project, "diff")[1]["same"]
    assert ["engine"] == [each["by"] for each in told(project, "list")[1]][1:]
