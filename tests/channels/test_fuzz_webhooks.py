"""Requests of every receiver, broken at random: no crash, and nothing forged is taken. `make soak` tries 100,000 each.

What is broken before it is signed must be read, passed over or refused as malformed; what is broken after it was signed
must be refused, unless it is the same to the signature.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from orchestrator.channels.email.sendgrid.receipts import SIGNATURE, TIMESTAMP, Events, InboundParse
from orchestrator.channels.secret import Secret
from orchestrator.channels.telegram.bot import receipts as telegram
from orchestrator.channels.twilio_api import webhooks as twilio
from orchestrator.channels.webhooks import Forged, Heard, Hook, Malformed, Receiver
from orchestrator.channels.whatsapp.cloud import receipts as cloud
from tests.channels.providers import NOW

SOAK = os.environ.get("SOAK") == "1"
TRIES = 100_000 if SOAK else 2_000
SECRET = Secret("0123456789abcdef")
KEY = ec.generate_private_key(ec.SECP256R1())
STAMP = str(int(NOW.timestamp()))
URL = "https://club.example.com/webhooks/x?touch=touch-1"
pytestmark = [pytest.mark.soak] if SOAK else []


@dataclass
class Case:
    """One receiver, a request that it takes, and how its provider signs."""

    receiver: Receiver
    body: bytes
    content_type: str
    sign: Callable[[bytes], dict[str, str]]
    # what two bodies have in common that are the same to the signature
    same: Callable[[bytes], object] = bytes
    url: str = URL


def ecdsa(body: bytes) -> dict[str, str]:
    return {
        SIGNATURE: base64.b64encode(KEY.sign(STAMP.encode() + body, ec.ECDSA(hashes.SHA256()))).decode(),
        TIMESTAMP: STAMP,
    }


def run_together(body: bytes) -> str:
    """What Twilio signs of a form: names and values without anything between, so that it can't tell To= from T=&o=."""
    pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, errors="replace")
    return "".join(name + value for name, value in sorted(set(pairs)))


def sha1(body: bytes, url: str = URL) -> dict[str, str]:
    mac = hmac.new(SECRET.reveal().encode(), (url + run_together(body)).encode(), hashlib.sha1).digest()
    return {twilio.SIGNATURE: base64.b64encode(mac).decode()}


def sha256(body: bytes) -> dict[str, str]:
    mac = hmac.new(SECRET.reveal().encode(), body, hashlib.sha256).hexdigest()
    return {cloud.SIGNATURE: f"sha256={mac}"}


def told(value: object) -> bytes:
    return json.dumps(value).encode()


FORM, JSON = "application/x-www-form-urlencoded", "application/json"
MAIL = "multipart/form-data; boundary=b"
HEAD = "--b\r\nContent-Disposition: form-data; name="
CASES = {
    "sendgrid events": Case(
        Events([KEY.public_key()]),
        told([
            {"event": "bounce", "sg_event_id": "1", "touch_id": "t", "type": "bounce", "status": "5.1.1"},
            {"event": "unsubscribe", "sg_event_id": "2", "timestamp": int(STAMP), "email": "lucia@example.org"},
        ]),
        JSON,
        ecdsa,
    ),
    "sendgrid mail": Case(
        InboundParse([KEY.public_key()]),
        (
            f'{HEAD}"headers"\r\n\r\nMessage-ID: <1@example.org>\r\nIn-Reply-To: <t@example.com>\r\n\r\n'
            f'{HEAD}"envelope"\r\n\r\n{{"to":["club+abc@example.com"],"from":"lucia@example.org"}}\r\n'
            f'{HEAD}"charsets"\r\n\r\n{{"text":"iso-8859-1"}}\r\n{HEAD}"text"\r\n\r\nBAJA\r\n--b--\r\n'
        ).encode(),
        MAIL,
        ecdsa,
    ),
    "twilio status": Case(
        twilio.Status([SECRET]),
        b"MessageSid=SM1&MessageStatus=undelivered&ErrorCode=30003&To=%2B34600111222",
        FORM,
        sha1,
        run_together,
    ),
    "twilio message": Case(
        twilio.InboundMessage([SECRET]),
        b"MessageSid=SM1&From=whatsapp%3A%2B5215512345678&Body=BAJA&WaId=5215512345678",
        FORM,
        sha1,
        run_together,
    ),
    "whatsapp": Case(
        cloud.Webhook([SECRET], SECRET, "1"),
        told({
            "object": "whatsapp_business_account",
            "entry": [{"id": "1", "time": 1, "changes": [
                {"field": "messages", "value": {
                    "metadata": {"phone_number_id": "1"},
                    "contacts": [{"wa_id": "5215512345678", "user_id": "MX.1349120865530"}],
                    "statuses": [{"id": "w", "status": "failed", "timestamp": STAMP, "errors": [{"code": 131026}]}],
                    "messages": [{"from": "5215512345678", "id": "i", "type": "text", "text": {"body": "BAJA"}}],
                }},
                {"field": "message_template_status_update",
                 "value": {"event": "PAUSED", "message_template_name": "gift"}},
            ]}],
        }),
        JSON,
        sha256,
    ),
    "telegram": Case(
        telegram.Webhook([SECRET]),
        told({
            "update_id": 1,
            "message": {
                "message_id": 2, "date": 1, "chat": {"id": 7000111222, "type": "private"}, "text": "/start abc",
            },
        }),
        JSON,
        # the secret stands beside the body, and says nothing of it
        lambda _body: {telegram.SECRET_TOKEN: SECRET.reveal()},
        lambda _body: None,
    ),
}  # fmt: skip
# bytes that parsers stumble over
SHARP = [
    b"\x00",
    b"\xff",
    b'"',
    b"{",
    b"[",
    b"}",
    b"]",
    b"\\",
    b"\\ud800",
    b"&",
    b"=",
    b"%",
    b"%ff",
    b"+",
    b"\r\n",
    b"--b",
]
SHARP += [b"null", b"true", b"-1", b"1e999", b"9" * 40, b"[" * 2_000, b"\xf0\x9f\x8e\x81", b";", b":", b"="]


def broken(body: bytes, chance: random.Random) -> bytes:
    """The body with one to four places cut, doubled, swapped or overwritten."""
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(body) + 1), chance.randint(0, 12)
        piece = chance.choice([b"", chance.choice(SHARP), bytes([chance.randrange(256)]), body[at : at + length]])
        kept = at + length if chance.random() < 0.5 else at
        body = body[:at] + piece + body[kept:]
    return body


def read(case: Case, body: bytes, headers: dict[str, str]) -> Heard | str:
    try:
        return case.receiver.read(
            Hook(url=case.url, headers={"Content-Type": case.content_type, **headers}, body=body), NOW
        )
    except (Forged, Malformed) as error:
        return type(error).__name__


@pytest.mark.parametrize("name", CASES)
def test_whatever_is_signed_is_read_passed_over_or_malformed(name: str) -> None:
    case, chance = CASES[name], random.Random(name)
    assert read(case, case.body, case.sign(case.body)).said  # type: ignore[union-attr] # the request as it should be
    outcomes = set()
    for _ in range(TRIES):
        body = broken(case.body, chance)
        heard = read(case, body, case.sign(body))
        outcomes.add(heard if isinstance(heard, str) else "read" if heard.said else "passed over")
        # a form that is more than a form of Twilio's is refused as if it were not signed
        assert heard != "Forged" or name.startswith("twilio")
    assert {"read"} < outcomes


@pytest.mark.parametrize("name", [name for name in CASES if name != "telegram"])
def test_what_was_changed_after_it_was_signed_is_forged(name: str) -> None:
    case, chance = CASES[name], random.Random(name)
    headers, same = case.sign(case.body), case.same(case.body)
    forged = 0
    for _ in range(TRIES):
        body = broken(case.body, chance)
        if case.same(body) != same:
            forged += 1
            assert "Forged" == read(case, body, headers)
    assert forged > TRIES // 2


@pytest.mark.parametrize("name", CASES)
def test_a_signature_that_is_not_the_right_one_is_forged(name: str) -> None:
    case, chance = CASES[name], random.Random(name)
    right = case.sign(case.body)
    for _ in range(TRIES // 4):
        wrong = {header: broken(value.encode(), chance).decode("latin-1") for header, value in right.items()}
        if wrong != right:
            assert "Forged" == read(case, case.body, wrong)
