"""What a member's form comes to: their own page's fields, read against what is known of them. No I/O.

A form says which channels were ticked when it was shown (`shown`), so that it changes only what its reader changed: who
answers STOP while the page is open does not agree again by saving something else.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, get_args

from msgspec import Struct

from orchestrator.decide.member import NO_PREFERENCES, Limit, Member, Pause, Preferences
from orchestrator.events.envelope import Event
from orchestrator.events.types import (
    MOST_TOPICS,
    Channel,
    ConsentGranted,
    LimitData,
    MemberUpdated,
    PauseData,
    PreferencesData,
)

SOURCE = "preference-centre"
# how a member said it, as the ledger has it
CENTRE = "preference_centre"
# days that a pause may last
PAUSES = (7, 30, 90)
LIMITS = (Limit(1, "day"), Limit(2, "week"), Limit(1, "week"), Limit(2, "month"), Limit(1, "month"))
MAX_LIMIT = 1_000
_CHANNELS: tuple[Channel, ...] = get_args(Channel)
Per = Literal["day", "week", "month"]
_PERS: tuple[Per, ...] = get_args(Per)


class BadForm(Exception):
    """Fields that no form of ours has."""


class Choices(Struct, frozen=True, kw_only=True):
    """What a form changes."""

    # channels whose marketing begins or ends
    joins: tuple[Channel, ...] = ()
    leaves: tuple[Channel, ...] = ()
    # the member's wishes, as they are from now on
    wishes: Preferences = NO_PREFERENCES
    events: tuple[Event, ...] = ()


def read(
    form: Mapping[str, Sequence[str]], member: Member, language: str, now: datetime, topics: Collection[str] = ()
) -> Choices:
    """The changes that a form asks for; `form` has the values of each field, `now` is aware, `topics` are offered.

    Raises BadForm for values that our page does not offer.
    """
    has = {point.channel for point in member.contact_points}
    ticked, shown = _channels(form.get("channel", ())), _channels(_one(form, "shown").split())
    joins = tuple(channel for channel in ticked if channel not in shown and channel in has)
    leaves = tuple(channel for channel in shown if channel not in ticked)
    wishes = Preferences(
        channels=_order(member, _one(form, "first")),
        limit=_limit(_one(form, "limit")),
        pause=_pause(_one(form, "pause"), member, now),
        topics_off=_topics_off(form, member, topics),
    )
    made = uuid.uuid4().hex
    events = [_agrees(member.id, channel, language, made, now) for channel in joins]
    if wishes != member.preferences:
        data = MemberUpdated(preferences=_told(wishes))
        events.append(_event("member.updated", f"{made}/wishes", member.id, now, data))
    return Choices(joins=joins, leaves=leaves, wishes=wishes, events=tuple(events))


def limit_value(limit: Limit | None) -> str:
    """How a form says a cap."""
    return "none" if limit is None else f"{limit.max}-{limit.per}"


def _one(form: Mapping[str, Sequence[str]], name: str) -> str:
    """The one value of a field; "" where it was left empty or out."""
    values = form.get(name, ())
    if len(values) > 1:
        raise BadForm(name)
    return values[0] if values else ""


def _channels(values: Sequence[str]) -> tuple[Channel, ...]:
    if unknown := set(values) - set(_CHANNELS):
        raise BadForm(f"{len(unknown)} channels")
    return tuple(channel for channel in _CHANNELS if channel in values)


def _order(member: Member, first: str) -> tuple[str, ...]:
    """The channel of first choice, then those of the former wish."""
    if not first:
        return ()
    chosen = _channels([first])
    return (*chosen, *(channel for channel in member.preferences.channels if channel not in chosen))


def _limit(value: str) -> Limit | None:
    if value in ("", "none"):
        return None
    number, _, per = value.partition("-")
    if not number.isascii() or not number.isdigit() or len(number) > 4 or int(number) > MAX_LIMIT:
        raise BadForm("limit")
    for known in _PERS:
        if per == known:
            return Limit(int(number), known)
    raise BadForm("limit")


def _pause(value: str, member: Member, now: datetime) -> Pause | None:
    if value == "keep":
        return member.preferences.pause
    if value in ("", "none"):
        return None
    if value == "open":
        return Pause()
    if value not in map(str, PAUSES):
        raise BadForm("pause")
    return Pause(now + timedelta(days=int(value)))


def _topics_off(form: Mapping[str, Sequence[str]], member: Member, topics: Collection[str]) -> tuple[str, ...]:
    """The topics that are not ticked, of those that the form showed; of the others what was said before."""
    shown, ticked = set(_one(form, "topics").split()), set(form.get("topic", ()))
    former = set(member.preferences.topics_off)
    if not (ticked | shown) <= {*topics, *former}:
        raise BadForm("topic")
    # of what is not offered any more, what there is room for
    kept = sorted(former - shown)[: MOST_TOPICS - len(shown)]
    return tuple(sorted({*kept, *(shown - ticked)}))


def _told(wishes: Preferences) -> PreferencesData:
    limit, pause = wishes.limit, wishes.pause
    return PreferencesData(
        channels=tuple(channel for name in wishes.channels for channel in _CHANNELS if channel == name),
        limit=None if limit is None else LimitData(max=limit.max, per=limit.per),
        pause=None if pause is None else PauseData(until=pause.until),
        topics_off=wishes.topics_off,
    )


def _agrees(member_id: str, channel: Channel, language: str, made: str, now: datetime) -> Event:
    data = ConsentGranted(
        channel=channel,
        # each channel has words of its own on the page, which stand for nothing else
        wording=f"preference-centre-{channel}-{language}-1",
        method=CENTRE,
        evidence=f"form {made}",
    )
    return _event("consent.granted", f"{made}/{channel}", member_id, now, data)


def _event(type: str, id: str, member_id: str, now: datetime, data: ConsentGranted | MemberUpdated) -> Event:
    return Event(id=id, source=SOURCE, type=type, subject=member_id, time=now, data=data)
