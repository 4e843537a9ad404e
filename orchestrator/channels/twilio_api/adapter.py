"""One account at Twilio on one channel: one message, one call, one outcome."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlsplit

from orchestrator.channels.approvals import Approvals
from orchestrator.channels.blocking import Busy, Overdue, Slots
from orchestrator.channels.capabilities import refusal
from orchestrator.channels.contract import Answer, Capabilities, Message
from orchestrator.channels.http import Reply
from orchestrator.channels.secret import Secret, read_secret
from orchestrator.channels.twilio_api.client import TwilioClient
from orchestrator.channels.twilio_api.codes import STOPS, read_answer
from orchestrator.channels.twilio_api.webhooks import STATUS, TOUCH
from orchestrator.channels.whatsapp.numbers import is_number
from orchestrator.errors import SetupError
from orchestrator.settings import Settings, TwilioSettings

# Twilio keeps a message in its queue for so long at most (seconds)
LONGEST_VALIDITY_S = 36_000
# E.164 number, short code, or a name of at most eleven letters and digits with a letter among them
_SENDER = re.compile(r"\+[1-9]\d{6,14}|\d{3,8}|(?=.*[A-Za-z])[A-Za-z0-9 &+_-]{1,11}")
# callbacks are tried three times when a connection or a reply fails; the fragment is for Twilio and is not signed
_TRY_AGAIN = "#rc=3&rp=ct,rt"


class Unsendable(ValueError):
    """This message can't be carried; the answer names why."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.code)


def build(message: Message, settings: TwilioSettings, public_url: str, at: datetime) -> dict[str, Any]:
    """The arguments of `messages.create`, for SMS or WhatsApp as the message's channel says.

    The touch id goes in the query of the status callback, which Twilio signs. What has not left Twilio's queue when
    hours close or validity ends is dropped there. Raises Unsendable.
    """
    whatsapp = message.channel == "whatsapp"
    service = settings.whatsapp_service_sid if whatsapp else settings.messaging_service_sid
    fields: dict[str, Any] = {"to": _recipient(message)}
    if service:
        fields["messaging_service_sid"] = service
    elif not _SENDER.fullmatch(message.sender) or (whatsapp and not is_number(message.sender)):
        raise Unsendable(Answer(kind="rejected_sender", code="bad_sender"))
    else:
        fields["from_"] = f"whatsapp:{message.sender}" if whatsapp else message.sender
    if whatsapp and message.content_sid:
        fields["content_sid"] = message.content_sid
        if message.variables:
            numbered = {str(n): value for n, value in enumerate(message.variables, 1)}
            fields["content_variables"] = json.dumps(numbered, ensure_ascii=False)
    else:
        fields["body"] = message.text
        if message.media:
            fields["media_url"] = [message.media]
    if public_url:
        fields["status_callback"] = f"{public_url}{STATUS}?{TOUCH}={quote(message.touch_id, safe='')}{_TRY_AGAIN}"
    if message.deliver_by is not None:
        left = int((message.deliver_by - at).total_seconds())
        fields["validity_period"] = max(1, min(left, LONGEST_VALIDITY_S))
    return fields


def _recipient(message: Message) -> str:
    if message.channel != "whatsapp":
        if not is_number(message.to):
            raise Unsendable(Answer(kind="rejected_recipient", code="bad_recipient"))
        return message.to
    # the form that WhatsApp last wrote itself reaches where the usual one may not
    number = f"+{message.identifiers['wa_id']}" if "wa_id" in message.identifiers else message.to
    if not is_number(number):
        # reachable by the platform's own id alone, which Twilio does not take; the member is none the worse for it
        raise Unsendable(Answer(kind="rejected_message", code="no_number"))
    return f"whatsapp:{number}"


class Twilio:
    """One account; see the channel folder's `README.md` for what its answers come to."""

    def __init__(
        self,
        channel: str,
        settings: TwilioSettings,
        *,
        secret: Secret,
        public_url: str,
        clock: Callable[[], datetime],
    ) -> None:
        """`secret` is the account's token, or that of the API key that the settings name.

        `public_url` is where callbacks go, "" asks for none; `clock` gives the moment of a call, aware. Raises
        SetupError for settings that Twilio would refuse.
        """
        _check(settings, public_url)
        self.channel = channel
        self.slots = settings.calls
        self.capabilities = (
            Capabilities(text_limit=1_600, media=True, window=True, approved="content_sid")
            if channel == "whatsapp"
            else Capabilities(text_limit=1_600, segments=settings.max_segments, media=True)
        )
        self.approvals = Approvals()
        self._settings, self._public_url, self._clock = settings, public_url.rstrip("/"), clock
        user = settings.api_key_sid or settings.account_sid
        self._slots: Slots[TwilioClient] = Slots(
            settings.calls,
            lambda: TwilioClient(settings.host, settings.account_sid, user, secret, settings.timeout_s),
            settings.timeout_s,
        )

    def __repr__(self) -> str:
        return f"Twilio({self.channel}, {self.slots} calls)"

    async def send(self, message: Message) -> Answer:
        """One call, within the time-out of the settings. Never raises."""
        at = self._clock()
        refused = refusal(message, self.capabilities, at) or self.approvals.refusal(message.content_sid, at)
        if refused:
            return refused
        try:
            fields = build(message, self._settings, self._public_url, at)
        except Unsendable as error:
            return error.answer
        try:
            reply = await self._slots.call(lambda client: client.create(fields))
        except Busy:
            return Answer(kind="transient", code="busy")
        except Overdue:
            return Answer(kind="unknown", code="timeout")
        answer = read_answer(reply) if isinstance(reply, Reply) else reply
        if answer.code.rpartition(" ")[2] in STOPS:
            self.approvals.stop(message.content_sid, at)
        return answer

    async def close(self) -> None:
        """Ends connections."""
        for client in self._slots.take():
            client.close()


def _check(settings: TwilioSettings, public_url: str) -> None:
    """Raises SetupError for what Twilio would refuse call by call."""
    forms = {
        "account_sid": (settings.account_sid, "AC", True),
        "api_key_sid": (settings.api_key_sid, "SK", False),
        "messaging_service_sid": (settings.messaging_service_sid, "MG", False),
        "whatsapp_service_sid": (settings.whatsapp_service_sid, "MG", False),
    }
    for name, (sid, prefix, needed) in forms.items():
        if (sid or needed) and not re.fullmatch(f"{prefix}[0-9a-f]{{32}}", sid):
            raise SetupError(f"[dispatch.twilio] {name}: expected {prefix} and 32 digits, as the console shows it")
    if "_" in (urlsplit(public_url).hostname or ""):
        raise SetupError("public_url: Twilio calls back no host with an underscore in its name")


def open_account(channel: str, settings: Settings, clock: Callable[[], datetime]) -> Twilio:
    """The account of `[dispatch.twilio]` on this channel."""
    twilio = settings.dispatch.twilio
    key = twilio.api_key_secret_env if twilio.api_key_sid else twilio.auth_token_env
    name = "api_key_secret_env" if twilio.api_key_sid else "auth_token_env"
    return Twilio(
        channel,
        twilio,
        secret=read_secret(key, f"[dispatch.twilio] {name}"),
        public_url=settings.public_url,
        clock=clock,
    )
