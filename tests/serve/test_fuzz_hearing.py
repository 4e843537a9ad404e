"""What broken but signed requests of providers say is kept, and fails no member's turn. 100,000 each in `make soak`."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.channels.webhooks import Heard
from orchestrator.serve.hearing import Hearing
from orchestrator.serve.replies import Replies
from orchestrator.stores.memory import MemoryStore
from orchestrator.testing.builders import event, purchase
from orchestrator.testing.world import World, shipped_content
from orchestrator.vault import Vault
from tests.channels.test_fuzz_webhooks import CASES, broken, read

SOAK = os.environ.get("SOAK") == "1"
TRIES = 100_000 if SOAK else 200
pytestmark = [pytest.mark.soak] if SOAK else []
POINTS = [
    ("whatsapp", "+525512345678"),
    ("sms", "+34600111222"),
    ("telegram", "7000111222"),
    ("email", "lucia@example.org"),
]


@pytest.mark.parametrize("name", CASES)
def test_whatever_is_heard_can_be_applied(vault: Vault, name: str) -> None:
    world, chance, case = World(MemoryStore(2), vault, shipped_content()), random.Random(name), CASES[name]
    then = datetime.now(UTC) - timedelta(days=1)
    consents = [
        {"channel": channel, "purpose": purpose, "wording": "w", "method": "form", "evidence": "f"}
        for channel, _ in POINTS
        for purpose in ("marketing", "service")
    ]
    data = {"contact_points": [{"channel": channel, "address": address} for channel, address in POINTS]}
    world.live(event("member.enrolled", "lucia", then, {**data, "consents": consents, "zone": "UTC"}))
    world.live(purchase("lucia", then))
    hearing = Hearing(world.store, vault, Replies())
    taken = 0
    for n in range(TRIES):
        body = broken(case.body, chance) if n else case.body
        heard = read(case, body, case.sign(body))
        if isinstance(heard, Heard):
            taken += hearing.hear(f"{name} {n}", heard.said).taken
        if n % 50 == 49:
            world.live(until=(datetime.now(UTC) + timedelta(seconds=1)).isoformat(), dispatch=False)
    assert 0 == world.total("parked")
    assert taken or name in {"sendgrid events", "twilio status"}, "touches of nobody"
    world.check()
