"""Figures for Prometheus: they agree with the store, and no label names anybody."""

from __future__ import annotations

import json
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.channels.contract import Answer
from orchestrator.dispatch.breaker import KIND as BREAKER
from orchestrator.errors import SetupError
from orchestrator.metrics import CONTENT_TYPE, Standing, exposition, listen
from orchestrator.serve.keys import new_key
from orchestrator.settings import Settings
from orchestrator.stores.memory import MemoryStore
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.builders import enrolled, purchase
from orchestrator.testing.world import World, shipped_content
from orchestrator.vault import Vault
from tests.detector import found_in
from tests.serve.inside import inside

THEN = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
KEY, OTHER = new_key("prometheus", ["status"]), new_key("shop", ["events"])
LABELS = {"account", "channel", "journey", "outcome", "partition", "path", "reason", "result", "state", "verdict"}
Figures = dict[tuple[str, ...], float]


@pytest.fixture
def world(vault: Vault, empty: Path, tmp_path: Path) -> Iterator[World]:
    """Three members, one of whom a provider refuses; an account that is left alone."""
    shutil.copy(empty, tmp_path / "store.db")
    store = SqlStore.open(f"sqlite:///{tmp_path}/store.db", 2)
    world = World(store, vault, shipped_content())
    refused = Answer(kind="rejected_recipient", code="550 5.1.1")
    taken = Answer(kind="accepted", provider_id="p")
    world.ledgers["email"].answer = lambda message: refused if message.to.startswith("bea") else taken
    joined = [enrolled(name, THEN, country="GB", region="GB-LND", zone="Europe/London") for name in ("ann", "bea")]
    world.live(*joined, enrolled("eve", THEN, consents=()), purchase("ann", THEN), until="2026-11-20T16:00:00Z")
    store.put_document(BREAKER, "relay", json.dumps({"since": 5, "until": 9, "trips": 1}).encode())
    yield world
    store.close()


def read(text: str) -> Figures:
    """(name, label values in the order of their names …) -> figure; `_created` left out."""
    found: Figures = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert sample.labels.keys() <= LABELS, sample.name
            if not sample.name.endswith("_created"):
                found[sample.name, *(sample.labels[name] for name in sorted(sample.labels))] = sample.value
    return found


def test_serve_tells_who_has_the_role_and_nobody_else(world: World) -> None:
    settings = replace(Settings(), serve=replace(Settings().serve, api_keys=[KEY.line, OTHER.line]))
    with inside(settings, world.store, world.vault, standing=Standing(world.store, settings)) as client:
        asked = [
            client.get("/metrics", headers={"Authorization": f"Bearer {key}"}) for key in ("x", OTHER.key, KEY.key)
        ]
        assert [401, 403, 200] == [answer.status_code for answer in asked]
        assert CONTENT_TYPE == asked[-1].headers["content-type"]
        assert "orchestrator_decisions_total" in asked[-1].text
    with inside(settings, world.store, world.vault) as client:
        alone = client.get("/metrics", headers={"Authorization": f"Bearer {KEY.key}"})
        assert ("orchestrator_decisions" in alone.text, "orchestrator_calls" in alone.text) == (False, True)


def test_the_figures_are_those_of_the_store_and_name_nobody(world: World) -> None:
    store = world.store
    text = exposition(Standing(store, Settings(), lambda: {0: (0, 1_000_000), 1: (1_000_000, 1_000_000)})).decode()
    found = read(text)
    decided: Counter[tuple[str, ...]] = Counter()
    for row in store.log():
        if row.kind == "decision":
            decided[row.channel, row.journey, row.reason, row.verdict] += 1
    assert decided == {key[1:]: n for key, n in found.items() if key[0] == "orchestrator_decisions_total"}
    assert {"send", "suppress"} <= {key[-1] for key in decided}
    progress = {row.partition: row for row in store.progress()}
    for partition, row in progress.items():
        assert row.log_n == found["orchestrator_log_entries_total", str(partition)]
    assert 1_000_000 - progress[0].next_offset == found["orchestrator_lag_records", "0"]
    assert 0 == found["orchestrator_lag_records", "1"], "what is gone from the log is no lag"
    assert world.total("applied") == found["orchestrator_inputs_total", "applied"]
    assert world.total("touched") == found["orchestrator_intents", "touched"]
    waits = [touch.state for touch in store.touches()]
    assert waits.count("reserved") == found["orchestrator_outbox_touches", "reserved"]
    assert (1, 0) == (found["orchestrator_breaker_open", "relay"], found["orchestrator_breaker_open", "capture"])
    assert (1, 1) == (found["orchestrator_store_up",], found["orchestrator_log_up",])
    calls = {key[2:]: n for key, n in found.items() if key[0] == "orchestrator_calls_total" and key[2] == "email"}
    assert {"accepted", "rejected_recipient"} <= {key[-1] for key in calls}
    known = [world.member(name) for name in ("ann", "bea", "eve")]
    secrets = {touch.touch_id for touch in store.touches()} | {touch.intent_id for touch in store.touches()}
    secrets |= {value for one in known if one for value in (one.id, one.ref, *(p.address for p in one.contact_points))}
    assert [] == [secret for secret in secrets if f'"{secret}"' in text]
    assert [] == found_in(text)


def test_what_can_t_be_asked_is_left_out_and_said(world: World) -> None:
    def away() -> dict[int, tuple[int, int]]:
        raise SetupError("the broker is away")

    found = read(exposition(Standing(world.store, Settings(), away)).decode())
    assert (1, 0) == (found["orchestrator_store_up",], found["orchestrator_log_up",])
    assert "orchestrator_lag_records" not in {key[0] for key in found}
    world.store.close()


def test_the_store_is_not_asked_at_each_scrape() -> None:
    store, at = MemoryStore(2), [0.0]
    standing = Standing(store, Settings(), clock=lambda: at[0])
    first = standing.collect()
    assert first is standing.collect()
    at[0] = 15.0
    assert first is not standing.collect()


def test_a_worker_s_figures_are_at_an_address_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    end = listen(f"127.0.0.1:{port}", Standing(MemoryStore(2), Settings()))
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/metrics")
        assert (200, True) == (answer.status_code, "orchestrator_store_up 1.0" in answer.text)
        with pytest.raises(SetupError, match="listen"):
            listen(f"127.0.0.1:{port}", None)
    finally:
        end()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics")
