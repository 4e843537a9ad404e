"""What SendGrid tells by itself: forged and stale requests are refused unread, events become words about touches."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.resources import files

import pytest
import sendgrid
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.channels.email.sendgrid.inbound import read_mail
from orchestrator.channels.email.sendgrid.receipts import DROPS, SIGNATURE, TIMESTAMP, open_receivers, read_event
from orchestrator.channels.load import load_receivers
from orchestrator.channels.webhooks import Forged, Heard, Hook, Inbound, Malformed, Preference, Receiver, Report
from orchestrator.errors import SetupError
from orchestrator.settings import DispatchSettings, SendGridSettings, Settings
from tests.channels.providers import NOW, reference

PRIVATE = ec.generate_private_key(ec.SECP256R1())
EVENTS, INBOUND = "/webhooks/sendgrid/events", "/webhooks/sendgrid/inbound"


def console_key(key: ec.EllipticCurvePublicKey) -> str:
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def receivers(*keys: str) -> dict[str, Receiver]:
    return open_receivers(Settings(dispatch=DispatchSettings(sendgrid=SendGridSettings(webhook_keys=list(keys)))))


OURS = receivers(console_key(PRIVATE.public_key()))


def signed(body: bytes, at: datetime = NOW, content_type: str = "application/json") -> Hook:
    stamp = str(int(at.timestamp()))
    signature = base64.b64encode(PRIVATE.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))).decode()
    headers = {SIGNATURE: signature, TIMESTAMP: stamp, "Content-Type": content_type}
    return Hook(url=f"https://club.example.com{EVENTS}", headers=headers, body=body)


def heard(*events: object) -> Heard:
    return OURS[EVENTS].read(signed(json.dumps(events).encode() + b"\r\n"), NOW)


def event(name: str, **more: object) -> dict[str, object]:
    return {"event": name, "sg_event_id": f"evt-{name}", "timestamp": 1795305591, "touch_id": "touch-1", **more}


def verdict(receiver: Receiver, hook: Hook, now: datetime) -> bool:
    try:
        receiver.read(hook, now)
    except Forged:
        return False
    return True


# --- signatures


def test_signed_samples_get_exactly_the_verdicts_listed() -> None:
    samples = json.loads(reference("contracts/webhooks/signed_samples.json").read_bytes())["sendgrid_event_webhook"]
    receiver = receivers(samples["public_key"])[EVENTS]
    now = datetime.fromtimestamp(1795305600, UTC) + timedelta(minutes=5)
    theirs = sendgrid.EventWebhook(samples["public_key"])
    for case in samples["cases"]:
        hook = Hook(url=f"https://x.example{EVENTS}", headers=case["headers"], body=case["body"].encode())
        assert (case["name"], case["valid"]) == (case["name"], verdict(receiver, hook, now))
        try:
            library = theirs.verify_signature(case["body"], case["headers"][SIGNATURE], case["headers"][TIMESTAMP])
        except Exception:  # noqa: BLE001 - the library raises where it should say no
            library = False
        assert library == case["valid"]


def test_the_vendors_own_case_verifies_and_no_byte_of_it_may_change() -> None:
    (case,) = [
        case for case in json.loads(reference("data/webhooks/signatures.json").read_bytes())
        if case["provider"] == "sendgrid"
    ]  # fmt: skip
    receiver = receivers(case["public_key"])[EVENTS]
    now = datetime.fromtimestamp(int(case["headers"][TIMESTAMP]), UTC)
    body = case["body"].encode()
    assert verdict(receiver, Hook(url="", headers=case["headers"], body=body), now)
    for n in range(len(body)):
        other = body[:n] + bytes([body[n] ^ 1]) + body[n + 1 :]
        assert not verdict(receiver, Hook(url="", headers=case["headers"], body=other), now)
    stamp = str(int(case["headers"][TIMESTAMP]) + 1)
    assert not verdict(receiver, Hook(url="", headers={**case["headers"], TIMESTAMP: stamp}, body=body), now)
    assert not verdict(OURS[EVENTS], Hook(url="", headers=case["headers"], body=body), now)


def test_two_keys_hold_while_one_is_replaced() -> None:
    other = console_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    both = receivers(other, console_key(PRIVATE.public_key()))
    assert verdict(both[EVENTS], signed(b"[]"), NOW)
    assert not verdict(receivers(other)[EVENTS], signed(b"[]"), NOW)


@pytest.mark.parametrize(
    ("age", "good"),
    [
        (timedelta(0), True),
        (timedelta(hours=24), True),
        (timedelta(hours=24, seconds=1), False),
        (-timedelta(minutes=5), True),
        (-timedelta(minutes=5, seconds=1), False),
    ],
)
def test_a_request_is_good_for_a_day(age: timedelta, good: bool) -> None:
    assert good == verdict(OURS[EVENTS], signed(b"[]", NOW - age), NOW)


@pytest.mark.parametrize("missing", [SIGNATURE, TIMESTAMP])
def test_what_is_not_signed_is_refused_before_it_is_parsed(missing: str) -> None:
    hook = signed(b"this is not even JSON")
    headers = {name: value for name, value in hook.headers.items() if name != missing}
    with pytest.raises(Forged):
        OURS[EVENTS].read(Hook(url=hook.url, headers=headers, body=hook.body), NOW)
    with pytest.raises(Malformed):
        OURS[EVENTS].read(hook, NOW)


def test_a_key_that_is_none_stops_the_start_and_without_keys_nothing_is_received() -> None:
    with pytest.raises(SetupError, match="webhook_keys"):
        receivers("QUJD")
    assert {} == receivers()
    assert {} == load_receivers(Settings())
    account = SendGridSettings(webhook_keys=[console_key(PRIVATE.public_key())])
    settings = Settings(dispatch=DispatchSettings(adapters={"email": "sendgrid", "sms": "capture"}, sendgrid=account))
    assert {EVENTS, INBOUND} == set(load_receivers(settings))


# --- events


@pytest.mark.parametrize(
    ("told", "state", "code"),
    [
        (event("processed"), "sent", "processed"),
        (event("deferred", response="400 lucia@example.org try later"), "sent", "deferred"),
        (event("delivered"), "delivered", "delivered"),
        (event("open"), "opened", "open"),
        (event("open", sg_machine_open=True), "opened", "machine_open"),
        (event("click", url="https://club.example.com"), "clicked", "click"),
        (event("spamreport"), "complained", "spamreport"),
        (event("unsubscribe"), "opted_out", "unsubscribe"),
        (event("group_unsubscribe", asm_group_id=12), "opted_out", "group_unsubscribe"),
        (event("bounce", type="bounce", status="5.1.1", reason="550 lucia@example.org"), "bounced", "bounce 5.1.1"),
        (event("bounce", status="500 no such lucia"), "bounced", "bounce"),
        (event("bounce", type="blocked", status="4.7.1"), "failed", "blocked 4.7.1"),
        (event("bounce", type="a new one", status="5.1.1"), "failed", "bounce"),
        (event("dropped", reason="Bounced Address"), "bounced", "dropped bounced_address"),
        (event("dropped", reason="Unsubscribed Address"), "opted_out", "dropped unsubscribed_address"),
        (event("dropped", reason="Spam Reporting Address"), "complained", "dropped spam_reporting_address"),
        (event("dropped", reason="something about lucia@example.org"), "failed", "dropped"),
    ],
)
def test_each_event_is_a_word_about_its_touch_in_codes_alone(told: dict[str, object], state: str, code: str) -> None:
    at = datetime(2026, 11, 21, 23, 59, 51, tzinfo=UTC)
    word = Report(key=str(told["sg_event_id"]), touch_id="touch-1", state=state, at=at, code=code)  # type: ignore[arg-type] # as given
    assert (word,) == heard(told).said


def test_the_batch_of_the_documentation_is_read_whole() -> None:
    samples = json.loads(reference("contracts/webhooks/signed_samples.json").read_bytes())["sendgrid_event_webhook"]
    case = samples["cases"][0]
    now = datetime.fromtimestamp(1795305600, UTC)
    hook = Hook(url="", headers=case["headers"], body=case["body"].encode())
    said = receivers(samples["public_key"])[EVENTS].read(hook, now).said
    # the thirteenth is a repeat of the third
    assert [f"evt-{n:04d}" for n in range(1, 13)] == [word.key for word in said]
    assert ["sent", "sent", "delivered", "opened", "clicked", "bounced", "failed", "opted_out", "complained"] == [
        word.state for word in said[:9] if isinstance(word, Report)
    ]
    assert isinstance(said[11], Preference)
    assert "resume" == said[11].wants


# what django-anymail, whose samples these are, calls our states
ANYMAIL = {
    "queued": {"sent"},
    "deferred": {"sent"},
    "delivered": {"delivered"},
    "opened": {"opened"},
    "clicked": {"clicked"},
    "bounced": {"bounced", "failed"},
    "rejected": {"bounced", "opted_out", "complained", "failed"},
    "complained": {"complained"},
    "unsubscribed": {"opted_out"},
}


def test_samples_of_another_library_mean_the_same_to_us() -> None:
    lines = reference("data/webhooks/provider-events.jsonl").read_text(encoding="utf-8").splitlines()
    samples = [case for line in lines if (case := json.loads(line))["provider"] == "sendgrid"]
    assert 9 == len(samples)
    for case in samples:
        (payload,) = case["payload"]
        word = read_event({**payload, "touch_id": "touch-1"}, NOW)
        assert isinstance(word, Report)
        assert word.state in ANYMAIL[case["expect"]["event_type"]], case["id"]
        if at := case["expect"].get("timestamp"):
            assert datetime.fromisoformat(at) == word.at


def test_the_mixed_batch_of_another_library_means_the_same_to_us() -> None:
    batch = json.loads(reference("data/webhooks/sendgrid-batch.json").read_bytes())
    for payload, expected in zip(batch["payload"], batch["expect_event_types"], strict=True):
        word = read_event({**payload, "touch_id": "touch-1"}, NOW)
        if expected == "subscribed":
            assert isinstance(word, Preference)
            assert "resume" == word.wants
        else:
            assert isinstance(word, Report)
            assert word.state in ANYMAIL[expected], payload["event"]


def test_a_wish_without_our_touch_holds_for_its_address_and_other_events_without_one_say_nothing() -> None:
    stray = {"sg_event_id": "evt-1", "timestamp": 1795305591, "email": "lucia@example.org"}
    told = heard({**stray, "event": "unsubscribe"}, {**stray, "sg_event_id": "evt-2", "event": "delivered"})
    (word,) = told.said
    assert isinstance(word, Preference)
    assert ("stop", "lucia@example.org", 1) == (word.wants, word.sender, told.passed_over)
    assert "lucia" not in repr(told)


def test_a_resubscription_is_no_consent() -> None:
    (word,) = heard(event("group_resubscribe", email="lucia@example.org")).said
    assert isinstance(word, Preference)
    assert "resume" == word.wants


def test_the_same_event_twice_has_one_key_with_or_without_an_id() -> None:
    nameless = {key: value for key, value in event("delivered").items() if key != "sg_event_id"}
    assert 1 == len(heard(event("open"), event("open")).said) == len(heard(nameless, nameless).said)
    assert 2 == len(heard(nameless, {**nameless, "timestamp": 1795305592}).said)


def test_one_unreadable_event_does_not_take_the_others_with_it() -> None:
    told = heard(event("delivered"), "nonsense", None, {"event": 7}, {"event": "new_kind", "touch_id": "t"}, {})
    assert (1, 5) == (len(told.said), told.passed_over)


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.text(),
            st.dictionaries(
                st.sampled_from(["event", "sg_event_id", "timestamp", "email", "touch_id", "type", "reason", "status"]),
                st.one_of(
                    st.sampled_from(["bounce", "dropped", "open", *DROPS]), st.text(), st.integers(), st.floats(),
                    st.booleans(), st.none(), st.lists(st.none()), st.dictionaries(st.text(), st.none()),
                ),
            ),
        )
    )
)  # fmt: skip
def test_whatever_stands_in_a_signed_list_is_read_or_passed_over(events: list[object]) -> None:
    told = heard(*events)
    # repeats share a word
    assert len(told.said) + told.passed_over <= len(events)


# --- mail that members write


def form(**fields: str) -> tuple[str, bytes]:
    parts = (
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    )
    return "multipart/form-data; boundary=b", ("".join(parts) + "--b--\r\n").encode()


def mail(headers: str = "Message-ID: <1@example.org>", **fields: str) -> Inbound | None:
    usual = {
        "headers": headers,
        "envelope": '{"to":["club+abc123@reply.example.com"],"from":"lucia@example.org"}',
        "from": "Lucía <lucia@example.org>",
        "text": "BAJA\r\n",
        "charsets": '{"text":"UTF-8"}',
    }
    content_type, body = form(**{**usual, **fields})
    return read_mail(content_type, body, NOW)


def test_a_mail_tells_who_wrote_what_in_answer_to_what() -> None:
    read = mail("Message-ID: <1@example.org>\r\nIn-Reply-To: <touch-1@example.com>")
    assert read == Inbound(
        key="mail lucia@example.org <1@example.org>",
        channel="email",
        at=NOW,
        sender="lucia@example.org",
        text="BAJA",
        answers="<touch-1@example.com>",
        link="abc123",
    )
    assert "lucia" not in repr(read)


@pytest.mark.parametrize(
    "headers",
    ["Auto-Submitted: auto-replied", "Precedence: bulk", "List-Id: <a.b>", "auto-submitted: auto-generated; x"],
)
def test_what_a_machine_wrote_is_no_reply(headers: str) -> None:
    assert mail(headers) is None
    assert mail("Auto-Submitted: no") is not None


def test_each_field_is_read_in_its_own_charset() -> None:
    content_type, body = form(
        envelope='{"to":["a@b.c"],"from":"lucia@example.org"}', text="X", charsets='{"text":"iso-8859-1"}'
    )
    read = read_mail(content_type, body.replace(b"\r\nX\r\n", b"\r\ncancelaci\xf3n\r\n"), NOW)
    assert read is not None
    assert "cancelación" == read.text


def test_the_sample_of_the_library_is_read() -> None:
    body = (files("sendgrid") / "helpers/inbound/sample_data/default_data.txt").read_bytes()
    hook = signed(body.replace(b"\n", b"\r\n"), content_type="multipart/form-data; boundary=xYzZY")
    (read,) = OURS[INBOUND].read(hook, NOW).said
    assert isinstance(read, Inbound)
    assert ("test@example.com", "Hello Twilio SendGrid!") == (read.sender, read.text)


def test_attachments_are_left_out_and_do_not_shadow_a_field() -> None:
    content_type, body = form(envelope='{"to":["a@b.c"],"from":"lucia@example.org"}', text="Hi")
    attached = (
        b'--b\r\nContent-Disposition: form-data; name="text"; filename="a.txt"\r\n'
        b"Content-Type: text/plain\r\n\r\nshadow\r\n"
    )
    read = read_mail(content_type, attached + body, NOW)
    assert read is not None
    assert "Hi" == read.text


@pytest.mark.parametrize(
    "body", [b"", b"--b", b"--b\r\n\r\n", b"\x00" * 100, b"--b\r\nContent-Disposition: x\r\n\r\n--b--"]
)
def test_a_form_that_is_none_is_refused_or_says_nothing(body: bytes) -> None:
    for content_type in ("", "text/plain", "multipart/form-data; boundary=b", "multipart/form-data"):
        hook = signed(body, content_type=content_type)
        with suppress(Malformed):
            assert Heard(passed_over=1) == OURS[INBOUND].read(hook, NOW)
