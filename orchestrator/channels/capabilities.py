"""Can this adapter carry this message as it is? Asked before anything leaves; a refusal names why. Pure."""

from __future__ import annotations

import re
from datetime import datetime

from orchestrator.channels.contract import Answer, Capabilities, Message
from orchestrator.channels.segments import segments

_HTTPS = re.compile(r"https://[!#$%&'()*+,\-./0-9:;=?@A-Z\[\]_a-z~]{1,1990}")


def is_https(uri: str) -> bool:
    """Whether this is an absolute https URI as RFC 3986 spells it, of at most 2,000 characters."""
    return _HTTPS.fullmatch(uri) is not None


def refusal(message: Message, can: Capabilities, at: datetime) -> Answer | None:
    """Why a message is not sent, or None; `at` is the moment of the call, aware.

    Lengths are those of the text as it is, in characters; a text that the provider approved is measured there.
    """
    if message.media and not can.media:
        return _no("no_media")
    if message.media and not is_https(message.media):
        return _no("bad_media")
    if can.approved and getattr(message, can.approved):
        return None
    if can.window and not _open(message, at):
        named = message.template or message.content_sid
        return _no(f"no_{can.approved}" if named else "window_closed")
    if not message.text.strip():
        return _no("no_text")
    limit = can.caption_limit if message.media and can.caption_limit else can.text_limit
    if limit and len(message.text) > limit:
        return _no("too_long")
    if can.segments and segments(message.text).count > can.segments:
        return _no("too_many_segments")
    return None


def _open(message: Message, at: datetime) -> bool:
    return message.open_until is not None and at < message.open_until


def _no(code: str) -> Answer:
    return Answer(kind="rejected_message", code=code)
