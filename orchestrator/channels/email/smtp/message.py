"""The bytes of one e-mail (RFC 5322), the same for the same message and date.

Headers that hold one token (message id, opt-out address) are written as they are, on one line of at most 998
characters: CPython's folding turns a token beyond 77 characters into an encoded word, and an opt-out header that
begins with `=?utf-8?q?` is no opt-out. Everything else is left to `email.message`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from orchestrator.channels.contract import Message
from orchestrator.channels.email import headers
from orchestrator.channels.email.headers import Unsendable
from orchestrator.channels.email.smtp.receipts import BOUNCE_PREFIX

# 7 bits: every relay takes it, with or without 8BITMIME
_POLICY = SMTP.clone(cte_type="7bit")


def bounce_address(message: Message) -> str:
    """The envelope sender, which names the touch (VERP): `bounce+<touch id>@<sender's domain>`."""
    return f"{BOUNCE_PREFIX}{headers.touch_id(message)}@{headers.sender(message).rpartition('@')[2]}"


def build(message: Message, at: datetime, programme: str) -> bytes:
    """The whole message with CRLF line ends; `at` is its Date, `programme` names the stream in Feedback-ID.

    Raises Unsendable for control characters in a header, an address that is none, an opt-out address that is not
    https, a missing subject or a missing text part.
    """
    to, sender = headers.recipient(message), headers.sender(message)
    headers.check_words(message)
    touch_id = headers.touch_id(message)
    tokens = {
        "To": to,
        "Message-ID": f"<{touch_id}@{sender.rpartition('@')[2]}>",
        "Date": format_datetime(at.astimezone(UTC)),
        **headers.marks(message, programme),
    }
    if reply_to := headers.reply_to(message):
        tokens["Reply-To"] = reply_to
    lines = "".join(f"{name}: {value}\r\n" for name, value in tokens.items())
    return lines.encode("ascii") + _words(message, sender, touch_id)


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
