"""What the properties share; with SOAK=1 all of them are the long versions."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest

from orchestrator.vault import KeyFile, Vault


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make soak` picks tests by their marker; here the profile alone makes a test long."""
    if os.environ.get("SOAK") == "1":
        for item in items:
            if "properties" in item.path.parts:
                item.add_marker(pytest.mark.soak)


@pytest.fixture(scope="session")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    """A project's keys."""
    return Vault(KeyFile.create(tmp_path_factory.mktemp("keys") / "key", datetime(2026, 1, 1, tzinfo=UTC)))
