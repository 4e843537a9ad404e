"""Voucher codes in the memory store."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from itertools import islice

from orchestrator.stores.contract import Changes, NewVoucher, PoolRow, VoucherRow
from orchestrator.stores.memory.tables import Tables
from orchestrator.stores.outbox import told_now


def left_in(tables: Tables, pool: str, limit: int, held: frozenset[int]) -> list[VoucherRow]:
    """The first codes that are left in a pool, but for those held."""
    left = (number for number in tables.left[pool] if number not in held)
    return [tables.vouchers[number][0] for number in islice(left, limit)]


def load(tables: Tables, rows: Sequence[NewVoucher]) -> dict[str, str]:
    """Adds codes; (fingerprint -> pool) of those that were there."""
    numbers = {row.fingerprint: tables.codes[row.fingerprint] for row in rows if row.fingerprint in tables.codes}
    there = {fingerprint: tables.vouchers[number][0].pool for fingerprint, number in numbers.items()}
    for row in rows:
        if row.fingerprint not in there:
            number = len(tables.vouchers) + 1
            tables.codes[row.fingerprint] = number
            tables.vouchers[number] = VoucherRow(number, *row), None
            tables.left[row.pool].append(number)
    return there


def filled(tables: Tables, pool: str, enough: int) -> None:
    """A pool was added to."""
    tables.told[pool] = told_now(len(tables.left[pool]), enough, tables.told.get(pool, 0))


def pools(tables: Tables) -> list[PoolRow]:
    """Every pool that codes were added to, by name."""
    counts: dict[str, tuple[int, int]] = {}
    for row, given in tables.vouchers.values():
        left, gone = counts.get(row.pool, (0, 0))
        counts[row.pool] = (left + (given is None), gone + (given is not None))
    return [PoolRow(pool, *counts[pool], tables.told.get(pool, 0)) for pool in sorted(counts)]


def apply_codes_back(tables: Tables, touch_ids: Iterable[str]) -> None:
    """The codes of touches that were cancelled, and never attempted, are left again."""
    for touch_id in touch_ids:
        touch = tables.outbox.rows.get(touch_id)
        if touch is None or touch.state != "cancelled" or touch.attempts:
            continue
        for number in sorted(tables.given_with.get(touch_id, ())):
            row, given = tables.vouchers[number]
            if not row.code:
                continue
            tables.given_with[touch_id].discard(number)
            if given is not None:
                tables.given_to[given.ref].discard(number)
            tables.vouchers[number] = row, None
            insort(tables.left[row.pool], number)


def apply_vouchers(tables: Tables, changes: Changes) -> None:
    """What a batch gave, of whom it destroyed the key, and what was told."""
    for given in changes.vouchers:
        row, _ = tables.vouchers[given.seq]
        tables.vouchers[given.seq] = row, given
        left = tables.left[row.pool]
        del left[bisect_left(left, given.seq)]
        tables.given_with[given.touch_id].add(given.seq)
        tables.given_to[given.ref].add(given.seq)
    for ref in changes.destroyed:
        for number in tables.given_to.get(ref, ()):
            row, whose = tables.vouchers[number]
            tables.vouchers[number] = row._replace(code=b""), whose
    for pool, told in changes.told:
        tables.told[pool] = max(told, tables.told.get(pool, 0))
