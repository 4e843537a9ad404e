"""Receipts of providers reach the member, and an opt-out holds when `Hearing.hear` returns."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestrator.channels.webhooks import Report
from orchestrator.events.inputs import Cancelled, Receipt, ReceiptState, read_input
from orchestrator.serve.hearing import Hearing, Outcome
from orchestrator.serve.replies import Replies
from orchestrator.stores.contract import Changes, Store
from orchestrator.stores.memory.store import MemoryStore
from orchestrator.testing.store_rows import digest, touch_row
from orchestrator.times import instant, micros
from orchestrator.vault import Vault

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HEARD = micros(NOON) + 1


class _AtNoon(MemoryStore):
    """A store on whose clock it is noon."""

    def clock(self) -> int:
        return HEARD


def _store(*touches: str) -> Store:
    """A store with these touches of Ann reserved."""
    store = _AtNoon(1)
    before = store.take([0])[0]
    with store.batch([before]) as batch:
        after = before._replace(turn=before.turn + 1)
        batch.write(Changes(progress=[(before, after)], reserved=[touch_row(id) for id in touches]))
    return store


def _hear(store: Store, vault: Vault, state: ReceiptState, touch: str = "t1", at: datetime = NOON) -> Outcome:
    report = Report(key="k", touch_id=touch, state=state, at=at, code="250")
    return Hearing(store, vault, Replies()).hear("mail", [report])


def _inbox(store: Store) -> list[object]:
    before = store.take([0])[0]
    with store.batch([before]) as batch:
        return [(row.due, row.member, read_input(row.input)) for row in batch.due({0: HEARD}, 100)]


def test_a_receipt_is_due_when_it_is_heard_and_says_when_it_happened(vault: Vault) -> None:
    store = _store("t1")
    assert Outcome(taken=1) == _hear(store, vault, "delivered")
    told = Receipt(touch_id="t1", state="delivered", occurred_at=NOON, code="250")
    assert [(HEARD, digest("ann"), told)] == _inbox(store)
    assert [] == store.suppressions()


def test_an_opt_out_suppresses_and_cancels_what_was_not_called(vault: Vault) -> None:
    store = _store("t1", "t2")
    assert Outcome(taken=1, cancelled=2) == _hear(store, vault, "opted_out")
    assert [(digest("ann").hex(), "email", "marketing", HEARD, "opted_out")] == [tuple(r) for r in store.suppressions()]
    assert [("t1", "cancelled"), ("t2", "cancelled")] == [(touch.touch_id, touch.state) for touch in store.touches()]
    assert {Receipt, Cancelled} == {type(row[2]) for row in _inbox(store)}  # type: ignore[index]  # a tuple


@pytest.mark.parametrize(("state", "health"), [("bounced", "hard_bounced"), ("complained", "complained")])
def test_a_hard_bounce_and_a_complaint_silence_the_contact_point_at_once(
    state: ReceiptState, health: str, vault: Vault
) -> None:
    store = _store("t1", "t2")
    _hear(store, vault, state)
    (touch,) = [row for row in store.touches() if row.touch_id == "t2"]
    assert ("cancelled", (touch.contact, "email", "*", HEARD, health)) == (
        touch.state,
        *[tuple(row) for row in store.suppressions() if row.subject == touch.contact],
    )


def test_a_touch_that_is_not_ours_is_counted_and_changes_nothing(vault: Vault) -> None:
    store = _store("t1")
    assert Outcome(passed_over=1) == _hear(store, vault, "complained", touch="elsewhere")
    assert [] == _inbox(store)
    assert [] == store.suppressions()


def test_what_a_provider_dates_into_the_future_happened_when_it_was_heard(vault: Vault) -> None:
    store = _store("t1")
    _hear(store, vault, "opened", at=NOON.replace(year=2030))
    assert [instant(HEARD)] == [row[2].occurred_at for row in _inbox(store)]  # type: ignore[index]  # a tuple
