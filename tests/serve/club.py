"""A club in small behind the pages: one store, one member of each kind, lived through step by step."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from orchestrator.content import locate
from orchestrator.content.topics import load_topics
from orchestrator.links import preferences_token
from orchestrator.settings import Settings
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.world import World, shipped_content
from orchestrator.vault import Vault
from tests.serve.inside import inside

PARTITIONS = 2
_DISPATCH = Settings().dispatch
SETTINGS = replace(
    Settings(),
    programme="Círculo <Uno>",
    public_url="https://club.example.com",
    dispatch=replace(
        _DISPATCH,
        adapters={**_DISPATCH.adapters, "telegram": "bot"},
        telegram=replace(_DISPATCH.telegram, name="club_bot"),
    ),
)
Club = tuple[World, httpx.Client]


@pytest.fixture
def club(vault: Vault, empty: Path, tmp_path: Path) -> Iterator[Club]:
    """Its world, with nobody in it, and a client of its pages."""
    shutil.copy(empty, tmp_path / "store.db")
    store = SqlStore.open(f"sqlite:///{tmp_path}/store.db", PARTITIONS)
    with inside(SETTINGS, store, vault, topics=load_topics(locate.shipped("templates"))) as client:
        yield World(store, vault, shipped_content()), client
    store.close()


def own_page(vault: Vault, member: str, at: datetime | None = None) -> str:
    """The path of a member's preferences, by a link made at `at`, now where left out."""
    return f"/p/{preferences_token(vault, member, at or datetime.now(UTC))}"


def stand(world: World) -> set[tuple[str, str]]:
    """(channel, purpose) of every suppression."""
    return {(row.channel, row.purpose) for row in world.store.suppressions()}
