"""Rows of voucher codes and their pools."""

from __future__ import annotations

from typing import NamedTuple


class NewVoucher(NamedTuple):
    """A voucher code to add to a pool."""

    pool: str
    # keyed hash of the code, 32 hex digits: a code is there once, whatever pool it is in and whatever became of it
    fingerprint: str
    # sealed
    code: bytes


class VoucherRow(NamedTuple):
    """A voucher code that is left in its pool."""

    # growing in the order in which codes were added: the order in which they are given
    seq: int
    pool: str
    fingerprint: str
    # sealed
    code: bytes


class VoucherGiven(NamedTuple):
    """A code goes with a touch."""

    seq: int
    touch_id: str
    # of the member
    ref: str


class PoolRow(NamedTuple):
    """How a pool of voucher codes stands; all that were added are left or given."""

    pool: str
    left: int
    given: int
    # what an operator heard of it since it was last filled: 0 nothing, 1 that few are left, 2 that none is
    told: int
