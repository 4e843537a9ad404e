"""What a mail server's reply means: the enhanced code (RFC 3463, section 3) decides, the three digits alone do not.

550 stands for an unknown mailbox as well as for a policy against the sender; only the first is a ground to suppress an
address. Where a server gives no enhanced code, a refusal is laid at the sender's door: a person is alerted, and no
member loses an address by a guess. The text of a reply is never matched: it is free, local and translated.
"""

from __future__ import annotations

import email
import email.policy
import re
from datetime import datetime
from email.message import EmailMessage
from typing import Literal, NamedTuple

from orchestrator.channels.contract import Answer
from orchestrator.events.inputs import AnswerKind, Receipt

Where = Literal["connect", "sender", "recipient", "data"]
ANYWHERE: tuple[Where, ...] = ("connect", "sender", "recipient", "data")


class Row(NamedTuple):
    """One line of the table: the first that fits decides."""

    where: tuple[Where, ...]
    # first digits of the reply, "" for any
    reply: str
    # subject.detail of the enhanced code, a subject with its dot ("7."), "" for any, "-" for none given
    enhanced: str
    kind: AnswerKind
    # what it comes to once no call is left
    in_the_end: AnswerKind | None = None


# sources: RFC 5321 section 4.2.3 (replies), RFC 3463 section 3 and its registry (enhanced codes), read 2026-11-22
TABLE: tuple[Row, ...] = (
    # not taken for a passing reason; a box that stays full is a recipient's trouble in the end
    Row(ANYWHERE, "4", "2.2", "transient", "rejected_recipient"),
    Row(ANYWHERE, "4", "", "transient"),
    # network and routing: x.4.z
    Row(ANYWHERE, "5", "4.", "transient"),
    # the mailbox or its domain does not exist, or not under this name
    Row(("recipient", "data"), "5", "1.1", "rejected_recipient"),
    Row(("recipient", "data"), "5", "1.2", "rejected_recipient"),
    Row(("recipient", "data"), "5", "1.3", "rejected_recipient"),
    Row(("recipient", "data"), "5", "1.6", "rejected_recipient"),
    Row(("recipient", "data"), "5", "1.10", "rejected_recipient"),
    # the mailbox is disabled
    Row(("recipient", "data"), "5", "2.1", "rejected_recipient"),
    # the mailbox is full
    Row(("recipient", "data"), "5", "2.2", "transient", "rejected_recipient"),
    # the message is too big: for the mailbox, for the system
    Row(ANYWHERE, "5", "2.3", "rejected_message"),
    Row(ANYWHERE, "5", "3.4", "rejected_message"),
    # content: conversion, media, and the spam verdict on a body
    Row(ANYWHERE, "5", "6.", "rejected_message"),
    Row(("data",), "554", "7.1", "rejected_message"),
    # policy, reputation, authentication: never the member's fault
    Row(ANYWHERE, "5", "7.", "rejected_sender"),
    Row(("recipient", "data"), "5", "1.7", "rejected_sender"),
    Row(("recipient", "data"), "5", "1.8", "rejected_sender"),
    # no enhanced code: size at MAIL and after the body, a full mailbox at RCPT
    Row(("sender", "data"), "552", "-", "rejected_message"),
    Row(("recipient",), "552", "-", "transient", "rejected_recipient"),
    # "user not local", "mailbox name not allowed": nothing but the address can be meant
    Row(("recipient",), "551", "-", "rejected_recipient"),
    Row(("recipient",), "553", "-", "rejected_recipient"),
    # anything else: before the body it is about us, after it about the message
    Row(("connect", "sender", "recipient"), "5", "", "rejected_sender"),
    Row(("data",), "5", "", "rejected_message"),
)

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?!\S)")
# the queue id as Postfix, Exim, Exchange and OpenSMTPD word it; nothing that could hold an address
_QUEUE_ID = re.compile(r"(?:queued as |\bid=|InternalId=|^2\.\d\.\d )([A-Za-z0-9._-]{6,64})(?![A-Za-z0-9._@-])")


def read_reply(where: Where, reply: int, text: str) -> Answer:
    """The outcome of a reply to the connection, MAIL, RCPT or the body; of `text`, codes and queue id only."""
    match = _ENHANCED.match(text)
    enhanced = f"{int(match[2])}.{int(match[3])}" if match else ""
    code = f"{reply} {match[0]}" if match else str(reply)
    if reply == 250 and where == "data":
        queue_id = _QUEUE_ID.search(text)
        return Answer(kind="accepted", code=code, provider_id=queue_id[1] if queue_id else "")
    for row in TABLE:
        if where in row.where and str(reply).startswith(row.reply) and _fits(row.enhanced, enhanced):
            return Answer(kind=row.kind, code=code, in_the_end=row.in_the_end)
    # no reply of 4yz or 5yz: after the body that is no verdict, before it the server has taken nothing
    return Answer(kind="unknown" if where == "data" else "transient", code=code)


def _fits(pattern: str, enhanced: str) -> bool:
    if pattern == "-":
        return enhanced == ""
    return enhanced.startswith(pattern) if pattern.endswith(".") else pattern in ("", enhanced)


BOUNCE_PREFIX = "bounce+"


def read_bounce(raw: bytes, recipient: str, at: datetime) -> Receipt | None:
    """The receipt in a delivery report (RFC 3464) that reached the envelope address `recipient` at `at`.

    The touch is named by that address (VERP), so nothing but `Action` and `Status` is read from the report. None when
    it names no touch, is no delivery report, or says no more than `delayed`, `relayed` or `expanded`.
    """
    local = recipient.partition("@")[0]
    touch_id = local.removeprefix(BOUNCE_PREFIX)
    if not touch_id or touch_id == local:
        return None
    report = email.message_from_bytes(raw, _class=EmailMessage, policy=email.policy.default)
    for part in report.walk():
        if part.get_content_type() != "message/delivery-status":
            continue
        # the first block is about the message, each further one about a recipient
        for block in part.iter_parts():
            action = str(block.get("Action", "")).strip().lower()
            status = str(block.get("Status", "")).strip().split(" ")[0]
            if action == "delivered":
                return Receipt(touch_id=touch_id, state="delivered", occurred_at=at, code=_code(status))
            if action == "failed":
                return Receipt(touch_id=touch_id, state=_failed(status), occurred_at=at, code=_code(status))
    return None


def _failed(status: str) -> Literal["bounced", "soft_bounced"]:
    """`bounced` ends the address; a policy, size or routing failure does not."""
    answer = read_reply("recipient", 550 if status.startswith("5") else 450, status)
    return "bounced" if answer.kind == "rejected_recipient" else "soft_bounced"


def _code(status: str) -> str:
    return status if _ENHANCED.fullmatch(status) else ""
