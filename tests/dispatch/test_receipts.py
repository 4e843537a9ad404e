"""Receipts of providers reach the member, and an opt-out holds when `receive` returns."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator.dispatch.receipts import Received, Told, receive
from orchestrator.events.inputs import Cancelled, Receipt, read_input
from orchestrator.stores.contract import Changes, Store
from orchestrator.stores.memory.store import MemoryStore
from orchestrator.testing.store_rows import digest, touch_row
from orchestrator.times import instant, micros

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
HEARD = micros(NOON) + 1


def _store(*touches: str) -> Store:
    """A store with these touches of Ann reserved."""
    store = MemoryStore(1)
    before = store.take([0])[0]
    with store.batch([before]) as batch:
        after = before._replace(turn=before.turn + 1)
        batch.write(Changes(progress=[(before, after)], reserved=[touch_row(id) for id in touches]))
    return store


def _inbox(store: Store) -> list[object]:
    before = store.take([0])[0]
    with store.batch([before]) as batch:
        return [(row.due, row.member, read_input(row.input)) for row in batch.due({0: HEARD}, 100)]


def test_a_receipt_is_due_when_it_is_heard_and_says_when_it_happened() -> None:
    store = _store("t1")
    received = receive(store, [Told(touch_id="t1", state="delivered", at=NOON, code="250")], lambda: HEARD)
    assert Received(taken=1, unknown=0) == received
    told = Receipt(touch_id="t1", state="delivered", occurred_at=NOON, code="250")
    assert [(HEARD, digest("ann"), told)] == _inbox(store)
    assert [] == store.suppressions()


def test_an_opt_out_suppresses_and_cancels_what_was_not_called() -> None:
    store = _store("t1", "t2")
    received = receive(store, [Told(touch_id="t1", state="opted_out", at=NOON)], lambda: HEARD)
    assert Received(taken=1, unknown=0, cancelled=("t1", "t2")) == received
    assert [(digest("ann").hex(), "email", "marketing", HEARD, "opted_out")] == [tuple(r) for r in store.suppressions()]
    assert {"cancelled"} == {touch.state for touch in store.touches()}
    assert {Receipt, Cancelled} == {type(row[2]) for row in _inbox(store)}  # type: ignore[index]  # a tuple


def test_a_hard_bounce_and_a_complaint_silence_the_contact_point_at_once() -> None:
    for state, health in (("bounced", "hard_bounced"), ("complained", "complained")):
        store = _store("t1", "t2")
        receive(store, [Told(touch_id="t1", state=state, at=NOON)], lambda: HEARD)  # type: ignore[arg-type] # of a loop
        (touch,) = [row for row in store.touches() if row.touch_id == "t2"]
        assert ("cancelled", (touch.contact, "email", "*", HEARD, health)) == (
            touch.state,
            *[tuple(row) for row in store.suppressions() if row.subject == touch.contact],
        )


def test_a_touch_that_is_not_ours_is_counted_and_changes_nothing() -> None:
    store = _store("t1")
    assert Received(taken=0, unknown=1) == receive(
        store, [Told(touch_id="elsewhere", state="complained", at=NOON)], lambda: HEARD
    )
    assert [] == _inbox(store)
    assert [] == store.suppressions()


def test_what_a_provider_dates_into_the_future_happened_when_it_was_heard() -> None:
    store = _store("t1")
    receive(store, [Told(touch_id="t1", state="opened", at=NOON.replace(year=2030))], lambda: HEARD)
    assert [instant(HEARD)] == [row[2].occurred_at for row in _inbox(store)]  # type: ignore[index]  # a tuple
