"""Which arrivals have the engine to themselves on the virtual clock: those that may speak to other partitions."""

from __future__ import annotations

from orchestrator.errors import Unreadable
from orchestrator.events.types import MemberMerged
from orchestrator.members import alias_of
from orchestrator.pipeline import Arrival
from orchestrator.stores.contract import Store
from orchestrator.vault import Vault


class Aliases:
    """The aliases among those whose events are read."""

    def __init__(self, store: Store, vault: Vault) -> None:
        """Where nobody was ever merged, no record is looked into."""
        self._store, self._vault = store, vault
        self._any = any(n for (_, name), n in store.totals().items() if name == "merged")
        # member -> whether it is an alias, or is to become one
        self._known: dict[bytes, bool] = {}

    def concerned(self, arrival: Arrival) -> bool:
        """Whether this comes for an alias, or makes one."""
        event, member = arrival.event, arrival.member
        if isinstance(event, Unreadable):
            return False
        if isinstance(event.data, MemberMerged):
            self._any = self._known[member] = True
        if not self._any:
            return False
        if member not in self._known:
            self._known[member] = bool(alias_of(self._store, self._vault, member))
        return self._known[member]
