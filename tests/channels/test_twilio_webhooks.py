"""What Twilio tells by itself: forged requests are refused unread, callbacks and messages become words."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.channels.secret import Secret
from orchestrator.channels.twilio_api.webhooks import (
    INBOUND,
    NO_REPLY,
    SIGNATURE,
    SIGNATURE_SETTINGS,
    STATUS,
    InboundMessage,
    Status,
    open_receivers,
    verify,
)
from orchestrator.channels.webhooks import Forged, Heard, Hook, Inbound, Malformed, Report
from orchestrator.settings import Settings
from tests.channels.providers import NOW, reference

TOKEN = Secret("0123456789abcdef0123456789abcdef")
BASE = "https://hooks.example.com"
FORM = "application/x-www-form-urlencoded"


def signed(path: str, token: Secret = TOKEN, **fields: str) -> Hook:
    url = f"{BASE}{path}"
    text = url + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    mac = hmac.new(token.reveal().encode(), text.encode(), hashlib.sha1).digest()
    headers = {SIGNATURE: base64.b64encode(mac).decode(), "Content-Type": FORM}
    return Hook(url=url, headers=headers, body=urlencode(fields).encode())


def verdict(hook: Hook, token: Secret = TOKEN) -> bool:
    try:
        verify(hook, [token])
    except Forged:
        return False
    except Malformed:
        # signed, and no form
        return True
    return True


# --- signatures


def test_signed_samples_get_exactly_the_verdicts_listed() -> None:
    samples = json.loads(reference("contracts/webhooks/signed_samples.json").read_bytes())["twilio"]
    for case in samples["cases"]:
        hook = Hook(url=case["url"], headers=case["headers"], body=case["body"].encode())
        assert (case["name"], case["valid"]) == (case["name"], verdict(hook, Secret(samples["auth_token"])))
    example = samples["documented_example"]
    headers = {SIGNATURE: example["signature"], "Content-Type": FORM}
    hook = Hook(url=example["url"], headers=headers, body=urlencode(example["params"]).encode())
    assert verdict(hook, Secret(example["auth_token"]))


def test_the_vendors_own_cases_verify_and_no_byte_of_them_may_change() -> None:
    cases = [
        case for case in json.loads(reference("data/webhooks/signatures.json").read_bytes())
        if case["provider"] == "twilio"
    ]  # fmt: skip
    assert 3 == len(cases)
    for case in cases:
        pairs = [tuple(pair) for pair in case.get("form_pairs", case.get("form", {}).items())]
        body = (urlencode(pairs) if pairs else case["body"]).encode()
        headers = {**case["headers"], "Content-Type": FORM if pairs else "application/json"}
        token = Secret(case["auth_token"])
        assert case["valid"] == verdict(Hook(url=case["url"], headers=headers, body=body), token)
        for n in range(len(body)):
            other = body[:n] + bytes([body[n] ^ 1]) + body[n + 1 :]
            read, told = (parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True) for raw in (other, body))
            # a change that comes to the same form is none
            assert (pairs and sorted(read) == sorted(told)) or not verdict(
                Hook(url=case["url"], headers=headers, body=other), token
            )
        for url in (case["url"] + "&x=1", case["url"].replace("https", "http"), case["url"].replace("mycompany", "m")):
            assert not verdict(Hook(url=url, headers=headers, body=body), token)
        assert not verdict(Hook(url=case["url"], headers=headers, body=body), Secret("54321"))


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": FORM},
        {"Content-Type": FORM, SIGNATURE: ""},
        {"Content-Type": FORM, SIGNATURE: "é"},
        {"Content-Type": FORM, SIGNATURE: "x" * 28, SIGNATURE_SETTINGS: "key=k,algorithm=MD5"},
        # signed over the address alone, which anyone may have seen: a JSON body must be bound to it
        {"Content-Type": "application/json", SIGNATURE: "x" * 28},
    ],
)
def test_what_is_not_signed_is_refused_without_raising_anything_else(headers: dict[str, str]) -> None:
    with pytest.raises(Forged):
        verify(Hook(url=f"{BASE}{STATUS}", headers=headers, body=b'{"a": 1}'), [TOKEN])


def test_two_tokens_hold_while_one_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {} == open_receivers(Settings())
    monkeypatch.setenv("ORCHESTRATOR_TWILIO_AUTH_TOKEN", "new-token")
    monkeypatch.setenv("ORCHESTRATOR_TWILIO_AUTH_TOKEN_PREVIOUS", TOKEN.reveal())
    receivers = open_receivers(Settings())
    assert {STATUS, INBOUND} == set(receivers)
    for token in (Secret("new-token"), TOKEN):
        receivers[STATUS].read(signed(f"{STATUS}?touch=1", token, MessageSid="SM1", MessageStatus="sent"), NOW)
    with pytest.raises(Forged):
        receivers[STATUS].read(signed(f"{STATUS}?touch=1", Secret("third"), MessageSid="SM1"), NOW)


# --- callbacks


@pytest.mark.parametrize(
    ("fields", "state", "code"),
    [
        ({"MessageStatus": "sent"}, "sent", "sent"),
        ({"MessageStatus": "delivered"}, "delivered", "delivered"),
        ({"MessageStatus": "read"}, "opened", "read"),
        ({"MessageStatus": "undelivered", "ErrorCode": "30003"}, "soft_bounced", "undelivered 30003"),
        ({"MessageStatus": "undelivered", "ErrorCode": "30005"}, "bounced", "undelivered 30005"),
        ({"MessageStatus": "failed", "ErrorCode": "21610"}, "opted_out", "failed 21610"),
        ({"MessageStatus": "failed", "ErrorCode": "30007"}, "failed", "failed 30007"),
        ({"MessageStatus": "failed", "ErrorCode": "98765"}, "failed", "failed 98765"),
        ({"MessageStatus": "failed", "ErrorCode": "about +34600111222"}, "failed", "failed"),
    ],
)
def test_a_callback_is_a_word_about_the_touch_in_its_address(fields: dict[str, str], state: str, code: str) -> None:
    hook = signed(f"{STATUS}?touch=touch-1", MessageSid="SM1", To="+34600111222", **fields)
    key = f"SM1 {fields['MessageStatus']}"
    word = Report(key=key, touch_id="touch-1", provider_id="SM1", state=state, at=NOW, code=code)  # type: ignore[arg-type] # as given
    told = Status([TOKEN]).read(hook, NOW)
    assert Heard(said=(word,)) == told
    assert "600111222" not in repr(told) + repr(hook)


def test_the_same_callback_again_has_the_same_key() -> None:
    hooks = [signed(f"{STATUS}?touch=1", MessageSid="SM1", MessageStatus=status) for status in ("sent", "sent", "read")]
    assert ["SM1 sent", "SM1 sent", "SM1 read"] == [Status([TOKEN]).read(hook, NOW).said[0].key for hook in hooks]


@pytest.mark.parametrize(
    "fields",
    [{}, {"MessageSid": "SM1"}, {"MessageStatus": "sent"}, {"MessageSid": "SM1", "MessageStatus": "x"}],
)
def test_a_callback_that_says_nothing_is_passed_over(fields: dict[str, str]) -> None:
    assert Heard(passed_over=1) == Status([TOKEN]).read(signed(STATUS, **fields), NOW)


# --- members' messages


def inbound(**fields: str) -> Inbound:
    told = InboundMessage([TOKEN]).read(signed(INBOUND, **{"MessageSid": "SM1", "Body": "BAJA", **fields}), NOW)
    (word,) = told.said
    assert isinstance(word, Inbound)
    assert (NO_REPLY, "text/xml") == (told.answer, told.content_type)
    return word


def test_an_sms_tells_who_wrote_what_and_what_twilio_made_of_it() -> None:
    word = inbound(From="+34600111222", OptOutType="STOP", FromCity="")
    assert ("sms", "+34600111222", "BAJA", "stop", "SM1") == (
        word.channel,
        word.sender,
        word.text,
        word.wants,
        word.key,
    )
    assert "600111222" not in repr(word)
    assert "BAJA" not in repr(word)


@pytest.mark.parametrize(
    ("sender", "canonical"),
    [
        ("+5215512345678", "+525512345678"),
        ("+34600111222", "+34600111222"),
        ("+5491123456789", "+5491123456789"),
        # without the ninth digit, with it, and a landline, which has none
        ("+551187654321", "+5511987654321"),
        ("+5511987654321", "+5511987654321"),
        ("+551133334444", "+551133334444"),
    ],
)
def test_a_whatsapp_number_is_told_as_everyone_writes_it_and_as_whatsapp_does(sender: str, canonical: str) -> None:
    word = inbound(From=f"whatsapp:{sender}", WaId=sender[1:])
    assert ("whatsapp", canonical, {"wa_id": sender[1:]}) == (word.channel, word.sender, word.identifiers)


def test_the_signed_samples_say_what_they_say() -> None:
    samples = json.loads(reference("contracts/webhooks/signed_samples.json").read_bytes())["twilio"]
    token = Secret(samples["auth_token"])
    by_name = {
        case["name"]: Hook(url=case["url"], headers=case["headers"], body=case["body"].encode())
        for case in samples["cases"]
    }
    (status,) = Status([token]).read(by_name["status callback"], NOW).said
    assert isinstance(status, Report)
    assert ("touch-0001", "soft_bounced") == (status.touch_id, status.state)
    (stop,) = InboundMessage([token]).read(by_name["inbound opt-out with blank fields"], NOW).said
    assert isinstance(stop, Inbound)
    assert ("stop", "+34600123456") == (stop.wants, stop.sender)
    (mexican,) = (
        InboundMessage([token])
        .read(by_name["inbound WhatsApp, Mexican number in the old 521 form, non-ASCII"], NOW)
        .said
    )
    assert isinstance(mexican, Inbound)
    assert ("+525512345678", "¡Sí! 🎁 ñandú") == (mexican.sender, mexican.text)


@given(
    st.dictionaries(
        st.sampled_from(["MessageSid", "MessageStatus", "ErrorCode", "From", "Body", "OptOutType", "WaId"]), st.text()
    )
)
def test_whatever_stands_in_a_signed_form_is_read_or_passed_over(fields: dict[str, str]) -> None:
    # what a form can carry: no lone surrogates
    fields = {name: value.encode("utf-8", "replace").decode() for name, value in fields.items()}
    for receiver, path in ((Status([TOKEN]), STATUS), (InboundMessage([TOKEN]), INBOUND)):
        told = receiver.read(signed(path, **fields), NOW)
        assert 1 == len(told.said) + told.passed_over


@given(st.binary(), st.text(max_size=40), st.sampled_from([FORM, "application/json", "", "x" * 99]))
def test_no_unsigned_bytes_are_ever_taken(body: bytes, signature: str, content_type: str) -> None:
    hook = Hook(url=f"{BASE}{STATUS}?touch=1", headers={SIGNATURE: signature, "Content-Type": content_type}, body=body)
    with pytest.raises(Forged):
        verify(hook, [TOKEN])
