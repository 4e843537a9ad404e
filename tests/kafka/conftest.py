"""What tests of the worker share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator import starter
from orchestrator.pipeline import Pipeline
from orchestrator.project import Project, open_project
from orchestrator.stores.memory.store import MemoryStore


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A starter project, compiled once; its store is not used."""
    folder: Path = tmp_path_factory.mktemp("worker") / "project"
    starter.create(folder)
    with open_project(folder) as opened:
        yield opened


@pytest.fixture
def pipeline_over(project: Project) -> Callable[[MemoryStore], Pipeline]:
    """Makes a pipeline of the starter's content over a store."""
    return lambda store: Pipeline(store, project.vault, project.content)
