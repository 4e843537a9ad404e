"""What SendGrid's answers and events mean.

Sources, read 2026-11-22: twilio.com/docs/sendgrid/api-reference/mail-send (answers) and
twilio.com/docs/sendgrid/for-developers/tracking-events/event (events, signature).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from orchestrator.channels.contract import Answer
from orchestrator.channels.email.sendgrid.inbound import read_mail
from orchestrator.channels.http import LONGEST_WAIT, Reply
from orchestrator.channels.webhooks import (
    Forged,
    Heard,
    Hook,
    Malformed,
    Preference,
    Receiver,
    Report,
    Said,
    fresh,
    instant,
    once,
    read_json,
    words,
)
from orchestrator.errors import SetupError
from orchestrator.events.inputs import AnswerKind, ReceiptState
from orchestrator.settings import Settings

# the custom argument that carries our touch id; comes back in every event
TOUCH = "touch_id"

# --- answers


class Row(NamedTuple):
    """One line of the table: the first that fits decides."""

    status: int
    # how the field that SendGrid finds fault with begins, "" for any or none
    field: str
    kind: AnswerKind


TABLE: tuple[Row, ...] = (
    Row(202, "", "accepted"),
    # an address that it takes for none
    Row(400, "personalizations.0.to", "rejected_recipient"),
    Row(400, "from", "rejected_sender"),
    Row(400, "", "rejected_message"),
    # key, scope, list of allowed addresses, sender identity that is not verified
    Row(401, "", "rejected_sender"),
    Row(403, "", "rejected_sender"),
    # a wrong host, or a fault of ours in building the request
    Row(404, "", "rejected_sender"),
    Row(405, "", "rejected_message"),
    Row(413, "", "rejected_message"),
    Row(415, "", "rejected_message"),
    Row(429, "", "throttled"),
    # 500, 503, 504, redirects, 200: it may be queued
)
_FIELD = re.compile(r"[a-z][a-z0-9_.]{0,60}")


def read_answer(reply: Reply, now: datetime, *, sandbox: bool = False) -> Answer:
    """The outcome of a call; in sandbox mode 200 says that the message would have been taken."""
    field = _field(reply.body)
    code = f"{reply.status} {field}".strip()
    if sandbox and reply.status == 200:
        return Answer(kind="accepted", code="200 sandbox")
    for row in TABLE:
        if row.status == reply.status and field.startswith(row.field):
            wait = _wait(reply, now) if row.kind == "throttled" else None
            provider_id = words(reply.headers.get("x-message-id", "")) if row.kind == "accepted" else ""
            return Answer(kind=row.kind, code=code, provider_id=provider_id, retry_after=wait)
    return Answer(kind="unknown", code=code)


def _field(body: bytes) -> str:
    """The first field that an error names; never its text, which may quote the message."""
    try:
        errors = msgspec.json.decode(body, type=_Errors).errors
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return ""
    field = next((error.field for error in errors if error.field), "") or ""
    return field if _FIELD.fullmatch(field) else ""


class _Error(msgspec.Struct):
    field: str | None = None


class _Errors(msgspec.Struct):
    errors: list[_Error] = []


def _wait(reply: Reply, now: datetime) -> timedelta | None:
    """Until when SendGrid asks for patience: seconds, or the epoch second at which its window ends."""
    reset = instant(reply.headers.get("x-ratelimit-reset", ""), None)
    if reply.retry_after is not None or reset is None:
        return reply.retry_after
    return min(max(reset - now, timedelta(0)), LONGEST_WAIT)


# --- events

# event -> state; what is not here is passed over
EVENTS: dict[str, ReceiptState] = {
    # handed to SendGrid's mailer, or still trying: either way it was taken, which settles an unknown
    "processed": "sent",
    "deferred": "sent",
    "delivered": "delivered",
    "open": "opened",
    "click": "clicked",
    "spamreport": "complained",
    "unsubscribe": "opted_out",
    "group_unsubscribe": "opted_out",
}
# type of a bounce -> state; SendGrid suppresses after `bounce` alone. One without a type is of that kind
BOUNCES: dict[str, ReceiptState] = {"bounce": "bounced", "": "bounced", "blocked": "failed"}
# reason of a drop, in lower case -> (code, state). These are SendGrid's own words for its own lists
DROPS: dict[str, tuple[str, ReceiptState]] = {
    "bounced address": ("bounced_address", "bounced"),
    "invalid": ("invalid", "bounced"),
    "invalid address": ("invalid_address", "bounced"),
    "unsubscribed address": ("unsubscribed_address", "opted_out"),
    "spam reporting address": ("spam_reporting_address", "complained"),
    "spam content": ("spam_content", "failed"),
    "invalid smtpapi header": ("invalid_header", "failed"),
    "recipient list over package quota": ("over_quota", "failed"),
}
_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")
# a retried request is signed anew; one that is older than the 24 h of retries is a replay
OLDEST = timedelta(days=1)
SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"


def verify(hook: Hook, keys: Sequence[ec.EllipticCurvePublicKey], now: datetime) -> None:
    """Raises Forged unless one of the keys signed timestamp and raw body (whose last CRLF counts) within a day."""
    stamp = hook.header(TIMESTAMP)
    try:
        signature = base64.b64decode(hook.header(SIGNATURE), validate=True)
    except (binascii.Error, ValueError):
        raise Forged("bad_signature") from None
    signed = stamp.encode("utf-8", "replace") + hook.body
    for key in keys:
        try:
            key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
            break
        except InvalidSignature:
            continue
    else:
        raise Forged("bad_signature")
    fresh(stamp, now, OLDEST)


class Events:
    """The Event Webhook: a list of events of several messages, in any order, repeated."""

    # SendGrid batches up to 768 KiB, or 1,000 events
    limit = 4 << 20

    def __init__(self, keys: Sequence[ec.EllipticCurvePublicKey]) -> None:
        """Any of the keys may have signed."""
        self._keys = tuple(keys)

    def read(self, hook: Hook, now: datetime) -> Heard:
        """What the events say. Raises Forged and Malformed."""
        verify(hook, self._keys, now)
        events = read_json(hook.body)
        if not isinstance(events, list):
            raise Malformed("not_a_list")
        said: list[Said] = []
        for event in events:
            word = read_event(event, now) if isinstance(event, dict) else None
            if word is not None:
                said.append(word)
        return Heard(said=once(said), passed_over=len(events) - len(said))


def read_event(event: dict[str, object], now: datetime) -> Report | Preference | None:
    """What one event says; None for one that says nothing we keep. `now` stands in for a missing time."""
    name = words(event.get("event"))
    key = words(event.get("sg_event_id")) or hashlib.blake2b(msgspec.json.encode(event), digest_size=16).hexdigest()
    at = instant(event.get("timestamp"), now) or now
    touch_id, address = words(event.get(TOUCH)), words(event.get("email"), 320)
    if name == "group_resubscribe":
        return (
            Preference(key=key, channel="email", at=at, wants="resume", sender=address, code=name) if address else None
        )
    state, code = _state(name, event)
    if state is None:
        return None
    if touch_id:
        provider_id = words(event.get("sg_message_id"))
        return Report(key=key, touch_id=touch_id, provider_id=provider_id, state=state, at=at, code=code)
    if state in {"opted_out", "complained"} and address:
        # sent by something else on this account: the wish holds all the same
        return Preference(key=key, channel="email", at=at, wants="stop", sender=address, code=code)
    return None


def _state(name: str, event: dict[str, object]) -> tuple[ReceiptState | None, str]:
    """State and code; of foreign servers' words only an enhanced status code is kept."""
    if name == "bounce":
        status = words(event.get("status"))
        kind = words(event.get("type"))
        code = f"{kind or name} {status}" if _ENHANCED.fullmatch(status) else kind or name
        return BOUNCES.get(kind, "failed"), code if kind in BOUNCES else name
    if name == "dropped":
        reason, state = DROPS.get(words(event.get("reason")).lower(), ("", "failed"))
        return state, f"{name} {reason}".strip()
    if name == "open" and event.get("sg_machine_open") is True:
        # a mail proxy's, or a scanner's
        return "opened", "machine_open"
    return EVENTS.get(name), name


class InboundParse:
    """Mail that members write: replies, and opt-outs by `mailto:`."""

    limit = 30 << 20

    def __init__(self, keys: Sequence[ec.EllipticCurvePublicKey]) -> None:
        """Any of the keys may have signed."""
        self._keys = tuple(keys)

    def read(self, hook: Hook, now: datetime) -> Heard:
        """The mail. Raises Forged and Malformed."""
        verify(hook, self._keys, now)
        inbound = read_mail(hook.header("Content-Type"), hook.body, now)
        return Heard(passed_over=1) if inbound is None else Heard(said=(inbound,))


def open_receivers(settings: Settings) -> dict[str, Receiver]:
    """path -> receiver, with the keys of `[dispatch.sendgrid] webhook_keys`; none where there are none."""
    keys = [_key(text) for text in settings.dispatch.sendgrid.webhook_keys]
    if not keys:
        return {}
    return {"/webhooks/sendgrid/events": Events(keys), "/webhooks/sendgrid/inbound": InboundParse(keys)}


def _key(text: str) -> ec.EllipticCurvePublicKey:
    """The key in base64 DER, as the console shows it."""
    try:
        key = load_der_public_key(base64.b64decode(text, validate=True))
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise SetupError("[dispatch.sendgrid] webhook_keys: one of them is no public key as the console shows it")
    return key
