"""Twilio's error codes: what a refused call, and a later callback, come to. Its texts vary and are never matched.

Sources, read 2026-11-22: twilio.com/docs/api/errors, and twilio.com/docs/whatsapp for 63xxx. A code that is not here
says nothing for certain: the call is unknown, the touch has failed, and nobody is suppressed.
"""

from __future__ import annotations

import msgspec

from orchestrator.channels.codes import BY_STATUS, Row, mean
from orchestrator.channels.contract import Answer
from orchestrator.channels.http import Reply
from orchestrator.channels.webhooks import words
from orchestrator.events.inputs import ReceiptState

CODES: dict[int, Row] = {
    # credentials; an account that is not active, or may not do this
    **mean("rejected_sender", 10001, 20003, 20005, 20006, 20404, 90010, 30002),
    # the sender: none, not ours, not able to, not registered; a pool that is empty or not there
    **mean("rejected_sender", 21212, 21601, 21603, 21606, 21657, 21660, 21703, 21704, 21705),
    **mean("rejected_sender", 30010, 30024, 30032, 30033, 30034, 30035),
    # a region that the account has not opened; a trial account
    **mean("rejected_sender", 21408, 21608),
    # WhatsApp: the business account or its number
    **mean("rejected_sender", 63001, 63007, 63020, 63051),
    # no such number; not a mobile; no way to it
    **mean("rejected_recipient", 21211, 21612, 21614, 21635, 30005, 30006, later="bounced"),
    # not on WhatsApp
    **mean("rejected_recipient", 63003, 63024, later="bounced"),
    # opted out at Twilio
    **mean("rejected_recipient", 21610, later="opted_out"),
    # the words: none, too long, no picture, filtered
    **mean("rejected_message", 21602, 21617, 21619, 21620, 21623, 21656, 30007),
    # WhatsApp: the conversation is closed; the content; the template is wrong, unknown, rejected, paused, disabled
    **mean("rejected_message", 63016, 63005, 63013, 63019, 63021, 63027, 63028, 63030, 63040, 63041, 63042),
    # held back by Meta for now: not this member's fault, and not to be tried again within a day
    **mean("rejected_message", 63032, 63049),
    # blocked by rules of Twilio's own: fraud, quiet hours, litigators
    **mean("rejected_message", 30450, 30610, 30640),
    # too fast, or the queue or the day's share is full
    **mean("throttled", 14107, 20429, 21611, 30001, 30022, 30023, 63018),
    # not taken for a passing reason
    **mean("transient", 21730, 63012),
    # switched off or out of reach; unknown; the carrier did not answer in time
    **mean("unknown", 30003, 30008, 30410, later="soft_bounced"),
    # its validity passed in the queue: what was asked for
    **mean("unknown", 30036),
    **mean("unknown", 20500),
}
# after these a template is not used again until it is approved
STOPS = frozenset({"63027", "63040", "63041", "63042"})
# states of a new message that no callback will tell again
ENDED = frozenset({"failed", "undelivered", "canceled"})
# status of a message -> state; of the failed ones the code decides
STATUSES: dict[str, ReceiptState] = {
    "queued": "sent",
    "accepted": "sent",
    "scheduled": "sent",
    "sending": "sent",
    "sent": "sent",
    "partially_delivered": "delivered",
    "delivered": "delivered",
    "read": "opened",
    "undelivered": "failed",
    "failed": "failed",
    "canceled": "failed",
}


class _Body(msgspec.Struct):
    code: int | None = None
    error_code: int | None = None
    sid: str | None = None
    status: str | int | None = None


def read_answer(reply: Reply) -> Answer:
    """The outcome of `POST …/Messages.json`: 201 is taken, unless the new message has failed already."""
    body = _body(reply.body)
    if reply.status == 201 and body is not None:
        number = body.error_code or 0
        provider_id = words(body.sid)
        if body.status in ENDED:
            kind = CODES[number].kind if number in CODES else "rejected_message"
            # the message exists: a refusal that would be tried again is none
            final = kind if kind.startswith("rejected") else "rejected_message"
            out = opted_out(number)
            return Answer(kind=final, code=f"201 {number}", provider_id=provider_id, opted_out=out)
        return Answer(kind="accepted", code="201", provider_id=provider_id)
    number = (body.code if body is not None else None) or 0
    code = f"{reply.status} {number}" if number else str(reply.status)
    if not 400 <= reply.status < 500:
        # 201 without a message, redirects, faults of the server: it may be queued
        return Answer(kind="unknown", code=code)
    kind = CODES[number].kind if number in CODES else BY_STATUS.get(reply.status, "unknown")
    wait = reply.retry_after if kind == "throttled" else None
    return Answer(kind=kind, code=code, retry_after=wait, opted_out=opted_out(number))


def opted_out(number: int) -> bool:
    """Whether a code says that the member opted out at Twilio."""
    return number in CODES and CODES[number].later == "opted_out"


def state_of(status: str, number: int) -> ReceiptState | None:
    """The state that a callback tells; None for a status that we don't know."""
    state = STATUSES.get(status)
    return CODES[number].later if state == "failed" and number in CODES else state


def _body(raw: bytes) -> _Body | None:
    try:
        return msgspec.json.decode(raw, type=_Body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
