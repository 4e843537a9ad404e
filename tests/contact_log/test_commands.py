"""The commands log and explain, on a project in which a real run took place."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cli.app import app
from orchestrator.starter import create

Call = Callable[..., tuple[int, str, str]]


def event(n: int, time: str, kind: str, member: str, data: dict[str, object]) -> str:
    fields = {"specversion": "1.0", "id": f"e{n}", "source": "pos", "type": kind, "subject": member, "time": time}
    return json.dumps({**fields, "data": data})


def enrolled(n: int, time: str, member: str, *, consents: bool) -> str:
    consent = {"channel": "email", "purpose": "marketing", "wording": "w1", "method": "form", "evidence": "form 12"}
    data = {
        "given_name": "Ana",
        "country": "US",
        "region": "US-NY",
        "zone": "America/New_York",
        "contact_points": [{"channel": "email", "address": f"{member}@example.com"}],
        "consents": [consent] if consents else [],
    }
    return event(n, time, "member.enrolled", member, data)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose engine took two members: one who consented, one who did not."""
    folder = tmp_path_factory.mktemp("projects") / "club"
    create(folder)
    events = [
        enrolled(1, "2026-03-02T15:00:00Z", "member-yes", consents=True),
        enrolled(2, "2026-03-02T15:00:00Z", "member-no", consents=False),
    ]
    (folder / "events.jsonl").write_text("\n".join(events) + "\n")
    words = ["--project", str(folder), "run", str(folder / "events.jsonl"), "--clock", "events"]
    words += ["--until", "2026-03-04T00:00:00Z"]
    assert 0 == app(words, standalone_mode=False)
    return folder


@pytest.fixture
def call(ran: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call("log", "show")`: exit code, standard output, standard error."""

    def called(*words: str, project: Path = ran) -> tuple[int, str, str]:
        capsys.readouterr()
        code = app(["--project", str(project), *words], standalone_mode=False)
        out = capsys.readouterr()
        return code, out.out, out.err

    return called


def test_a_touch_is_explained(call: Call) -> None:
    code, out, _ = call("explain", "member-yes", "--journey", "welcome")
    assert 0 == code
    assert "welcome / hello: sent by e-mail" in out
    assert "Monday 2 March 2026, 10:00 in America/New_York (2026-03-02 15:00:00 UTC)" in out
    assert "consent record w1/form (granted, opt-in)" in out
    assert "example.com" not in out


def test_a_silence_is_explained(call: Call) -> None:
    code, out, _ = call("explain", "member-no")
    assert 0 == code
    assert "nothing was sent, because the member never consented to it" in out


def test_every_rule_is_told_on_demand_with_its_numbers_and_article(call: Call) -> None:
    _, brief, _ = call("explain", "member-yes")
    _, full, _ = call("explain", "member-yes", "--full")
    assert "house.week" not in brief
    assert "Rule house.week" in full
    assert " in 7 days" in full
    assert "15 USC 7704(a)(4)" in full
    assert "https://www.law.cornell.edu/uscode/text/15/7704" in full


def test_what_was_known_before_a_moment_is_told(call: Call) -> None:
    _, out, _ = call("explain", "member-yes", "--at", "2026-03-02T14:59:59Z")
    assert "The log holds nothing about this member." == out.strip()


def test_what_did_not_start_a_journey_is_told_on_demand(call: Call) -> None:
    code, out, _ = call("explain", "member-yes", "--journey", "thank-you")
    assert 0 == code
    assert out.startswith("What did not start thank-you\n    No purchase.completed of the member is on record up to ")
    _, out, _ = call("--json", "explain", "member-yes", "--journey", "thank-you", "--at", "2026-03-03T00:00:00Z")
    told = json.loads(out)
    assert [("no_event", "2026-03-03T00:00:00.000000Z")] == [(each["why"], each["at"]) for each in told["not_started"]]


def test_a_journey_that_nobody_knows_is_wrong_use(call: Call) -> None:
    code, _, err = call("explain", "member-yes", "--journey", "welcom")
    assert (2, True) == (code, err.startswith("there is no journey welcom; did you mean `welcome`?"))


def test_the_latest_stories_are_shown_and_all_as_json(call: Call) -> None:
    _, all_of_it, _ = call("--json", "explain", "member-yes")
    stories = json.loads(all_of_it)["paragraphs"]
    assert 3 <= len(stories)
    _, out, _ = call("--json", "explain", "member-yes", "--limit", "1")
    assert stories[-1:] == json.loads(out)["paragraphs"]
    _, out, _ = call("explain", "member-yes", "--limit", "1")
    assert out.startswith(f"{len(stories) - 1} earlier ones are not shown; see --limit")


def test_the_explanation_as_json(call: Call) -> None:
    code, out, _ = call("--json", "explain", "member-yes")
    told = json.loads(out)
    assert (0, 1, 0) == (code, told["touches"], told["silences"])


@pytest.mark.parametrize("words", [("explain", "nobody"), ("log", "show", "--member", "nobody")])
def test_an_unknown_member_is_wrong_use_and_is_not_repeated(call: Call, words: tuple[str, ...]) -> None:
    code, _, err = call(*words)
    assert 2 == code
    assert "no member of this id" in err
    assert "nobody" not in err


@pytest.mark.parametrize("moment", ["yesterday", "2026-03-02T15:00:00"])
def test_a_moment_without_an_offset_is_wrong_use(call: Call, moment: str) -> None:
    assert 2 == call("explain", "member-yes", "--at", moment)[0]


def test_the_log_is_shown_and_filtered(call: Call) -> None:
    code, out, _ = call("--json", "log", "show", "--verdict", "suppress")
    shown = json.loads(out)
    assert 0 == code
    assert {("suppress", "no_consent")} == {(line["verdict"], line["reason"]) for line in shown["entries"]}
    _, out, _ = call("--json", "log", "show", "--member", "member-yes", "--limit", "2")
    shown = json.loads(out)
    assert 2 == len(shown["entries"]) < shown["found"]
    assert [None, None] == [line["member"] for line in shown["entries"]]


def test_the_log_verifies_adds_up_and_survives_every_way_out(call: Call, tmp_path: Path) -> None:
    assert 0 == call("log", "verify")[0]
    assert 0 == call("log", "reconcile")[0]
    kept, lines, pack = (str(tmp_path / name) for name in ("kept", "log.jsonl", "audit.zip"))
    code, out, _ = call("--json", "log", "checkpoint", "--out", kept)
    assert 0 == code
    key = json.loads(out)["public_key"]
    assert 0 == call("log", "verify", "--checkpoint", kept, "--key", key)[0]
    assert 0 == call("log", "export", "--out", lines)[0]
    assert (0, Path(lines).read_text(encoding="utf-8")) == call("log", "export")[:2]
    assert 0 == call("log", "verify", "--export", lines, "--checkpoint", kept, "--key", key)[0]
    assert 0 == call("log", "bundle", "--out", pack)[0]
    assert 0 == call("log", "verify-bundle", pack, "--key", key, "--checkpoint", kept, project=tmp_path)[0]
    Path(lines).write_bytes(Path(lines).read_bytes().replace(b'"suppress"', b'"send"'))
    assert 1 == call("log", "verify", "--export", lines)[0]


def test_members_are_in_an_export_only_on_demand(call: Call, tmp_path: Path) -> None:
    plain, named = tmp_path / "plain.csv", tmp_path / "named.csv"
    call("log", "export", "--format", "csv", "--out", str(plain))
    call("log", "export", "--format", "csv", "--out", str(named), "--members")
    assert "member-yes" not in plain.read_text()
    assert {"member-yes", "member-no"} <= set(named.read_text().replace("\n", ",").split(","))
    assert oct(named.stat().st_mode & 0o777) == "0o600"


def test_an_edited_store_does_not_verify_and_signs_nothing(ran: Path, call: Call, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    create(copy)
    for name in ("orchestrator.db", "keys/orchestrator.key"):
        (copy / name).write_bytes((ran / name).read_bytes())
    with sqlite3.connect(ran / "orchestrator.db") as source, sqlite3.connect(copy / "orchestrator.db") as target:
        source.backup(target)
        target.execute("UPDATE log SET verdict = 'send', reason = '' WHERE verdict = 'suppress'")
        # without the checkpoints that other tests signed: what they cover is not read again
        target.execute("DELETE FROM documents WHERE kind = 'checkpoint'")
    source.close()
    target.close()
    code, out, _ = call("log", "verify", project=copy)
    assert 1 == code
    assert "altered" in out
    assert 1 == call("log", "checkpoint", project=copy)[0]
    assert 1 == call("log", "reconcile", project=copy)[0]


@pytest.mark.parametrize(
    "words",
    [
        ("log", "verify", "--checkpoint", "/nowhere"),
        ("log", "verify", "--key", "zz"),
        ("log", "verify-bundle", "/nowhere"),
        ("log", "export", "--out", "x", "--format", "xml"),
    ],
)
def test_wrong_use_is_told_as_such(call: Call, words: tuple[str, ...]) -> None:
    assert 2 == call(*words)[0]


@pytest.mark.parametrize("words", [("log", "export", "--out", "/nowhere/x"), ("log", "bundle", "--out", "/nowhere/x")])
def test_a_place_that_cant_be_written_is_a_matter_of_setting_up(call: Call, words: tuple[str, ...]) -> None:
    code, _, err = call(*words)
    assert 3 == code
    assert "can't be written" in err
