"""Which arrivals have the engine to themselves on the virtual clock: those that may speak to other partitions."""

from __future__ import annotations

from collections import OrderedDict

from orchestrator.errors import Unreadable
from orchestrator.events.types import MemberMerged
from orchestrator.members import alias_of
from orchestrator.pipeline import Arrival
from orchestrator.stores.contract import Store
from orchestrator.vault import Vault

# members that are remembered; one that is forgotten is looked up in the store again
REMEMBERED = 100_000


class Aliases:
    """The aliases among those whose events are read."""

    def __init__(self, store: Store, vault: Vault, remembered: int = REMEMBERED) -> None:
        """Where nobody was ever merged, no record is looked into."""
        self._store, self._vault, self._remembered = store, vault, remembered
        self._any = any(n for (_, name), n in store.totals().items() if name == "merged")
        # member -> whether it is an alias, or is to become one: those heard of last
        self._known: OrderedDict[bytes, bool] = OrderedDict()

    @property
    def count(self) -> int:
        """Members that are remembered."""
        return len(self._known)

    def concerned(self, arrival: Arrival) -> bool:
        """Whether this comes for an alias, or makes one; what made one is applied by the time it is forgotten."""
        event, member = arrival.event, arrival.member
        if isinstance(event, Unreadable):
            return False
        if isinstance(event.data, MemberMerged):
            self._any = self._known[member] = True
        if not self._any:
            return False
        if member not in self._known:
            self._known[member] = bool(alias_of(self._store, self._vault, member))
        self._known.move_to_end(member)
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)
        return self._known[member]
