"""What expressions and templates may see: plain data made from the member and the trigger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from types import NoneType
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from orchestrator.decide.asking import missing, to_ask
from orchestrator.decide.content import Content
from orchestrator.decide.member import Member
from orchestrator.events.types import Data

NOTHING: Mapping[str, object] = {}
# JSON has these as they are
_PLAIN = frozenset((str, int, float, bool, NoneType))


def plain(data: Data) -> dict[str, object]:
    """An event's data as plain JSON values; fields left out are there as None, so that a condition can ask."""
    values: dict[str, Any] = {name: getattr(data, name) for name in data.__struct_fields__}
    for name, value in values.items():
        if value.__class__ not in _PLAIN:
            values[name] = msgspec.to_builtins(value)
    return values


def zones_of(content: Content, member: Member) -> tuple[ZoneInfo, ...]:
    """Every zone that the member may live in."""
    return tuple([content.zones[name] for name in member.residence.zones])


def clock_of(content: Content, member: Member) -> tzinfo:
    """The zone that a member's moments are planned and told in; UTC where none is known."""
    zones = member.residence.zones
    return content.zones[zones[0]] if zones else UTC


def view(
    member: Member,
    event: Mapping[str, object],
    content: Content,
    now: datetime,
    gathered: Sequence[Mapping[str, object]] = (),
    heard: Mapping[str, object] = NOTHING,
) -> dict[str, object]:
    """What expressions and templates may name: `member`, `event`, `aggregates`, `missing`, `ask`, `now`, who writes.

    `gathered` is what a digest tells of, at least what started the journey; `heard` the event last waited for.
    """
    asking = content.policies.asking(now)
    lacking = missing(member, asking)
    zone = clock_of(content, member)
    return {
        "member": {
            "given_name": member.given_name,
            "family_name": member.family_name,
            "birthday": member.birthday,
            "locale": member.locale,
            "country": member.country,
            "region": member.region,
            "tier": member.tier,
            "status": member.status,
            "attributes": member.attributes,
            "since": member.since,
            "tags": member.tags,
        },
        "event": event,
        "gathered": gathered or (event,),
        "heard": heard,
        "aggregates": {
            name.replace(".", "_"): {"count": a.count, "sum": a.sum, "first": a.first, "last": a.last}
            for name, a in member.aggregates.items()
        },
        "missing": lacking,
        "ask": to_ask(member, asking, lacking, now),
        "now": now.astimezone(zone),
        "programme": content.identity.programme,
        "site": content.identity.site,
        "postal_address": content.identity.postal_address,
    }
