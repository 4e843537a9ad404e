"""Twilio through its own client, at a scripted provider on loopback: what leaves, and what each answer comes to."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from msgspec.structs import replace
from openapi_core.validation.request.exceptions import InvalidRequestBody

from orchestrator.channels import http
from orchestrator.channels.approvals import HOLDS, Approvals
from orchestrator.channels.contract import Adapter, Answer, Message
from orchestrator.channels.secret import Secret
from orchestrator.channels.sms.twilio.send import open_adapter
from orchestrator.channels.twilio_api.adapter import Twilio
from orchestrator.channels.twilio_api.codes import CODES, STATUSES, read_answer, state_of
from orchestrator.channels.webhooks import Review
from orchestrator.errors import SetupError
from orchestrator.settings import DispatchSettings, Settings, TwilioSettings
from orchestrator.testing.api_suite import Account, ApiSuite, on_provider, sent
from orchestrator.testing.channel_suite import KEY
from orchestrator.testing.provider import CUT, Provider, Reply, Request, json_reply
from tests.channels.providers import NOW, check_request, check_response

CONTRACT, HOST = "twilio/twilio_api_v2010.json", "https://api.twilio.com"
SID, SERVICE = "AC" + "0" * 32, "MG" + "1" * 32
CONTENT = "HX0123456789abcdef0123456789abcdef"
MESSAGE_SID = "SM" + "a" * 32


def taken(**changes: object) -> Reply:
    made = {
        "sid": MESSAGE_SID,
        "account_sid": SID,
        "status": "queued",
        "error_code": None,
        "error_message": None,
        "num_segments": "1",
        "uri": f"/2010-04-01/Accounts/{SID}/Messages/{MESSAGE_SID}.json",
    }
    return json_reply(201, {**made, **changes})


def error(status: int, code: int | None, **headers: str) -> Reply:
    told = {"message": "+34600111222 is wrong", "more_info": "https://…", "status": status}
    return json_reply(status, told if code is None else {"code": code, **told}, **headers)


def twilio(
    channel: str,
    host: str,
    timeout_s: float = 5.0,
    *,
    public_url: str = "https://club.example.com",
    clock: Callable[[], datetime] = lambda: NOW,
    **settings: object,
) -> Twilio:
    given = TwilioSettings(host=host, account_sid=SID, timeout_s=timeout_s, calls=4)
    return Twilio(channel, replace(given, **settings), secret=Secret(KEY), public_url=public_url, clock=clock)


def touch_id(request: Request) -> str:
    return parse_qs(urlsplit(request.form["StatusCallback"]).query)["touch"][0]


SMS = Account(partial(twilio, "sms"), taken(), error(400, 21211), touch_id)
WHATSAPP = SMS._replace(open=partial(twilio, "whatsapp"), refusal=error(400, 63024))


def account(channel: str = "sms", **options: object) -> Account:
    return SMS._replace(open=partial(twilio, channel, **options))


class TestTwilioSms(ApiSuite):
    channel = "sms"
    account = SMS


class TestTwilioWhatsApp(ApiSuite):
    channel = "whatsapp"
    account = WHATSAPP


def sms(**changes: object) -> Message:
    facts = {
        "touch_id": "0193-touch",
        "channel": "sms",
        "to": "+34600111222",
        "purpose": "marketing",
        "journey": "welcome",
        "locale": "es-ES",
        "text": "Hola, Lucía",
        "sender": "CLUB",
    }
    return Message(**{**facts, **changes})  # type: ignore[arg-type] # as given


def whatsapp(**changes: object) -> Message:
    facts = {"channel": "whatsapp", "sender": "+15005550006", "content_sid": CONTENT, "variables": ("Lucía", "1.200")}
    return sms(**{**facts, **changes})


# --- what leaves


@pytest.mark.parametrize(
    ("message", "options"),
    [
        (sms(), {}),
        (sms(media="https://example.com/cake.png"), {}),
        (sms(sender=""), {"messaging_service_sid": SERVICE}),
        (sms(deliver_by=NOW + timedelta(hours=2)), {"public_url": ""}),
        (whatsapp(), {}),
        (whatsapp(variables=()), {"whatsapp_service_sid": SERVICE}),
        (whatsapp(content_sid="", open_until=NOW + timedelta(hours=1)), {}),
        (whatsapp(content_sid="", open_until=NOW + timedelta(hours=1), media="https://example.com/cake.png"), {}),
    ],
)
def test_a_request_is_what_the_published_contract_asks_for(message: Message, options: dict[str, object]) -> None:
    answer, (request,) = sent(account(message.channel, **options), message)
    check_request(CONTRACT, HOST, request)
    assert Answer(kind="accepted", code="201", provider_id=MESSAGE_SID) == answer
    assert ("POST", f"/2010-04-01/Accounts/{SID}/Messages.json") == (request.method, request.target)
    assert request.headers["authorization"].startswith("Basic ")
    # the service chooses the sender, or the policy names it
    assert ("MessagingServiceSid" in request.form) != ("From" in request.form)


def test_the_contract_check_would_see_a_wrong_request() -> None:
    _, (request,) = sent(SMS, sms())
    with pytest.raises(InvalidRequestBody):
        check_request(CONTRACT, HOST, request, data=request.body.replace(b"To=", b"Too="))


def test_an_sms_carries_its_words_and_the_touch_id_in_the_callback() -> None:
    _, (request,) = sent(SMS, sms())
    assert {
        "To": "+34600111222",
        "From": "CLUB",
        "Body": "Hola, Lucía",
        "StatusCallback": "https://club.example.com/webhooks/twilio/status?touch=0193-touch#rc=3&rp=ct,rt",
    } == request.form


def test_on_whatsapp_a_template_goes_by_its_sid_with_its_values_in_order() -> None:
    _, (request,) = sent(WHATSAPP, whatsapp())
    form = request.form
    assert ("whatsapp:+34600111222", "whatsapp:+15005550006", CONTENT) == (form["To"], form["From"], form["ContentSid"])
    assert {"1": "Lucía", "2": "1.200"} == json.loads(form["ContentVariables"])
    assert "Body" not in form


def test_free_text_goes_while_the_conversation_is_open_and_not_after() -> None:
    text = whatsapp(content_sid="", variables=(), open_until=NOW + timedelta(microseconds=1))
    _, (request,) = sent(WHATSAPP, text)
    assert "Hola, Lucía" == request.form["Body"]
    answer, requests = sent(WHATSAPP, replace(text, open_until=NOW))
    assert ("rejected_message", "window_closed", []) == (answer.kind, answer.code, requests)


def test_a_template_that_only_another_provider_knows_is_refused_by_name() -> None:
    answer, requests = sent(WHATSAPP, whatsapp(content_sid="", template="birthday_gift"))
    assert ("rejected_message", "no_content_sid", []) == (answer.kind, answer.code, requests)


@pytest.mark.parametrize(
    ("left", "validity"),
    [
        (timedelta(minutes=30), "1800"),
        (timedelta(days=2), "36000"),
        (timedelta(milliseconds=1), "1"),
        # the dispatcher judges the moment, by another clock than this machine's
        (-timedelta(minutes=1), "1"),
    ],
)
def test_a_message_dies_in_twilios_queue_before_it_would_ring_too_late(left: timedelta, validity: str) -> None:
    _, (request,) = sent(SMS, sms(deliver_by=NOW + left))
    assert validity == request.form["ValidityPeriod"]


def test_whatsapps_own_form_of_a_number_is_used_where_it_is_known() -> None:
    _, (request,) = sent(WHATSAPP, whatsapp(to="+525512345678", identifiers={"wa_id": "5215512345678"}))
    assert "whatsapp:+5215512345678" == request.form["To"]


@pytest.mark.parametrize(
    ("message", "kind", "code"),
    [
        (sms(to="600111222"), "rejected_recipient", "bad_recipient"),
        (sms(to=""), "rejected_recipient", "bad_recipient"),
        (sms(sender="A name too long"), "rejected_sender", "bad_sender"),
        (sms(sender=""), "rejected_sender", "bad_sender"),
        (sms(text="a" * 1_601), "rejected_message", "too_long"),
        (sms(text="ñ" * 1_531), "rejected_message", "too_many_segments"),
        (sms(media="http://example.com/cake.png"), "rejected_message", "bad_media"),
        (whatsapp(sender="CLUB"), "rejected_sender", "bad_sender"),
        # reachable elsewhere: no reason to give up the contact point
        (whatsapp(to="MX.13491208655302741918"), "rejected_message", "no_number"),
    ],
)
def test_what_can_not_be_carried_is_refused_by_name_without_a_call(message: Message, kind: str, code: str) -> None:
    answer, requests = sent(account(message.channel), message)
    assert (kind, code, []) == (answer.kind, answer.code, requests)


@pytest.mark.parametrize(("text", "parts"), [("a" * 160, 1), ("a" * 161, 2), ("á" * 70, 1), ("á" * 71, 2)])
def test_an_sms_of_more_parts_than_the_settings_allow_is_refused(text: str, parts: int) -> None:
    answer, requests = sent(account(max_segments=1), sms(text=text))
    assert (parts == 1) == (answer.kind == "accepted") == bool(requests)


# --- what comes back

# every row of the provider's codes, as the project's notes list them
LISTED = {
    "rejected_sender": [
        20003, 21212, 21606, 21657, 21408, 21703, 21704, 30002, 30024, 30032, 30034, 30035, 63001, 63007, 63020, 63051,
    ],
    "rejected_recipient": [21211, 21614, 21612, 30005, 30006, 21610, 63003, 63024],
    "rejected_message": [
        21617, 21620, 21656, 30007, 30450, 30610, 30640, 63016, 63027, 63028, 63040, 63041, 63042, 63032,
    ],
    "throttled": [20429, 14107, 21611, 30001, 30022, 30023, 63018],
    "transient": [63012],
    "unknown": [30003, 30008, 30410, 30036],
}  # fmt: skip


@pytest.mark.parametrize(("kind", "code"), [(kind, code) for kind, codes in LISTED.items() for code in codes])
def test_each_documented_code_has_its_outcome(kind: str, code: int) -> None:
    reply = error(429 if kind == "throttled" else 400, code)
    answer = read_answer(http.Reply(reply.status, {}, reply.body))
    assert (kind, f"{reply.status} {code}") == (answer.kind, answer.code)
    # who opted out is well, and gets no more marketing
    assert (code == 21610) == answer.opted_out


ANSWERS = [
    (taken(), "accepted", "201"),
    (taken(status="accepted"), "accepted", "201"),
    # no callback tells of a first status, so it is read here
    (taken(status="failed", error_code=21610), "rejected_recipient", "201 21610"),
    (taken(status="undelivered", error_code=99999), "rejected_message", "201 99999"),
    (taken(status="failed", error_code=20429), "rejected_message", "201 20429"),
    (error(400, 21211), "rejected_recipient", "400 21211"),
    (error(401, 20003), "rejected_sender", "401 20003"),
    (error(401, None), "rejected_sender", "401"),
    (error(403, None), "rejected_sender", "403"),
    (error(429, 20429), "throttled", "429 20429"),
    (error(429, None), "throttled", "429"),
    # a code that nobody knows suppresses nobody, and is kept
    (error(400, 98765), "unknown", "400 98765"),
    (error(404, None), "unknown", "404"),
    (error(500, 20500), "unknown", "500 20500"),
    (error(503, 63012), "unknown", "503 63012"),
    (Reply(502, {}, b"<html>"), "unknown", "502"),
    (Reply(201, {}, b"garbage"), "unknown", "201"),
    (Reply(200, {}, b"{}"), "unknown", "200"),
    (Reply(400, {"Content-Type": "application/problem+json"}, b'{"type":"x","title":"t","status":400,"code":21211}'),
     "rejected_recipient", "400 21211"),
]  # fmt: skip


@pytest.mark.parametrize(("reply", "kind", "code"), ANSWERS)
def test_each_answer_has_its_outcome_and_costs_one_call(reply: Reply, kind: str, code: str) -> None:
    answer, requests = sent(SMS, sms(), reply)
    assert (kind, code, 1) == (answer.kind, answer.code, len(requests))


@pytest.mark.parametrize("reply", [reply for reply, kind, _ in ANSWERS if reply.status == 201 and kind != "unknown"])
def test_scripted_answers_are_ones_that_the_published_contract_knows(reply: Reply) -> None:
    _, (request,) = sent(SMS, sms(), reply)
    check_response(CONTRACT, HOST, request, reply)


@pytest.mark.parametrize(("header", "wait"), [("7", 7), ("99999", 3_600), ("soon", None)])
def test_a_throttled_call_waits_as_long_as_it_is_asked_to(header: str, wait: int | None) -> None:
    answer, _ = sent(SMS, sms(), error(429, 20429, Retry_After=header))
    assert (None if wait is None else timedelta(seconds=wait)) == answer.retry_after


# --- texts that the platform stopped


@pytest.mark.parametrize("code", [63027, 63040, 63041, 63042])
def test_a_template_that_was_stopped_is_not_called_again_for_an_hour(code: int) -> None:
    times = iter([NOW, NOW, NOW + HOLDS - timedelta(seconds=1), NOW + HOLDS])

    async def work(adapter: Adapter, provider: Provider) -> None:
        provider.step = error(400, code)
        assert f"400 {code}" == (await adapter.send(whatsapp())).code
        provider.step = taken()
        assert "accepted" == (await adapter.send(whatsapp(content_sid="HX" + "f" * 32))).kind
        assert Answer(kind="rejected_message", code="template_stopped") == await adapter.send(whatsapp())
        assert 2 == len(provider.requests)
        assert "accepted" == (await adapter.send(whatsapp())).kind

    on_provider(account("whatsapp", clock=lambda: next(times)), work)


def test_a_platform_that_approves_a_text_again_has_it_sent_again() -> None:
    approvals = Approvals()
    facts = {"key": "1", "channel": "whatsapp", "at": NOW, "name": "gift", "language": "es"}
    approvals.hear(Review(**facts, state="stopped", code="PAUSED"))  # type: ignore[arg-type] # as given
    assert Answer(kind="rejected_message", code="template_stopped") == approvals.refusal("gift/es", NOW)
    assert approvals.refusal("gift/pt_BR", NOW) is None
    approvals.hear(Review(**facts, state="approved", code="APPROVED"))  # type: ignore[arg-type] # as given
    assert approvals.refusal("gift/es", NOW) is None


# --- traps of the client library, as it comes


def test_neither_token_nor_message_is_logged_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("twilio.http_client", "urllib3"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    with caplog.at_level(logging.DEBUG):
        for reply in (taken(), error(400, 21211), error(500, 20500)):
            sent(SMS, sms(), reply)
    assert not [word for word in (KEY, "600111222", "Hola") if word in caplog.text]


def test_connections_are_kept_and_one_that_the_server_closed_meanwhile_costs_no_message() -> None:
    async def work(adapter: Adapter, provider: Provider) -> None:
        for n in range(3):
            assert "accepted" == (await adapter.send(sms(touch_id=f"touch-{n}"))).kind
        assert 1 == provider.connections
        await provider.drop()
        assert "accepted" == (await adapter.send(sms(touch_id="touch-3"))).kind
        assert (2, 4) == (provider.connections, len(provider.requests))

    on_provider(SMS, work)


def test_one_failed_call_tells_nothing_of_the_next_one() -> None:
    async def work(adapter: Adapter, provider: Provider) -> None:
        assert "accepted" == (await adapter.send(sms())).kind
        provider.step = CUT
        assert Answer(kind="unknown", code="connection") == await adapter.send(sms())

    on_provider(SMS, work)


def test_an_api_key_is_used_in_place_of_the_token() -> None:
    _, (request,) = sent(account(api_key_sid="SK" + "2" * 32), sms())
    assert request.headers["authorization"] != sent(SMS, sms())[1][0].headers["authorization"]
    assert f"/Accounts/{SID}/" in request.target


# --- setting up


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"account_sid": ""}, "account_sid: expected AC"),
        ({"account_sid": "SK" + "0" * 32}, "account_sid"),
        ({"messaging_service_sid": "PN" + "0" * 32}, "messaging_service_sid"),
        ({"public_url": "https://my_club.example.com"}, "underscore"),
    ],
)
def test_settings_that_twilio_would_refuse_stop_the_start(settings: dict[str, object], match: str) -> None:
    with pytest.raises(SetupError, match=match):
        twilio("sms", "http://127.0.0.1:1", **settings)


def test_the_token_comes_from_the_environment_and_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = Settings(dispatch=DispatchSettings(twilio=TwilioSettings(account_sid=SID)))
    with pytest.raises(SetupError, match="ORCHESTRATOR_TWILIO_AUTH_TOKEN"):
        open_adapter("sms", settings, tmp_path, lambda: NOW)
    monkeypatch.setenv("ORCHESTRATOR_TWILIO_AUTH_TOKEN", KEY)
    adapter = open_adapter("sms", settings, tmp_path, lambda: NOW)
    assert "Twilio(sms, 16 calls)" == repr(adapter)
    assert KEY not in repr(vars(adapter))


# --- what comes later


def test_each_status_and_code_of_a_callback_has_its_state() -> None:
    for status, state in STATUSES.items():
        assert state == state_of(status, 0)
    for code, row in CODES.items():
        assert row.later == state_of("undelivered", code) == state_of("failed", code)
        # a code beside a good status is a warning, no failure
        assert "delivered" == state_of("delivered", code)
    assert {"bounced"} == {state_of("failed", code) for code in (21211, 21614, 30005, 30006, 63003, 63024)}
    assert {"soft_bounced"} == {state_of("undelivered", code) for code in (30003, 30008, 30410)}
    assert "opted_out" == state_of("failed", 21610)
    # a code that nobody knows suppresses nobody
    assert "failed" == state_of("undelivered", 98765)
    assert state_of("a new one", 30003) is None
