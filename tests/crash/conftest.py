"""The scenario that is ended at every step, once for a file of tests."""

from __future__ import annotations

import pytest

from orchestrator.testing.world import shipped_content
from tests.crash.bench import Bench
from tests.crash.states import Left, lived


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """An empty store, the events, and what an uninterrupted run comes to."""
    return Bench(tmp_path_factory.mktemp("crash"), shipped_content())


@pytest.fixture(scope="module")
def first(bench: Bench) -> list[Left]:
    """What an uninterrupted run leaves at its points."""
    return lived(bench, bench.place("empty"), "first")
