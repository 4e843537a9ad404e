"""Providers' requests over HTTP: verified raw, kept in one transaction, dropped when they come again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec.structs import replace

from orchestrator.channels.twilio_api.webhooks import INBOUND, STATUS
from orchestrator.events.inputs import Receipt, Withdrawal, read_input
from orchestrator.links import opt_out_token
from orchestrator.serve.replies import Replies
from orchestrator.settings import Settings
from orchestrator.stores.contract import Changes, ContactRow, MemberRow, Store
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.builders import enrolled
from orchestrator.testing.store_rows import touch_row
from orchestrator.testing.world import World, shipped_content
from orchestrator.vault import Vault
from tests.serve.inside import inside

BASE = "https://hooks.example.com"
TOKEN, APP, BOT = "0123456789abcdef0123456789abcdef", "app-secret-of-tests", "bot-secret-of-tests"
# when the signed samples were made
THEN = datetime.fromtimestamp(1795305600, UTC)
FAR = 1 << 61


class Club:
    """A store, its server, and what came into its inbox."""

    def __init__(self, store: Store, vault: Vault, http: httpx.Client, key: ec.EllipticCurvePrivateKey) -> None:
        self.store, self.vault, self.http, self._key = store, vault, http, key

    def inbox(self) -> list[Any]:
        held = self.store.take(range(self.store.partitions))
        with self.store.batch(list(held.values())) as batch:
            return [read_input(row.input) for row in batch.due(dict.fromkeys(held, FAR), 1_000)]

    def reserved(self, *ids: str) -> None:
        """Touches of Ann's that wait."""
        held = self.store.take([0])[0]
        ann = self.vault.member("ann")
        rows = [touch_row(id)._replace(member=ann, valid_until=FAR) for id in ids]
        with self.store.batch([held]) as batch:
            batch.write(Changes(progress=[(held, held._replace(turn=held.turn + 1))], reserved=rows))

    def joined(self, member: str, channel: str, address: str) -> None:
        """A member with a contact point."""
        held = self.store.take([0])[0]
        row = MemberRow(0, self.vault.member(member), member.encode().hex(), b"", erased=False)
        contact = ContactRow(self.vault.fingerprint(channel, address), row.member)
        with self.store.batch([held]) as batch:
            changes = Changes(progress=[(held, held._replace(turn=held.turn + 1))], members=[row], contacts=[contact])
            batch.write(changes)

    def sendgrid(self, events: list[dict[str, object]], at: datetime = THEN, path: str = "events") -> httpx.Response:
        body = json.dumps(events).encode() + b"\r\n"
        return self.signed(body, at, path)

    def signed(self, body: bytes, at: datetime, path: str, kind: str = "application/json") -> httpx.Response:
        stamp = str(int(at.timestamp()))
        signature = self._key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        headers = {
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "Content-Type": kind,
        }
        return self.http.post(f"/webhooks/sendgrid/{path}", content=body, headers=headers)

    def twilio(self, path: str, query: str = "", token: str = TOKEN, **fields: str) -> httpx.Response:
        url = f"{path}{query}"
        text = BASE + url + "".join(f"{name}{fields[name]}" for name in sorted(fields))
        mac = hmac.new(token.encode(), text.encode(), hashlib.sha1).digest()
        headers = {
            "X-Twilio-Signature": base64.b64encode(mac).decode(),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return self.http.post(url, content=urlencode(fields).encode(), headers=headers)

    def meta(self, body: bytes, secret: str = APP) -> httpx.Response:
        mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return self.http.post("/webhooks/whatsapp", content=body, headers={"X-Hub-Signature-256": f"sha256={mac}"})


def settings_of(*keys: str) -> Settings:
    base = Settings()
    dispatch = replace(
        base.dispatch,
        adapters={"email": "sendgrid", "sms": "twilio", "whatsapp": "cloud", "telegram": "bot"},
        sendgrid=replace(base.dispatch.sendgrid, webhook_keys=list(keys)),
        whatsapp=replace(base.dispatch.whatsapp, phone_number_id="106540352242922"),
    )
    return replace(base, public_url=BASE, dispatch=dispatch, programme="Club & Co")


@pytest.fixture
def club(
    vault: Vault, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Club]:
    monkeypatch.setenv("ORCHESTRATOR_TWILIO_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("ORCHESTRATOR_WHATSAPP_APP_SECRET", APP)
    monkeypatch.setenv("ORCHESTRATOR_WHATSAPP_VERIFY_TOKEN", "verify-me")
    monkeypatch.setenv("ORCHESTRATOR_TELEGRAM_WEBHOOK_SECRET", BOT)
    shutil.copy(empty, tmp_path / "store.db")
    store = SqlStore.open(f"sqlite:///{tmp_path}/store.db", 2)
    key = ec.generate_private_key(ec.SECP256R1())
    shown = base64.b64encode(
        key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    ).decode()
    with inside(settings_of(shown, *getattr(request, "param", ())), store, vault, lambda: THEN) as http:
        yield Club(store, vault, http, key)
    store.close()


def event(name: str, id: str, touch: str = "t1", **more: object) -> dict[str, object]:
    return {"event": name, "sg_event_id": id, "touch_id": touch, "timestamp": int(THEN.timestamp()) - 5, **more}


# --- SendGrid


def test_what_became_of_touches_reaches_the_inbox_once_however_often_it_is_told(club: Club) -> None:
    club.reserved("t1")
    told = [event("delivered", "e1"), event("open", "e2"), event("delivered", "e1")]
    assert [200, 200] == [club.sendgrid(told).status_code, club.sendgrid(told, THEN + timedelta(minutes=1)).status_code]
    assert ["delivered", "opened"] == [row.state for row in club.inbox() if isinstance(row, Receipt)]


def test_words_come_late_and_out_of_order_beside_some_that_are_not_ours(club: Club) -> None:
    club.reserved("t1")
    late = event("processed", "e9") | {"timestamp": int(THEN.timestamp()) - 600_000}
    assert 200 == club.sendgrid([event("delivered", "e2"), event("delivered", "e3", "not-ours"), late]).status_code
    assert ["delivered", "sent"] == [row.state for row in club.inbox()]


@pytest.mark.parametrize(("name", "reason"), [("spamreport", "complained"), ("unsubscribe", "opted_out")])
def test_a_complaint_cancels_what_waits_before_it_is_answered(club: Club, name: str, reason: str) -> None:
    club.reserved("t1", "t2")
    assert 200 == club.sendgrid([event(name, "e1")]).status_code
    assert {"cancelled"} == {touch.state for touch in club.store.touches()}
    assert (club.vault.member("ann").hex(), "email", "marketing", reason) in {
        (row.subject, row.channel, row.purpose, row.reason) for row in club.store.suppressions()
    }


def test_what_is_forged_stale_or_cut_is_refused_and_leaves_nothing(club: Club) -> None:
    club.reserved("t1")
    body = json.dumps([event("spamreport", "e1")]).encode()
    headers = {"X-Twilio-Email-Event-Webhook-Timestamp": "1795305600"}
    unsigned = club.http.post("/webhooks/sendgrid/events", content=body, headers=headers)
    stale = club.sendgrid([event("spamreport", "e1")], THEN - timedelta(days=1, seconds=1))
    early = club.sendgrid([event("spamreport", "e1")], THEN + timedelta(minutes=6))
    wrong = club.twilio(STATUS, "?touch=t1", token="another", MessageSid="SM1", MessageStatus="delivered")
    meta = club.meta(b'{"entry": []}', secret="another")
    bot = club.http.post("/webhooks/telegram", content=b"{}", headers={"X-Telegram-Bot-Api-Secret-Token": "another"})
    assert [401] * 6 == [answer.status_code for answer in (unsigned, stale, early, wrong, meta, bot)]
    assert {"unauthorized"} == {answer.json()["title"] for answer in (unsigned, stale, wrong, meta, bot)}
    assert 400 == club.signed(b'{"not": "a list"}', THEN, "events").status_code
    assert ([], []) == (club.inbox(), club.store.suppressions())


def test_a_body_beyond_the_receivers_limit_is_not_read(club: Club) -> None:
    assert 413 == club.http.post(STATUS, content=b"x" * (65 << 10)).status_code


def test_a_provider_without_keys_has_no_door(vault: Vault, empty: Path, tmp_path: Path) -> None:
    shutil.copy(empty, tmp_path / "other.db")
    store = SqlStore.open(f"sqlite:///{tmp_path}/other.db", 2)
    with inside(Settings(), store, vault) as http:
        assert {404} == {http.post(path).status_code for path in (STATUS, INBOUND, "/webhooks/whatsapp")}
    store.close()


SAMPLES = "contracts/webhooks/signed_samples.json"


def test_the_signed_samples_get_their_verdicts_over_http(
    vault: Vault, empty: Path, tmp_path: Path, reference_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = json.loads((reference_data / SAMPLES).read_bytes())
    grid, twilio = samples["sendgrid_event_webhook"], samples["twilio"]
    monkeypatch.setenv("ORCHESTRATOR_TWILIO_AUTH_TOKEN", twilio["auth_token"])
    shutil.copy(empty, tmp_path / "store.db")
    store = SqlStore.open(f"sqlite:///{tmp_path}/store.db", 2)
    settings = settings_of(grid["public_key"])
    verdicts: list[tuple[str, bool]] = []
    with inside(settings, store, vault, lambda: THEN) as http:
        for case in grid["cases"]:
            headers = {**case["headers"], "X-Forwarded-For": "192.0.2.1"}
            answer = http.post("/webhooks/sendgrid/events", content=case["body"].encode(), headers=headers)
            verdicts.append((case["name"], answer.status_code in {200, 400}))
    assert [(case["name"], case["valid"]) for case in grid["cases"]] == verdicts
    store.close()


# --- Twilio: statuses and replies


def test_a_status_is_found_by_the_touch_in_the_callback(club: Club) -> None:
    club.reserved("t1")
    for _ in range(2):
        answer = club.twilio(STATUS, "?touch=t1", MessageSid="SM1", MessageStatus="delivered")
        assert 200 == answer.status_code
    assert ["delivered"] == [row.state for row in club.inbox()]


@pytest.mark.parametrize(("number", "confirmed"), [("+12125550123", True), ("+34600111222", False)])
def test_who_answers_stop_is_silent_at_once_and_told_so_where_the_carrier_asks(
    club: Club, number: str, confirmed: bool
) -> None:
    club.joined("ann", "sms", number)
    answer = club.twilio(INBOUND, MessageSid="SM2", From=number, To="+15005550006", Body="  ¡Baja! ")
    assert (200, confirmed) == (answer.status_code, "<Message>" in answer.text)
    assert ("Club &amp; Co" in answer.text) is confirmed
    assert [Withdrawal] == [type(row) for row in club.inbox()]
    silent = {(row.subject, row.channel, row.purpose) for row in club.store.suppressions()}
    assert {
        (club.vault.fingerprint("sms", number), "sms", "marketing"),
        (club.vault.member("ann").hex(), "sms", "marketing"),
    } == silent


def test_what_twilio_answers_itself_is_not_answered_twice(club: Club) -> None:
    club.joined("ann", "sms", "+12125550123")
    answer = club.twilio(INBOUND, MessageSid="SM3", From="+12125550123", Body="STOP", OptOutType="STOP")
    assert (200, False, 1) == (answer.status_code, "<Message>" in answer.text, len(club.inbox()))


def test_a_message_that_says_more_than_stop_takes_nobody_out(club: Club) -> None:
    club.joined("ann", "sms", "+12125550123")
    answer = club.twilio(INBOUND, MessageSid="SM4", From="+12125550123", Body="please do not stop my points")
    assert (200, [], []) == (answer.status_code, club.inbox(), club.store.suppressions())


def test_a_stop_from_a_number_that_nobody_has_stands_and_is_on_record(club: Club) -> None:
    club.twilio(INBOUND, MessageSid="SM5", From="+34600999888", Body="SALIR")
    (row,) = club.inbox()
    assert ("suppress", "reply") == (row.verb, row.actor)
    assert [club.vault.fingerprint("sms", "+34600999888")] == [row.subject for row in club.store.suppressions()]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        *[("STOP", "es"), ("parar.", "es"), ("No más", "es"), ("SAIR", "pt"), ("Não quero mais", "pt")],
        *[("Arrêter", "fr"), ("Désabonner", "fr"), ("ABMELDEN", "de"), ("Aufhören!", "de"), ("opt-out", "en")],
        *[("Unsubscribe", "en"), ("", ""), ("hola", ""), ("stop it, I love it", ""), ("no", ""), ("stop" * 40, "")],
    ],
)
def test_words_to_leave_are_known_in_five_languages(text: str, language: str) -> None:
    assert language == Replies().stops(text)


def test_a_programme_may_add_words_of_its_own() -> None:
    assert (True, False) == (bool(Replies(["Prou!"]).stops("PROU")), bool(Replies([""]).stops("")))


# --- WhatsApp, Telegram, mail


def test_whatsapp_asks_whether_the_webhook_is_ours(club: Club, caplog: pytest.LogCaptureFixture) -> None:
    # the client is the provider here: it alone writes the secret into an address, and may
    caplog.set_level(logging.WARNING, "httpx")
    query = {"hub.mode": "subscribe", "hub.verify_token": "verify-me", "hub.challenge": "1158201444"}
    assert "1158201444" == club.http.get("/webhooks/whatsapp", params=query).text
    wrong = club.http.get("/webhooks/whatsapp", params=query | {"hub.verify_token": "guess"})
    assert 401 == wrong.status_code


def test_a_member_who_stops_marketing_in_whatsapp_is_silent_there(club: Club, reference_data: Path) -> None:
    updates = json.loads((reference_data / "contracts/meta/webhooks/user_marketing_preferences.json").read_bytes())
    body = updates["resume"]
    assert 200 == club.meta(json.dumps(body).encode()).status_code
    assert [] == club.store.suppressions(), "to resume is no opt-out, and no consent either"
    body["entry"][0]["changes"][0]["value"]["user_preferences"][0]["value"] = "stop"
    raw = json.dumps(body).encode()
    assert [200, 200] == [club.meta(raw).status_code for _ in range(2)]
    assert {"whatsapp"} == {row.channel for row in club.store.suppressions()}
    assert 1 == len({row.subject for row in club.store.suppressions() if row.purpose == "marketing"})


def test_who_blocks_the_bot_is_sent_nothing_more(club: Club) -> None:
    club.joined("ann", "telegram", "7000111222")
    update = {
        "update_id": 9,
        "my_chat_member": {
            "chat": {"id": 7000111222, "type": "private"},
            "date": int(THEN.timestamp()),
            "new_chat_member": {"status": "kicked"},
        },
    }
    headers = {"X-Telegram-Bot-Api-Secret-Token": BOT}
    for _ in range(2):
        assert 200 == club.http.post("/webhooks/telegram", json=update, headers=headers).status_code
    assert (club.vault.fingerprint("telegram", "7000111222"), "telegram", "*") in {
        row[:3] for row in club.store.suppressions()
    }
    assert [("telegram", "provider")] == [(row.channel, row.method) for row in club.inbox()]


def mail(to: str, sender: str, text: str) -> tuple[bytes, str]:
    parts = {
        "headers": f"Message-ID: <{hashlib.md5(text.encode()).hexdigest()}@example.com>\nSubject: x\n",
        "from": sender,
        "to": to,
        "envelope": json.dumps({"to": [to], "from": sender}),
        "text": text,
    }
    body = "".join(
        f'--frontier\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in parts.items()
    )
    return f"{body}--frontier--\r\n".encode(), "multipart/form-data; boundary=frontier"


def test_a_mail_to_the_address_with_the_token_takes_out_whoever_it_names(club: Club) -> None:
    club.joined("ann", "email", "ann@example.com")
    token = opt_out_token(club.vault, "ann", "email", "marketing")
    body, kind = mail(f"leave+{token}@mail.example.com", "another@address.example", "")
    assert 200 == club.signed(body, THEN, "inbound", kind).status_code
    assert (club.vault.member("ann").hex(), "email", "marketing") in {row[:3] for row in club.store.suppressions()}
    assert ["reply"] == [row.method for row in club.inbox() if isinstance(row, Withdrawal)]


def test_a_mail_whose_first_line_is_a_word_to_leave_takes_its_sender_out(club: Club) -> None:
    club.joined("ann", "email", "ann@example.com")
    body, kind = mail("club@mail.example.com", "Ann@Example.com", "Unsubscribe\n\n> You wrote: stop by our shop")
    assert 200 == club.signed(body, THEN, "inbound", kind).status_code
    assert (club.vault.member("ann").hex(), "email", "marketing") in {row[:3] for row in club.store.suppressions()}


# --- the member's own turn


def test_the_member_s_record_catches_up_in_a_turn(vault: Vault, empty: Path, tmp_path: Path) -> None:
    shutil.copy(empty, tmp_path / "store.db")
    store = SqlStore.open(f"sqlite:///{tmp_path}/store.db", 2)
    world = World(store, vault, shipped_content())
    world.live(enrolled("ann", "2026-11-20T15:00:00Z"), dispatch=False)
    (number,) = [point.address for point in world.member("ann").contact_points if point.channel == "sms"]  # type: ignore[union-attr]
    assert [vault.member("ann")] == [member for _, member in store.members_at(vault.fingerprint("sms", number))]
    from orchestrator.channels.webhooks import Inbound
    from orchestrator.serve.hearing import Hearing

    hearing = Hearing(store, vault, Replies())
    said = Inbound(key="k", channel="sms", at=THEN, sender=number, text="STOP")
    assert (1, 0) == ((first := hearing.hear("x", [said])).taken, first.repeated)
    assert (0, 1) == ((again := hearing.hear("x", [said])).taken, again.repeated)
    world.live(until="2026-12-31T00:00:00Z")
    member = world.member("ann")
    assert member is not None
    assert ("withdrawn", "reply") == (member.consents["sms/marketing"].state, member.consents["sms/marketing"].method)
    assert "granted" == member.consents["email/marketing"].state
    world.check()
    store.close()
