"""A member's contact points: what is told of them, and how their health goes with bounces and with what arrives.

A bounce for good, a complaint or a refusal ends a point for good: no later word but another address changes that. Soft
bounces are counted since the point last worked, by when they happened; `contact.ContactPointRule` says what they mean.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from msgspec.structs import replace

from orchestrator.decide.addresses import Address, read_address
from orchestrator.decide.content import Content
from orchestrator.decide.member import MAX_SOFT_BOUNCES, SECOND_CHOICE, ContactPoint, Health, Member, Requested
from orchestrator.events.types import ContactData, ContactRequested, Identifier, MessageReceived

_ENDS: dict[str, Health] = {"hard_bounced": "hard_bounced", "complained": "complained", "invalid": "invalid"}
# nothing is sent there any more
DEAD = frozenset(_ENDS)
# identifiers that are not the address in other letters: by these too is the owner found who writes to us
_NAMES = ("user_id",)
# of two ends the one that says most of what the owner wants stands
_GRAVITY: dict[Health, int] = {"ok": 0, "soft_bounced": 0, "invalid": 1, "hard_bounced": 2, "complained": 3}


def told(
    member: Member,
    given: tuple[ContactData, ...],
    country: str,
    at: datetime,
    content: Content,
    fingerprint: Callable[[str, str], str],
) -> tuple[ContactPoint, ...]:
    """The points after these were told at `at`: they replace those of their channel, unless those were told later.

    A point that stays keeps its health; another one is well, unless it is known from before that nothing arrives there.
    """
    former = {(point.channel, point.address): point for point in member.contact_points}
    later = {point.channel for point in member.contact_points if point.told_at is not None and point.told_at > at}
    channels = {data.channel for data in given} - later
    points = {key: point for key, point in former.items() if point.channel not in channels}
    for data in given:
        if data.channel not in channels:
            continue
        address = read_address(data.channel, data.address, country, content.disposable)
        key = (data.channel, data.address.strip() if address is None else address.text)
        if key in points:
            points[key] = replace(
                points[key],
                preferred=points[key].preferred or data.preferred,
                identifiers={**points[key].identifiers, **data.identifiers},
            )
            continue
        kept = former.get(key)
        if kept is not None:
            identifiers = {**kept.identifiers, **data.identifiers}
            points[key] = replace(kept, preferred=data.preferred, told_at=at, identifiers=identifiers)
            continue
        points[key] = _point(member, data, address, key[1], at, fingerprint)
    return tuple(points.values())


def asked_for(
    member: Member,
    data: ContactRequested,
    at: datetime,
    content: Content,
    fingerprint: Callable[[str, str], str],
) -> Requested | None:
    """The point that a member asks for; None for one that they have, for none, or where a later one is asked for."""
    address = read_address(data.channel, data.address, member.country, content.disposable)
    former = member.requested.get(data.channel)
    if address is None or (former is not None and former.at > at):
        return None
    if any((point.channel, point.address) == (data.channel, address.text) for point in member.contact_points):
        return None
    given = ContactData(channel=data.channel, address=data.address)
    return Requested(point=_point(member, given, address, address.text, at, fingerprint), at=at)


def confirmed(member: Member, requested: Requested, at: datetime) -> tuple[ContactPoint, ...]:
    """The points after the one that was asked for was confirmed at `at`: it replaces those of its channel."""
    point = replace(requested.point, told_at=at, asked_at=requested.at)
    return (*(each for each in member.contact_points if each.channel != point.channel), point)


def _point(
    member: Member,
    data: ContactData,
    address: Address | None,
    text: str,
    at: datetime,
    fingerprint: Callable[[str, str], str],
) -> ContactPoint:
    """A point that is new to the member; one without an `address` is none."""
    mark = fingerprint(data.channel, text)
    return ContactPoint(
        channel=data.channel,
        address=text,
        fingerprint=mark,
        health="invalid" if address is None else _known_health(member, data.channel, mark),
        preferred=data.preferred,
        country=address.country if address is not None else "",
        kind=address.kind if address is not None else "",
        told_at=at,
        identifiers=data.identifiers,
    )


def ended(point: ContactPoint, health: Health, at: datetime) -> ContactPoint:
    """The point after a bounce for good, a complaint or a refusal; the gravest end, and of two alike the first."""
    if _GRAVITY[point.health] >= _GRAVITY[health]:
        return point
    return replace(point, health=health, health_since=at, soft_bounces=())


def soft_bounced(point: ContactPoint, at: datetime) -> ContactPoint:
    """The point after it could not be reached at `at`; one that has ended, or worked since, is as it was."""
    if point.health in DEAD or at in point.soft_bounces:
        return point
    if point.health == "ok" and point.health_since is not None and at <= point.health_since:
        return point
    bounces = tuple(sorted((*point.soft_bounces, at)))[-MAX_SOFT_BOUNCES:]
    return replace(point, health="soft_bounced", health_since=bounces[-1], soft_bounces=bounces)


def worked(point: ContactPoint, at: datetime) -> ContactPoint:
    """The point after something arrived there at `at`: soft bounces until then are forgotten."""
    if point.health != "soft_bounced":
        return point
    left = tuple(bounce for bounce in point.soft_bounces if bounce > at)
    if left:
        return point if left == point.soft_bounces else replace(point, soft_bounces=left)
    return replace(point, health="ok", health_since=at, soft_bounces=())


def wrote(point: ContactPoint, data: MessageReceived, country: str, at: datetime) -> ContactPoint:
    """The point after this message came at `at`, if it came from there: it works, and what it is called is known.

    A national number is read with `country`. Of two messages the later says what the platform calls it now.
    """
    if point.channel != data.channel:
        return point
    sender = read_address(data.channel, data.sender, country)
    told = {data.sender if sender is None else sender.text, *named(data.identifiers)}
    if told.isdisjoint((point.address, *named(point.identifiers))):
        return point
    late = point.heard_at is not None and point.heard_at >= at
    older, newer = (data.identifiers, point.identifiers) if late else (point.identifiers, data.identifiers)
    heard_at = point.heard_at if late else at
    return replace(worked(point, at), heard_at=heard_at, identifiers={**older, **newer})


def named(identifiers: Mapping[Identifier, str]) -> tuple[str, ...]:
    """By what else than the address the owner of a contact point is found."""
    return tuple(value for kind, value in identifiers.items() if kind in _NAMES)


def contact_for(member: Member, channel: str) -> ContactPoint | None:
    """The member's point for a channel: one that is well and of a fit kind, preferred ones first; else the first."""
    best: ContactPoint | None = None
    for point in member.contact_points:
        if point.channel == channel and (best is None or _drawback(point) < _drawback(best)):
            best = point
    return best


def _drawback(point: ContactPoint) -> tuple[bool, bool, bool]:
    return (point.health != "ok", point.kind in SECOND_CHOICE, not point.preferred)


def _known_health(member: Member, channel: str, fingerprint: str) -> Health:
    return _ENDS.get(member.suppressed.get(f"{fingerprint}/{channel}/*", ""), "ok")
