"""What a provider says later of a touch: delivered, bounced, complained, opted out; at any time, more than once.

A receipt names our touch. It becomes an inbox row of the touch's member, who learns of it in a turn of its own, and is
due when it is heard, since the record of a partition never goes back. A complaint or an opt-out also stands as a
suppression: written with the row, it cancels what it covers and was not called.
"""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from orchestrator.events.inputs import Receipt, ReceiptState, write_input
from orchestrator.stores.contract import NewInbox, SuppressionRow, TouchRow
from orchestrator.times import instant

# after these words nothing more is sent to the member on this channel for marketing
OPTING_OUT: frozenset[ReceiptState] = frozenset({"complained", "opted_out"})
# after these nothing at all is sent to the contact point: word -> what its health will be
SILENCING: dict[ReceiptState, str] = {"bounced": "hard_bounced", "complained": "complained"}
MARKETING = "marketing"


class Told(Struct, frozen=True, kw_only=True):
    """One receipt as an adapter's `receipts.py` reads it."""

    touch_id: str
    state: ReceiptState
    # when the provider says that it happened, aware UTC
    at: datetime
    # the provider's own code, never its free text
    code: str = ""


def suppressed_by(touch: TouchRow, told: Told, heard: int) -> list[SuppressionRow]:
    """Whom such a word silences at once: the member's own record catches up in a turn of theirs."""
    rows = []
    if told.state in OPTING_OUT:
        rows.append(SuppressionRow(touch.member.hex(), touch.channel, MARKETING, heard, told.state))
    if told.state in SILENCING:
        rows.append(SuppressionRow(touch.contact, touch.channel, "*", heard, SILENCING[told.state]))
    return rows


def inbox_row(touch: TouchRow, told: Told, heard: int) -> NewInbox:
    """The inbox row that tells the touch's member; what a provider dates into the future happened now."""
    at = min(told.at, instant(heard))
    receipt = Receipt(touch_id=told.touch_id, state=told.state, occurred_at=at, code=told.code)
    return NewInbox(touch.partition, heard, touch.member, write_input(receipt))
