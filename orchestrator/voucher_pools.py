"""How the pools of voucher codes stand: what `voucher status` and `doctor` tell of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from msgspec import Struct

from orchestrator.decide.content import Pool
from orchestrator.stores.contract import Store


class Standing(Struct, frozen=True, kw_only=True):
    """How a pool stands."""

    pool: str
    left: int
    given: int
    # an operator hears of it when fewer are left; none where `templates/vouchers.yaml` does not declare the pool
    low_water: int | None
    low: bool
    last_day: date | None
    # the journeys that promise its codes
    journeys: tuple[str, ...]


def standing(store: Store, pools: Mapping[str, Pool], promised_by: Mapping[str, tuple[str, ...]]) -> list[Standing]:
    """Every pool that is declared, or that codes were loaded into, by name; `promised_by`: pool -> journeys."""
    counts = {row.pool: row for row in store.pools()}
    found = []
    for name in sorted(pools.keys() | counts.keys()):
        declared, count = pools.get(name), counts.get(name)
        left = 0 if count is None else count.left
        found.append(
            Standing(
                pool=name,
                left=left,
                given=0 if count is None else count.given,
                low_water=None if declared is None else declared.low_water,
                low=declared is not None and left < declared.low_water,
                last_day=None if declared is None else declared.last_day,
                journeys=promised_by.get(name, ()),
            )
        )
    return found
