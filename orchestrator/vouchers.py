"""Voucher codes: how a batch takes them from their pools.

Codes are sealed in the store, told apart by a keyed fingerprint, and never shown: not in errors, logs or reports. A
batch takes one where a turn has a use for it, in its own transaction, and never waits for one: what another batch holds
is passed over. So a code goes to one touch, and a pool that is nearly empty keeps nobody waiting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from orchestrator.decide.content import Content
from orchestrator.decide.result import Reservation
from orchestrator.decide.shared import Stock
from orchestrator.decide.vouchers import fingerprint_of
from orchestrator.stores.contract import Batch, NewVoucher, Store, VoucherGiven, VoucherRow
from orchestrator.vault import Vault

# codes beyond the low-water mark that are counted at once
AHEAD = 500


class _Pool:
    """One pool in one batch."""

    def __init__(self, tx: Batch, name: str, low_water: int) -> None:
        self._tx, self._name, self._low_water = tx, name, low_water
        # taken and not used, in order; number of each code that was taken
        self.free: list[tuple[VoucherRow, str]] = []
        self.held: set[int] = set()
        self.used = 0
        # the pool has no more for this batch
        self.dry = False
        self._most = low_water + AHEAD
        self._count, self.told = tx.pool(name, self._most)

    def left(self) -> int:
        """Codes that are left, counted no farther than an alarm needs."""
        if self._count == self._most and self._count - self.used <= self._low_water + len(self.free):
            self._most = self._low_water + self.used + len(self.free) + AHEAD
            self._count, _ = self._tx.pool(self._name, self._most)
        return max(self._count - self.used, len(self.free))

    def take(self, n: int, vault: Vault) -> None:
        """Takes codes until `n` are free, as far as there are any."""
        while len(self.free) < n and not self.dry:
            rows = self._tx.vouchers(self._name, n - len(self.free), self.held)
            self.dry = len(self.free) + len(rows) < n
            self.held.update(row.seq for row in rows)
            self.free += [(row, vault.open_code(row.code, row.fingerprint)) for row in rows]


class Codes:
    """The voucher codes of one batch's turns."""

    def __init__(self, tx: Batch, vault: Vault, content: Content) -> None:
        self._tx, self._vault, self._content = tx, vault, content
        self._pools: dict[str, _Pool] = {}
        # touch -> the code that goes with it, and its member's reference
        self._given: dict[str, tuple[VoucherRow, str, str]] = {}
        # touches of former batches that were cancelled
        self.back: list[str] = []
        self._told: dict[str, int] = {}

    def offered(self, before: Mapping[str, Stock], lacked: Iterable[tuple[str, int]]) -> dict[str, Stock]:
        """What a turn is given that had these and lacked so many more; the same again where there is no more."""
        stocks = dict(before)
        for name, n in lacked:
            pool, had = self._pool(name), before.get(name)
            wanted = n + (len(had.codes) if had is not None else 0)
            pool.take(wanted, self._vault)
            if had is None or len(pool.free) > len(had.codes):
                codes = tuple([code for _, code in pool.free[:wanted]])
                stocks[name] = Stock(codes=codes, left=pool.left(), told=pool.told)
        return stocks

    def give(self, reservation: Reservation, ref: str) -> None:
        """A turn reserved a touch; the code that it promises, if it does, is taken."""
        if not reservation.code:
            return
        pool = self._pools[reservation.pool]
        place = next(i for i, (_, code) in enumerate(pool.free) if code == reservation.code)
        row, code = pool.free.pop(place)
        pool.used += 1
        self._given[reservation.touch_id] = row, code, ref

    def take_back(self, touch: str) -> None:
        """A touch is cancelled: the code that this batch gave with it is free, a former one's is the store's to see."""
        if not self.cancel(touch):
            self.back.append(touch)

    def cancel(self, touch: str) -> bool:
        """Frees the code that this batch gave with a touch; whether there was one."""
        if touch not in self._given:
            return False
        row, code, _ = self._given.pop(touch)
        pool = self._pools[row.pool]
        pool.free = sorted([*pool.free, (row, code)])
        pool.used -= 1
        return True

    def tell(self, told: Iterable[tuple[str, int]]) -> None:
        """An operator heard of these pools."""
        for name, level in told:
            self._pools[name].told = self._told[name] = level

    def given(self) -> list[VoucherGiven]:
        """The codes that go with this batch's touches."""
        return [VoucherGiven(row.seq, touch, ref) for touch, (row, _, ref) in self._given.items()]

    def told(self) -> list[tuple[str, int]]:
        """What an operator heard in this batch."""
        return list(self._told.items())

    def _pool(self, name: str) -> _Pool:
        if name not in self._pools:
            declared = self._content.pools.get(name)
            self._pools[name] = _Pool(self._tx, name, 0 if declared is None else declared.low_water)
        return self._pools[name]


def put_codes(store: Store, vault: Vault, pool: str, codes: Iterable[str]) -> dict[str, str]:
    """Adds codes in one transaction, in their order; (fingerprint -> pool) of those that were there before."""
    sealed: dict[str, NewVoucher] = {}
    for code in codes:
        fingerprint = fingerprint_of(vault.fingerprint, code)
        sealed[fingerprint] = NewVoucher(pool, fingerprint, vault.seal_code(code, fingerprint))
    return store.load_vouchers(list(sealed.values()))


def as_kept(stocks: Mapping[str, Stock], reservations: Sequence[Reservation]) -> dict[str, Stock]:
    """What a turn was given, as its journal keeps it: of a code that it did not use no more than the length."""
    used = {reservation.code for reservation in reservations}
    return {
        name: replace(stock, codes=tuple([code if code in used else "X" * len(code) for code in stock.codes]))
        for name, stock in sorted(stocks.items())
    }
