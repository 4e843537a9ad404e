"""Progressive asking: one missing fact at a time, and then none for a while, whatever was or was not answered.

What is asked, how often, and by which journeys is a house policy. A message that such a journey reserved has asked.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import get_args

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.decide.member import SECOND_CHOICE, Member
from orchestrator.events.types import Channel

PROFILE = ("given_name", "family_name", "birthday", "locale", "zone", "country", "region", "tier")
CHANNELS: tuple[str, ...] = get_args(Channel)
ATTRIBUTE = "attributes."


class Asking(Struct, frozen=True, kw_only=True):
    """What the house would like to know of its members."""

    # the most wanted first: a name from PROFILE, a channel (a contact point that is well and fit), `attributes.<name>`
    facts: tuple[str, ...] = ()
    # after any of them was asked for, none is for so long
    again_after: timedelta = timedelta(0)
    # journeys whose messages ask
    journeys: frozenset[str] = frozenset()


NOTHING = Asking()


def _reachable(member: Member) -> list[str]:
    """The channels on which there is a contact point that is well and fit."""
    return [
        point.channel
        for point in member.contact_points
        if point.health in ("ok", "soft_bounced") and point.kind not in SECOND_CHOICE
    ]


def _has(member: Member, fact: str, reachable: list[str]) -> bool:
    """Whether the fact is known: neither missing nor none nor empty text; zero and false are facts."""
    if fact in CHANNELS:
        return fact in reachable
    if fact.startswith(ATTRIBUTE):
        value: object = member.attributes.get(fact.removeprefix(ATTRIBUTE))
    else:
        value = getattr(member, fact)
    return value is not None and value != ""


def missing(member: Member, asking: Asking) -> list[str]:
    """Which of the wanted facts are not known, the most wanted first."""
    reachable = _reachable(member)
    return [fact for fact in asking.facts if not _has(member, fact, reachable)]


def to_ask(member: Member, asking: Asking, lacking: list[str], now: datetime) -> str:
    """The one fact to ask for at `now`: never asked for, else asked for the longest ago; "" when it is too soon.

    A fact asked for just `again_after` ago no longer stands in the way.
    """
    if not lacking or any(now < at + asking.again_after for at in member.asked_for.values()):
        return ""
    never = [fact for fact in lacking if fact not in member.asked_for]
    return never[0] if never else min(lacking, key=lambda fact: member.asked_for[fact])


def asked(member: Member, asking: Asking, journey: str, now: datetime) -> Member:
    """The member after a message of this journey was reserved: what it asked for is remembered."""
    if journey not in asking.journeys:
        return member
    fact = to_ask(member, asking, missing(member, asking), now)
    return replace(member, asked_for=_kept(member, asking, fact, now)) if fact else member


def _kept(member: Member, asking: Asking, fact: str, now: datetime) -> dict[str, datetime]:
    """Facts that are wanted no more are forgotten with their dates, unless they still keep others from being asked."""
    kept = {name: at for name, at in member.asked_for.items() if name in asking.facts or now < at + asking.again_after}
    return {**kept, fact: now}
