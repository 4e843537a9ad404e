"""Members in memory: of former batches, and of a batch that takes its turns anew."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from orchestrator.decide.member import Member
from orchestrator.decide.result import Result
from orchestrator.decide.shared import Stock
from orchestrator.pipeline.records import Given, TurnName
from orchestrator.vault import Sealer

CACHED_MEMBERS = 8_000

# reference, wrapped key and its sealer
NewKey = tuple[str, bytes, Sealer]


class Known(NamedTuple):
    """A member in memory: None with `erased` is a tombstone."""

    member: Member | None
    ref: str
    sealer: Sealer | None
    erased: bool = False


def remember(cache: OrderedDict[bytes, Known], members: Mapping[bytes, Known]) -> None:
    """Keeps the members of a batch that was written for those to come, the latest `CACHED_MEMBERS` of all."""
    for key, known in members.items():
        cache[key] = known
        cache.move_to_end(key)
    while len(cache) > CACHED_MEMBERS:
        cache.popitem(last=False)


class Taken(NamedTuple):
    """A turn as it was taken before: of the same member, given the same, the same comes again."""

    member: Member | None
    given: Given | None
    # reference, wrapped key and sealer of whoever was not known before
    key: NewKey | None
    result: Result


class Former:
    """What a batch knows from before its turns were taken anew; it never outlives the transaction."""

    def __init__(self) -> None:
        """Knows nothing yet."""
        self.members: dict[bytes, Known] = {}
        self._turns: dict[TurnName, Taken] = {}

    def key(self, name: TurnName) -> NewKey | None:
        """The key that was made for the turn's member."""
        return self._turns[name].key if name in self._turns else None

    def result(self, name: TurnName, member: Member | None, given: Given | None, key: NewKey | None) -> Result | None:
        """What the turn came to, where it is given the same; None where that is not known."""
        taken = self._turns.get(name)
        if taken is None or taken.member is not member or taken.key != key or taken.given != given:
            return None
        return taken.result

    def keep(self, name: TurnName, taken: Taken, vouchers: Mapping[str, Stock]) -> None:
        """A turn that was taken; one that looked into a pool of voucher codes has to look again."""
        if not vouchers:
            self._turns[name] = taken
