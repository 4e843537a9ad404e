"""Telegram by a bot: one message, one call, one outcome.

The token is part of each address that is called, so no address is ever shown or logged. Telegram carries nothing of
ours: a message in doubt stays so, and the id that it gives to an accepted one is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from orchestrator.channels.capabilities import refusal
from orchestrator.channels.contract import Answer, Capabilities, Message
from orchestrator.channels.http import Http, Reply
from orchestrator.channels.secret import Secret, read_secret
from orchestrator.channels.telegram.bot.receipts import read_answer
from orchestrator.errors import SetupError
from orchestrator.settings import Settings, TelegramSettings

CAPABILITIES = Capabilities(text_limit=4_096, caption_limit=1_024, media=True)
_CHAT = re.compile(r"-?[1-9]\d{0,18}")
_TOKEN = re.compile(r"[A-Za-z0-9:_-]+")


def build(message: Message) -> tuple[str, dict[str, object]] | None:
    """Method and JSON of the call; None where the contact point is no chat.

    The words go as they are: without a parse mode nothing in a member's name can become a mark-up, or an error.
    """
    if not _CHAT.fullmatch(message.to):
        return None
    chat = {"chat_id": int(message.to)}
    if message.media:
        return "sendPhoto", {**chat, "photo": message.media, "caption": message.text}
    return "sendMessage", {**chat, "text": message.text}


class Bot:
    """One bot; see `README.md` for what its answers come to."""

    def __init__(self, settings: TelegramSettings, *, token: Secret, clock: Callable[[], datetime]) -> None:
        """`clock` gives the moment of a call, aware. Raises SetupError for a token that is none."""
        if not _TOKEN.fullmatch(token.reveal()):
            raise SetupError(f"[dispatch.telegram] token_env: {settings.token_env} holds no token of BotFather")
        self.channel = "telegram"
        self.slots = settings.calls
        self.capabilities = CAPABILITIES
        self._token, self._clock = token, clock
        self._http = Http(settings.host, settings.calls, settings.timeout_s)

    def __repr__(self) -> str:
        return f"Bot({self.slots} calls)"

    async def send(self, message: Message) -> Answer:
        """One call, within the time-out of the settings. Never raises."""
        if refused := refusal(message, self.capabilities, self._clock()):
            return refused
        call = build(message)
        if call is None:
            return Answer(kind="rejected_recipient", code="bad_recipient")
        method, body = call
        reply = await self._http.post(f"/bot{self._token.reveal()}/{method}", msgspec.json.encode(body), {})
        return read_answer(reply) if isinstance(reply, Reply) else reply

    async def close(self) -> None:
        """Ends connections."""
        await self._http.close()


def open_adapter(channel: str, settings: Settings, project: Path, clock: Callable[[], datetime]) -> Bot:  # noqa: ARG001 - the shape that every adapter's folder has
    """The bot of `[dispatch.telegram]`."""
    account = settings.dispatch.telegram
    return Bot(account, token=read_secret(account.token_env, "[dispatch.telegram] token_env"), clock=clock)
