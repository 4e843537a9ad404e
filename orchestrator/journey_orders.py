"""Starting a journey by hand: an order to its members, or to everybody, in the inbox of their partitions' owners."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from orchestrator.decide.content import Content
from orchestrator.decide.occasions import EVERYBODY
from orchestrator.errors import UsageError
from orchestrator.events.inputs import Command
from orchestrator.located import nearest
from orchestrator.members import must_know
from orchestrator.orders import to_all, to_member
from orchestrator.stores.contract import Store
from orchestrator.times import micros
from orchestrator.vault import Vault


def start(
    store: Store, vault: Vault, content: Content, journey: str, members: Sequence[str], *, actor: str, at: datetime
) -> None:
    """Has these members, or everybody where none is named, enter a journey that starts by hand, if it is for them.

    Raises UsageError for a member who is not known and for a journey that starts otherwise; nothing is ordered then.
    """
    known = content.journeys.get(journey)
    by_hand = [name for name, each in content.journeys.items() if each.trigger.kind == "manual"]
    if known is None or journey not in by_hand:
        what = f"{journey} starts by other means" if known is not None else f"there is no journey {journey}"
        cure = nearest(journey, by_hand) if by_hand else "no journey here has `trigger: {manual: true}`"
        raise UsageError(f"{what}; {cure}")
    arguments = {"journey": journey} if members else {"journey": journey, "to": EVERYBODY}
    order = Command(verb="start", actor=actor, arguments=arguments, given_at=at)
    for member in members:
        must_know(store, vault, member)
    # a partition that stood idle carries it out at the moment it was given, not at its last one
    rows = [to_member(store, vault, member, order)._replace(due=micros(at)) for member in members]
    store.suppress([], rows or to_all(store, order))
