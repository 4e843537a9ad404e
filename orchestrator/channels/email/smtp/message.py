"""The bytes of one e-mail (RFC 5322), the same for the same message and date.

Headers that hold one token (message id, opt-out address) are written as they are, on one line of at most 998
characters: CPython's folding turns a token beyond 77 characters into an encoded word, and an opt-out header that
begins with `=?utf-8?q?` is no opt-out. Everything else is what `email.message` makes of it. That takes milliseconds, so
it makes the fixed parts once for all messages of a sender, and what differs is set into them. Whatever is not known to
fit goes through `email.message` as a whole; both ways say the same.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import lru_cache

from orchestrator.channels.contract import Message
from orchestrator.channels.email import headers
from orchestrator.channels.email.headers import Unsendable
from orchestrator.channels.email.smtp.quoted import Forms, encode
from orchestrator.channels.email.smtp.receipts import BOUNCE_PREFIX
from orchestrator.channels.email.smtp.words import encoded_words

# 7 bits: every relay takes it, with or without 8BITMIME
_POLICY = SMTP.clone(cte_type="7bit")
# touch ids that fold as any other of their length
_PLAIN_ID = re.compile(r"[A-Za-z0-9-]{1,40}")
# subjects that fit on one line as they are: short, single spaces, nothing that could begin an encoded word
_PLAIN_SUBJECT = re.compile(r"(?!.{70})[A-Za-z0-9!?.,:;'()&%+-]+(?: [A-Za-z0-9!?.,:;'()&%+-]+)*")
# what HTML parts have in common: text parts, in turn with them, have forms of their own
_html_forms = Forms()
_SUBJECT, _TEXT, _HTML = "subject-of-it", "text-of-it", "html-of-it"
_AS_IT_IS = b"7bit"
_ENCODING = b"Content-Transfer-Encoding: " + _AS_IT_IS


def bounce_address(message: Message) -> str:
    """The envelope sender, which names the touch (VERP): `bounce+<touch id>@<sender's domain>`."""
    return f"{BOUNCE_PREFIX}{headers.touch_id(message)}@{headers.sender(message).rpartition('@')[2]}"


def build(message: Message, at: datetime, programme: str, opt_out_mail: str = "") -> bytes:
    """The whole message with CRLF line ends; `at` is its Date, `programme` names the stream in Feedback-ID.
    `opt_out_mail` is an address for opting out, "" for none.

    Raises Unsendable for control characters in a header, an address that is none, an opt-out address that is not
    https, a missing subject or a missing text part.
    """
    to, sender = headers.recipient(message), headers.sender(message)
    headers.check_words(message)
    touch_id = headers.touch_id(message)
    tokens = {
        "To": to,
        "Message-ID": f"<{touch_id}@{sender.rpartition('@')[2]}>",
        "Date": _date(at.replace(microsecond=0)),
        **headers.marks(message, programme, opt_out_mail),
    }
    if reply_to := headers.reply_to(message):
        tokens["Reply-To"] = reply_to
    lines = "".join(f"{name}: {value}\r\n" for name, value in tokens.items())
    try:
        return lines.encode("ascii") + (_set_in(message, sender, touch_id) or whole(message, sender, touch_id))
    except (ValueError, MessageError, UnicodeError):
        raise Unsendable("rejected_message", "bad_message") from None


@lru_cache(maxsize=16)
def _date(at: datetime) -> str:
    """The same for all messages of a second."""
    return format_datetime(at.astimezone(UTC))


def whole(message: Message, sender: str, touch_id: str) -> bytes:
    """The headers that hold words, and the body: text, with HTML beside it where there is any."""
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = Address(display_name=message.sender_name, addr_spec=sender)
    mail["Subject"] = message.subject
    mail.set_content(message.text)
    if message.html:
        mail.add_alternative(message.html, subtype="html")
        # a drawn boundary would make two builds differ
        mail.set_boundary(f"=_{touch_id}")
    return mail.as_bytes()


def _set_in(message: Message, sender: str, touch_id: str) -> bytes | None:
    """The same from parts that were made before; None where they are not known to fit."""
    text = encode(message.text)
    html = encode(message.html, _html_forms) if message.html else None
    if text is None or (message.html and html is None) or not _PLAIN_ID.fullmatch(touch_id):
        return None
    boundary = f"=_{'x' * len(touch_id)}".encode()
    parts = _parts(message.sender_name, sender, len(touch_id), html is not None)
    own = f"=_{touch_id}".encode()
    fixed = [part.replace(boundary, own) for part in parts]
    # one of them for each part that the message has
    set_in = [_subject(message.subject), text.encoding, text.body]
    if html is not None:
        set_in += [html.encoding, html.body]
    return b"".join(piece for pair in zip(fixed, [*set_in, b""], strict=True) for piece in pair)


@lru_cache(maxsize=256)
def _parts(sender_name: str, sender: str, id_length: int, has_html: bool) -> tuple[bytes, ...]:
    """What stands before, between and behind: the subject, then encoding and body of each part."""
    like = Message(
        touch_id="",
        channel="email",
        to="",
        purpose="",
        journey="",
        locale="",
        subject=_SUBJECT,
        text=_TEXT,
        html=_HTML if has_html else "",
        sender_name=sender_name,
    )
    made = whole(like, sender, "x" * id_length)
    before, _, rest = made.partition(f"Subject: {_SUBJECT}\r\n".encode())
    parts = [before]
    for body in (_TEXT, _HTML)[: 1 + has_html]:
        head, encoding, rest = rest.partition(_ENCODING)
        further, _, rest = rest.partition(f"{body}\r\n".encode())
        parts += [head + encoding.removesuffix(_AS_IT_IS), further]
    return (*parts, rest)


def _subject(subject: str) -> bytes:
    """The whole header, folded where it has to be."""
    if _PLAIN_SUBJECT.fullmatch(subject):
        return f"Subject: {subject}\r\n".encode("ascii")
    if words := encoded_words(subject):
        return b"Subject: " + b"\r\n ".join(words) + b"\r\n"
    return _POLICY.fold_binary("Subject", _POLICY.header_store_parse("Subject", subject)[1])
