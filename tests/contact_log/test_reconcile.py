"""What went in is what came out, and the log, counted anew, says the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from orchestrator.contact_log import chain
from orchestrator.contact_log.reconcile import reconcile
from orchestrator.decide.result import Entry
from orchestrator.stores.contract import Changes, Store
from orchestrator.times import instant

AT = 1_772_625_600_000_000
DAY = "2026-03-04"


def decided(intent: str, verdict: str, reason: str = "") -> Entry:
    return Entry(kind="decision", journey="welcome", intent_id=intent, channel="email", verdict=verdict, reason=reason)


def write(
    store: Store,
    partition: int,
    entries: Sequence[Entry],
    totals: Mapping[str, int],
    daily: Mapping[tuple[str, str], int],
) -> None:
    """A turn of a partition with the counts that its batch adds."""
    before = store.take([partition])[partition]
    rows, n, head = chain.append(partition, before.log_n, before.head, before.turn + 1, AT, "ab" * 16, "r", entries)
    after = before._replace(log_n=n, head=head, turn=before.turn + 1)
    with store.batch([before]) as batch:
        batch.write(
            Changes(
                progress=[(before, after)],
                log=rows,
                totals={(partition, name): count for name, count in totals.items()},
                daily={(DAY, "welcome", "email", verdict, reason): n for (verdict, reason), n in daily.items()},
            )
        )


def true_books(store: Store) -> None:
    """Partition 0: one touch, one silence, one that waits; partition 1: deferred, then sent, then given back."""
    write(
        store,
        0,
        [
            decided("a", "send"),
            Entry(kind="touch", intent_id="a", state="reserved"),
            decided("b", "suppress", "no_consent"),
            decided("c", "defer", "quiet_hours"),
        ],
        {"inputs": 5, "applied": 3, "duplicate": 1, "dead": 1, "intents": 3, "touched": 1, "silent": 1, "waiting": 1},
        {("send", ""): 1, ("suppress", "no_consent"): 1, ("defer", "quiet_hours"): 1},
    )
    write(
        store,
        1,
        [decided("d", "defer", "quiet_hours"), decided("d", "send"), decided("d", "suppress", "expired")],
        {"inputs": 3, "applied": 1, "parked": 1, "forwarded": 1, "intents": 1, "silent": 1},
        {("defer", "quiet_hours"): 1, ("send", ""): 1, ("suppress", "expired"): 1},
    )


def test_true_books_hold(store: Store) -> None:
    true_books(store)
    books = reconcile(store)
    assert (True, 6, (), ()) == (books.holds, books.decisions, books.broken, books.differences)
    assert [
        "inputs 8 = applied 4 + duplicate 1 + dead 1 + parked 1 + forwarded 1",
        "intents 4 = touched 1 + silent 2 + waiting 1",
    ] == [str(balance) for balance in books.sums]


def test_an_empty_store_holds(store: Store) -> None:
    assert reconcile(store).holds


@pytest.mark.parametrize(
    "name",
    ["inputs", "applied", "duplicate", "dead", "parked", "forwarded", "intents", "touched", "silent", "waiting"],
)
@pytest.mark.parametrize("by", [1, -1])
def test_a_total_that_is_off_by_one_is_found(store: Store, name: str, by: int) -> None:
    true_books(store)
    write(store, 0, [], {name: by}, {})
    books = reconcile(store)
    assert not books.holds
    assert [0] == [balance.partition for balance in books.broken]


def test_errors_that_cancel_out_between_partitions_are_found(store: Store) -> None:
    true_books(store)
    write(store, 0, [], {"inputs": 1}, {})
    write(store, 1, [], {"inputs": -1}, {})
    books = reconcile(store)
    assert (False, 2) == (books.holds, len(books.broken))
    assert all(balance.holds for balance in books.sums)


def test_errors_that_cancel_out_within_an_equation_are_found_by_the_log(store: Store) -> None:
    true_books(store)
    write(store, 0, [], {"touched": 1, "waiting": -1}, {})
    books = reconcile(store)
    assert (False, ()) == (books.holds, books.broken)
    found = [(each.what, each.partition, each.recorded, each.counted) for each in books.differences]
    assert [("touched", 0, 2, 1), ("waiting", 0, 0, 1)] == found


def test_parts_that_are_negative_do_not_hold(store: Store) -> None:
    write(store, 0, [], {"applied": 1, "dead": -1}, {})
    assert not reconcile(store).holds


def test_a_decision_that_no_daily_count_knows_is_found(store: Store) -> None:
    write(store, 0, [decided("a", "send")], {"intents": 1, "touched": 1}, {})
    found = [(each.what, each.recorded, each.counted) for each in reconcile(store).differences]
    assert [(f"{DAY} welcome email send", 0, 1)] == found


def test_a_daily_count_without_its_decision_is_found(store: Store) -> None:
    write(store, 0, [], {}, {("suppress", "stale"): 2})
    found = [(each.what, each.recorded, each.counted) for each in reconcile(store).differences]
    assert [(f"{DAY} welcome email suppress stale", 2, 0)] == found


def test_decisions_are_counted_under_their_utc_day(store: Store) -> None:
    """23:59:59.999999 UTC is still that day, whatever the machine's zone."""
    last = instant(AT) + timedelta(hours=11, minutes=59, seconds=59, microseconds=999_999)
    before = store.take([0])[0]
    at = AT + 43_199_999_999
    rows, n, head = chain.append(0, 0, chain.GENESIS, 1, at, "", "r", [decided("a", "send")])
    with store.batch([before]) as batch:
        daily = {(last.date().isoformat(), "welcome", "email", "send", ""): 1}
        totals = {(0, "intents"): 1, (0, "touched"): 1}
        after = before._replace(log_n=n, head=head, turn=1)
        batch.write(Changes(progress=[(before, after)], log=rows, totals=totals, daily=daily))
    assert DAY == last.date().isoformat()
    assert reconcile(store).holds
