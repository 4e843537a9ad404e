"""Contact points that several members share: who comes to one learns of it, and so do those who had it before.

A contact point is shared from the turn on in which its second holder comes to it, and for good: who leaves it behind
was still reached there.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from orchestrator.decide.member import Place
from orchestrator.decide.result import Entry
from orchestrator.decide.turn import Turn


def share(turn: Turn, points: Collection[str]) -> None:
    """Others have these contact points too; what the member does not have, or knew already, changes nothing."""
    member = turn.member
    if member is None or not points:
        return
    current = {point.fingerprint: point for point in member.contact_points}
    new = sorted(set(points) & current.keys() - member.shared)
    if not new and member.shared <= current.keys():
        return
    turn.member = replace(member, shared=frozenset((*(member.shared & current.keys()), *new)))
    turn.entries.extend(Entry(kind="contact_point", channel=current[point].channel, state="shared") for point in new)


def others_at(turn: Turn, contact: str) -> tuple[Place, ...]:
    """The touches of others to a contact point, as the turn was given them, but for what became the member's own."""
    given = turn.shared.points.get(contact)
    if not given:
        return ()
    own = {place.touch_id for place in turn.known().places}
    oldest = turn.now - turn.content.keep_places
    return tuple(place for place in given if place.touch_id not in own and (place.at is None or place.at > oldest))
