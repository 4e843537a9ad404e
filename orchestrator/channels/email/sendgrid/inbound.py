"""A mail that SendGrid's Inbound Parse posts: multipart form data, each field in a charset of its own."""

from __future__ import annotations

import email
import email.policy
import hashlib
import re
from datetime import datetime
from email.message import EmailMessage
from email.parser import HeaderParser
from email.utils import parseaddr

import msgspec

from orchestrator.channels.webhooks import Inbound, Malformed, table, words

# a text is kept up to here; an opt-out stands at its beginning
TEXT_LIMIT = 10_000
_PLUS = re.compile(r"[^+@]+\+([^@]{1,64})@")
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,300}>")


def read_mail(content_type: str, body: bytes, now: datetime) -> Inbound | None:
    """The member's mail; None for one that nobody wrote (automatic answers, lists, reports) or that names nobody.

    `link` is what stands after the plus of the address it was sent to, `answers` the Message-ID it replies to.
    """
    fields = _fields(content_type, body)
    head = HeaderParser(policy=email.policy.compat32).parsestr(fields.get("headers", ""))
    envelope = table(_json(fields.get("envelope", "")))
    sender = words(envelope.get("from"), 320) or parseaddr(fields.get("from", ""))[1]
    if "@" not in sender or _automatic(head.get("Auto-Submitted"), head.get("Precedence"), head.get("List-Id")):
        return None
    recipients = envelope.get("to")
    to = [words(one, 320) for one in recipients] if isinstance(recipients, list) else [fields.get("to", "")]
    answered = _MESSAGE_ID.search(str(head.get("In-Reply-To", "")))
    own = _MESSAGE_ID.search(str(head.get("Message-ID", "")))
    linked = [match[1] for match in map(_PLUS.match, to) if match]
    key = own[0] if own else hashlib.blake2b(body, digest_size=16).hexdigest()
    return Inbound(
        key=f"mail {sender} {key}",
        channel="email",
        at=now,
        sender=sender,
        text=(fields.get("text", "") or fields.get("subject", ""))[:TEXT_LIMIT].strip(),
        answers=answered[0] if answered else "",
        link=linked[0] if linked else "",
    )


def _automatic(submitted: object, precedence: object, listed: object) -> bool:
    """RFC 3834: what a machine wrote is no reply of a member."""
    said = str(submitted or "no").split(";")[0].strip().lower()
    return (
        said != "no" or str(precedence or "").strip().lower() in {"bulk", "list", "junk", "auto_reply"} or bool(listed)
    )


def _fields(content_type: str, body: bytes) -> dict[str, str]:
    """name -> text of the form's fields; attachments are left out."""
    if not content_type.lower().startswith("multipart/form-data") or not content_type.isprintable():
        raise Malformed("not_a_form")
    raw = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n" + body
    form = email.message_from_bytes(raw, _class=EmailMessage, policy=email.policy.compat32)
    if not isinstance(form, EmailMessage) or not form.is_multipart():
        raise Malformed("not_a_form")
    parts: dict[str, bytes] = {}
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str) and part.get_param("filename", header="content-disposition") is None:
            payload = part.get_payload(decode=True)
            parts.setdefault(name, payload if isinstance(payload, bytes) else b"")
    charsets = table(_json(parts.get("charsets", b"").decode("utf-8", "replace")))
    return {name: _text(value, words(charsets.get(name), 40) or "utf-8") for name, value in parts.items()}


def _text(value: bytes, charset: str) -> str:
    try:
        return value.decode(charset, "replace").strip("\r\n")
    except (LookupError, ValueError):
        return value.decode("utf-8", "replace").strip("\r\n")


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
