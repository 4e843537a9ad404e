"""What every automated e-mail says of itself, whoever carries it; and what can't be carried, refused by name."""

from __future__ import annotations

import re
from functools import lru_cache

from orchestrator.channels.capabilities import is_https
from orchestrator.channels.contract import Message
from orchestrator.events.inputs import AnswerKind

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ATOM = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_WORD = re.compile(r"[^A-Za-z0-9_.-]+")
# what stands after the plus of an address; a local part holds 64 octets (RFC 5321, 4.5.3.1.1)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,40}")
# a header line holds 998 octets (RFC 5322, 2.1.1)
_URI_LIMIT = 900


class Unsendable(ValueError):
    """This message can't be carried faithfully; `code` names why, and holds nothing of the message."""

    def __init__(self, kind: AnswerKind, code: str) -> None:
        self.kind, self.code = kind, code
        super().__init__(code)


def recipient(message: Message) -> str:
    """The address to write to, its domain in ASCII."""
    return _address(message.to, "rejected_recipient", "bad_recipient")


def sender(message: Message) -> str:
    """The address it comes from, its domain in ASCII."""
    return _house(message.sender, "bad_sender")


def reply_to(message: Message) -> str:
    """The address that answers go to, or ""."""
    return _house(message.reply_to, "bad_reply_to") if message.reply_to else ""


def touch_id(message: Message) -> str:
    """The touch id, where it can stand in an address and a Message-ID."""
    if not _ATOM.fullmatch(message.touch_id):
        raise Unsendable("rejected_message", "bad_touch_id")
    return message.touch_id


def check_words(message: Message) -> None:
    """Raises Unsendable for control characters in a header, a missing subject or a missing text part."""
    if _CONTROL.search(message.subject) or _CONTROL.search(message.sender_name):
        raise Unsendable("rejected_message", "control_character")
    if not message.subject:
        raise Unsendable("rejected_message", "no_subject")
    if not message.text:
        raise Unsendable("rejected_message", "no_text")


def marks(message: Message, programme: str, opt_out_mail: str = "") -> dict[str, str]:
    """The headers of an automated mail: Auto-Submitted, Feedback-ID, and on marketing the one-click opt-out (RFC 8058).

    `programme` names the stream; `opt_out_mail`, where there is one, is a second way for mail readers that know no
    other (RFC 2369): its address names what the link names. Raises Unsendable for an opt-out address that is not
    https; without any, as in a project that has no public address, the header is left out.
    """
    stream = _stream(message.journey, message.locale, message.purpose, programme)
    headers = {"Feedback-ID": stream, "Auto-Submitted": "auto-generated"}
    if message.purpose == "marketing" and message.unsubscribe:
        if not is_https(message.unsubscribe) or len(message.unsubscribe) > _URI_LIMIT:
            raise Unsendable("rejected_message", "bad_unsubscribe")
        # https first: RFC 8058 asks for one, and the first that a reader knows is taken (RFC 2369, 2)
        ways = [f"<{message.unsubscribe}>"]
        token = message.unsubscribe.rpartition("/")[2]
        local, _, domain = opt_out_mail.partition("@")
        if opt_out_mail and _TOKEN.fullmatch(token):
            ways.append(f"<mailto:{local}+{token}@{domain}>")
        headers["List-Unsubscribe"] = ", ".join(ways)
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    return headers


@lru_cache(maxsize=256)
def _house(text: str, code: str) -> str:
    """An address of the house's own: there are few."""
    return _address(text, "rejected_sender", code)


@lru_cache(maxsize=1024)
def _stream(*words: str) -> str:
    return ":".join(map(_word, words))


def _address(text: str, kind: AnswerKind, code: str) -> str:
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


def _word(text: str) -> str:
    """A part of Feedback-ID: short, ASCII, without its colon."""
    return _WORD.sub("-", text)[:40].strip("-") or "none"
