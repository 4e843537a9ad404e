"""Members' pages under broken tokens and forms: no fault, nothing forged is taken. `make soak` tries 100,000 each."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import httpx
import pytest

from orchestrator.content import locate
from orchestrator.content.topics import load_topics
from orchestrator.links import Links, opt_out_token, preferences_token, read_confirming, read_opt_out, read_preferences
from orchestrator.serve.app import build
from orchestrator.serve.offers import Offer
from orchestrator.stores.memory import MemoryStore
from orchestrator.testing.builders import enrolled, event
from orchestrator.testing.world import World, shipped_content
from orchestrator.vault import Vault
from tests.serve.club import SETTINGS
from tests.serve.inside import NoEvents

SOAK = os.environ.get("SOAK") == "1"
TRIES = 100_000 if SOAK else 2_000
# a form costs a hundred times as much; that of the preferences holds most
FORMS = {path: 100_000 if SOAK else 2_000 if path == "p" else 200 for path in "upc"}
pytestmark = [pytest.mark.soak] if SOAK else []
NOW = datetime.now(UTC).replace(microsecond=0)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ODD = [*LETTERS, "=", ".", "+", "/", "%", "é", "\0", "\ud800", " ", "🎁", ""]
# what forms stumble over
SHARP = [b"&", b"=", b"%", b"%00", b"%ff", b"%F0%9F%8E%81", b"+", b";", b"\0", b"\xff", b"&" * 70, b"9" * 40, b"-1"]
SHARP += [
    b"channel=fax",
    b"&limit=1-day",
    b"&pause=7",
    b"&topic=x",
    b"topics=",
    b"do=leave",
    b"do=contact",
    b"&do=save",
]
SHARP += [
    b"email=%22%3E%3Cscript%3E",
    b"&phone=%2B",
    b"&scope=all",
    b"shown=",
    b"first=",
    b"@",
    b"%40[1.2.3.4]",
    b"\r\n",
]
FIELDS = {
    "shown": "email sms", "channel": "email", "limit": "1-week", "pause": "30", "first": "sms", "topic": "retention",
    "topics": "acquisition retention", "do": "save", "email": "ann@example.org", "phone": "+12125550187",
}  # fmt: skip
READERS: dict[str, Callable[[Vault, str], object]] = {"u": read_opt_out, "p": read_preferences, "c": read_confirming}


def tokens(vault: Vault) -> dict[str, str]:
    until = NOW + timedelta(days=7)
    return {
        "u": opt_out_token(vault, "ann", "email", "marketing"),
        "p": preferences_token(vault, "ann", NOW),
        "c": Links(vault).confirm("ann", "email", "marketing", NOW, until),
        "contact": Links(vault).contact("ann", "email", NOW, until),
    }


def broken(text: str, chance: random.Random) -> str:
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        kept = at + chance.choice([0, 0, 1, 2, 9])
        text = text[:at] + chance.choice(ODD) + text[kept:]
    return text


def broken_form(body: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randint(0, 4)):
        at, length = chance.randrange(len(body) + 1), chance.randint(0, 12)
        piece = chance.choice([b"", chance.choice(SHARP), bytes([chance.randrange(256)]), body[at : at + length]])
        body = body[:at] + piece + body[at + chance.choice([0, length]) :]
    return body


@pytest.mark.parametrize("kind", ["u", "p", "c", "contact"])
def test_no_other_token_than_the_true_one_names_anybody(vault: Vault, kind: str) -> None:
    chance, true, reader = random.Random(kind), tokens(vault)[kind], READERS[kind[:1]]
    assert reader(vault, true) is not None
    for _ in range(TRIES):
        forged = broken(true, chance)
        if forged != true:
            assert reader(vault, forged) is None, "a token that we did not make"
    for other, token in tokens(vault).items():
        if other[:1] != kind[:1]:
            assert reader(vault, token) is None, "a token of another kind"


@pytest.mark.parametrize("path", ["u", "p", "c"])
def test_whatever_a_form_holds_is_answered_and_the_member_s_turn_takes_what_was_kept(vault: Vault, path: str) -> None:
    world = World(MemoryStore(2), vault, shipped_content())
    world.live(enrolled("ann", NOW - timedelta(days=9)), dispatch=False)
    asked = {"channel": "email", "wording": "w", "method": "form", "evidence": "f", "double_opt_in": True}
    world.live(event("consent.granted", "ann", NOW, asked), dispatch=False)
    offer = Offer(topics=load_topics(locate.shipped("templates")))
    app = build(SETTINGS, world.store, vault, NoEvents(), lambda: offer)
    chance = random.Random(path)

    async def attack() -> set[int]:
        seen = set()
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://club.example.com") as client:
            for n in range(FORMS[path]):
                fields = {name: value for name, value in FIELDS.items() if chance.random() < 0.7}
                if chance.random() < 0.3:
                    fields["do"] = "contact"
                body = broken_form(urlencode(fields).encode(), chance)
                kind = chance.choice(
                    ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "", "\xff"]
                )
                answer = await client.post(
                    f"/{path}/{tokens(vault)[path]}", content=body, headers=[(b"content-type", kind.encode("latin-1"))]
                )
                seen.add(answer.status_code)
                if n % 100 == 99:
                    await asyncio.to_thread(world.live, until=(NOW + timedelta(seconds=n)).isoformat(), dispatch=False)
        return seen

    seen = asyncio.run(attack())
    assert {"u": {200}, "p": {200, 400, 422}, "c": {200}}[path] == seen
    settled = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    world.live(until=settled, dispatch=False)
    assert 0 == world.total("parked")
    world.check()
