"""`orchestrator content new-key | propose | approve | approvals`: from nobody's word to an open journey."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from orchestrator.cli.app import app
from orchestrator.settings import FILE
from orchestrator.starter import create
from tests.few_journeys import only


def told(project: Path, *arguments: str) -> tuple[int, Any]:
    ran = CliRunner().invoke(app, ["--project", str(project), "--json", *arguments])
    return ran.exit_code, json.loads(ran.stdout or "null")


def test_three_people_open_a_journey(tmp_path: Path) -> None:
    project = only(create(tmp_path / "club").project, "reward-delivered")
    lines = []
    for name in ("ana", "ben", "cora"):
        code, made = told(project, "content", "new-key", name, "--out", str(tmp_path / f"{name}.key"))
        assert (0, str(tmp_path / f"{name}.key")) == (code, made["file"])
        lines.append(made["line"])
    assert 3 == told(project, "content", "new-key", "ana", "--out", str(tmp_path / "ana.key"))[0]
    settings = project / FILE
    text = settings.read_text(encoding="utf-8")
    text = text.replace("people = []", f"people = {json.dumps(lines)}").replace(
        "above_members = 1000", "above_members = 0"
    )
    settings.write_text(text, encoding="utf-8")

    def states() -> tuple[int, list[str]]:
        code, rows = told(project, "content", "approvals")
        return code, [row["state"] for row in rows]

    assert (1, ["not_proposed"]) == states()
    events = tmp_path / "events.jsonl"
    envelope = {"specversion": "1.0", "source": "shop", "subject": "eva", "time": "2026-11-24T11:00:00Z"}
    joined = {"country": "ES", "contact_points": [{"channel": "sms", "address": "+34612345678"}]}
    rows = [{**envelope, "id": "1", "type": "member.enrolled", "data": joined}]
    rows += [{**envelope, "id": "2", "type": "reward.delivered", "data": {"reward_id": "r"}}]
    events.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert 0 == told(project, "run", str(events), "--clock", "events")[0]
    sign = ("content", "propose", "reward-delivered", "--key", str(tmp_path / "ana.key"))
    code, (proposed,) = told(project, *sign)
    assert (0, "waiting", 1, 2) == (code, proposed["state"], proposed["members"], proposed["needed"])
    assert 2 == told(project, "content", "approve", "reward-delivered", "--key", str(tmp_path / "ana.key"))[0]
    for name in ("ben", "cora"):
        assert 0 == told(project, "content", "approve", "reward-delivered", "--key", str(tmp_path / f"{name}.key"))[0]
    assert (0, ["open"]) == states()
    again = [{**rows[1], "id": "3", "data": {"reward_id": "s"}, "time": "2026-11-25T11:00:00Z"}]
    events.write_text("\n".join(map(json.dumps, again)), encoding="utf-8")
    assert 0 == told(project, "run", str(events), "--clock", "events", "--until", "2026-11-29T00:00Z")[0]
    _, log = told(project, "log", "show", "--kind", "decision")
    decided = [(row["verdict"], row["reason"]) for row in log["entries"] if row["journey"] == "reward-delivered"]
    assert ("suppress", "not_approved") == decided[0]
    assert "not_approved" not in [reason for _, reason in decided[1:]]
    assert len(decided) > 1
