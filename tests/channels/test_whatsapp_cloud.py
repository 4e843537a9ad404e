"""The Cloud API at a scripted provider on loopback: what leaves, and what each answer comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from openapi_core.validation.request.exceptions import RequestValidationError

from orchestrator.channels import http
from orchestrator.channels.approvals import HOLDS
from orchestrator.channels.contract import Adapter, Answer, Message
from orchestrator.channels.secret import Secret
from orchestrator.channels.whatsapp.cloud.codes import CODES, read_answer, state_of
from orchestrator.channels.whatsapp.cloud.send import Cloud, open_adapter
from orchestrator.errors import SetupError
from orchestrator.settings import DispatchSettings, Settings, WhatsAppSettings
from orchestrator.testing.api_suite import Account, ApiSuite, on_provider, sent
from orchestrator.testing.channel_suite import KEY
from orchestrator.testing.provider import CUT, Provider, Reply, Request, json_reply
from tests.channels.providers import NOW, check_request, check_response

CONTRACT, HOST = "meta/business-messaging-api_v23.0.yaml", "https://graph.facebook.com"
NUMBER_ID, WAMID = "106540352242922", "wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBJCOTY3NDc0NDFDRUI3NTA0Q0UA"
TAKEN = json_reply(
    200,
    {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+34600111222", "wa_id": "34600111222"}],
        "messages": [{"id": WAMID, "message_status": "accepted"}],
    },
)


def error(status: int, code: int | None, **headers: str) -> Reply:
    told: dict[str, object] = {"message": "+34600111222 is wrong", "type": "OAuthException", "fbtrace_id": "AZ"}
    return json_reply(status, {"error": told if code is None else {"code": code, **told}}, **headers)


def cloud(host: str, timeout_s: float = 5.0, *, clock: Callable[[], datetime] = lambda: NOW, calls: int = 4) -> Cloud:
    settings = WhatsAppSettings(host=host, phone_number_id=NUMBER_ID, timeout_s=timeout_s, calls=calls)
    return Cloud(settings, token=Secret(KEY), clock=clock)


def touch_id(request: Request) -> str:
    return str(request.json["biz_opaque_callback_data"])


ACCOUNT = Account(cloud, TAKEN, error(400, 131026), touch_id)


class TestCloud(ApiSuite):
    channel = "whatsapp"
    account = ACCOUNT


def message(**changes: object) -> Message:
    facts = {
        "touch_id": "0193-touch",
        "channel": "whatsapp",
        "to": "+34600111222",
        "purpose": "marketing",
        "journey": "birthday",
        "locale": "es-MX",
        "text": "Feliz cumpleaños, Lucía: 1.200 puntos",
        "template": "birthday_gift",
        "template_language": "es_MX",
        "variables": ("Lucía", "1.200"),
    }
    return Message(**{**facts, **changes})  # type: ignore[arg-type] # as given


def free(**changes: object) -> Message:
    return message(template="", variables=(), **{"open_until": NOW + timedelta(hours=1), **changes})


# --- what leaves


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"variables": ()},
        {"media": "https://example.com/cake.png"},
        {"identifiers": {"wa_id": "5215512345678", "user_id": "MX.13491208655302741918"}},
    ],
)
def test_a_template_is_what_the_published_contract_asks_for(changes: dict[str, object]) -> None:
    answer, (request,) = sent(ACCOUNT, message(**changes))
    check_request(CONTRACT, HOST, request)
    check_response(CONTRACT, HOST, request, TAKEN)
    assert Answer(kind="accepted", code="200", provider_id=WAMID) == answer
    assert ("POST", f"/v23.0/{NUMBER_ID}/messages") == (request.method, request.target)
    assert f"Bearer {KEY}" == request.headers["authorization"]


def test_the_contract_check_would_see_a_wrong_request() -> None:
    _, (request,) = sent(ACCOUNT, message())
    for before, after in ((b'"language"', b'"tongue"'), (b'"recipient_type"', b'"kind"'), (b'"to"', b'"for"')):
        with pytest.raises(RequestValidationError):
            check_request(CONTRACT, HOST, request, data=request.body.replace(before, after))


def test_a_template_carries_its_language_its_values_in_order_its_picture_and_the_touch_id() -> None:
    _, (request,) = sent(ACCOUNT, message(media="https://example.com/cake.png"))
    assert {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+34600111222",
        "type": "template",
        "template": {
            "name": "birthday_gift",
            "language": {"code": "es_MX", "policy": "deterministic"},
            "components": [
                {
                    "type": "header",
                    "parameters": [{"type": "image", "image": {"link": "https://example.com/cake.png"}}],
                },
                {"type": "body", "parameters": [{"type": "text", "text": "Lucía"}, {"type": "text", "text": "1.200"}]},
            ],
        },
        "biz_opaque_callback_data": "0193-touch",
    } == request.json


# the published contract forbids every free text (allOf with additionalProperties: false); the service takes them
@pytest.mark.parametrize(
    ("changes", "kind", "content"),
    [
        ({}, "text", {"body": "Feliz cumpleaños, Lucía: 1.200 puntos"}),
        (
            {"media": "https://example.com/cake.png"},
            "image",
            {"link": "https://example.com/cake.png", "caption": "Feliz cumpleaños, Lucía: 1.200 puntos"},
        ),
    ],
)
def test_free_text_goes_while_the_conversation_is_open_and_not_after(
    changes: dict[str, object], kind: str, content: dict[str, str]
) -> None:
    _, (request,) = sent(ACCOUNT, free(**changes))
    assert (kind, content) == (request.json["type"], request.json[kind])
    for closed in (None, NOW):
        answer, requests = sent(ACCOUNT, free(**changes, open_until=closed))
        assert ("rejected_message", "window_closed", []) == (answer.kind, answer.code, requests)


def test_a_template_that_only_another_provider_knows_is_refused_by_name() -> None:
    answer, requests = sent(ACCOUNT, message(template="", content_sid="HX" + "0" * 32))
    assert ("rejected_message", "no_template", []) == (answer.kind, answer.code, requests)


@pytest.mark.parametrize(
    ("to", "identifiers", "named"),
    [
        ("+525512345678", {}, {"to": "+525512345678"}),
        # the form that WhatsApp last wrote reaches where the usual one may not
        ("+525512345678", {"wa_id": "5215512345678", "user_id": "MX.13491208655302741918"}, {"to": "5215512345678"}),
        ("+525512345678", {"user_id": "MX.13491208655302741918"}, {"to": "+525512345678"}),
        # a member without a visible number
        ("MX.13491208655302741918", {}, {"recipient": "MX.13491208655302741918"}),
        ("nobody", {"user_id": "MX.13491208655302741918"}, {"recipient": "MX.13491208655302741918"}),
    ],
)
def test_a_member_is_reached_by_number_or_by_business_scoped_id(
    to: str, identifiers: dict[str, str], named: dict[str, str]
) -> None:
    _, (request,) = sent(ACCOUNT, message(to=to, identifiers=identifiers))
    assert named == {name: request.json[name] for name in ("to", "recipient") if name in request.json}


@pytest.mark.parametrize(
    ("bad", "kind", "code"),
    [
        (message(to="600111222"), "rejected_recipient", "bad_recipient"),
        (message(to="", identifiers={"user_id": "nonsense"}), "rejected_recipient", "bad_recipient"),
        (message(media="ftp://example.com/cake.png"), "rejected_message", "bad_media"),
        (free(text="a" * 4_097), "rejected_message", "too_long"),
        (free(text="a" * 1_025, media="https://example.com/cake.png"), "rejected_message", "too_long"),
    ],
)
def test_what_can_not_be_carried_is_refused_by_name_without_a_call(bad: Message, kind: str, code: str) -> None:
    answer, requests = sent(ACCOUNT, bad)
    assert (kind, code, []) == (answer.kind, answer.code, requests)


# --- what comes back

LISTED = {
    "rejected_recipient": [131026, 131050],
    "rejected_message": [131049, 130472, 131047, 132000, 132001, 132005, 132007, 132012, 132015, 132016, 131062, 100],
    "throttled": [4, 80007, 130429, 131056, 131048],
    "rejected_sender": [0, 3, 10, 190, 200, 250, 299, 368, 131031, 131042, 130497],
    "transient": [131016, 131057],
    "unknown": [131000, 135000],
}


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in LISTED.items() for code in codes])
@pytest.mark.parametrize("status", [400, 500])
def test_each_documented_code_has_its_outcome_whatever_the_status(kind: str, code: int, status: int) -> None:
    answer = read_answer(http.Reply(status, {}, error(status, code).body))
    assert (kind, f"{status} {code}") == (answer.kind, answer.code)
    # who stopped our marketing is well, and gets no more of it
    assert (code == 131050) == answer.opted_out


ANSWERS = [
    (error(400, 131026), "rejected_recipient", "400 131026"),
    (error(429, 130429), "throttled", "429 130429"),
    (error(503, 131016), "transient", "503 131016"),
    (error(500, 131000), "unknown", "500 131000"),
    # a code that nobody knows suppresses nobody, and is kept
    (error(400, 98765), "unknown", "400 98765"),
    (error(401, None), "rejected_sender", "401"),
    (error(403, 98765), "rejected_sender", "403 98765"),
    (error(429, None), "throttled", "429"),
    (error(400, None), "unknown", "400"),
    (Reply(502, {}, b"<html>"), "unknown", "502"),
    (Reply(200, {}, b"garbage"), "unknown", "200"),
    (json_reply(200, {"messages": []}), "unknown", "200"),
    (json_reply(200, {"messages": [{"id": ""}]}), "unknown", "200"),
    # taken or refused: a page can't be both
    (json_reply(200, {"messages": [{"id": "x"}], "error": {"code": 131026}}), "unknown", "200 131026"),
    (Reply(200, {}, b"x" * (1 << 19)), "unknown", "200 long"),
    (Reply(302, {"Location": "https://example.invalid"}), "unknown", "302"),
]


@pytest.mark.parametrize(("reply", "kind", "code"), ANSWERS)
def test_each_answer_has_its_outcome_and_costs_one_call(reply: Reply, kind: str, code: str) -> None:
    answer, requests = sent(ACCOUNT, message(), reply)
    assert (kind, code, 1) == (answer.kind, answer.code, len(requests))


def test_a_throttled_call_waits_as_long_as_it_is_asked_to() -> None:
    assert timedelta(seconds=7) == sent(ACCOUNT, message(), error(429, 4, Retry_After="7"))[0].retry_after
    assert sent(ACCOUNT, message(), error(429, 4))[0].retry_after is None


def test_connections_are_kept_and_one_that_the_server_closed_meanwhile_costs_no_message() -> None:
    async def work(adapter: Adapter, provider: Provider) -> None:
        for _ in range(3):
            assert "accepted" == (await adapter.send(message())).kind
        assert 1 == provider.connections
        await provider.drop()
        await asyncio.sleep(0.05)
        assert "accepted" == (await adapter.send(message())).kind
        provider.step = CUT
        assert "unknown" == (await adapter.send(message())).kind
        provider.step = TAKEN
        assert "accepted" == (await adapter.send(message())).kind
        assert 6 == len(provider.requests)

    on_provider(ACCOUNT, work)


@pytest.mark.parametrize("code", [132001, 132015, 132016])
def test_a_template_that_was_stopped_is_not_called_again_for_an_hour(code: int) -> None:
    times = iter([NOW, NOW, NOW, NOW + HOLDS])

    async def work(adapter: Adapter, provider: Provider) -> None:
        provider.step = error(400, code)
        assert f"400 {code}" == (await adapter.send(message())).code
        provider.step = TAKEN
        # each language is approved by itself
        assert "accepted" == (await adapter.send(message(template_language="pt_BR"))).kind
        assert Answer(kind="rejected_message", code="template_stopped") == await adapter.send(message())
        assert "accepted" == (await adapter.send(message())).kind

    on_provider(ACCOUNT._replace(open=lambda host, timeout_s: cloud(host, timeout_s, clock=lambda: next(times))), work)


# --- setting up


def test_the_token_comes_from_the_environment_and_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = Settings(dispatch=DispatchSettings(whatsapp=WhatsAppSettings(phone_number_id=NUMBER_ID)))
    with pytest.raises(SetupError, match="ORCHESTRATOR_WHATSAPP_TOKEN"):
        open_adapter("whatsapp", settings, tmp_path, lambda: NOW)
    monkeypatch.setenv("ORCHESTRATOR_WHATSAPP_TOKEN", KEY)
    with pytest.raises(SetupError, match="phone_number_id"):
        open_adapter("whatsapp", Settings(), tmp_path, lambda: NOW)
    adapter = open_adapter("whatsapp", settings, tmp_path, lambda: NOW)
    assert "Cloud(16 calls)" == repr(adapter)
    assert KEY not in repr(vars(adapter))


# --- what comes later


def test_each_code_of_a_failed_status_has_its_state() -> None:
    assert {code: row.later for code, row in CODES.items()} == {code: state_of("failed", code) for code in CODES}
    assert ("bounced", "opted_out", "failed") == tuple(state_of("failed", code) for code in (131026, 131050, 131049))
    # a code that nobody knows suppresses nobody
    assert "failed" == state_of("failed", 98765)
    assert ["sent", "delivered", "opened", "opened"] == [
        state_of(status, 0) for status in ("sent", "delivered", "read", "played")
    ]
    assert state_of("deleted", 0) is None


def test_a_message_is_the_same_request_each_time() -> None:
    first, second = (sent(ACCOUNT, replace(message()))[1][0] for _ in range(2))
    assert first.body == second.body
