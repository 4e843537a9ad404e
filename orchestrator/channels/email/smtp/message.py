"""The bytes of one e-mail (RFC 5322), the same for the same message and date.

Headers that hold one token (message id, opt-out address) are written as they are, on one line of at most 998
characters: CPython's folding turns a token beyond 77 characters into an encoded word, and an opt-out header that
begins with `=?utf-8?q?` is no opt-out. Everything else is left to `email.message`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from orchestrator.channels.contract import Message
from orchestrator.channels.email.smtp.receipts import BOUNCE_PREFIX
from orchestrator.events.inputs import OutcomeKind

# 7 bits: every relay takes it, with or without 8BITMIME
_POLICY = SMTP.clone(cte_type="7bit")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ATOM = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_URI = re.compile(r"https://[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]{1,900}")
_WORD = re.compile(r"[^A-Za-z0-9_.-]+")


class Unsendable(ValueError):
    """This message can't be carried faithfully; `code` names why, and holds nothing of the message."""

    def __init__(self, kind: OutcomeKind, code: str) -> None:
        self.kind, self.code = kind, code
        super().__init__(code)


def bounce_address(message: Message) -> str:
    """The envelope sender, which names the touch (VERP): `bounce+<touch id>@<sender's domain>`."""
    domain = _address(message.sender, "rejected_sender", "bad_sender").rpartition("@")[2]
    return f"{BOUNCE_PREFIX}{_token(message.touch_id)}@{domain}"


def recipient(message: Message) -> str:
    """The address to write to, its domain in ASCII."""
    return _address(message.to, "rejected_recipient", "bad_recipient")


def build(message: Message, at: datetime, programme: str) -> bytes:
    """The whole message with CRLF line ends; `at` is its Date, `programme` names the stream in Feedback-ID.

    Raises Unsendable for control characters in a header, an address that is none, an opt-out address that is not
    https, a missing subject or a missing text part.
    """
    to, sender = recipient(message), _address(message.sender, "rejected_sender", "bad_sender")
    for value in (message.subject, message.sender_name):
        _plain(value)
    if not message.subject:
        raise Unsendable("rejected_message", "no_subject")
    if not message.text:
        raise Unsendable("rejected_message", "no_text")
    touch_id, domain = _token(message.touch_id), sender.rpartition("@")[2]
    tokens = [
        f"To: {to}",
        f"Message-ID: <{touch_id}@{domain}>",
        f"Date: {format_datetime(at.astimezone(UTC))}",
        f"Feedback-ID: {':'.join(map(_word, (message.journey, message.locale, message.purpose, programme)))}",
        "Auto-Submitted: auto-generated",
        *_unsubscribe(message),
    ]
    if message.reply_to:
        tokens.append(f"Reply-To: {_address(message.reply_to, 'rejected_sender', 'bad_reply_to')}")
    return "".join(f"{line}\r\n" for line in tokens).encode("ascii") + _words(message, sender, touch_id)


def _words(message: Message, sender: str, touch_id: str) -> bytes:
    """The headers that hold words, and the body: text, with HTML beside it where there is any."""
    mail = EmailMessage(policy=_POLICY)
    try:
        mail["From"] = Address(display_name=message.sender_name, addr_spec=sender)
        mail["Subject"] = message.subject
        mail.set_content(message.text)
        if message.html:
            mail.add_alternative(message.html, subtype="html")
            # a drawn boundary would make two builds differ
            mail.set_boundary(f"=_{touch_id}")
        return mail.as_bytes()
    except (ValueError, MessageError, UnicodeError):
        raise Unsendable("rejected_message", "bad_message") from None


def _unsubscribe(message: Message) -> list[str]:
    """One-click opt-out (RFC 8058), on marketing only; left out where the project has no public address."""
    uri = message.unsubscribe
    if message.purpose != "marketing" or not uri:
        return []
    if not _URI.fullmatch(uri):
        raise Unsendable("rejected_message", "bad_unsubscribe")
    return [f"List-Unsubscribe: <{uri}>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"]


def _address(text: str, kind: OutcomeKind, code: str) -> str:
    """local@domain in ASCII; an internationalised domain in its A-label form (RFC 5890)."""
    local, _, domain = text.rpartition("@")
    try:
        domain = domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        raise Unsendable(kind, code) from None
    if not local.isascii():
        # would need SMTPUTF8 (RFC 6531) at every hop
        raise Unsendable(kind, "smtputf8")
    if not _ATOM.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise Unsendable(kind, code)
    return f"{local}@{domain}"


def _plain(text: str) -> None:
    if _CONTROL.search(text):
        raise Unsendable("rejected_message", "control_character")


def _token(text: str) -> str:
    if not _ATOM.fullmatch(text):
        raise Unsendable("rejected_message", "bad_touch_id")
    return text


def _word(text: str) -> str:
    """A part of Feedback-ID: short, ASCII, without its colon."""
    return _WORD.sub("-", text)[:40].strip("-") or "none"
