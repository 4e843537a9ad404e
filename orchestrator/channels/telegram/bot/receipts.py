"""What Telegram's answers and updates mean. Source, read 2026-11-22: core.telegram.org/bots/api (Bot API 10.1).

Its errors have HTTP's numbers and free texts, which are not matched: a chat that is not there and a text that is too
long are both 400, so that nobody loses a contact point by a guess.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from orchestrator.channels.contract import Answer
from orchestrator.channels.http import LONGEST_WAIT, Reply
from orchestrator.channels.secret import Secret, read_secrets
from orchestrator.channels.webhooks import (
    Forged,
    Heard,
    Hook,
    Inbound,
    Malformed,
    Preference,
    Receiver,
    instant,
    read_json,
    table,
    words,
)
from orchestrator.events.inputs import AnswerKind
from orchestrator.settings import Settings

# --- answers

# error_code -> outcome; a fault of the server, or a number that is not here, is unknown
CODES: dict[int, AnswerKind] = {
    400: "rejected_message",
    # the token is wrong; of another method there is none
    401: "rejected_sender",
    404: "rejected_sender",
    # blocked the bot, closed the account, or never wrote to it
    403: "rejected_recipient",
    413: "rejected_message",
    429: "throttled",
}
_BLOCKED = 403


class _Parameters(msgspec.Struct):
    retry_after: int | None = None
    migrate_to_chat_id: int | None = None


class _Result(msgspec.Struct):
    message_id: int = 0


class _Body(msgspec.Struct):
    ok: bool = False
    result: _Result | None = None
    error_code: int | None = None
    parameters: _Parameters | None = None


def read_answer(reply: Reply) -> Answer:
    """The outcome of a call: taken only where the message that was made is told."""
    body = _body(reply.body)
    if reply.status == 200 and body.ok and body.result is not None and body.result.message_id:
        return Answer(kind="accepted", code="200", provider_id=str(body.result.message_id))
    number = body.error_code or reply.status
    parameters = body.parameters or _Parameters()
    if number == 400 and parameters.migrate_to_chat_id is not None:
        # a group that became another one: this chat is no more
        return Answer(kind="rejected_recipient", code="400 migrated")
    kind = CODES.get(number, "unknown")
    wait = _wait(parameters, reply) if kind == "throttled" else None
    return Answer(kind=kind, code=str(number), retry_after=wait, opted_out=number == _BLOCKED)


def _wait(parameters: _Parameters, reply: Reply) -> timedelta | None:
    told = parameters.retry_after
    if told is None or told < 0:
        return reply.retry_after
    return LONGEST_WAIT if told > LONGEST_WAIT.total_seconds() else timedelta(seconds=told)


def _body(raw: bytes) -> _Body:
    try:
        return msgspec.json.decode(raw, type=_Body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return _Body()


# --- updates

PATH = "/webhooks/telegram"
SECRET_TOKEN = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the header's name
# status of our bot in a private chat -> what the member did
MEMBERSHIP: dict[str, Literal["stop", "resume"]] = {"kicked": "stop", "member": "resume"}
_COMMAND = re.compile(r"/(start|stop|help)(?:@\w+)?(?:\s+([A-Za-z0-9_-]{1,64}))?\s*", re.IGNORECASE)


class Webhook:
    """The bot's one webhook: one update a request, in private chats."""

    limit = 1 << 20

    def __init__(self, secrets: Sequence[Secret]) -> None:
        """Any of the secrets may be the one that was given with setWebhook."""
        self._secrets = tuple(secrets)

    def read(self, hook: Hook, now: datetime) -> Heard:
        """What the update says. Raises Forged and Malformed."""
        told = hook.header(SECRET_TOKEN).encode("utf-8", "replace")
        if not any(hmac.compare_digest(secret.reveal().encode(), told) for secret in self._secrets):
            raise Forged("bad_secret_token")
        update = read_json(hook.body)
        number = words(update.get("update_id")) if isinstance(update, dict) else ""
        if not isinstance(update, dict) or not number:
            raise Malformed("not_an_update")
        key = f"update {number}"
        word = _inbound(key, table(update.get("message")), now) or _choice(
            key, table(update.get("my_chat_member")), now
        )
        return Heard(passed_over=1) if word is None else Heard(said=(word,))


def _chat(part: dict[str, object]) -> str:
    """The id of a private chat, "" for any other."""
    chat = table(part.get("chat"))
    return words(chat.get("id"), 20) if chat.get("type") == "private" else ""


def _inbound(key: str, message: dict[str, object], now: datetime) -> Inbound | None:
    sender = _chat(message)
    if not sender or table(message.get("from")).get("is_bot") is True:
        return None
    said = [value for name in ("text", "caption") if isinstance(value := message.get(name), str)]
    text = said[0][:4_096] if said else ""
    command = _COMMAND.fullmatch(text)
    return Inbound(
        key=key,
        channel="telegram",
        at=instant(message.get("date"), now) or now,
        sender=sender,
        text=text,
        wants=command[1].lower() if command else "",  # type: ignore[arg-type] # the words of the pattern
        answers=words(table(message.get("reply_to_message")).get("message_id")),
        link=(command[2] or "") if command else "",
    )


def _choice(key: str, change: dict[str, object], now: datetime) -> Preference | None:
    sender, status = _chat(change), words(table(change.get("new_chat_member")).get("status"))
    if not sender or status not in MEMBERSHIP:
        return None
    return Preference(
        key=key,
        channel="telegram",
        at=instant(change.get("date"), now) or now,
        wants=MEMBERSHIP[status],
        # a bot that is blocked can write nothing at all
        purpose="any",
        sender=sender,
        code=status,
    )


def open_receivers(settings: Settings) -> dict[str, Receiver]:
    """path -> receiver, where the webhook's secret is at hand."""
    secrets = read_secrets(settings.dispatch.telegram.webhook_secret_env, "[dispatch.telegram] webhook_secret_env")
    return {PATH: Webhook(secrets)} if secrets else {}
