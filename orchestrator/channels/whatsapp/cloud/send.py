"""WhatsApp by Meta's Cloud API: one message, one call, one outcome."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.channels.approvals import Approvals, key
from orchestrator.channels.capabilities import refusal
from orchestrator.channels.contract import Answer, Capabilities, Message
from orchestrator.channels.http import Http, Reply
from orchestrator.channels.secret import Secret, read_secret
from orchestrator.channels.whatsapp.cloud.codes import STOPS, read_answer
from orchestrator.channels.whatsapp.numbers import is_number, is_user_id
from orchestrator.errors import SetupError
from orchestrator.settings import Settings, WhatsAppSettings

CAPABILITIES = Capabilities(text_limit=4_096, caption_limit=1_024, media=True, window=True, approved="template")


def build(message: Message) -> dict[str, Any] | None:
    """The JSON of `POST …/messages`; None where the contact point is neither a number nor a user id.

    The touch id goes in `biz_opaque_callback_data`, which comes back with every status.
    """
    to = recipient(message)
    if to is None:
        return None
    return {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        **to,
        **_content(message),
        "biz_opaque_callback_data": message.touch_id,
    }


def recipient(message: Message) -> dict[str, str] | None:
    """`to` a number, as WhatsApp last wrote it where that is known; else the `recipient` of a business-scoped id."""
    if wa_id := message.identifiers.get("wa_id", ""):
        return {"to": wa_id}
    if is_number(message.to):
        return {"to": message.to}
    user_id = message.identifiers.get("user_id", message.to)
    return {"recipient": user_id} if is_user_id(user_id) else None


def _content(message: Message) -> dict[str, Any]:
    picture = {"type": "image", "image": {"link": message.media}}
    if message.template:
        components: list[dict[str, Any]] = []
        if message.media:
            components.append({"type": "header", "parameters": [picture]})
        if message.variables:
            values = [{"type": "text", "text": value} for value in message.variables]
            components.append({"type": "body", "parameters": values})
        language = {"code": message.template_language, "policy": "deterministic"}
        template = {"name": message.template, "language": language, "components": components}
        return {"type": "template", "template": template}
    if message.media:
        return {"type": "image", "image": {"link": message.media, "caption": message.text}}
    return {"type": "text", "text": {"body": message.text}}


class Cloud:
    """One number of one account; see `README.md` for what its answers come to."""

    def __init__(self, settings: WhatsAppSettings, *, token: Secret, clock: Callable[[], datetime]) -> None:
        """`clock` gives the moment of a call, aware. Raises SetupError where no number is named."""
        if not settings.phone_number_id.isdecimal():
            raise SetupError("[dispatch.whatsapp] phone_number_id: expected the number's id at Meta, digits alone")
        self.channel = "whatsapp"
        self.slots = settings.calls
        self.capabilities = CAPABILITIES
        self.approvals = Approvals()
        self._path = f"/{settings.version}/{settings.phone_number_id}/messages"
        self._token, self._clock = token, clock
        self._http = Http(settings.host, settings.calls, settings.timeout_s)

    def __repr__(self) -> str:
        return f"Cloud({self.slots} calls)"

    async def send(self, message: Message) -> Answer:
        """One call, within the time-out of the settings. Never raises."""
        at, name = self._clock(), key(message.template, message.template_language)
        refused = refusal(message, self.capabilities, at) or self.approvals.refusal(name, at)
        if refused:
            return refused
        body = build(message)
        if body is None:
            return Answer(kind="rejected_recipient", code="bad_recipient")
        headers = {"Authorization": f"Bearer {self._token.reveal()}"}
        reply = await self._http.post(self._path, msgspec.json.encode(body), headers)
        answer = read_answer(reply) if isinstance(reply, Reply) else reply
        if answer.code.rpartition(" ")[2] in STOPS:
            self.approvals.stop(name, at)
        return answer

    async def close(self) -> None:
        """Ends connections."""
        await self._http.close()


def open_adapter(channel: str, settings: Settings, project: Path, clock: Callable[[], datetime]) -> Cloud:  # noqa: ARG001 - the shape that every adapter's folder has
    """The number of `[dispatch.whatsapp]`."""
    account = settings.dispatch.whatsapp
    return Cloud(account, token=read_secret(account.token_env, "[dispatch.whatsapp] token_env"), clock=clock)
