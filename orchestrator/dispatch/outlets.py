"""The accounts of one channel in one dispatcher's hands: which of them may be called now, and which for this touch.

Each is called by what stands in the store for all workers (its breaker, its rate, an operator's pause), and by what
only this dispatcher knows: its free slots, a provider's wish for rest, and which accounts refused which touch.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from orchestrator.channels.accounts import Account
from orchestrator.channels.contract import Answer
from orchestrator.dispatch import outage
from orchestrator.dispatch.breaker import Breaker
from orchestrator.dispatch.pace import Pace
from orchestrator.dispatch.retry import gap, may_go_elsewhere
from orchestrator.stores.contract import Store
from orchestrator.stores.outbox import at_account

# touches whose refusals are remembered; one that is forgotten may be called once more by an account that refused it
_REMEMBERED = 20_000
# a refused touch is claimed again within so long, in microseconds, or it is gone: cancelled, or claimed by another
_HOP_WITHIN = 60_000_000


class Outlet:
    """One account."""

    def __init__(
        self,
        account: Account,
        store: Store,
        elapsed: Callable[[], int] | None,
        do: Callable[..., Awaitable[Any]],
    ) -> None:
        self.name, self.adapter = account.name, account.adapter
        self.breaker = Breaker(store, account.name, account.bounds)
        # on the virtual clock a round takes no time: no rate can be kept in it
        rate = account.bounds.per_second
        self.pace = Pace(store, account.name, rate, elapsed, do) if rate and elapsed else None
        self.paused = False
        self.busy = 0
        # a provider asked for patience: until then, by what passes for the dispatcher
        self.rests_until = 0

    @property
    def well(self) -> bool:
        """Neither paused nor left alone."""
        return not self.paused and not self.breaker.stands.since

    def rests(self, at: int, passed: int) -> bool:
        """Whether it is not to be called now, whatever is free."""
        return self.paused or passed < self.rests_until or self.breaker.state(at) == "open"

    def free(self, at: int, passed: int) -> int:
        """How many more calls it may have now."""
        if self.rests(at, passed):
            return 0
        free = self.adapter.slots - self.busy
        if self.breaker.state(at) == "half_open":
            free = min(free, 1)
        return max(0, free if self.pace is None else min(free, self.pace.room()))


class Outlets:
    """Those of one channel, in the order in which they are tried."""

    def __init__(
        self,
        channel: str,
        accounts: Iterable[Account],
        store: Store,
        elapsed: Callable[[], int] | None,
        do: Callable[..., Awaitable[Any]],
    ) -> None:
        self.channel, self._store = channel, store
        self.all = tuple(Outlet(account, store, elapsed, do) for account in accounts)
        # touch -> accounts that refused it since they were all asked last
        self._refused: OrderedDict[str, frozenset[str]] = OrderedDict()
        # those of them that another account may call now, and what had passed when they were refused
        self._hops: OrderedDict[str, int] = OrderedDict()
        # what has passed for the dispatcher by this round
        self.passed = 0

    @property
    def out(self) -> bool:
        """None of them is well."""
        return not any(outlet.well for outlet in self.all)

    def refresh(self, at: int) -> None:
        """Reads what stands in the store, and has it say since when the channel is out, or that it is not any more."""
        off = {row.scope for row in self._store.switches()}
        for outlet in self.all:
            outlet.breaker.refresh()
            outlet.paused = at_account(outlet.name) in off
        outage.tell(self._store, self.channel, at, out=self.out)

    def limit(self, free: dict[str, int]) -> int:
        """How many touches it is of use to claim: for the account whose turn it is, and for those that wait to hop."""
        while self._hops and self.passed - next(iter(self._hops.values())) > _HOP_WITHIN:
            self._hops.popitem(last=False)
        limit = 0
        for place, outlet in enumerate(self.all):
            limit += free[outlet.name]
            if self._takes_all(outlet):
                return limit + min(len(self._hops), sum(free[later.name] for later in self.all[place + 1 :]))
        return limit

    def choose(self, touch_id: str, free: dict[str, int]) -> Outlet | None:
        """The account whose turn it is to call this touch; its free slot is taken. None: it has none just now.

        That is the first one that is well and has not refused the touch, however busy: the next one is not there for
        what is merely too much. One whose rest is over comes first, for one call. Where all have refused the touch,
        they are asked again.
        """
        refused = self._refused.get(touch_id, frozenset())
        if refused and not self._elsewhere(refused):
            del self._refused[touch_id]
            refused = frozenset()
        for outlet in self.all:
            if outlet.name not in refused:
                if free[outlet.name] > 0:
                    free[outlet.name] -= 1
                    self._hops.pop(touch_id, None)
                    return outlet
                if self._takes_all(outlet):
                    return None
        return None

    def hops(self, touch_id: str) -> bool:
        """Whether this touch waits for an account other than the one whose turn it is."""
        return touch_id in self._refused

    def learn(self, outlet: Outlet, touch_id: str, answer: Answer, at: int, passed: int | None) -> None:
        """What a call came to, known at `at`; `passed` None: nobody rests."""
        was_out = self.out
        outlet.breaker.learn(answer, at)
        if self.out != was_out:
            outage.tell(self._store, self.channel, at, out=self.out)
        if answer.kind == "throttled" and passed is not None:
            rest = gap("throttled", touch_id, 1, answer.retry_after)
            outlet.rests_until = max(outlet.rests_until, passed + int(rest.total_seconds() * 1_000_000))
        if may_go_elsewhere(answer):
            self._refused[touch_id] = self._refused.get(touch_id, frozenset()) | {outlet.name}
            self._hops[touch_id] = self.passed
            while len(self._refused) > _REMEMBERED:
                self._hops.pop(self._refused.popitem(last=False)[0], None)
        else:
            self._refused.pop(touch_id, None)

    def elsewhere(self, touch_id: str) -> bool:
        """Whether another account than those that refused this touch may call it now."""
        return self._elsewhere(self._refused.get(touch_id, frozenset()))

    def _elsewhere(self, refused: frozenset[str]) -> bool:
        return any(outlet.name not in refused and self._takes_all(outlet) for outlet in self.all)

    def _takes_all(self, outlet: Outlet) -> bool:
        """It is well and does not rest: what can be called is for it to call."""
        return outlet.well and self.passed >= outlet.rests_until
