"""Voucher codes on PostgreSQL: workers that draw on one pool at once get each code once, and never wait for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import monotonic

import psycopg
import pytest

from orchestrator.stores.contract import Changes, VoucherGiven
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.store_rows import Owner, looking, touch_row, voucher

BATCHES, EACH = 30, 4


@pytest.fixture
def opened(postgres_url: str) -> Iterator[Callable[[], SqlStore]]:
    """Opens stores on one database, as several processes would."""
    stores: list[SqlStore] = []

    def opened() -> SqlStore:
        stores.append(SqlStore.open(postgres_url, 4))
        return stores[-1]

    yield opened
    for store in stores:
        store.close()


def given(url: str) -> list[tuple[str, str]]:
    """(fingerprint, touch) of the codes that are given."""
    with psycopg.connect(url) as session:
        rows = session.execute("SELECT fingerprint, touch_id FROM vouchers WHERE touch_id <> ''").fetchall()
    return [(row[0], row[1]) for row in rows]


def deadlocks(url: str) -> int:
    with psycopg.connect(url) as session:
        (row,) = session.execute(
            "SELECT pg_stat_get_db_deadlocks(oid) FROM pg_database WHERE datname = current_database()"
        ).fetchall()
    return int(row[0])


def test_workers_that_draw_on_two_pools_at_once_give_each_code_once_and_never_meet_crosswise(
    opened: Callable[[], SqlStore], postgres_url: str
) -> None:
    workers, pools = 3, ("gifts", "prizes")
    stores = [opened() for _ in range(workers + 1)]
    start = Barrier(workers + 1)

    def draw(number: int) -> int:
        owner, kept = Owner(stores[number], [number]), 0
        start.wait(30)
        for turn in range(BATCHES):
            before, after = owner.step(number)
            touches = [touch_row(f"{number}-{turn}-{i}", f"m{number}", partition=number) for i in range(EACH)]
            # each worker asks the pools in another order, as its turns come
            order = pools if (number + turn) % 2 else pools[::-1]
            back = [f"{number}-{turn - 1}-0"] if turn else []
            with owner.store.batch([before]) as batch:
                rows = [row for pool in order for row in batch.vouchers(pool, EACH // 2, ())]
                rows += (
                    batch.vouchers(order[0], EACH - len(rows), [row.seq for row in rows]) if len(rows) < EACH else []
                )
                codes = [
                    VoucherGiven(row.seq, touch.touch_id, touch.ref) for row, touch in zip(rows, touches, strict=False)
                ]
                batch.write(
                    Changes(
                        [(before, after)],
                        reserved=touches[: len(codes)],
                        cancelled=back,
                        codes_back=back,
                        vouchers=codes,
                        told=[(pool, turn % 3) for pool in order],
                    )
                )
            owner.held[number] = after
            kept += len(codes)
        return kept

    def load() -> int:
        start.wait(30)
        loaded = 0
        for turn in range(BATCHES):
            rows = [voucher(f"{pool}-{turn}-{i}", pool) for pool in pools for i in range(EACH)]
            loaded += len(rows) - len(stores[workers].load_vouchers(rows))
            stores[workers].filled(pools[turn % 2], 2)
        return loaded

    with ThreadPoolExecutor(workers + 1) as pool:
        loading = pool.submit(load)
        drawn = sum(future.result() for future in [pool.submit(draw, number) for number in range(workers)])
        loaded = loading.result()
    held = given(postgres_url)
    touches = {touch.touch_id: touch.state for touch in stores[0].touches()}
    assert len(held) == len({code for code, _ in held}) == len({touch for _, touch in held})
    assert drawn > BATCHES
    assert {"reserved"} == {touches[touch] for _, touch in held}
    assert {touch for touch, state in touches.items() if state == "reserved"} == {touch for _, touch in held}
    counts = {row.pool: (row.left, row.given) for row in stores[0].pools()}
    assert loaded == sum(map(sum, counts.values())) == 2 * BATCHES * EACH
    assert len(held) == sum(gone for _, gone in counts.values())
    assert 0 == deadlocks(postgres_url)


def test_codes_that_another_batch_holds_are_passed_over_without_waiting(opened: Callable[[], SqlStore]) -> None:
    one, other = opened(), opened()
    one.load_vouchers([voucher(f"{i}") for i in range(3)])
    with looking(one) as batch:
        held = batch.vouchers("gifts", 2, ())
        began = monotonic()
        with looking(other) as second:
            rest = second.vouchers("gifts", 5, ())
            assert [] == second.vouchers("gifts", 5, [row.seq for row in rest])
        assert monotonic() - began < 5
    assert ([b"sealed 0", b"sealed 1"], [b"sealed 2"]) == ([row.code for row in held], [row.code for row in rest])
    # the first left without writing: all are there again, also those that stand before what is held
    with looking(other) as batch:
        last = batch.vouchers("gifts", 1, [row.seq for row in held])
        assert [b"sealed 2"] == [row.code for row in last]
        before = batch.vouchers("gifts", 5, [row.seq for row in last])
        assert [b"sealed 0", b"sealed 1"] == [row.code for row in before]


def test_a_code_that_was_given_meanwhile_is_not_taken_from_an_old_sight(opened: Callable[[], SqlStore]) -> None:
    one, other = opened(), opened()
    one.load_vouchers([voucher("a"), voucher("b")])
    owner = Owner(one)
    before, after = owner.step(0)
    with looking(other) as waiting:
        # its transaction has begun, and sees at each statement what was committed before that
        assert (2, 0) == waiting.pool("gifts", 9)
        with one.batch([before]) as batch:
            (row,) = batch.vouchers("gifts", 1, ())
            touch = touch_row("t1")
            changes = Changes([(before, after)], reserved=[touch], vouchers=[VoucherGiven(row.seq, "t1", touch.ref)])
            batch.write(changes)
        assert [b"sealed b"] == [row.code for row in waiting.vouchers("gifts", 9, ())]


def test_taking_codes_reads_what_is_left_and_not_what_was_given(
    opened: Callable[[], SqlStore], postgres_url: str
) -> None:
    opened()
    with psycopg.connect(postgres_url, autocommit=True) as session:
        session.execute(
            "INSERT INTO vouchers (pool, fingerprint, code, touch_id, ref) "
            "SELECT 'gifts', i::text, '', CASE WHEN i <= 50000 THEN i::text ELSE '' END, '' "
            "FROM generate_series(1, 50010) i"
        )
        session.execute("VACUUM ANALYZE vouchers")
        asked = "SELECT seq FROM vouchers WHERE pool = 'gifts' AND touch_id = '' AND seq > 0 ORDER BY seq LIMIT 1"
        (plan,) = (
            session.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {asked} FOR UPDATE SKIP LOCKED").fetchone() or ()
        )
    root = plan[0]["Plan"]
    assert root["Shared Hit Blocks"] + root["Shared Read Blocks"] < 20, root
