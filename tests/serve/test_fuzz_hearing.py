"""What broken but signed requests of providers say is kept, and fails no member's turn. 100,000 each in `make soak`."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from orchestrator.channels.email.sendgrid.receipts import BOUNCES, DROPS, EVENTS
from orchestrator.channels.webhooks import Heard
from orchestrator.serve.hearing import Hearing
from orchestrator.serve.replies import Replies
from orchestrator.stores.memory import MemoryStore
from orchestrator.testing.builders import event, purchase
from orchestrator.testing.world import World, shipped_content
from orchestrator.vault import Vault
from tests.channels.test_fuzz_webhooks import CASES, STAMP, Case, broken, read, sha1

SOAK = os.environ.get("SOAK") == "1"
# those of the two providers whose words on our own touches are many
SAY_MOST = ("sendgrid events", "sendgrid mail", "twilio status", "twilio message")
TRIES = {name: 100_000 if SOAK else 2_000 if name in SAY_MOST else 200 for name in CASES}
pytestmark = [pytest.mark.soak] if SOAK else []
POINTS = [
    ("whatsapp", "+525512345678"),
    ("sms", "+34600111222"),
    ("telegram", "7000111222"),
    ("email", "lucia@example.org"),
]
STATUSES = (
    "queued",
    "sending",
    "sent",
    "delivered",
    "undelivered",
    "failed",
    "read",
    "canceled",
    "partially_delivered",
)
CODES = ("", "21610", "30003", "30005", "30006", "30007", "30008", "30036", "63016", "63024", "99999")


def live(vault: Vault) -> World:
    """A member whom each channel reaches, and who was written to by e-mail and by text."""
    world = World(MemoryStore(2), vault, shipped_content())
    # noon: no channel's hours are closed
    then = (datetime.now(UTC) - timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
    consents = [
        {"channel": channel, "purpose": purpose, "wording": "w", "method": "form", "evidence": "f"}
        for channel, _ in POINTS
        for purpose in ("marketing", "service")
    ]
    data = {"contact_points": [{"channel": channel, "address": address} for channel, address in POINTS]}
    world.live(event("member.enrolled", "lucia", then, {**data, "consents": consents, "zone": "UTC"}))
    wish = {"preferences": {"channels": ["sms"]}}
    expiring = {"points": 10, "expires_on": f"{then + timedelta(days=30):%Y-%m-%d}"}
    then += timedelta(minutes=1)
    # by text
    world.live(event("member.updated", "lucia", then, wish), event("points.expiring", "lucia", then, expiring))
    world.live(until=(then + timedelta(hours=14)).isoformat())
    world.live(purchase("lucia", then), dispatch=False)
    return world


def written(world: World, name: str, chance: random.Random) -> Callable[[], Case]:
    """Gives a request as its provider would make it, about a touch of ours where it is about one."""
    case = CASES[name]
    accepted = {touch.channel: touch.touch_id for touch in world.touches("lucia") if touch.state == "accepted"}
    if name == "sendgrid events":

        def events() -> Case:
            said = [
                {
                    "event": chance.choice([*EVENTS, "bounce", "dropped", "group_resubscribe"]),
                    "type": chance.choice([*BOUNCES]),
                    "reason": chance.choice([*DROPS, "another"]),
                    "sg_event_id": str(chance.randrange(10**9)),
                    "touch_id": accepted["email"],
                    "timestamp": int(STAMP),
                    "email": "lucia@example.org",
                }
                for _ in range(chance.randint(1, 2))
            ]
            return replace(case, body=json.dumps(said).encode())

        return events
    if name == "twilio status":
        url = f"https://club.example.com/webhooks/x?touch={accepted['sms']}"

        def status() -> Case:
            said = {
                "MessageSid": f"SM{chance.randrange(10**9)}",
                "MessageStatus": chance.choice(STATUSES),
                "ErrorCode": chance.choice(CODES),
                "To": "+34600111222",
            }
            return replace(case, body=urlencode(said).encode(), url=url, sign=lambda body: sha1(body, url))

        return status
    return lambda: case


@pytest.mark.parametrize("name", CASES)
def test_whatever_is_heard_can_be_applied(vault: Vault, name: str) -> None:
    world, chance = live(vault), random.Random(name)
    make, hearing = written(world, name, chance), Hearing(world.store, vault, Replies())
    before = len(world.log("lucia"))
    taken = 0
    for n in range(TRIES[name]):
        case = make()
        body = broken(case.body, chance) if n else case.body
        heard = read(case, body, case.sign(body))
        if isinstance(heard, Heard):
            taken += hearing.hear(f"{name} {n}", heard.said).taken
        if n % 50 == 49:
            world.live(until=(datetime.now(UTC) + timedelta(seconds=1)).isoformat(), dispatch=False)
    assert 0 == world.total("parked")
    # most of what is broken still says something, and the member's turn was told
    assert taken > TRIES[name] // 20
    assert len(world.log("lucia")) > before
    world.check()
