"""What all tests share: a clean environment, hypothesis' profiles, the folder of reference material."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# A developer's own settings must not change what tests see. ORCHESTRATOR_REQUIRE_KAFKA is ours and stays.
for name in (
    "ORCHESTRATOR_STORE_URL",
    "ORCHESTRATOR_KEY_FILE",
    "ORCHESTRATOR_PROJECT",
    "ORCHESTRATOR_DEBUG",
    "NO_COLOR",
):
    os.environ.pop(name, None)

# Shared machines are uneven: a slow example is no failure. `make soak` asks fifty times as much.
settings.register_profile(
    "short", deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("soak", parent=settings.get_profile("short"), max_examples=3_000, derandomize=False)
settings.load_profile("soak" if os.environ.get("SOAK") == "1" else "short")


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The folder of reference material (`data/`, `law/`, `contracts/` in it), from REFERENCE_DATA; a skip without."""
    named = os.environ.get("REFERENCE_DATA")
    if not named:
        pytest.skip("REFERENCE_DATA names no folder of reference material")
    folder = Path(named)
    assert folder.is_dir(), f"REFERENCE_DATA={named} is no folder"
    return folder
