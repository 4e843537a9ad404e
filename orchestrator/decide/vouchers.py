"""Voucher codes: a message that promises one goes out with one of its own, or not at all.

A turn does not know beforehand which codes it will need, and codes that it took to no use would be missing elsewhere.
So it says what it lacked (`Result.lacked`) and is taken anew with that: what comes of it then is what counts.
Where a pool has no more, the message is a silence `voucher_none_left`.

A code belongs to the touch that carries it from the reservation on. It goes back to its pool where that touch is
cancelled before any attempt; what was handed to a provider, or may have been, is spent.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

from msgspec import Struct

from orchestrator.decide.content import Pool
from orchestrator.decide.context import clock_of
from orchestrator.decide.member import Pending
from orchestrator.decide.result import Promised
from orchestrator.decide.shared import Stock
from orchestrator.decide.turn import Turn
from orchestrator.masked import hiding

NONE_LEFT = "voucher_none_left"
# what an operator hears, once until the pool is filled again
FEW, NONE = 1, 2
ALARMS = {FEW: "vouchers_low", NONE: "vouchers_gone"}
NO_STOCK = Stock()


class Voucher(Struct, frozen=True, kw_only=True):
    """A code that a message is about to promise."""

    pool: str
    code: str
    # None: it is good for ever
    last_day: date | None
    # the message is of no use to the member from then on; None: whenever
    until: datetime | None

    __repr__ = hiding("code")

    def view(self) -> dict[str, object]:
        """What texts may name as `voucher`."""
        return {"code": self.code, "last_day": self.last_day}

    def promised(self, fingerprint: Callable[[str, str], str]) -> Promised:
        """What the log says of it: the code by its keyed fingerprint alone."""
        return Promised(pool=self.pool, code=fingerprint_of(fingerprint, self.code))


def fingerprint_of(fingerprint: Callable[[str, str], str], code: str) -> str:
    """32 hex digits that stand for a code wherever it is not to be read."""
    return fingerprint("voucher", code)


def draw(turn: Turn, name: str, intent: Pending) -> Voucher | None:
    """The next code of a pool for this intent; None where there is none, or none that would be good for long enough.

    It is used once `use` says so: a message that can't be rendered leaves it where it is.
    """
    stock, used = turn.shared.vouchers.get(name), turn.used.get(name, 0)
    if stock is None:
        turn.lacked[name] = turn.lacked.get(name, 0) + 1
        return None
    pool = turn.content.pools.get(name)
    until = None if pool is None else _of_use_until(turn, pool)
    if until is not None and until <= turn.now:
        _alarm(turn, intent, name, NONE, stock.left - used, "last_day")
        return None
    if used >= len(stock.codes):
        turn.lacked[name] = turn.lacked.get(name, 0) + 1
        _alarm(turn, intent, name, NONE, 0, "none_left")
        return None
    return Voucher(pool=name, code=stock.codes[used], last_day=None if pool is None else pool.last_day, until=until)


def use(turn: Turn, voucher: Voucher, intent: Pending) -> None:
    """The code goes with the intent's touch."""
    name = voucher.pool
    turn.used[name] = turn.used.get(name, 0) + 1
    left = turn.shared.vouchers[name].left - turn.used[name]
    pool = turn.content.pools.get(name)
    if pool is not None and left < pool.low_water:
        _alarm(turn, intent, name, FEW, left, "low_water")


def _of_use_until(turn: Turn, pool: Pool) -> datetime | None:
    """From when on a member would have fewer days for the code than are promised; None: never."""
    if pool.last_day is None:
        return None
    first = pool.last_day - timedelta(days=pool.days_left - 1)
    return datetime.combine(first + timedelta(days=1), time(), clock_of(turn.content, turn.known())).astimezone(UTC)


def _alarm(turn: Turn, intent: Pending, pool: str, level: int, left: int, because: str) -> None:
    """An operator hears of it, unless they did since the pool was last filled."""
    told = turn.told.get(pool, turn.shared.vouchers.get(pool, NO_STOCK).told)
    if told >= level:
        return
    turn.told[pool] = level
    turn.alarm(intent, ALARMS[level], {"pool": pool, "left": left, "because": because})
