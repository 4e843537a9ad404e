"""What the Cloud API tells by itself: statuses, members' messages and choices, verdicts on templates.

Source, read 2026-11-22: developers.facebook.com/documentation/business-messaging/whatsapp/webhooks. Requests come in
batches, repeated, out of order, for days; the signature is over the raw bytes, and no signed time is in it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

from orchestrator.channels.secret import Secret, read_secret, read_secrets
from orchestrator.channels.webhooks import (
    Forged,
    Heard,
    Hook,
    Inbound,
    Malformed,
    Preference,
    Receiver,
    Report,
    Review,
    Said,
    instant,
    once,
    read_json,
    rows,
    table,
    words,
)
from orchestrator.channels.whatsapp.cloud.codes import CODES, STATUSES, read_answer, state_of
from orchestrator.channels.whatsapp.numbers import canonical
from orchestrator.settings import Settings

__all__ = ["CODES", "STATUSES", "Webhook", "open_receivers", "read_answer"]

PATH = "/webhooks/whatsapp"
SIGNATURE = "X-Hub-Signature-256"
# verdict on a template -> may it be used; others change nothing
REVIEWS: dict[str, Literal["approved", "stopped"]] = {
    "APPROVED": "approved",
    "REINSTATED": "approved",
    "UNARCHIVED": "approved",
    "REJECTED": "stopped",
    "PAUSED": "stopped",
    "DISABLED": "stopped",
    "ARCHIVED": "stopped",
    "DELETED": "stopped",
    "PENDING_DELETION": "stopped",
}
# a member's choice -> ours; signing up lifts the platform's block, and is no consent until it is recorded as one
CHOICES: dict[str, Literal["stop", "resume"]] = {"stop": "stop", "resume": "resume", "signup": "resume"}
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{1,100}")


def verify(hook: Hook, secrets: Sequence[Secret]) -> None:
    """Raises Forged unless one of the app's secrets signed the raw bytes."""
    told = hook.header(SIGNATURE).encode("utf-8", "replace")
    for secret in secrets:
        ours = hmac.new(secret.reveal().encode(), hook.body, hashlib.sha256).hexdigest()
        if hmac.compare_digest(f"sha256={ours}".encode(), told):
            return
    raise Forged("bad_signature")


class Webhook:
    """The app's one webhook."""

    # Meta batches up to 1,000 changes
    limit = 4 << 20

    def __init__(self, secrets: Sequence[Secret], verify_token: Secret, phone_number_id: str) -> None:
        """Any of the secrets may have signed; what is said to other numbers of the account is passed over."""
        self._secrets, self._verify_token, self._number = tuple(secrets), verify_token, phone_number_id

    def read(self, hook: Hook, now: datetime) -> Heard:
        """What was said, or the answer to Meta's question whether this address is ours. Raises Forged and Malformed."""
        if hook.method == "GET":
            return self._subscribe(hook)
        verify(hook, self._secrets)
        body = read_json(hook.body)
        if not isinstance(body, dict) or body.get("object") != "whatsapp_business_account":
            raise Malformed("not_whatsapp")
        said: list[Said] = []
        passed_over = 0
        for word in self._words(body, now):
            if word is None:
                passed_over += 1
            else:
                said.append(word)
        return Heard(said=once(said), passed_over=passed_over)

    def _subscribe(self, hook: Hook) -> Heard:
        token, challenge = hook.query("hub.verify_token"), hook.query("hub.challenge")
        known = hmac.compare_digest(self._verify_token.reveal().encode(), token.encode("utf-8", "replace"))
        if not (self._verify_token and known and hook.query("hub.mode") == "subscribe"):
            raise Forged("bad_verify_token")
        if not _CHALLENGE.fullmatch(challenge):
            raise Malformed("bad_challenge")
        return Heard(answer=challenge)

    def _words(self, body: dict[str, object], now: datetime) -> Iterator[Said | None]:
        """Each thing said, None for what says nothing to us."""
        for entry in rows(body.get("entry")):
            for change in rows(entry.get("changes")):
                field, value = words(change.get("field")), table(change.get("value"))
                if field == "message_template_status_update":
                    yield _review(value, instant(entry.get("time"), now) or now)
                elif words(table(value.get("metadata")).get("phone_number_id")) != self._number:
                    yield None
                elif field == "messages":
                    yield from (_report(status, now) for status in rows(value.get("statuses")))
                    people = rows(value.get("contacts"))
                    yield from (_inbound(message, people, now) for message in rows(value.get("messages")))
                elif field == "user_preferences":
                    yield from (_preference(choice, now) for choice in rows(value.get("user_preferences")))
                else:
                    yield None


def _report(status: dict[str, object], now: datetime) -> Report | None:
    message_id, name = words(status.get("id"), 300), words(status.get("status"))
    errors = rows(status.get("errors"))
    number = errors[0].get("code") if errors else None
    number = number if isinstance(number, int) else 0
    state = state_of(name, number)
    if not message_id or state is None:
        return None
    return Report(
        key=f"{message_id} {name}",
        touch_id=words(status.get("biz_opaque_callback_data")),
        provider_id=message_id,
        state=state,
        at=instant(status.get("timestamp"), now) or now,
        code=f"{name} {number}" if number else name,
    )


def _inbound(message: dict[str, object], people: list[dict[str, object]], now: datetime) -> Inbound | None:
    """A member's message; None for reactions, for what the platform itself says, and for what nobody is named by."""
    message_id, kind, wa_id = words(message.get("id"), 300), words(message.get("type")), words(message.get("from"), 30)
    person = next((one for one in people if words(one.get("wa_id")) == wa_id), people[0] if len(people) == 1 else {})
    user_id = words(message.get("from_user_id")) or words(person.get("user_id"))
    sender = canonical(wa_id) or user_id
    if not message_id or not sender or kind in {"reaction", "system", "unsupported"} or message.get("errors"):
        return None
    identifiers = {"wa_id": wa_id, "user_id": user_id}
    return Inbound(
        key=message_id,
        channel="whatsapp",
        at=instant(message.get("timestamp"), now) or now,
        sender=sender,
        identifiers={name: value for name, value in identifiers.items() if value},
        text=_text(message, kind),
        answers=words(table(message.get("context")).get("id"), 300),
    )


def _text(message: dict[str, object], kind: str) -> str:
    """The words of a message: its text, the button that was pressed, what stands below a picture."""
    part = table(message.get(kind))
    if kind == "interactive":
        part = table(part.get(words(part.get("type"))))
    named = (part.get(name) for name in ("body", "text", "title", "caption"))
    return next((value[:4_096] for value in named if isinstance(value, str)), "")


def _preference(choice: dict[str, object], now: datetime) -> Preference | None:
    wa_id, user_id, value = words(choice.get("wa_id"), 30), words(choice.get("user_id")), words(choice.get("value"))
    at = instant(choice.get("timestamp"), now) or now
    sender = canonical(wa_id) or user_id
    if value not in CHOICES or not sender or choice.get("category") != "marketing_messages":
        return None
    identifiers = {"wa_id": wa_id, "user_id": user_id}
    return Preference(
        key=f"preference {sender} {value} {int(at.timestamp())}",
        channel="whatsapp",
        at=at,
        wants=CHOICES[value],
        sender=sender,
        identifiers={name: found for name, found in identifiers.items() if found},
        code=value,
    )


def _review(value: dict[str, object], at: datetime) -> Review | None:
    event, name = words(value.get("event")), words(value.get("message_template_name"), 512)
    language = words(value.get("message_template_language"))
    if event not in REVIEWS or not name:
        return None
    return Review(
        key=f"template {name}/{language} {event} {int(at.timestamp())}",
        channel="whatsapp",
        at=at,
        name=name,
        language=language,
        state=REVIEWS[event],
        code=event,
    )


def open_receivers(settings: Settings) -> dict[str, Receiver]:
    """path -> receiver, where the app's secret is at hand."""
    account = settings.dispatch.whatsapp
    secrets = read_secrets(account.app_secret_env, "[dispatch.whatsapp] app_secret_env")
    if not secrets:
        return {}
    verify_token = read_secret(account.verify_token_env, "[dispatch.whatsapp] verify_token_env", required=False)
    return {PATH: Webhook(secrets, verify_token, account.phone_number_id)}
