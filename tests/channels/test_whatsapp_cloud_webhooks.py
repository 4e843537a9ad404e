"""What the Cloud API tells by itself: forged requests are refused unread; statuses, messages, choices become words."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.channels.secret import Secret
from orchestrator.channels.webhooks import Forged, Heard, Hook, Inbound, Malformed, Preference, Report, Review, Said
from orchestrator.channels.whatsapp.cloud.receipts import PATH, SIGNATURE, Webhook, open_receivers
from orchestrator.settings import DispatchSettings, Settings, WhatsAppSettings
from tests.channels.providers import NOW, reference

SECRET, NUMBER_ID, USER_ID = Secret("meta-app-secret-for-tests"), "106540352242922", "MX.13491208655302741918"
AT = datetime(2026, 11, 22, tzinfo=UTC)
STAMP = str(int(AT.timestamp()))


def webhook(number: str = NUMBER_ID, *secrets: Secret) -> Webhook:
    return Webhook(secrets or (SECRET,), Secret("verify-me"), number)


def signed(body: bytes, secret: Secret = SECRET) -> Hook:
    mac = hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()
    return Hook(url=f"https://club.example.com{PATH}", headers={SIGNATURE: f"sha256={mac}"}, body=body)


def payload(field: str, value: dict[str, Any], number: str = NUMBER_ID) -> dict[str, Any]:
    about = {"messaging_product": "whatsapp", "metadata": {"phone_number_id": number}, **value}
    return {
        "object": "whatsapp_business_account",
        "entry": [{"id": "1", "time": int(STAMP), "changes": [{"field": field, "value": about}]}],
    }


def heard(*payloads: dict[str, Any]) -> Heard:
    """What a request says that holds the entries of all of these."""
    body = {"object": "whatsapp_business_account", "entry": [entry for one in payloads for entry in one["entry"]]}
    return webhook().read(signed(json.dumps(body).encode()), NOW)


def status(name: str = "sent", **more: object) -> dict[str, Any]:
    told = {
        "id": "wamid.1",
        "status": name,
        "timestamp": STAMP,
        "recipient_id": "34600111222",
        "biz_opaque_callback_data": "touch-1",
        **more,
    }
    return payload("messages", {"statuses": [told]})


def wrote(message: dict[str, Any], contacts: list[dict[str, Any]] | None = None) -> tuple[Said, ...]:
    people = [{"profile": {"name": "Ana"}, "wa_id": "5215512345678", "user_id": USER_ID}]
    value = {
        "contacts": people if contacts is None else contacts,
        "messages": [{"from": "5215512345678", "id": "wamid.in", "timestamp": STAMP, **message}],
    }
    return heard(payload("messages", value)).said


# --- signatures, and the question whether this address is ours


def test_signed_samples_get_exactly_the_verdicts_listed() -> None:
    samples = json.loads(reference("contracts/webhooks/signed_samples.json").read_bytes())["meta"]
    receiver = webhook(NUMBER_ID, Secret(samples["app_secret"]))
    for case in samples["cases"]:
        hook = Hook(url="", headers=case["headers"], body=case["body"].encode())
        if case["valid"]:
            (word,) = receiver.read(hook, NOW).said
            assert isinstance(word, Preference)
            assert ("stop", "+525512345678") == (word.wants, word.sender)
            for n in range(len(hook.body)):
                other = hook.body[:n] + bytes([hook.body[n] ^ 1]) + hook.body[n + 1 :]
                with pytest.raises(Forged):
                    receiver.read(Hook(url="", headers=case["headers"], body=other), NOW)
        else:
            with pytest.raises(Forged):
                receiver.read(hook, NOW)


@pytest.mark.parametrize("signature", ["", "sha256=", "sha256=é", "x", "sha1=" + "0" * 40])
def test_what_is_not_signed_is_refused_before_it_is_parsed(signature: str) -> None:
    with pytest.raises(Forged):
        webhook().read(Hook(url="", headers={SIGNATURE: signature}, body=b"not JSON"), NOW)
    for body in (b"not JSON", b"[]", b'{"object":"page"}', b"[" * 100_000):
        with pytest.raises(Malformed):
            webhook().read(signed(body), NOW)


def test_two_secrets_hold_while_one_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(dispatch=DispatchSettings(whatsapp=WhatsAppSettings(phone_number_id=NUMBER_ID)))
    assert {} == open_receivers(settings)
    monkeypatch.setenv("ORCHESTRATOR_WHATSAPP_APP_SECRET", "new-secret")
    monkeypatch.setenv("ORCHESTRATOR_WHATSAPP_APP_SECRET_PREVIOUS", SECRET.reveal())
    receiver = open_receivers(settings)[PATH]
    body = json.dumps(status()).encode()
    for secret in (Secret("new-secret"), SECRET):
        assert 1 == len(receiver.read(signed(body, secret), NOW).said)
    with pytest.raises(Forged):
        receiver.read(signed(body, Secret("third")), NOW)


def asked(query: str, token: str = "verify-me") -> Heard:
    receiver = Webhook((SECRET,), Secret(token), NUMBER_ID)
    return receiver.read(Hook(url=f"https://club.example.com{PATH}?{query}", method="GET"), NOW)


def test_metas_question_is_answered_with_its_own_word_where_the_token_is_right() -> None:
    query = "hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=1158201444"
    assert Heard(answer="1158201444") == asked(query)
    for wrong in (query.replace("verify-me", "guess"), query.replace("subscribe", "x"), "", "hub.mode=subscribe"):
        with pytest.raises(Forged):
            asked(wrong)
    with pytest.raises(Malformed):
        asked(query.replace("1158201444", "<script>"))
    # a project that has no token answers nobody, an empty one neither
    with pytest.raises(Forged):
        asked("hub.mode=subscribe&hub.verify_token=&hub.challenge=1", token="")


# --- statuses


@pytest.mark.parametrize(
    ("told", "state", "code"),
    [
        (status("sent"), "sent", "sent"),
        (status("delivered"), "delivered", "delivered"),
        (status("read"), "opened", "read"),
        (status("played"), "opened", "played"),
        (status("failed", errors=[{"code": 131026, "title": "about +34600111222"}]), "bounced", "failed 131026"),
        (status("failed", errors=[{"code": 131050}]), "opted_out", "failed 131050"),
        (status("failed", errors=[{"code": 131049}]), "failed", "failed 131049"),
        (status("failed", errors=[{"code": 98765}]), "failed", "failed 98765"),
        (status("failed", errors=[{"code": "x"}]), "failed", "failed"),
        (status("failed"), "failed", "failed"),
    ],
)
def test_a_status_is_a_word_about_its_touch_in_codes_alone(told: dict[str, Any], state: str, code: str) -> None:
    key = f"wamid.1 {code.split(maxsplit=1)[0]}"
    word = Report(key=key, touch_id="touch-1", provider_id="wamid.1", state=state, at=AT, code=code)  # type: ignore[arg-type] # as given
    said = heard(told)
    assert Heard(said=(word,)) == said
    assert "600111222" not in repr(said)


def test_a_batch_is_read_whole_and_a_repeat_is_one_word() -> None:
    told = heard(status("sent"), status("delivered"), status("sent"), status("a new one"))
    assert ["wamid.1 sent", "wamid.1 delivered"] == [word.key for word in told.said]
    assert 1 == told.passed_over


def test_what_is_said_to_another_number_of_the_account_is_not_ours() -> None:
    assert Heard(passed_over=1) == heard(payload("messages", {"statuses": []}, number="1"))


def test_the_statuses_of_another_library_are_read() -> None:
    samples = json.loads(reference("contracts/meta/webhooks/message_status.json").read_bytes())
    expected = {
        "sent": ("sent", ""),
        "delivered": ("delivered", ""),
        "read": ("opened", ""),
        "played": ("opened", ""),
        "failed": ("failed", ""),
        "with_tracker": ("sent", "some data"),
        "group": ("opened", ""),
    }
    assert expected.keys() == samples.keys()
    for name, sample in samples.items():
        number = sample["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"]
        (word,) = webhook(number).read(signed(json.dumps(sample).encode()), NOW).said
        assert isinstance(word, Report)
        assert (name, *expected[name]) == (name, word.state, word.touch_id)


# --- members' messages


def test_a_message_tells_who_wrote_what_by_number_and_by_id() -> None:
    (word,) = wrote({"type": "text", "text": {"body": "BAJA"}, "context": {"id": "wamid.1"}})
    assert word == Inbound(
        key="wamid.in",
        channel="whatsapp",
        at=AT,
        sender="+525512345678",
        identifiers={"wa_id": "5215512345678", "user_id": USER_ID},
        text="BAJA",
        answers="wamid.1",
    )
    assert "BAJA" not in repr(word)
    assert "5512345678" not in repr(word)


def test_a_member_without_a_visible_number_is_known_by_the_id() -> None:
    hidden = {"type": "text", "text": {"body": "Hola"}, "from": None, "from_user_id": USER_ID}
    (word,) = wrote(hidden, contacts=[{"user_id": USER_ID, "profile": {"username": "ana"}}])
    assert isinstance(word, Inbound)
    assert (USER_ID, {"user_id": USER_ID}) == (word.sender, word.identifiers)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"type": "button", "button": {"text": "Baja", "payload": "x"}}, "Baja"),
        (
            {
                "type": "interactive",
                "interactive": {"type": "button_reply", "button_reply": {"id": "1", "title": "Sí"}},
            },
            "Sí",
        ),
        (
            {"type": "interactive", "interactive": {"type": "list_reply", "list_reply": {"id": "1", "title": "Dos"}}},
            "Dos",
        ),
        ({"type": "image", "image": {"id": "1", "caption": "mira"}}, "mira"),
        ({"type": "image", "image": {"id": "1"}}, ""),
        ({"type": "location", "location": {"latitude": 1.0}}, ""),
    ],
)
def test_buttons_lists_and_captions_are_words_too(message: dict[str, Any], text: str) -> None:
    (word,) = wrote(message)
    assert isinstance(word, Inbound)
    assert text == word.text


@pytest.mark.parametrize(
    "message",
    [
        {"type": "reaction", "reaction": {"emoji": "👍", "message_id": "wamid.1"}},
        {"type": "system", "system": {"body": "changed number"}},
        {"type": "unsupported", "errors": [{"code": 131051}]},
        {"type": "text", "text": {"body": "x"}, "errors": [{"code": 131051}]},
        {"type": "text", "text": {"body": "x"}, "id": None},
    ],
)
def test_what_is_no_message_of_a_member_is_passed_over(message: dict[str, Any]) -> None:
    assert () == wrote(message)


def test_the_messages_of_another_library_are_read_or_passed_over_by_their_kind() -> None:
    samples = json.loads(reference("contracts/meta/webhooks/message.json").read_bytes())
    silent = {"reaction", "unreaction_empty", "unreaction_no_emoji", "unsupported", "unsupported_with_type"}
    texts = {"text": "Body Text", "reply": "replied text", "video": "caption", "forwarded": "forwarded text"}
    for name, sample in samples.items():
        number = sample["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"]
        told = webhook(number).read(signed(json.dumps(sample).encode()), NOW)
        assert (name, name not in silent) == (name, bool(told.said))
        if name in texts:
            (word,) = told.said
            assert isinstance(word, Inbound)
            assert ("+972987654321", texts[name]) == (word.sender, word.text)


# --- choices and verdicts


def test_a_member_who_stops_marketing_opts_out_and_resuming_is_no_consent() -> None:
    samples = json.loads(reference("contracts/meta/webhooks/user_marketing_preferences.json").read_bytes())
    for name, sample in samples.items():
        (word,) = webhook("106540352242922").read(signed(json.dumps(sample).encode()), NOW).said
        assert isinstance(word, Preference)
        assert ("resume", "marketing", name) == (word.wants, word.purpose, word.code)
    choice = {"wa_id": "16505551234", "category": "marketing_messages", "value": "stop", "timestamp": int(STAMP)}
    (word,) = heard(payload("user_preferences", {"user_preferences": [choice]})).said
    assert isinstance(word, Preference)
    assert ("stop", "+16505551234", AT) == (word.wants, word.sender, word.at)
    for odd in ({**choice, "value": "maybe"}, {**choice, "category": "other"}, {**choice, "wa_id": "x"}):
        assert Heard(passed_over=1) == heard(payload("user_preferences", {"user_preferences": [odd]}))


def test_a_verdict_on_a_template_stops_it_or_lets_it_go() -> None:
    samples = json.loads(reference("contracts/meta/webhooks/template_status_update.json").read_bytes())
    for name, sample in samples.items():
        (word,) = webhook().read(signed(json.dumps(sample).encode()), NOW).said
        assert isinstance(word, Review)
        assert ("approved" if name == "approved" else "stopped") == word.state
        assert name.upper() == word.code
    paused = {"event": "PAUSED", "message_template_name": "gift", "message_template_language": "es_MX"}
    (word,) = heard(payload("message_template_status_update", paused)).said
    assert isinstance(word, Review)
    assert ("gift", "es_MX", "stopped", AT) == (word.name, word.language, word.state, word.at)
    assert 1 == heard(payload("message_template_status_update", {**paused, "event": "FLAGGED"})).passed_over


# --- anything at all

JUNK = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["id", "status", "type", "text", "body", "from", "errors", "code", "timestamp", "value"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(
    st.sampled_from(["messages", "user_preferences", "message_template_status_update", "account_update"]),
    st.dictionaries(
        st.sampled_from(["statuses", "messages", "contacts", "user_preferences", "event", "message_template_name"]),
        JUNK,
    ),
    JUNK,
)
def test_whatever_a_signed_body_holds_is_read_or_passed_over(field: str, value: dict[str, Any], junk: object) -> None:
    told = payload(field, value)
    told["entry"].append(junk)
    told["entry"][0]["changes"].append(junk)
    assert isinstance(heard(told), Heard)


@given(st.binary(), st.text(max_size=80))
def test_no_unsigned_bytes_are_ever_taken(body: bytes, signature: str) -> None:
    with pytest.raises(Forged):
        webhook().read(Hook(url="", headers={SIGNATURE: signature}, body=body), NOW)
