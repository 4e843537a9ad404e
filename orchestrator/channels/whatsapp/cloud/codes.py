"""The Cloud API's error codes: what a refused call, and a later status, come to. Titles and texts are never matched.

Source, read 2026-11-22: developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes. Errors
come in the answer, in a status, or in both. A code that is not here says nothing for certain: the call is unknown, the
touch has failed, and nobody is suppressed.
"""

from __future__ import annotations

import msgspec

from orchestrator.channels.codes import BY_STATUS, Row, mean
from orchestrator.channels.contract import Answer
from orchestrator.channels.http import Reply
from orchestrator.channels.webhooks import words
from orchestrator.events.inputs import ReceiptState

CODES: dict[int, Row] = {
    # token, permissions, account: locked, unpaid, restricted, not registered, barred from a country
    **mean("rejected_sender", 0, 3, 10, 190, *range(200, 300), 368),
    **mean("rejected_sender", 130497, 131005, 131031, 131042, 131045, 133010),
    # not on WhatsApp, or not reachable there
    **mean("rejected_recipient", 131026, later="bounced"),
    # the member stopped our marketing, and nothing else
    **mean("rejected_recipient", 131050, later="opted_out"),
    # the request: parameters, media, a kind of message or of recipient that is not supported
    **mean("rejected_message", 100, 131008, 131009, 131021, 131051, 131052, 131053, 131062),
    # the conversation is closed
    **mean("rejected_message", 131047),
    # the template: values, name, length, policy, form of a value, paused, disabled
    **mean("rejected_message", 132000, 132001, 132005, 132007, 132012, 132015, 132016),
    # held back by Meta for now: not this member's fault, and not to be tried again within a day
    **mean("rejected_message", 130472, 131049),
    # too fast: for the app, the account, the number, this member; too much of it was spam
    **mean("throttled", 4, 80007, 130429, 131048, 131056),
    # not taken for a passing reason
    **mean("transient", 131016, 131057),
    # something went wrong there
    **mean("unknown", 1, 2, 131000, 135000),
}
# after these a template is not used again until it is approved
STOPS = frozenset({"132001", "132015", "132016"})
# status of a message -> state; of a failed one the code decides
STATUSES: dict[str, ReceiptState] = {
    "sent": "sent",
    "delivered": "delivered",
    "read": "opened",
    "played": "opened",
    "failed": "failed",
}


class _Error(msgspec.Struct):
    code: int | None = None


class _Sent(msgspec.Struct):
    id: str = ""


class _Body(msgspec.Struct):
    error: _Error | None = None
    messages: list[_Sent] = []


def read_answer(reply: Reply) -> Answer:
    """The outcome of `POST …/messages`: 200 with a message's id is taken; otherwise the code decides."""
    body = _body(reply.body)
    if reply.status == 200 and body.error is None and body.messages and body.messages[0].id:
        return Answer(kind="accepted", code="200", provider_id=words(body.messages[0].id, 300))
    number = None if body.error is None else body.error.code
    code = str(reply.status) if number is None else f"{reply.status} {number}"
    known = CODES.get(number) if number is not None and reply.status >= 400 else None
    kind = BY_STATUS.get(reply.status, "unknown") if known is None else known.kind
    wait = reply.retry_after if kind == "throttled" else None
    out = known is not None and known.later == "opted_out"
    return Answer(kind=kind, code=code, retry_after=wait, opted_out=out)


def state_of(status: str, number: int) -> ReceiptState | None:
    """The state that a status tells; None for one that we don't know."""
    state = STATUSES.get(status)
    return CODES[number].later if state == "failed" and number in CODES else state


def _body(raw: bytes) -> _Body:
    try:
        return msgspec.json.decode(raw, type=_Body)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return _Body()
