"""What every channel adapter does. Adapters pass `orchestrator.testing.channel_suite`.

An adapter is pure at both ends (build the request, read the answer) and does one call, with a hard time-out, without
retries of its own: whether to call again is decided in `dispatch/retry.py`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, Protocol

from msgspec import Struct

from orchestrator.events.inputs import AnswerKind


class Message(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rendered message, ready to send; its repr hides address and bodies."""

    touch_id: str
    channel: str
    # what the contact point is known by: e-mail address, E.164 number, Telegram chat
    to: str
    purpose: str
    journey: str
    locale: str
    # e-mail only
    subject: str = ""
    html: str = ""
    # plain text: the SMS body, or the e-mail's text part
    text: str = ""
    # from-name and address, or sender id; from the channel policy
    sender_name: str = ""
    sender: str = ""
    reply_to: str = ""
    # absolute https URI of the opt-out page (List-Unsubscribe), or ""
    unsubscribe: str = ""
    # further identifiers of the same contact point by kind: `wa_id`, the number as WhatsApp last wrote it; `user_id`,
    # WhatsApp's business-scoped id, which a member without a visible number has alone
    identifiers: dict[str, str] = {}
    # the text as the provider approved it beforehand: its name at Meta, its content sid at Twilio, its language there,
    # and the values of {{1}}, {{2}}, …; `text` says the same in full
    template: str = ""
    content_sid: str = ""
    template_language: str = ""
    variables: tuple[str, ...] = ()
    # absolute https URI of a picture
    media: str = ""
    # free text is let through until then (exclusive), since the member wrote to us; None: they did not, or long ago
    open_until: datetime | None = None
    # it must not reach the member at or after this instant: hours close, or it is not valid any more
    deliver_by: datetime | None = None

    def __repr__(self) -> str:
        return f"Message({self.channel} {self.touch_id})"


class Answer(Struct, frozen=True, kw_only=True):
    """What became of one call."""

    kind: AnswerKind
    provider_id: str = ""
    # the provider's own code (`550 5.1.1`, `429`), never its free text
    code: str = ""
    # throttled: not before this long
    retry_after: timedelta | None = None
    # transient: what it comes to once no call is left (a mailbox that stays full: rejected_recipient)
    in_the_end: AnswerKind | None = None
    # rejected_recipient: the contact point is well, and its owner has opted out of our marketing at the provider
    opted_out: bool = False


class Capabilities(Struct, frozen=True, kw_only=True):
    """What an adapter can carry; `channels.capabilities.refusal` checks it before each call."""

    # characters of a text at most; 0: no bound
    text_limit: int = 0
    # characters beside a picture at most; 0: as without one
    caption_limit: int = 0
    # parts of an SMS at most; 0: not counted
    segments: int = 0
    # a picture
    media: bool = False
    # free text only while the member's own last message leaves the conversation open
    window: bool = False
    # the field of Message that names a text approved beforehand; "" knows no such texts
    approved: Literal["", "template", "content_sid"] = ""


class Adapter(Protocol):
    """One provider account on one channel."""

    channel: str
    capabilities: Capabilities
    # calls at once
    slots: int

    async def send(self, message: Message) -> Answer:
        """One call. Never raises for anything a provider or a network can do: unclear is `unknown`."""

    async def close(self) -> None:
        """Ends pooled connections."""
