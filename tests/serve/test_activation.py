"""Content that is put in force beside a server that turns the engine, and what a restart makes of an edited folder."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from orchestrator.events.envelope import write_event
from orchestrator.project import open_project
from orchestrator.testing.builders import enrolled
from tests.few_journeys import only
from tests.own_types import declare
from tests.serve.serving import Serving, project, serving

ONE = {"Content-Type": "application/cloudevents+json"}
NOW = datetime.now(UTC)
TEXT = "templates/welcome/hello.email.en.txt.j2"


def command(folder: Path, *words: str) -> tuple[int, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "--project", str(folder), "--json", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, json.loads(done.stdout or "null")


def joins(server: Serving, folder: Path, name: str) -> set[str]:
    """Has somebody join; the revisions that what was written of them names."""
    told = write_event(enrolled(name, NOW - timedelta(minutes=1)))
    assert 202 == server.http.post("/events", content=told, headers=ONE).status_code
    with open_project(folder) as opened:
        row = opened.store.member(opened.vault.member(name))
        assert row is not None
        return {entry.revision for entry in opened.store.log(ref=row.ref) if entry.kind == "decision"}


def books(server: Serving) -> httpx.Response:
    """Sends an event of the project's own type."""
    told = {
        "specversion": "1.0", "source": "hotel", "id": "1", "type": "booking.confirmed", "subject": "ann",
        "time": NOW.isoformat(), "data": {"booking_id": "b1"},
    }  # fmt: skip
    return server.http.post("/events", json=told, headers=ONE)


def test_a_running_server_decides_by_it_at_once_and_a_restart_by_nothing_that_was_not_activated(
    tmp_path: Path,
) -> None:
    folder, key = project(tmp_path / "club")
    only(folder, "welcome")
    for name in ("house.cases.yaml", "golden.json"):
        (folder / "channel_policies" / name).unlink()
    with serving(folder, key) as server:
        first = joins(server, folder, "ann")
        (folder / TEXT).write_text(f"{(folder / TEXT).read_text(encoding='utf-8')}\nAnd: hello!\n", encoding="utf-8")
        assert first == joins(server, folder, "ben")
        code, done = command(folder, "content", "activate", "--actor", "carol")
        assert (0, {done["before"]}) == (code, first)
        assert {done["revision"]} == joins(server, folder, "cid")
        declare(folder, "booking.confirmed")
        assert 422 == books(server).status_code
        code, done = command(folder, "content", "activate", "--actor", "carol")
        assert 0 == code
        deadline = time.monotonic() + 60
        while 202 != books(server).status_code:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert "booking.confirmed" in server.http.get("/openapi.json").text
        assert 0 == server.end()
    (folder / TEXT).write_text("{{ not finished", encoding="utf-8")
    with serving(folder, key) as server:
        assert {done["revision"]} == joins(server, folder, "dan")
        assert 0 == server.end()
    assert ["serve", "carol", "carol"] == [each["by"] for each in command(folder, "content", "list")[1]]
    assert 0 == command(folder, "replay")[0]
    assert 0 == command(folder, "log", "verify")[0]
