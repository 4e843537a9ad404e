"""`orchestrator member`: what is known is shown and handed over, and after an erasure nobody can read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator import starter
from orchestrator.cli.app import app
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import lines


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which Ana joined and bought, and Ben joined; Ben is there to be erased."""
    folder = tmp_path_factory.mktemp("member") / "club"
    starter.create(folder)
    told = [enrolled(who, "2026-03-02T17:00:00Z") for who in ("ana", "ben")] + [purchase("ana", "2026-03-03T17:00:00Z")]
    asked = {"channel": "whatsapp", "wording": "w1", "method": "form", "evidence": "form 2", "double_opt_in": True}
    told.append(event("consent.granted", "ana", "2026-03-03T18:00:00Z", asked))
    events = lines(folder / "events.jsonl", told)
    assert 0 == call(folder, "run", str(events), "--clock", "events").exit_code
    return folder


def call(project: Path, *words: str, input: str | None = None) -> Result:
    return CliRunner().invoke(app, ["--project", str(project), *words], input=input, env={"COLUMNS": "100"})


def test_a_member_is_shown_to_people_without_what_is_empty(project: Path) -> None:
    shown = call(project, "member", "show", "ana").stdout
    for words in (
        "enrolled since 2026-03-02",
        "America/New_York, known from the member's profile",
        "ana@example.com",
        "sms, marketing",
        "fixed line or mobile",
        "asked for, not confirmed",
        "purchase.completed",
        "inactive:we-miss-you",
    ):
        assert words in shown
    assert "Not contacted" not in shown


def test_a_member_is_shown_to_programs(project: Path) -> None:
    member = json.loads(call(project, "--json", "member", "show", "ana").stdout)
    assert ("ana", 1) == (member["id"], member["aggregates"]["purchase.completed"]["count"])


def test_all_that_is_kept_is_handed_over(project: Path) -> None:
    handed = json.loads(call(project, "member", "export", "ana").stdout)
    assert "ana" == handed["member"]["id"]
    assert {"ana"} == {entry["member"] for entry in handed["log"]}
    assert {"member", "consent", "decision", "touch"} <= {entry["kind"] for entry in handed["log"]}


def test_erasing_asks_first(project: Path) -> None:
    asked = call(project, "member", "erase", "ana", input="n\n")
    assert (130, True) == (asked.exit_code, "Erase ana for good?" in asked.stdout)
    assert 0 == call(project, "member", "show", "ana").exit_code
    assert 2 == call(project, "--json", "member", "erase", "ana").exit_code


def test_after_an_erasure_nothing_can_be_read_and_the_log_still_verifies(project: Path) -> None:
    ref = json.loads(call(project, "--json", "member", "show", "ben").stdout)["ref"]
    erased = json.loads(call(project, "--json", "member", "erase", "ben", "--yes").stdout)
    assert erased["key_destroyed"]
    for words in (("member", "show", "ben"), ("member", "export", "ben")):
        refused = call(project, *words)
        assert (2, True) == (refused.exit_code, "was erased: nothing can be read any more" in refused.stderr)
    assert 0 == call(project, "log", "verify").exit_code
    assert 0 == call(project, "log", "reconcile").exit_code
    assert 0 == call(project, "replay").exit_code
    told = json.loads(call(project, "--json", "explain", "ben").stdout)
    assert ref == told["member_ref"]
    assert "The member was forgotten: the key to all personal data was destroyed." in {
        p["title"] for p in told["paragraphs"]
    }
    # neither address nor number was ever readable in what is kept
    kept = b"".join(path.read_bytes() for path in project.glob("orchestrator.db*"))
    assert b"ben@example.com" not in kept
    assert b"+1212555" not in kept


# --- two ids that are one


@pytest.fixture(scope="module")
def merged_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which Dora, who joined and bought under two ids, is merged into the second."""
    folder = tmp_path_factory.mktemp("merged") / "club"
    starter.create(folder)
    told = [enrolled(who, "2026-03-02T17:00:00Z") for who in ("dora", "dora-2", "eva")]
    told += [purchase(who, "2026-03-03T17:00:00Z") for who in ("dora", "dora-2")]
    assert 0 == call(folder, "run", str(lines(folder / "events.jsonl", told)), "--clock", "events").exit_code
    merged = json.loads(call(folder, "--json", "member", "merge", "dora", "dora-2", "--yes").stdout)
    assert {"old": "dora", "into": "dora-2", "done": True} == merged
    return folder


def test_a_merge_joins_what_was_known_and_leaves_an_alias(merged_project: Path) -> None:
    member = json.loads(call(merged_project, "--json", "member", "show", "dora-2").stdout)
    assert (["dora"], 2) == (member["absorbed"], member["aggregates"]["purchase.completed"]["count"])
    assert "an alias of dora-2" in call(merged_project, "member", "show", "dora").stdout
    handed = json.loads(call(merged_project, "member", "export", "dora").stdout)
    assert "dora-2" == handed["member"]["id"]
    assert {"dora", "dora-2"} == {entry["member"] for entry in handed["log"]}
    assert 2 == json.loads(call(merged_project, "--json", "data-quality").stdout)["members"]
    for words in (("log", "verify"), ("log", "reconcile"), ("replay",)):
        assert 0 == call(merged_project, *words).exit_code


def test_a_merge_asks_first_and_is_of_two_who_are_known_and_not_one(merged_project: Path) -> None:
    asked = call(merged_project, "member", "merge", "eva", "dora-2", input="n\n")
    assert (130, True) == (asked.exit_code, "Make eva an alias of dora-2 for good?" in asked.stdout)
    assert 2 == call(merged_project, "--json", "member", "merge", "eva", "dora-2").exit_code
    for old, new, said in (
        ("eva", "nobody", "no member of this id"),
        ("nobody", "eva", "no member of this id"),
        ("eva", "eva", "one member already"),
        ("dora-2", "dora", "one member already"),
    ):
        refused = call(merged_project, "member", "merge", old, new, "--yes")
        assert (2, True) == (refused.exit_code, said in refused.stderr), (old, new)


def test_who_is_suppressed_under_the_old_id_is_under_the_new_one(merged_project: Path) -> None:
    call(merged_project, "suppress", "dora", "--channel", "sms")
    standing = json.loads(call(merged_project, "--json", "suppress", "--list").stdout)
    assert 2 == len({row["subject"] for row in standing if row["channel"] == "sms"})
    assert 0 == call(merged_project, "suppress", "dora", "--channel", "sms", "--lift").exit_code


def test_erasing_the_old_id_erases_the_person(merged_project: Path) -> None:
    erased = json.loads(call(merged_project, "--json", "member", "erase", "dora", "--yes").stdout)
    assert erased["key_destroyed"]
    for who in ("dora", "dora-2"):
        assert "was erased" in call(merged_project, "member", "show", who).stderr


def test_a_restriction_is_kept_from_every_message_until_it_is_lifted_and_is_on_record(project: Path) -> None:
    restricted = call(project, "--json", "member", "restrict", "ana", "--actor", "carol")
    assert (0, []) == (restricted.exit_code, json.loads(restricted.stdout)["cancelled"])
    told = lines(project / "restricted.jsonl", [purchase("ana", "2026-03-20T17:00:00Z")])
    assert 0 == call(project, "run", str(told), "--clock", "events").exit_code
    log = json.loads(call(project, "--json", "member", "export", "ana").stdout)["log"]
    (order,) = [entry for entry in log if entry["reason"] == "restrict"]
    assert "carol" == order["trail"]["actor"]
    after = [entry for entry in log if entry["kind"] == "decision" and entry["n"] > order["n"]]
    assert {("suppress", "suppressed")} == {(entry["verdict"], entry["reason"]) for entry in after}
    # a consent of the member's does not end what was ordered
    agreed = {"channel": "email", "wording": "w1", "method": "form", "evidence": "form 9"}
    again = [event("consent.granted", "ana", "2026-03-21T17:00:00Z", agreed), purchase("ana", "2026-03-22T17:00:00Z")]
    told = lines(project / "again.jsonl", again)
    assert 0 == call(project, "run", str(told), "--clock", "events").exit_code
    assert "Not contacted" in call(project, "member", "show", "ana").stdout
    assert 0 == call(project, "member", "restrict", "ana", "--lift").exit_code
    told = lines(project / "lifted.jsonl", [purchase("ana", "2026-03-29T17:00:00Z")])
    assert 0 == call(project, "run", str(told), "--clock", "events").exit_code
    log = json.loads(call(project, "--json", "member", "export", "ana").stdout)["log"]
    assert "suppressed" != [entry for entry in log if entry["kind"] == "decision"][-1]["reason"]
    assert 2 == call(project, "member", "restrict", "nobody").exit_code
