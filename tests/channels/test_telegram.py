"""A bot at a scripted provider on loopback: what leaves, what each answer comes to, what updates say."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.channels import http
from orchestrator.channels.contract import Answer, Message
from orchestrator.channels.secret import Secret
from orchestrator.channels.telegram.bot.receipts import PATH, SECRET_TOKEN, Webhook, open_receivers, read_answer
from orchestrator.channels.telegram.bot.send import Bot, open_adapter
from orchestrator.channels.webhooks import Forged, Heard, Hook, Inbound, Malformed, Preference, Said
from orchestrator.errors import SetupError
from orchestrator.settings import Settings, TelegramSettings
from orchestrator.testing.api_suite import Account, ApiSuite, refused_connection, sent
from orchestrator.testing.channel_suite import KEY
from orchestrator.testing.provider import Reply, Request, json_reply
from tests.channels.providers import NOW, reference

TAKEN = json_reply(
    200,
    {"ok": True, "result": {"message_id": 365, "date": 1795305600, "chat": {"id": 7000111222, "type": "private"}}},
)


def error(status: int, **parameters: int) -> Reply:
    told = {"ok": False, "error_code": status, "description": "about Lucía"}
    return json_reply(status, {**told, "parameters": parameters} if parameters else told)


def bot(host: str, timeout_s: float = 5.0) -> Bot:
    settings = TelegramSettings(host=host, timeout_s=timeout_s, calls=4)
    return Bot(settings, token=Secret(KEY), clock=lambda: NOW)


def touch_id(request: Request) -> str:
    """Telegram carries nothing of ours: the suite's words end with it."""
    return str(request.json["text"]).rpartition(" ")[2]


ACCOUNT = Account(bot, TAKEN, error(403), touch_id)


class TestBot(ApiSuite):
    channel = "telegram"
    account = ACCOUNT

    def message(self, touch_id: str = "touch-1", *, subject: str = "Hello") -> Message:
        usual = super().message(touch_id, subject=subject)
        return replace(usual, text=f"{usual.text} {touch_id}")


def message(**changes: object) -> Message:
    facts = {
        "touch_id": "0193-touch",
        "channel": "telegram",
        "to": "7000111222",
        "purpose": "marketing",
        "journey": "welcome",
        "locale": "es-ES",
        "text": "Hola, <Lucía> *_[x](y)",
    }
    return Message(**{**facts, **changes})  # type: ignore[arg-type] # as given


# --- what leaves


@pytest.mark.parametrize("media", ["", "https://example.com/cake.png"])
def test_a_request_is_what_the_published_description_asks_for(media: str) -> None:
    api = json.loads(reference("contracts/telegram/bot_api_subset.json").read_bytes())
    answer, (request,) = sent(ACCOUNT, message(media=media))
    assert Answer(kind="accepted", code="200", provider_id="365") == answer
    method = api["methods"][request.path.rpartition("/")[2]]
    fields = {field["name"]: field for field in method["fields"]}
    types = {str: "String", int: "Integer"}
    for name, value in request.json.items():
        assert types[type(value)] in fields[name]["types"]
    assert {name for name, field in fields.items() if field["required"]} <= set(request.json)
    # what the answer tells is part of a Message
    (told,) = method["returns"]
    assert "message_id" in {field["name"] for field in api["types"][told]["fields"]}


def test_the_words_go_as_they_are_so_that_no_name_becomes_a_mark_up() -> None:
    _, (request,) = sent(ACCOUNT, message())
    assert ("POST", f"/bot{KEY}/sendMessage") == (request.method, request.target)
    assert {"chat_id": 7000111222, "text": "Hola, <Lucía> *_[x](y)"} == request.json
    _, (request,) = sent(ACCOUNT, message(media="https://example.com/cake.png"))
    assert f"/bot{KEY}/sendPhoto" == request.target
    assert ("https://example.com/cake.png", message().text) == (request.json["photo"], request.json["caption"])


@pytest.mark.parametrize(
    ("bad", "kind", "code"),
    [
        (message(to="@lucia"), "rejected_recipient", "bad_recipient"),
        (message(to="0"), "rejected_recipient", "bad_recipient"),
        (message(text="a" * 4_097), "rejected_message", "too_long"),
        (message(text="a" * 1_025, media="https://example.com/cake.png"), "rejected_message", "too_long"),
        (message(media="cake.png"), "rejected_message", "bad_media"),
    ],
)
def test_what_can_not_be_carried_is_refused_by_name_without_a_call(bad: Message, kind: str, code: str) -> None:
    answer, requests = sent(ACCOUNT, bad)
    assert (kind, code, []) == (answer.kind, answer.code, requests)


# --- what comes back

ANSWERS = [
    (TAKEN, "accepted", "200"),
    (error(400), "rejected_message", "400"),
    (error(400, migrate_to_chat_id=-100), "rejected_recipient", "400 migrated"),
    (error(401), "rejected_sender", "401"),
    (error(403), "rejected_recipient", "403"),
    (error(404), "rejected_sender", "404"),
    (error(413), "rejected_message", "413"),
    (error(429, retry_after=5), "throttled", "429"),
    (error(500), "unknown", "500"),
    (Reply(502, {}, b"<html>"), "unknown", "502"),
    (error(418), "unknown", "418"),
    (Reply(200, {}, b"garbage"), "unknown", "200"),
    (json_reply(200, {"ok": True}), "unknown", "200"),
    (json_reply(200, {"ok": False, "error_code": 403}), "rejected_recipient", "403"),
    (Reply(302, {"Location": "https://example.invalid"}), "unknown", "302"),
]


@pytest.mark.parametrize(("reply", "kind", "code"), ANSWERS)
def test_each_answer_has_its_outcome_and_costs_one_call(reply: Reply, kind: str, code: str) -> None:
    answer, requests = sent(ACCOUNT, message(), reply)
    assert (kind, code, 1) == (answer.kind, answer.code, len(requests))
    # who blocked the bot has opted out
    assert (code == "403") == answer.opted_out


@pytest.mark.parametrize(("told", "wait"), [(5, 5), (99_999, 3_600), (10**18, 3_600), (-1, None)])
def test_a_throttled_call_waits_as_long_as_it_is_asked_to(told: int, wait: int | None) -> None:
    answer = read_answer(http.Reply(429, {}, error(429, retry_after=told).body))
    assert (None if wait is None else timedelta(seconds=wait)) == answer.retry_after


def test_the_token_in_every_address_is_logged_at_no_level(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    with caplog.at_level(logging.DEBUG):
        for reply in (TAKEN, error(400), error(500)):
            sent(ACCOUNT, message(), reply)
        refused_connection(ACCOUNT, message())
    assert not [word for word in (KEY, "7000111222", "Hola") if word in caplog.text]


def test_the_token_comes_from_the_environment_and_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="ORCHESTRATOR_TELEGRAM_TOKEN"):
        open_adapter("telegram", Settings(), tmp_path, lambda: NOW)
    monkeypatch.setenv("ORCHESTRATOR_TELEGRAM_TOKEN", "123/../456")
    with pytest.raises(SetupError, match="BotFather") as caught:
        open_adapter("telegram", Settings(), tmp_path, lambda: NOW)
    assert "456" not in str(caught.value)
    monkeypatch.setenv("ORCHESTRATOR_TELEGRAM_TOKEN", KEY)
    adapter = open_adapter("telegram", Settings(), tmp_path, lambda: NOW)
    assert "Bot(16 calls)" == repr(adapter)
    assert KEY not in repr(vars(adapter))


# --- updates

SECRET = Secret("webhook-secret")
AT = datetime(2026, 11, 22, tzinfo=UTC)
PRIVATE = {"id": 7000111222, "type": "private", "first_name": "Lucía"}


def hook(update: object, secret: str = SECRET.reveal()) -> Hook:
    return Hook(url=f"https://club.example.com{PATH}", headers={SECRET_TOKEN: secret}, body=json.dumps(update).encode())


def heard(**update: object) -> Heard:
    return Webhook([SECRET]).read(hook({"update_id": 10000, **update}), NOW)


def wrote(text: str, **more: object) -> Said:
    told = {"message_id": 1365, "date": int(AT.timestamp()), "chat": PRIVATE, "from": {"id": 7000111222}, "text": text}
    (word,) = heard(message={**told, **more}).said
    return word


def test_a_message_tells_who_wrote_what_in_answer_to_what() -> None:
    word = wrote("gracias", reply_to_message={"message_id": 365})
    assert Inbound(
        key="update 10000", channel="telegram", at=AT, sender="7000111222", text="gracias", answers="365"
    ) == word  # fmt: skip
    assert "gracias" not in repr(word)
    assert "7000111222" not in repr(word)


@pytest.mark.parametrize(
    ("text", "wants", "link"),
    [
        ("/start Zx81kQ_-a", "start", "Zx81kQ_-a"),
        ("/start", "start", ""),
        ("/stop", "stop", ""),
        ("/STOP@club_bot", "stop", ""),
        ("/help ", "help", ""),
        ("stop", "", ""),
        ("/start not a link at all", "", ""),
        ("/start " + "a" * 65, "", ""),
    ],
)
def test_commands_are_told_apart_and_a_deep_link_says_whose_chat_it_is(text: str, wants: str, link: str) -> None:
    word = wrote(text)
    assert isinstance(word, Inbound)
    assert (wants, link) == (word.wants, word.link)


@pytest.mark.parametrize(("status", "wants"), [("kicked", "stop"), ("member", "resume")])
def test_who_blocks_the_bot_opts_out_and_coming_back_is_no_consent(status: str, wants: str) -> None:
    change = {"chat": PRIVATE, "date": int(AT.timestamp()), "new_chat_member": {"status": status}}
    (word,) = heard(my_chat_member=change).said
    assert isinstance(word, Preference)
    assert (wants, "any", "7000111222", AT) == (word.wants, word.purpose, word.sender, word.at)


@pytest.mark.parametrize(
    "update",
    [
        {},
        {"message": {"chat": {"id": -100, "type": "supergroup"}, "text": "x", "date": 1}},
        {"message": {"chat": PRIVATE, "from": {"is_bot": True}, "text": "x"}},
        {"edited_message": {"chat": PRIVATE, "text": "x"}},
        {"my_chat_member": {"chat": PRIVATE, "new_chat_member": {"status": "left"}}},
        {"my_chat_member": {"chat": {"id": -1, "type": "group"}, "new_chat_member": {"status": "kicked"}}},
    ],
)
def test_what_is_no_word_of_a_member_is_passed_over(update: dict[str, Any]) -> None:
    assert Heard(passed_over=1) == heard(**update)


def test_without_the_secret_nothing_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    for secret in ("", "guess", SECRET.reveal() + "x", "é"):
        with pytest.raises(Forged):
            Webhook([SECRET]).read(hook({"update_id": 1}, secret), NOW)
    with pytest.raises(Forged):
        Webhook([SECRET]).read(Hook(url="", body=b"not JSON"), NOW)
    for update in (None, [], "x", {}, {"update_id": None}):
        with pytest.raises(Malformed):
            Webhook([SECRET]).read(hook(update), NOW)
    assert {} == open_receivers(Settings())
    monkeypatch.setenv("ORCHESTRATOR_TELEGRAM_WEBHOOK_SECRET", "new-secret")
    monkeypatch.setenv("ORCHESTRATOR_TELEGRAM_WEBHOOK_SECRET_PREVIOUS", SECRET.reveal())
    receiver = open_receivers(Settings())[PATH]
    for secret in ("new-secret", SECRET.reveal()):
        assert Heard(passed_over=1) == receiver.read(hook({"update_id": 1}, secret), NOW)


def test_the_parts_of_an_update_that_are_read_are_the_published_ones() -> None:
    types = json.loads(reference("contracts/telegram/bot_api_subset.json").read_bytes())["types"]
    read = {
        "Update": {"update_id", "message", "my_chat_member"},
        "Message": {"chat", "from", "text", "caption", "date", "reply_to_message"},
        "ChatMemberUpdated": {"chat", "date", "new_chat_member"},
        "Chat": {"id", "type"},
        "User": {"is_bot"},
        "ResponseParameters": {"retry_after", "migrate_to_chat_id"},
    }
    for name, fields in read.items():
        assert fields <= {field["name"] for field in types[name]["fields"]}, name


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["chat", "from", "text", "date", "new_chat_member", "reply_to_message"]), JUNK))
def test_whatever_an_update_holds_is_read_or_passed_over(part: dict[str, Any]) -> None:
    for name in ("message", "my_chat_member"):
        for chat in (part.get("chat"), PRIVATE):
            told = heard(**{name: {**part, "chat": chat}})
            assert 1 == len(told.said) + told.passed_over
