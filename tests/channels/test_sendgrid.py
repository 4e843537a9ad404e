"""SendGrid through its own client, at a scripted provider on loopback: what leaves, and what each answer comes to."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from openapi_core.validation.request.exceptions import InvalidRequestBody

from orchestrator.channels import http
from orchestrator.channels.contract import Adapter, Answer, Message
from orchestrator.channels.email.sendgrid.receipts import read_answer
from orchestrator.channels.email.sendgrid.send import SendGrid, build, open_adapter
from orchestrator.channels.secret import Secret
from orchestrator.errors import SetupError
from orchestrator.settings import SendGridSettings, Settings
from orchestrator.testing.api_suite import Account, ApiSuite, on_provider, sent
from orchestrator.testing.channel_suite import KEY
from orchestrator.testing.provider import Provider, Reply, Request, json_reply
from tests.channels.providers import NOW, check_request, check_response

CONTRACT, HOST = "sendgrid/tsg_mail_v3.json", "https://api.sendgrid.com"
TAKEN = Reply(202, {"X-Message-Id": "LRzXl_NHStOGhQ4kofSm_A"})


def error(status: int, field: str | None, text: str = "lucia@example.org is wrong") -> Reply:
    return json_reply(status, {"errors": [{"message": text} | ({"field": field} if field else {})]})


def sendgrid(host: str, timeout_s: float = 5.0, *, sandbox: bool = False) -> SendGrid:
    settings = SendGridSettings(host=host, timeout_s=timeout_s, calls=4, sandbox=sandbox)
    return SendGrid(settings, api_key=Secret(KEY), programme="Club", clock=lambda: NOW)


def touch_id(request: Request) -> str:
    (one,) = request.json["personalizations"]  # type: ignore[misc] # a list
    return str(one["custom_args"]["touch_id"])


ACCOUNT = Account(sendgrid, TAKEN, error(400, "personalizations.0.to.0.email"), touch_id)


class TestSendGrid(ApiSuite):
    account = ACCOUNT


def message(**changes: str) -> Message:
    facts = {
        "touch_id": "0193-touch",
        "channel": "email",
        "to": "lucia@example.org",
        "purpose": "marketing",
        "journey": "welcome",
        "locale": "es-ES",
        "subject": "Lucía, te damos la bienvenida",
        "html": "<p>¡Hola, Lucía!</p>",
        "text": "¡Hola, Lucía!",
        "sender_name": "Club Ñandú",
        "sender": "club@example.com",
        "reply_to": "help@example.com",
        "unsubscribe": "https://example.com/u/Zx81kQ",
    }
    return Message(**{**facts, **changes})


# --- what leaves


@pytest.mark.parametrize("changes", [{}, {"html": ""}, {"purpose": "service"}, {"reply_to": "", "sender_name": ""}])
@pytest.mark.parametrize("sandbox", [False, True])
def test_a_request_is_what_the_published_contract_asks_for(changes: dict[str, str], sandbox: bool) -> None:
    account = ACCOUNT._replace(open=lambda host, timeout_s: sendgrid(host, timeout_s, sandbox=sandbox))
    answer, (request,) = sent(account, message(**changes))
    check_request(CONTRACT, HOST, request)
    assert ("accepted", "POST", "/v3/mail/send") == (answer.kind, request.method, request.target)
    assert ("Bearer " + KEY, "application/json") == (request.headers["authorization"], request.headers["content-type"])
    assert sandbox == ("mail_settings" in request.json)


def test_the_contract_check_would_see_a_wrong_request() -> None:
    _, (request,) = sent(ACCOUNT, message())
    with pytest.raises(InvalidRequestBody):
        check_request(CONTRACT, HOST, request, data=request.body.replace(b'"personalizations"', b'"persons"'))


def test_the_touch_id_is_the_only_word_about_the_member_that_sendgrid_keeps() -> None:
    _, (request,) = sent(ACCOUNT, message())
    (one,) = request.json["personalizations"]
    assert {"touch_id": "0193-touch"} == one["custom_args"]
    assert [{"email": "lucia@example.org"}] == one["to"]
    assert ["welcome"] == request.json["categories"]
    # typed as a string by the contract, and as an object by the service: never there
    assert "custom_args" not in request.json


def test_where_an_address_takes_opt_outs_the_header_names_it_too() -> None:
    mail: Any = build(message(unsubscribe="https://example.com/u/Zx81kQ"), "Club", opt_out_mail="out@in.example.com")
    (one,) = mail["personalizations"]
    assert "<https://example.com/u/Zx81kQ>, <mailto:out+Zx81kQ@in.example.com>" == one["headers"]["List-Unsubscribe"]


def test_marketing_carries_the_one_click_opt_out_in_one_piece_however_long_it_is() -> None:
    long = "https://club.example.com/u/" + "a" * 400
    _, (request,) = sent(ACCOUNT, message(unsubscribe=long))
    (one,) = request.json["personalizations"]
    assert f"<{long}>" == one["headers"]["List-Unsubscribe"]
    assert "List-Unsubscribe=One-Click" == one["headers"]["List-Unsubscribe-Post"]
    assert b"=?" not in request.body
    _, (service,) = sent(ACCOUNT, message(purpose="service"))
    (one,) = service.json["personalizations"]
    assert {"Feedback-ID", "Auto-Submitted"} == set(one["headers"])


def test_nothing_is_tracked_and_no_opt_out_of_sendgrids_own_is_written() -> None:
    _, (request,) = sent(ACCOUNT, message())
    tracking = request.json["tracking_settings"]
    assert isinstance(tracking, dict)
    assert {False} == {setting["enable"] for setting in tracking.values()}
    assert "asm" not in request.json


@pytest.mark.parametrize(
    ("changes", "kind", "code"),
    [
        ({"to": "lucía@example.org"}, "rejected_recipient", "smtputf8"),
        ({"to": "nobody"}, "rejected_recipient", "bad_recipient"),
        ({"sender": ""}, "rejected_sender", "bad_sender"),
        ({"subject": "a\r\nBcc: b@example.org"}, "rejected_message", "control_character"),
        ({"subject": ""}, "rejected_message", "no_subject"),
        ({"unsubscribe": "http://example.com/u"}, "rejected_message", "bad_unsubscribe"),
        ({"touch_id": "a b"}, "rejected_message", "bad_touch_id"),
    ],
)
def test_what_can_not_be_carried_is_refused_by_name_without_a_call(
    changes: dict[str, str], kind: str, code: str
) -> None:
    answer, requests = sent(ACCOUNT, message(**changes))
    assert (kind, code, []) == (answer.kind, answer.code, requests)


def test_the_same_message_is_the_same_request() -> None:
    assert build(message(), "Club") == build(message(), "Club")


# --- what comes back

ANSWERS = [
    (TAKEN, "accepted", "202"),
    (error(400, "personalizations.0.to.0.email"), "rejected_recipient", "400 personalizations.0.to.0.email"),
    (error(400, "from.email"), "rejected_sender", "400 from.email"),
    (error(400, "content.0.value"), "rejected_message", "400 content.0.value"),
    (error(400, "null"), "rejected_message", "400 null"),
    (error(400, None), "rejected_message", "400"),
    (error(400, "lucia@example.org was refused"), "rejected_message", "400"),
    (error(401, None), "rejected_sender", "401"),
    (error(403, "from"), "rejected_sender", "403 from"),
    (error(404, None), "rejected_sender", "404"),
    (error(405, None), "rejected_message", "405"),
    (Reply(413, {"Content-Type": "text/html"}, b"<html>nginx</html>"), "rejected_message", "413"),
    (error(415, None), "rejected_message", "415"),
    (error(429, None), "throttled", "429"),
    (error(500, None), "unknown", "500"),
    (error(503, None), "unknown", "503"),
    (Reply(504), "unknown", "504"),
    (Reply(502, {}, b"\x00garbage"), "unknown", "502"),
    (Reply(200, {}, b"{}"), "unknown", "200"),
    (Reply(201), "unknown", "201"),
    (error(418, None), "unknown", "418"),
]


@pytest.mark.parametrize(("reply", "kind", "code"), ANSWERS)
def test_each_answer_has_its_outcome_and_costs_one_call(reply: Reply, kind: str, code: str) -> None:
    answer, requests = sent(ACCOUNT, message(), reply)
    assert (kind, code, 1) == (answer.kind, answer.code, len(requests))


@pytest.mark.parametrize("reply", [reply for reply, _, _ in ANSWERS if reply.status in {202, 400, 401, 403, 404, 500}])
def test_scripted_answers_are_ones_that_the_published_contract_knows(reply: Reply) -> None:
    _, (request,) = sent(ACCOUNT, message(), reply)
    check_response(CONTRACT, HOST, request, reply)


def test_a_message_that_was_taken_keeps_sendgrids_id() -> None:
    assert "LRzXl_NHStOGhQ4kofSm_A" == sent(ACCOUNT, message())[0].provider_id


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 90)}, timedelta(seconds=90)),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) - 90)}, timedelta(0)),
        ({"X-RateLimit-Reset": "soon"}, None),
        ({"Retry-After": "7"}, timedelta(seconds=7)),
        ({"Retry-After": "9" * 40}, timedelta(hours=1)),
    ],
)
def test_a_throttled_call_waits_as_long_as_it_is_asked_to(headers: dict[str, str], wait: timedelta | None) -> None:
    assert wait == sent(ACCOUNT, message(), Reply(429, headers))[0].retry_after


def test_in_sandbox_mode_200_says_that_it_would_have_been_taken() -> None:
    account = ACCOUNT._replace(open=lambda host, timeout_s: sendgrid(host, timeout_s, sandbox=True))
    assert Answer(kind="accepted", code="200 sandbox") == sent(account, message(), Reply(200))[0]


# --- traps of the client library, as it comes


def test_neither_key_nor_message_is_logged_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("python_http_client").setLevel(logging.NOTSET)
    with caplog.at_level(logging.DEBUG):
        for reply in (TAKEN, error(400, None)):
            sent(ACCOUNT, message(), reply)
    assert not [word for word in (KEY, "lucia@example.org", "Hola") if word in caplog.text]


def test_a_call_that_outlives_its_deadline_does_not_hold_the_next_one() -> None:
    async def work(adapter: Adapter, provider: Provider) -> None:
        provider.step = "DRIP"
        assert Answer(kind="unknown", code="timeout") == await adapter.send(message())
        provider.step = TAKEN
        assert "accepted" == (await adapter.send(message())).kind

    on_provider(ACCOUNT, work, timeout_s=0.4)


def test_where_every_slot_is_held_a_message_waits_and_is_surely_not_sent() -> None:
    async def work(adapter: Adapter, provider: Provider) -> None:
        provider.step = "DRIP"
        for _ in range(adapter.slots):
            await adapter.send(message())
        assert Answer(kind="transient", code="busy") == await adapter.send(message())
        assert adapter.slots == len(provider.requests)

    on_provider(ACCOUNT, work, timeout_s=0.3)


# --- setting up


def test_the_key_comes_from_the_environment_or_a_file_and_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    variable = SendGridSettings().api_key_env
    with pytest.raises(SetupError, match=f"{variable}_FILE"):
        open_adapter("email", Settings(), tmp_path, lambda: NOW)
    monkeypatch.setenv(variable, "SG.two words")
    with pytest.raises(SetupError, match="spaces"):
        open_adapter("email", Settings(), tmp_path, lambda: NOW)
    monkeypatch.delenv(variable)
    (tmp_path / "key").write_text(f"{KEY}\n", encoding="utf-8")
    monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / "key"))
    adapter = open_adapter("email", Settings(), tmp_path, lambda: NOW)
    assert "SendGrid(16 calls)" == repr(adapter)
    assert KEY not in repr(vars(adapter)) + repr(Secret(KEY)) + str(Secret(KEY))
    monkeypatch.setenv(f"{variable}_FILE", str(tmp_path / "none"))
    with pytest.raises(SetupError, match="can't be read"):
        open_adapter("email", Settings(), tmp_path, lambda: NOW)


def test_an_answer_may_hold_anything() -> None:
    for body in (b"", b"null", b"[]", b'{"errors": null}', b'{"errors": [null]}', b"[" * 100_000, b"\xff\xfe"):
        assert "rejected_message" == read_answer(http.Reply(400, {}, body), NOW).kind
