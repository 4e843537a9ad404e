"""What a provider says later of a touch: delivered, bounced, complained, opted out; at any time, more than once.

A receipt names our touch. It becomes an inbox row of the touch's member, who learns of it in a turn of its own. A
complaint or an opt-out also stands as a suppression, and what it covers and was not called is cancelled, in the same
transaction: whoever answers the provider after `receive` returned may say that no further call will be made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from msgspec import Struct

from orchestrator.events.inputs import Receipt, ReceiptState, write_input
from orchestrator.stores.contract import NewInbox, Store, SuppressionRow, TouchRow
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


class Received(Struct, frozen=True, kw_only=True):
    """What was done with some receipts."""

    # handed to their members
    taken: int
    # of touches that are not in this store
    unknown: int
    # ids of touches that were not called yet and never will be
    cancelled: tuple[str, ...] = ()


def receive(store: Store, receipts: Iterable[Told], now: Callable[[], int]) -> Received:
    """Takes these receipts in one transaction; when it returns, all of it holds.

    `now` gives microseconds since 1970: a receipt is due when it is heard, whatever instant it tells, since the record
    of a partition never goes back. A repeated receipt becomes another row, and changes nothing in its turn. A touch
    that is not ours is counted and passed over.
    """
    heard = now()
    rows: list[NewInbox] = []
    suppressions: list[SuppressionRow] = []
    unknown = 0
    for told in receipts:
        touch = store.touch(told.touch_id)
        if touch is None:
            unknown += 1
            continue
        rows.append(inbox_row(touch, told, heard))
        suppressions += suppressed_by(touch, told, heard)
    cancelled = store.suppress(list(dict.fromkeys(suppressions)), rows) if rows else []
    return Received(taken=len(rows), unknown=unknown, cancelled=tuple(cancelled))


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
