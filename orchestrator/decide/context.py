"""What expressions and templates may see: plain data made from the member and the trigger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from operator import attrgetter
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


class Views:
    """What expressions and templates see in one turn; what they see of the member is gathered anew when it changed."""

    __slots__ = ("_about", "_content", "_read", "now")

    def __init__(self, content: Content, now: datetime) -> None:
        self._content = content
        self.now = now
        self._read: tuple[Any, ...] = ()
        self._about: dict[str, object] = {}

    def of(
        self,
        member: Member,
        event: Mapping[str, object],
        gathered: Sequence[Mapping[str, object]] = (),
        heard: Mapping[str, object] = NOTHING,
    ) -> dict[str, object]:
        """What they may name: `member`, `event`, `aggregates`, `missing`, `ask`, `now`, who writes; the caller's own.

        `gathered` is what a digest tells of, at least what started the journey; `heard` the event last waited for.
        """
        read = _READ(member)
        if read != self._read:
            self._read, self._about = read, _about(member, self._content, self.now)
        return {**self._about, "event": event, "gathered": gathered or (event,), "heard": heard}


# all of a member that `_about` reads
_READ = attrgetter(
    *("given_name", "family_name", "birthday", "locale", "country", "region", "zone", "tier", "status", "attributes"),
    *("since", "tags", "aggregates", "contact_points", "asked_for", "residence"),
)


def _about(member: Member, content: Content, now: datetime) -> dict[str, object]:
    asking = content.policies.asking(now)
    lacking = missing(member, asking)
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
        "aggregates": {
            name.replace(".", "_"): {"count": a.count, "sum": a.sum, "first": a.first, "last": a.last}
            for name, a in member.aggregates.items()
        },
        "missing": lacking,
        "ask": to_ask(member, asking, lacking, now),
        "now": now.astimezone(clock_of(content, member)),
        "programme": content.identity.programme,
        "site": content.identity.site,
        "postal_address": content.identity.postal_address,
    }


def view(member: Member, event: Mapping[str, object], content: Content, now: datetime) -> dict[str, object]:
    """As `Views.of`, outside of a turn or for another moment than its own."""
    return Views(content, now).of(member, event)
