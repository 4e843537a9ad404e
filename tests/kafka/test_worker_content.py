"""A worker that takes no partition's orders goes by the content in force all the same; no broker is needed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.content.load import files_in
from orchestrator.orders import activate
from orchestrator.project import Project, open_project
from orchestrator.revisions import keep
from orchestrator.runtimes.kafka.roles import Role
from orchestrator.runtimes.kafka.worker import _Process
from orchestrator.starter import create
from tests.few_journeys import only

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def put_in_force(folder: Path, margin: str) -> None:
    """Another process puts the folder in force, with this latency margin for e-mail."""
    policies = folder / "channel_policies" / "email.yaml"
    lines = policies.read_text(encoding="utf-8").splitlines()
    (at,) = [i for i, line in enumerate(lines) if "latency_margin:" in line]
    lines[at] = f"{lines[at].partition(':')[0]}: {margin}"
    policies.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with open_project(folder) as project:
        keep(project.store, project.content.revision, files_in(folder))
        activate(project.store, project.content.revision, "ana")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return only(create(tmp_path / "club").project, "reward-delivered")


def worker(project: Project) -> _Process:
    return _Process(project, [Role.dispatch], {})


def test_what_is_put_in_force_while_it_starts_is_not_missed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.revisions.LOOK", 0)
    put_in_force(folder, "PT7M")
    with open_project(folder) as project:
        # as `run` does, where errors are told in full
        assert timedelta(minutes=7) == project.in_force.policies.latency_margin("email", NOON)
        put_in_force(folder, "PT9M")
        assert timedelta(minutes=9) == worker(project).latency_margin("email", NOON)


def test_what_is_put_in_force_later_is_found_at_the_next_look(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_in_force(folder, "PT7M")
    with open_project(folder) as project:
        begun = worker(project)
        assert timedelta(minutes=7) == begun.latency_margin("email", NOON)
        put_in_force(folder, "PT9M")
        assert timedelta(minutes=7) == begun.latency_margin("email", NOON)
        monkeypatch.setattr("orchestrator.revisions.LOOK", 0)
        assert timedelta(minutes=9) == begun.latency_margin("email", NOON)
