"""What Twilio tells by itself: how a message fared, and what a member wrote. Signed over the public address and form.

The address is the one that Twilio called: it is built from settings, since a proxy may change scheme, host or query.
Nothing in a request says when it was signed, so a replay is seen by its key alone. Names and values are signed without
anything between them: whoever has a signed request may move letters from one to the next, and can't change any.
"""

from __future__ import annotations

import binascii
from collections.abc import Sequence
from datetime import datetime
from urllib.parse import parse_qsl

from twilio.request_validator import RequestValidator, get_signature_algorithm

from orchestrator.channels.secret import Secret, read_secrets
from orchestrator.channels.twilio_api.codes import state_of
from orchestrator.channels.webhooks import Forged, Heard, Hook, Inbound, Malformed, Receiver, Report
from orchestrator.channels.whatsapp.numbers import canonical
from orchestrator.settings import Settings

STATUS, INBOUND = "/webhooks/twilio/status", "/webhooks/twilio/inbound"
# parameter of the status callback that carries our touch id
TOUCH = "touch"
SIGNATURE, SIGNATURE_SETTINGS = "X-Twilio-Signature", "X-Twilio-Webhooks-Signature-Settings"
# Twilio's reading of a keyword
WANTS = {"STOP": "stop", "START": "start", "HELP": "help"}
# fields of a form at most
_FIELDS = 200
# an empty answer in Twilio's own language: no reply is sent
NO_REPLY = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'
_PREFIX = "whatsapp:"


class _Form(dict[str, list[str]]):
    """The fields of a form with all their values, as the validator of the library asks for them."""

    def getlist(self, name: str) -> list[str]:
        """All values of a field."""
        return self[name]


def verify(hook: Hook, tokens: Sequence[Secret]) -> dict[str, str]:
    """The fields of a request that one of the tokens signed, the first value of each; of a JSON body none.

    Raises Forged, before anything is read, and Malformed.
    """
    signature = hook.header(SIGNATURE)
    text = hook.body.decode("utf-8", "replace")
    is_json = hook.header("Content-Type").partition(";")[0].strip().lower() == "application/json"
    if not signature or (is_json and not hook.query("bodySHA256")):
        raise Forged("bad_signature")
    form = _form("" if is_json else text)
    algorithm = get_signature_algorithm(hook.header(SIGNATURE_SETTINGS))
    if not any(_signed(hook.url, text if is_json else form, signature, algorithm, token) for token in tokens):
        raise Forged("bad_signature")
    if is_json:
        raise Malformed("not_a_form")
    return {name: values[0] for name, values in form.items()}


def _signed(url: str, signed: str | _Form, signature: str, algorithm: str, token: Secret) -> bool:
    """The library's verdict; it raises where it should say no."""
    try:
        return RequestValidator(token.reveal()).validate(url, signed, signature, algorithm) is True
    except (ValueError, TypeError, AttributeError, KeyError, binascii.Error):
        return False


def _form(text: str) -> _Form:
    """Blank fields count, and so do repeated names; too many fields are no form of Twilio's."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS, errors="replace")
    except ValueError:
        raise Forged("bad_signature") from None
    form = _Form()
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


class Status:
    """The status callback: one word about one message."""

    limit = 64 << 10

    def __init__(self, tokens: Sequence[Secret]) -> None:
        """Any of the tokens may have signed."""
        self._tokens = tuple(tokens)

    def read(self, hook: Hook, now: datetime) -> Heard:
        """What became of the message. Raises Forged and Malformed."""
        form = verify(hook, self._tokens)
        sid, status, code = form.get("MessageSid", ""), form.get("MessageStatus", ""), form.get("ErrorCode", "")
        number = int(code) if code.isascii() and code.isdigit() and len(code) <= 6 else 0
        state = state_of(status, number)
        if not sid or state is None:
            return Heard(passed_over=1)
        return Heard(
            said=(
                Report(
                    key=f"{sid} {status}"[:200],
                    touch_id=hook.query(TOUCH)[:200],
                    provider_id=sid[:64],
                    state=state,
                    at=now,
                    code=f"{status} {number}" if number else status,
                ),
            )
        )


class InboundMessage:
    """A member's SMS or WhatsApp message."""

    limit = 64 << 10

    def __init__(self, tokens: Sequence[Secret]) -> None:
        """Any of the tokens may have signed."""
        self._tokens = tuple(tokens)

    def read(self, hook: Hook, now: datetime) -> Heard:
        """What the member wrote. Raises Forged and Malformed."""
        form = verify(hook, self._tokens)
        sid, sender = form.get("MessageSid", ""), form.get("From", "")
        whatsapp = sender.startswith(_PREFIX)
        number = sender.removeprefix(_PREFIX)
        wa_id = (form.get("WaId") or number.removeprefix("+"))[:20]
        if not sid or not number:
            return Heard(passed_over=1, answer=NO_REPLY, content_type="text/xml")
        word = Inbound(
            key=sid[:64],
            channel="whatsapp" if whatsapp else "sms",
            at=now,
            sender=(canonical(number) if whatsapp else number[:64]) or number[:64],
            identifiers={"wa_id": wa_id} if whatsapp else {},
            text=form.get("Body", "")[:4_096],
            wants=WANTS.get(form.get("OptOutType", "").upper(), ""),  # type: ignore[arg-type] # the words of Inbound
            answers=form.get("OriginalRepliedMessageSid", "")[:64],
        )
        return Heard(said=(word,), answer=NO_REPLY, content_type="text/xml")


def open_receivers(settings: Settings) -> dict[str, Receiver]:
    """path -> receiver, where the account's token is at hand."""
    tokens = read_secrets(settings.dispatch.twilio.auth_token_env, "[dispatch.twilio] auth_token_env")
    return {STATUS: Status(tokens), INBOUND: InboundMessage(tokens)} if tokens else {}
