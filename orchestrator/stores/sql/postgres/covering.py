"""Opting out beside everything else that happens at that moment.

What must hold: once `suppress` or a batch with suppressions has returned, no attempt is committed that did not see
them. Each statement sees what was committed before it began, and a statement that meets a row that somebody has
changed since waits for them and then judges the row as they left it. So with S the suppression and A the attempt of a
touch t:

1. S cancels t under a row lock, in the transaction that writes the suppression. If t was there for S to see, A and S
   meet on its row: the second one waits, and finds the touch attempting (S: too late, it is left) or cancelled (A: no
   call).
2. If t was reserved by a batch that S could not see yet, they don't meet. t may be claimed, and A begin before S is
   committed, not see S, and be committed after it. So after its commit S looks **once more** for what it covers
   (`after_commit`). A did not see S, so A began before S was committed, so t was committed before that: the second
   look sees t. It waits for A if A holds the row, and cancels t if A has not reached it.
3. Whatever begins after S was committed sees it.

The same second look, without cancelling anything, lets a switch hold from the moment `switch` returns. A process that
dies between the commit and the second look has answered nobody yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from orchestrator.stores.contract import NewInbox, SuppressionRow, TouchRow
from orchestrator.stores.outbox import told, told_late
from orchestrator.stores.sql.postgres import statements as words

# runs a statement in the caller's transaction and gives its rows
Ask = Callable[[str, Sequence[Any]], list[Any]]


def suppress(ask: Ask, rows: Sequence[SuppressionRow]) -> list[str]:
    """Writes suppressions and cancels the waiting touches they cover, each told by an inbox row; the touch ids."""
    for row in rows:
        ask(words.PUT_SUPPRESSION, row)
    return after_commit(ask, rows)


def after_commit(ask: Ask, rows: Sequence[SuppressionRow]) -> list[str]:
    """Cancels the waiting touches that these suppressions cover, while they stand; the touch ids, in order."""
    cancelled: list[str] = []
    for row in rows:
        also = (row.channel, row.channel, row.purpose, row.purpose)
        values = (row.subject, *also, _member(row.subject), *also, row.subject, row.channel, row.purpose)
        touches = sorted(map(TouchRow._make, ask(words.CANCEL_COVERED, values)))
        add_inbox(ask, [told(touch, row) for touch in touches])
        cancelled += [touch.touch_id for touch in touches]
    return sorted(cancelled)


def not_reserved(ask: Ask, found: Sequence[Sequence[Any]]) -> None:
    """Cancels reservations, made in this transaction, that suppressions cover, and tells their members.

    `found` is what RESERVED_UNDER gave. What a suppression covers that is committed while this batch is under way may
    be left to wait: it is never called.
    """
    covering: dict[TouchRow, list[SuppressionRow]] = {}
    width = len(TouchRow._fields)
    for row in found:
        covering.setdefault(TouchRow._make(row[:width]), []).append(SuppressionRow._make(row[width:]))
    if covering:
        ask(words.CANCEL, ([touch.touch_id for touch in covering],))
        add_inbox(ask, [told_late(touch, rows) for touch, rows in sorted(covering.items())])


def add_inbox(ask: Ask, rows: Sequence[NewInbox]) -> None:
    """Adds inbox rows, numbered in this order."""
    if rows:
        ask(words.ADD_INBOX, [list(column) for column in zip(*rows, strict=True)])


def _member(subject: str) -> bytes | None:
    """The member's hash, where the subject can be one."""
    try:
        return bytes.fromhex(subject)
    except ValueError:
        return None
