"""What an operator's orders mean for one member: the stops that held a touch back, and the orders about an address.

Orders about no member stand in every partition's log, under no reference.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import NamedTuple

import msgspec

from orchestrator.stores.contract import LogRow

_facts = msgspec.json.Decoder(dict[str, object])
# a touch that is one of these is not held back any more
_OVER = frozenset({"attempting", "cancelled", "rejected", "accepted", "unknown"})


class Stop(NamedTuple):
    """A time in which a switch was off."""

    scope: str
    actor: str
    # microseconds; `until` 0: it still is
    since: int
    until: int
    # "partition/n" of the entries that say so
    entries: tuple[str, ...]


def stops(house: Iterable[LogRow]) -> list[Stop]:
    """The stops in one partition's orders about no member, in the order in which they began."""
    found: list[Stop] = []
    open_: dict[str, Stop] = {}
    for row in house:
        if (row.kind, row.reason) != ("operator", "switch"):
            continue
        facts = facts_of(row)
        scope, at, entry = str(facts.get("scope", "")), row.occurred_at or row.at, f"{row.partition}/{row.n}"
        if facts.get("to") == "off":
            open_.setdefault(scope, Stop(scope, str(facts.get("actor", "")), at, 0, (entry,)))
        elif scope in open_:
            stop = open_.pop(scope)
            found.append(stop._replace(until=at, entries=(*stop.entries, entry)))
    return sorted([*found, *open_.values()], key=lambda stop: (stop.since, stop.scope))


def held_back(story: Iterable[LogRow], stops: Iterable[Stop]) -> list[Stop]:
    """The stops that fell into the time in which a touch of this story waited for its call."""
    waits: list[tuple[int, int, tuple[str, ...]]] = []
    for row in story:
        if row.kind != "touch":
            continue
        at = row.occurred_at or row.at
        if row.state == "reserved":
            waits.append((at, 0, ("all", f"channel:{row.channel}", f"journey:{row.journey}")))
        elif waits and row.state in _OVER and not waits[-1][1]:
            waits[-1] = (waits[-1][0], at, waits[-1][2])
    return [
        stop
        for stop in stops
        if any(
            stop.scope in scopes and (not end or stop.since < end) and (not stop.until or stop.until > begin)
            for begin, end, scopes in waits
        )
    ]


def about_addresses(house: Iterable[LogRow], fingerprints: Container[str]) -> list[LogRow]:
    """The orders about one of these contact points."""
    return [row for row in house if row.kind == "operator" and facts_of(row).get("contact") in fingerprints]


def facts_of(row: LogRow) -> dict[str, object]:
    """The small object of facts that an entry carries; empty where it can't be read."""
    try:
        return _facts.decode(row.trail) if row.trail else {}
    except msgspec.DecodeError:
        return {}
