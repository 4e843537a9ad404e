"""Who is one person, and from when on: two ids that were merged are one when the record of the new one says so.

A merge is two transactions: in the first the old id becomes an alias, in the second the new id takes over what the old
one was. Whoever serves the new id learns of the old one in the second, so that is the moment from which both count
together; from the first on nothing is sent to the old id any more. Moments are those of the database's commits.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.chaos.evidence import Evidence, Row, Violation, rfc3339


class Join(NamedTuple):
    """A record took over another."""

    at: int
    # references: who was taken over, and by whom
    old: str
    new: str
    # the id of the one that took over
    member: str


class People:
    """The merges on record; instants are microseconds since 1970."""

    def __init__(self, history: Iterable[Row]) -> None:
        """`history`: the log in the order of its commits."""
        # id -> when it became an alias
        self.left: dict[str, int] = {}
        self.joins: list[Join] = []
        # reference -> id
        self.names: dict[str, str] = {}
        for entry in history:
            ref, member = entry["member_ref"] or "", entry["member"] or ""
            self.names.setdefault(ref, member)
            if entry["kind"] != "member":
                continue
            if entry["state"] == "merged":
                self.left.setdefault(member, entry["committed"])
            elif entry["state"] == "absorbed":
                trail = entry["trail"]
                old = (json.loads(trail) if isinstance(trail, str) else trail)["ref"]
                self.joins.append(Join(entry["committed"], old, ref, member))

    def groups(self) -> list[set[str]]:
        """The references of each person who has several, by the end."""
        found: dict[str, set[str]] = {}
        for join in self.joins:
            both = found.get(join.old, {join.old}) | found.get(join.new, {join.new})
            found |= dict.fromkeys(both, both)
        return list({id(group): group for group in found.values()}.values())

    def one_with(self, ref: str, at: int) -> set[str]:
        """The references that are one person with this one at an instant, itself among them."""
        known, todo = {ref}, [ref]
        while todo:
            one = todo.pop()
            for join in self.joins:
                if join.at <= at and one in (join.old, join.new):
                    todo += {join.old, join.new} - known
                    known |= {join.old, join.new}
        return known


def merge_violations(evidence: Evidence, people: People) -> Iterator[Violation]:
    """Merges that were lost, made twice, or finished by whom nobody named."""
    planned = evidence.truth.get("merges", ())
    person = evidence.truth.get("people", {})
    for old, _ in planned:
        if old not in people.left:
            yield Violation("merge", f"{old}: it never became an alias")
    taken: dict[str, list[Join]] = defaultdict(list)
    for join in people.joins:
        taken[people.names.get(join.old, "")].append(join)
    for old, n in Counter(old for old, _ in planned).items():
        if not taken[old]:
            yield Violation("merge", f"{old}: nobody took over what it was")
        for join in taken[old]:
            if person.get(join.member) != person.get(old):
                yield Violation("merge", f"{old}: taken over by {join.member}")
            if join.at < people.left.get(old, 0):
                yield Violation("merge", f"{old}: taken over at {rfc3339(join.at)}, before it became an alias")
        if len({join.member for join in taken[old]}) != len(taken[old]) or len(taken[old]) > n:
            yield Violation("merge", f"{old}: taken over {len(taken[old])} times")
    for old in people.left.keys() - {old for old, _ in planned}:
        yield Violation("merge", f"{old}: an alias that no event asked for")
