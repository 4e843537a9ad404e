"""A member who writes opens the conversation: from the provider's request over the inbox to the next decision."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from orchestrator.channels.capabilities import refusal
from orchestrator.channels.whatsapp.cloud.send import CAPABILITIES, build
from orchestrator.contact_log.explain import explain
from orchestrator.decide.content import Content
from orchestrator.decide.member import ContactPoint
from orchestrator.links import preferences_token
from orchestrator.settings import Settings
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.builders import event, purchase
from orchestrator.testing.journeys import content_of
from orchestrator.testing.world import World
from orchestrator.vault import Vault
from tests.serve.inside import inside

APP, BOT, NUMBER_ID = "app-secret-of-tests", "bot-secret-of-tests", "106540352242922"
# as everyone writes it, and as WhatsApp does
NUMBER, WA_ID, USER_ID = "+525512345678", "5215512345678", "MX.13491208655302741918"
DAY = timedelta(hours=24)
NEWS = "trigger: {event: purchase.completed}\nreentry: each\nsteps:\n  - {send: news, channels: [whatsapp]}\n"
ANSWER = (
    "journey: answer\npurpose: service\ntrigger: {event: message.received}\nreentry: each\n"
    "steps:\n  - {send: answer, channels: [whatsapp]}\n"
)


@pytest.fixture(scope="module")
def content() -> Content:
    """One journey that writes freely after a purchase, and one that answers."""
    return content_of(NEWS, ANSWER, channel="whatsapp")


class Club:
    """A programme, and the providers that call it."""

    def __init__(self, world: World, http: httpx.Client, file: Path) -> None:
        self.world, self.http, self.file = world, http, file
        self._said = 0

    def joins(self, member: str, *points: dict[str, object], channel: str = "whatsapp") -> None:
        consents = [{"channel": channel, "purpose": "service", "wording": "w", "method": "form", "evidence": "f1"}]
        data = {"contact_points": list(points), "consents": consents, "zone": "UTC"}
        self.world.live(event("member.enrolled", member, now() - timedelta(days=3), data))

    def buys(self, member: str, at: datetime) -> tuple[str, str, str]:
        """What the purchase led to."""
        self.world.live(purchase(member, at))
        return self.world.decisions(member, "test")[-1]

    def writes(self, text: str, at: datetime, id: str = "", **who: str) -> httpx.Response:
        """A message by WhatsApp; `who`: from, user_id."""
        self._said += 1
        message: dict[str, object] = {
            "id": id or f"wamid.{self._said}", "timestamp": str(int(at.timestamp())),
            "type": "text", "text": {"body": text},
        }  # fmt: skip
        person = {"profile": {"name": "Ana"}, "user_id": who.get("user_id", "")}
        if "phone" in who:
            message["from"] = person["wa_id"] = who["phone"]
        value = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": NUMBER_ID}}
        change = {"field": "messages", "value": {**value, "contacts": [person], "messages": [message]}}
        body = json.dumps({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [change]}]}).encode()
        mac = hmac.new(APP.encode(), body, hashlib.sha256).hexdigest()
        return self.http.post("/webhooks/whatsapp", content=body, headers={"X-Hub-Signature-256": f"sha256={mac}"})

    def starts(self, chat: int, link: str) -> httpx.Response:
        """`/start LINK`, as the button of a link to the bot sends it."""
        self._said += 1
        message = {
            "chat": {"id": chat, "type": "private"},
            "date": int(now().timestamp()),
            "text": f"/start {link}".strip(),
        }
        headers = {"X-Telegram-Bot-Api-Secret-Token": BOT}
        return self.http.post("/webhooks/telegram", json={"update_id": self._said, "message": message}, headers=headers)

    def settle(self) -> None:
        """The members' turns take in what was heard."""
        self.world.live(until=(now() + timedelta(seconds=1)).isoformat())

    def point(self, member: str) -> ContactPoint:
        known = self.world.member(member)
        assert known is not None
        (point,) = known.contact_points
        return point


def now() -> datetime:
    """To the second, as WhatsApp tells moments."""
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def club(
    vault: Vault, content: Content, empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Club]:
    monkeypatch.setenv("ORCHESTRATOR_WHATSAPP_APP_SECRET", APP)
    monkeypatch.setenv("ORCHESTRATOR_TELEGRAM_WEBHOOK_SECRET", BOT)
    base = Settings()
    dispatch = replace(
        base.dispatch,
        adapters={"whatsapp": "cloud", "telegram": "bot"},
        whatsapp=replace(base.dispatch.whatsapp, phone_number_id=NUMBER_ID),
        telegram=replace(base.dispatch.telegram, name="club_bot"),
    )
    shutil.copy(empty, tmp_path / "store.db")
    store = SqlStore.open(f"sqlite:///{tmp_path}/store.db", 2)
    with inside(replace(base, dispatch=dispatch), store, vault) as http:
        yield Club(World(store, vault, content), http, tmp_path / "store.db")
    store.close()


def test_free_text_waits_for_the_member_s_own_message_and_goes_for_a_day(club: Club) -> None:
    club.joins("ann", {"channel": "whatsapp", "address": NUMBER})
    assert ("news", "suppress", "conversation_closed") == club.buys("ann", now() - timedelta(hours=2))
    assert "approved texts alone" in str(explain(club.world.log("ann")))
    wrote = now()
    for _ in range(2):
        assert 200 == club.writes("¿Cuándo abrís?", wrote, id="wamid.1", phone=WA_ID, user_id=USER_ID).status_code
    club.settle()
    assert (wrote, {"wa_id": WA_ID, "user_id": USER_ID}) == (club.point("ann").heard_at, club.point("ann").identifiers)
    # her message is answered, once; what is called carries the window and the number as WhatsApp writes it
    (answer,) = club.world.calls("ann")
    assert (wrote + DAY, "answer") == (answer.open_until, answer.text)
    assert {"to": WA_ID} == {name: value for name, value in (build(answer) or {}).items() if name == "to"}
    assert refusal(answer, CAPABILITIES, wrote + DAY - timedelta(seconds=1)) is None
    assert "window_closed" == getattr(refusal(answer, CAPABILITIES, wrote + DAY), "code", "")
    # until a day has passed
    assert ("news", "send", "") == club.buys("ann", wrote + timedelta(hours=1))
    assert ("news", "suppress", "conversation_closed") == club.buys("ann", wrote + DAY)
    club.world.check()


def test_who_hides_the_number_is_found_by_whatsapp_s_own_id_and_answered_by_it(club: Club) -> None:
    club.joins("eve", {"channel": "whatsapp", "address": USER_ID})
    assert "ok" == club.point("eve").health
    club.writes("Hola", now(), user_id=USER_ID)
    club.settle()
    (answer,) = club.world.calls("eve")
    assert USER_ID == (build(answer) or {}).get("recipient")
    # and one whose id came with an earlier message, by either
    club.joins("bea", {"channel": "whatsapp", "address": "+34600111222", "identifiers": {"user_id": "ES.12345678"}})
    club.writes("Hola", now(), user_id="ES.12345678")
    club.settle()
    (answer,) = club.world.calls("bea")
    assert "+34600111222" == (build(answer) or {}).get("to")


def test_a_member_on_telegram_is_found_by_the_chat(club: Club) -> None:
    club.joins("ann", {"channel": "telegram", "address": "7000111222"}, channel="telegram")
    update = {
        "update_id": 5,
        "message": {
            "chat": {"id": 7000111222, "type": "private"}, "from": {"is_bot": False},
            "date": int(now().timestamp()), "text": "hola",
        },
    }  # fmt: skip
    headers = {"X-Telegram-Bot-Api-Secret-Token": BOT}
    for _ in range(2):
        assert 200 == club.http.post("/webhooks/telegram", json=update, headers=headers).status_code
    club.settle()
    assert now() - timedelta(minutes=1) < (club.point("ann").heard_at or now() - DAY) <= now()
    assert ["heard"] == [row.state for row in club.world.log("ann", "contact_point")]


def test_a_member_begins_on_telegram_by_the_link_of_their_own_page(club: Club) -> None:
    club.joins("ann", {"channel": "whatsapp", "address": NUMBER})
    (link,) = re.findall(r'href="https://t.me/club_bot\?start=([\w-]+)"', club.http.get(own_page(club, "ann")).text)
    assert len(link) <= 64, "as long as Telegram takes"
    old = preferences_token(club.world.vault, "ann", now() - timedelta(days=30))
    for start in ("", "nonsense", old, link):
        assert 200 == club.starts(7000111222, start).status_code
        club.settle()
        known = club.world.member("ann")
        assert known is not None
        chats = [point.address for point in known.contact_points if point.channel == "telegram"]
        assert (["7000111222"] if start == link else []) == chats, "a link that has ended names nobody"
    assert "t.me" not in club.http.get(own_page(club, "ann")).text
    assert 'value="telegram"' in club.http.get(own_page(club, "ann")).text


def own_page(club: Club, member: str) -> str:
    return f"/p/{preferences_token(club.world.vault, member, now())}"


def test_who_nobody_knows_and_who_says_stop_opens_nothing(club: Club) -> None:
    club.joins("ann", {"channel": "whatsapp", "address": NUMBER})
    club.writes("Hola", now(), phone="34600999888", user_id="ES.98765432")
    club.writes("STOP", now(), phone=WA_ID, user_id=USER_ID)
    club.settle()
    assert (None, []) == (club.point("ann").heard_at, club.world.calls("ann"))
    assert {"whatsapp"} == {row.channel for row in club.world.store.suppressions()}


def test_nothing_of_what_was_written_is_kept(club: Club) -> None:
    club.joins("ann", {"channel": "whatsapp", "address": NUMBER})
    club.writes("my secret wish", now(), phone=WA_ID, user_id=USER_ID)
    club.settle()
    raw = b"".join(path.read_bytes() for path in club.file.parent.glob("store.db*"))
    for secret in (b"secret wish", NUMBER.encode(), WA_ID.encode(), USER_ID.encode()):
        assert secret not in raw


def test_whatever_a_platform_calls_somebody_fails_no_turn(club: Club) -> None:
    club.joins("ann", {"channel": "whatsapp", "address": NUMBER})
    wrote = now()
    club.writes("Hola", wrote, phone=WA_ID, user_id="x" * 180)
    club.settle()
    assert (wrote, {"wa_id": WA_ID}) == (club.point("ann").heard_at, club.point("ann").identifiers)
    assert 0 == club.world.total("parked")
