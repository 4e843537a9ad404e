"""What a run brought: counts by journey, channel, verdict and reason, and whether they add up."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from orchestrator.contact_log.reconcile import Reconciliation, reconcile
from orchestrator.runtimes.embedded.engine import Totals
from orchestrator.stores.contract import Store


class Count(Struct, frozen=True, kw_only=True):
    """How often something was decided."""

    journey: str
    channel: str
    n: int
    # silences and deferrals: the reason code
    reason: str = ""


class RunReport(Struct, frozen=True, kw_only=True):
    """A run of the embedded engine, and what the store holds after it."""

    # arrivals consumed by this run
    events: int
    turns: int
    calls: int
    seconds: float
    # inputs whose member was quarantined in this run
    quarantined: int
    # of the whole store, not of this run alone
    touches: tuple[Count, ...]
    silences: tuple[Count, ...]
    waiting: int
    dead_letters: int
    # both equations, in words
    equations: tuple[str, ...]
    # they hold, counted twice
    adds_up: bool


def report(store: Store, totals: Totals, *, recount: bool = True) -> RunReport:
    """The report of a run; `recount` reads the whole log once more to prove the counts."""
    daily: Counter[tuple[str, str, str, str]] = Counter()
    for (_, journey, channel, verdict, reason), n in store.daily().items():
        daily[journey, channel, verdict, reason] += n
    books: Reconciliation | None = reconcile(store) if recount else None
    sums = dict.fromkeys(("waiting", "dead"), 0)
    for (_, name), n in store.totals().items():
        if name in sums:
            sums[name] += n
    return RunReport(
        events=totals.arrivals,
        turns=totals.turns,
        calls=totals.calls,
        seconds=round(totals.took, 3),
        quarantined=totals.quarantined,
        touches=_counts(daily, "send"),
        silences=_counts(daily, "suppress"),
        waiting=sums["waiting"],
        dead_letters=sums["dead"],
        equations=tuple(str(balance) for balance in books.sums) if books else (),
        adds_up=books.holds if books else True,
    )


def _counts(daily: Counter[tuple[str, str, str, str]], verdict: str) -> tuple[Count, ...]:
    rows = [
        Count(journey=journey, channel=channel, n=n, reason=reason)
        for (journey, channel, said, reason), n in daily.items()
        if said == verdict
    ]
    return tuple(sorted(rows, key=lambda row: (-row.n, row.journey, row.channel, row.reason)))
