"""E-mail by SendGrid's API: one message, one call, one outcome.

Only 202 says that a message was taken. A refusal (4xx) says that it was not. Anything else, once the connection
stands, leaves it in doubt: it may be queued, and must not be sent again.
"""

from __future__ import annotations

import http.client
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import sendgrid
from python_http_client.exceptions import HTTPError

from orchestrator.channels.blocking import Busy, Overdue, Slots
from orchestrator.channels.capabilities import refusal
from orchestrator.channels.contract import Answer, Capabilities, Message
from orchestrator.channels.email import headers
from orchestrator.channels.email.sendgrid.client import open_client
from orchestrator.channels.email.sendgrid.receipts import TOUCH, read_answer
from orchestrator.channels.http import Reply, is_untrusted
from orchestrator.channels.secret import Secret, read_secret
from orchestrator.settings import SendGridSettings, Settings


def build(message: Message, programme: str, *, sandbox: bool = False, opt_out_mail: str = "") -> dict[str, object]:
    """The JSON of `POST /v3/mail/send`; `programme` names the stream in Feedback-ID.

    The touch id goes in `custom_args`, which come back with every event; nothing else about the member does, since
    SendGrid keeps them for good. Tracking is off: opt-outs are ours to record, and links ours to sign. Raises
    Unsendable.
    """
    to, sender = headers.recipient(message), headers.sender(message)
    headers.check_words(message)
    content = [{"type": "text/plain", "value": message.text}]
    if message.html:
        content.append({"type": "text/html", "value": message.html})
    off = {"enable": False}
    mail: dict[str, object] = {
        "personalizations": [
            {
                "to": [{"email": to}],
                "headers": headers.marks(message, programme, opt_out_mail),
                "custom_args": {TOUCH: headers.touch_id(message)},
            }
        ],
        "from": {"email": sender, "name": message.sender_name} if message.sender_name else {"email": sender},
        "subject": message.subject,
        "content": content,
        "categories": [message.journey],
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": off,
            "subscription_tracking": off,
            "ganalytics": off,
        },
    }
    if reply_to := headers.reply_to(message):
        mail["reply_to"] = {"email": reply_to}
    if sandbox:
        mail["mail_settings"] = {"sandbox_mode": {"enable": True}}
    return mail


class SendGrid:
    """One account; see `README.md` for what its answers come to."""

    def __init__(
        self,
        settings: SendGridSettings,
        *,
        api_key: Secret,
        programme: str,
        clock: Callable[[], datetime],
        opt_out_mail: str = "",
    ) -> None:
        """`clock` gives the moment of a call, aware."""
        self.channel = "email"
        self.slots = settings.calls
        self.capabilities = Capabilities()
        self._sandbox, self._programme, self._clock = settings.sandbox, programme, clock
        self._opt_out_mail = opt_out_mail
        self._slots: Slots[sendgrid.SendGridAPIClient] = Slots(
            settings.calls, lambda: open_client(settings.host, api_key, settings.timeout_s), settings.timeout_s
        )

    def __repr__(self) -> str:
        return f"SendGrid({self.slots} calls)"

    async def send(self, message: Message) -> Answer:
        """One call, within the time-out of the settings. Never raises."""
        if refused := refusal(message, self.capabilities, self._clock()):
            return refused
        try:
            mail = build(message, self._programme, sandbox=self._sandbox, opt_out_mail=self._opt_out_mail)
        except headers.Unsendable as error:
            return Answer(kind=error.kind, code=error.code)
        try:
            reply = await self._slots.call(lambda api: _post(api, mail))
        except Busy:
            return Answer(kind="transient", code="busy")
        except Overdue:
            return Answer(kind="unknown", code="timeout")
        return read_answer(reply, self._clock(), sandbox=self._sandbox) if isinstance(reply, Reply) else reply

    async def close(self) -> None:
        """Nothing to end: each call has a connection of its own."""
        self._slots.take()


def _post(api: sendgrid.SendGridAPIClient, mail: dict[str, object]) -> Reply | Answer:
    """One call of the library; what it raises, sorted by whether SendGrid may have the message."""
    wire = api.client.wire
    wire.connected = False
    try:
        answer = api.client.mail.send.post(request_body=mail)
    except HTTPError as error:
        return _reply(error.status_code, error.headers, error.body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        # URLError and TimeoutError are OSErrors; ValueError is what the library makes of an address that is none
        if wire.connected:
            return Answer(kind="unknown", code="connection")
        if is_untrusted(error):
            return Answer(kind="rejected_sender", code="tls")
        return Answer(kind="transient", code="connection")
    return _reply(answer.status_code, answer.headers, answer.body)


def _reply(status: int, head: object, body: object) -> Reply:
    pairs = head.items() if isinstance(head, http.client.HTTPMessage) else ()
    return Reply(status, {name.lower(): value for name, value in pairs}, body if isinstance(body, bytes) else b"")


def open_adapter(channel: str, settings: Settings, project: Path, clock: Callable[[], datetime]) -> SendGrid:  # noqa: ARG001 - the shape that every adapter's folder has
    """The account of `[dispatch.sendgrid]`."""
    account = settings.dispatch.sendgrid
    return SendGrid(
        account,
        api_key=read_secret(account.api_key_env, "[dispatch.sendgrid] api_key_env"),
        programme=settings.programme,
        clock=clock,
        opt_out_mail=settings.opt_out_mail,
    )
