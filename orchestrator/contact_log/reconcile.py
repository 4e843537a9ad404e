"""It adds up: what went in is what came out, by the running totals, and counted once more from the log itself.

    inputs  = applied + duplicate + dead + parked + forwarded
    intents = touched + silent + waiting

The second count knows nothing of the first: it reads the log alone. An intent ended as its last decision says (send:
touch, suppress: silence, defer: waiting), and every decision must be in the daily counts under its day (UTC), journey,
channel, verdict and reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from orchestrator.stores.contract import LogRow, Store
from orchestrator.times import instant

Equation = Literal["inputs", "intents"]
_SIDES: dict[Equation, tuple[str, ...]] = {
    "inputs": ("applied", "duplicate", "dead", "parked", "forwarded"),
    "intents": ("touched", "silent", "waiting"),
}
_ENDS = {"send": "touched", "suppress": "silent", "defer": "waiting"}

Day = tuple[str, str, str, str, str]


class Balance(Struct, frozen=True):
    """One equation: the whole and its parts."""

    equation: Equation
    # None: all partitions together
    partition: int | None
    whole: int
    parts: dict[str, int]
    # whether the parts make the whole, and none is negative
    holds: bool

    def __str__(self) -> str:
        """The equation with its numbers."""
        parts = " + ".join(f"{name} {n}" for name, n in self.parts.items())
        where = "" if self.partition is None else f"partition {self.partition}: "
        return f"{where}{self.equation} {self.whole} {'=' if self.holds else '≠'} {parts}"


class Difference(Struct, frozen=True):
    """A number that the log does not bear out."""

    # "touched", or a daily count's key in words
    what: str
    partition: int | None
    recorded: int
    counted: int


class Reconciliation(Struct, frozen=True, kw_only=True):
    """What the books say."""

    # whether all of it adds up
    holds: bool
    # both equations in sum
    sums: tuple[Balance, ...]
    # those of single partitions that do not hold
    broken: tuple[Balance, ...]
    # what the log, counted anew, does not bear out
    differences: tuple[Difference, ...]
    # decisions in the log
    decisions: int


def reconcile(store: Store) -> Reconciliation:
    """Both equations by partition and in sum, and the recount from the log.

    Read it from a store at rest, or accept differences of what arrives meanwhile. Memory grows with the intents of
    the largest partition.
    """
    totals = store.totals()
    partitions = sorted({partition for partition, _ in totals} | {row.partition for row in store.progress()})
    balances = [balance(equation, totals, partition) for partition in partitions for equation in _SIDES]
    differences: list[Difference] = []
    days: Counter[Day] = Counter()
    for partition in partitions:
        counted = recount(store.log(partition=partition), days)
        for name in ("intents", *_SIDES["intents"]):
            recorded = totals.get((partition, name), 0)
            if recorded != counted[name]:
                differences.append(Difference(name, partition, recorded, counted[name]))
    differences.extend(_daily(store.daily(), days))
    summed: Counter[tuple[int, str]] = Counter()
    for (_, name), n in totals.items():
        summed[-1, name] += n
    sums = tuple(balance(equation, summed, None) for equation in _SIDES)
    broken = tuple(each for each in balances if not each.holds)
    return Reconciliation(
        holds=not broken and not differences and all(each.holds for each in sums),
        sums=sums,
        broken=broken,
        differences=tuple(differences),
        decisions=sum(days.values()),
    )


def balance(equation: Equation, totals: Mapping[tuple[int, str], int], partition: int | None) -> Balance:
    """One equation of one partition; None stands for the totals under -1."""
    key = -1 if partition is None else partition
    parts = {name: totals.get((key, name), 0) for name in _SIDES[equation]}
    whole = totals.get((key, equation), 0)
    return Balance(equation, partition, whole, parts, whole == sum(parts.values()) and min(parts.values()) >= 0)


def recount(rows: Iterable[LogRow], days: Counter[Day]) -> Counter[str]:
    """Intents of one partition's log and how they ended; adds every decision and every goal reached to `days`."""
    ends: dict[str, str] = {}
    for row in rows:
        if row.kind == "decision":
            ends[row.intent_id] = _ENDS.get(row.verdict, "unknown verdict")
            day = instant(row.at).strftime("%Y-%m-%d")
            days[day, row.journey, row.channel, row.verdict, row.reason] += 1
        elif row.kind == "journey":
            days[instant(row.at).strftime("%Y-%m-%d"), row.journey, "", row.state, ""] += 1
    counted = Counter(ends.values())
    counted["intents"] = len(ends)
    return counted


def _daily(recorded: Mapping[Day, int], counted: Mapping[Day, int]) -> list[Difference]:
    keys = sorted(key for key in recorded.keys() | counted.keys() if recorded.get(key, 0) != counted.get(key, 0))
    return [Difference(" ".join(filter(None, key)), None, recorded.get(key, 0), counted.get(key, 0)) for key in keys]
