"""What an event changes in what we know of a member, one function an event type. Nothing here decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, get_args

import msgspec
from msgspec.structs import replace

from orchestrator.decide import ledger
from orchestrator.decide.asking import ATTRIBUTE
from orchestrator.decide.content import Content
from orchestrator.decide.ledger import Changed
from orchestrator.decide.member import NO_PREFERENCES, Aggregate, Limit, Member, Pause, Preferences
from orchestrator.decide.points import asked_for, confirmed, told, wrote
from orchestrator.decide.residence import residence_of
from orchestrator.decide.result import Entry
from orchestrator.events import types
from orchestrator.events.envelope import Event
from orchestrator.times import EPOCH

ROLLING_DAYS = 90
MAX_ATTRIBUTES = 80
MAX_COMPLAINTS = 20
PROFILE = ("given_name", "family_name", "birthday", "locale", "zone", "country", "region", "tier")
RESIDENCE = ("zone", "country", "region")
CHANNELS: tuple[str, ...] = get_args(types.Channel)

Fingerprint = Callable[[str, str], str]
_encode = msgspec.json.Encoder().encode


# what was asked last and what came of it: who joins is looked at for what the turn needs, and again as it is taken
_last: list[tuple[Member, Event, Content, Fingerprint, Changed]] = []


def apply_event(member: Member, event: Event, content: Content, fingerprint: Fingerprint) -> Changed:
    """The member after this event. An event older than what is known never takes the newer word's place."""
    if _last:
        before, same, under, by, changed = _last[0]
        if same is event and under is content and by == fingerprint and (before is member or before == member):
            return changed
    changed = _applied(member, event, content, fingerprint)
    _last[:] = [(member, event, content, fingerprint, changed)]
    return changed


def _applied(member: Member, event: Event, content: Content, fingerprint: Fingerprint) -> Changed:
    change = _CHANGES.get(event.type)
    changed = Changed(member=member) if change is None else change(member, event, content, fingerprint)
    aggregate = _aggregated(member.aggregates.get(event.type), event.time, _amount(event.data))
    aggregates = {**changed.member.aggregates, event.type: aggregate}
    return replace(changed, member=replace(changed.member, aggregates=aggregates))


def rolling(aggregate: Aggregate, days: int, now: datetime) -> tuple[int, int]:
    """(count, sum) over the last `days` UTC days, today included; `days` is at most ROLLING_DAYS."""
    since = (now - EPOCH).days - days
    kept = [(count, total) for day, count, total in aggregate.days if day > since]
    return sum(count for count, _ in kept), sum(total for _, total in kept)


def _amount(data: types.Data) -> int:
    """What a sum of these adds up; a field that was left out adds nothing."""
    return getattr(data, data.summed) or 0 if data.summed else 0


def _aggregated(former: Aggregate | None, at: datetime, amount: int) -> Aggregate:
    day = (at - EPOCH).days
    if former is None:
        return Aggregate(count=1, sum=amount, first=at, last=at, days=((day, 1, amount),))
    last = max(former.last, at)
    days = former.days
    if days and days[-1][0] == day:
        _, count, total = days[-1]
        days = (*days[:-1], (day, count + 1, total + amount))
    elif not days or day > days[-1][0]:
        days = (*days, (day, 1, amount))
    else:
        merged = {known: (count, total) for known, count, total in days}
        count, total = merged.get(day, (0, 0))
        merged[day] = (count + 1, total + amount)
        days = tuple((known, *merged[known]) for known in sorted(merged))
    oldest = (last - EPOCH).days - ROLLING_DAYS
    if days[0][0] <= oldest:
        days = tuple(entry for entry in days if entry[0] > oldest)
    return Aggregate(count=former.count + 1, sum=former.sum + amount, first=min(former.first, at), last=last, days=days)


def _enrolled(member: Member, event: Event, content: Content, fingerprint: Fingerprint) -> Changed:
    changed = _updated(member, event, content, fingerprint)
    known = changed.member
    if known.status == "cancelled" and known.since is not None and event.time < known.since:
        return changed
    entry = Entry(kind="member", state="enrolled", occurred_at=event.time)
    return replace(
        changed,
        member=replace(known, status="enrolled", since=event.time),
        entries=(entry, *changed.entries),
    )


def _updated(member: Member, event: Event, content: Content, fingerprint: Fingerprint) -> Changed:
    data = event.data
    if not isinstance(data, types.MemberEnrolled):
        raise TypeError(f"{event.type} carries {type(data).__name__}")
    given = {name: said for name in PROFILE if (said := getattr(data, name)) is not None}
    fields: dict[str, Any] = {name: said for name, said in given.items() if not _told_later(member, name, event.time)}
    names = [*fields]
    if news := [name for name in data.attributes if not _told_later(member, f"{ATTRIBUTE}{name}", event.time)]:
        attributes = {**member.attributes, **{name: data.attributes[name] for name in news}}
        fields["attributes"] = dict(list(attributes.items())[-MAX_ATTRIBUTES:])
        names += [f"{ATTRIBUTE}{name}" for name in news]
    if data.preferences is not None and not _told_later(member, "preferences", event.time):
        fields["preferences"] = preferences_of(data.preferences)
        names.append("preferences")
    moved = any(name in fields for name in RESIDENCE)
    if data.contact_points:
        country = fields.get("country", member.country)
        fields["contact_points"] = told(member, data.contact_points, country, event.time, content, fingerprint)
        moved = True
    known = _told(replace(member, **fields), names, event.time) if fields else member
    if moved:
        known = replace(known, residence=residence_of(known, content))
    changed = Changed(member=known)
    for consent in data.consents:
        changed = _granted(changed, consent, event, content)
    return changed


def _told_later(member: Member, name: str, at: datetime) -> bool:
    """Whether a part of the profile was told after `at`."""
    since = member.told.get(name)
    if since is None and _is_known(member, name):
        since = member.told_at
    return since is not None and since > at


def _told(member: Member, names: Iterable[str], at: datetime) -> Member:
    """The member of whose profile these parts were told at `at`."""
    first = at if member.told_at is None else member.told_at
    told = {
        name: since
        for name, since in {**member.told, **dict.fromkeys(names, at)}.items()
        # that nothing is there was told too; of attributes the oldest are forgotten
        if (since != first if _is_known(member, name) else not name.startswith(ATTRIBUTE))
    }
    return replace(member, told_at=first, told=told)


def _is_known(member: Member, name: str) -> bool:
    """Whether anything is known of a part of the profile."""
    if name.startswith(ATTRIBUTE):
        return name.removeprefix(ATTRIBUTE) in member.attributes
    known = getattr(member, name)
    return bool(known) and known != NO_PREFERENCES


def preferences_of(data: types.PreferencesData) -> Preferences:
    """A member's wishes, as they are kept."""
    limit, pause = data.limit, data.pause
    return Preferences(
        channels=tuple(dict.fromkeys(data.channels)),
        limit=None if limit is None else Limit(limit.max, limit.per),
        pause=None if pause is None else Pause(pause.until),
        topics_off=tuple(sorted(set(data.topics_off))),
    )


def _cancelled(member: Member, event: Event, _content: Content, _fingerprint: Fingerprint) -> Changed:
    if member.since is not None and event.time < member.since:
        return Changed(member=member)
    entry = Entry(kind="member", state="cancelled", occurred_at=event.time)
    return Changed(member=replace(member, status="cancelled", since=event.time), entries=(entry,))


def _consent_granted(member: Member, event: Event, content: Content, _fingerprint: Fingerprint) -> Changed:
    if not isinstance(event.data, types.ConsentData):
        raise TypeError(f"{event.type} carries {type(event.data).__name__}")
    return _granted(Changed(member=member), event.data, event, content)


def _granted(changed: Changed, data: types.ConsentData, event: Event, content: Content) -> Changed:
    within = content.policies.confirm_within(data.channel, data.purpose, event.time)
    return ledger.granted(changed, data, event, within)


def _consent_confirmed(member: Member, event: Event, content: Content, _fingerprint: Fingerprint) -> Changed:
    data = event.data
    if not isinstance(data, types.ConsentConfirmed):
        raise TypeError(f"{event.type} carries {type(data).__name__}")
    within = content.policies.confirm_within(data.channel, data.purpose, event.time)
    return ledger.confirmed(Changed(member=member), data, event, within)


def _consent_withdrawn(member: Member, event: Event, _content: Content, _fingerprint: Fingerprint) -> Changed:
    data = event.data
    if not isinstance(data, types.ConsentWithdrawn):
        raise TypeError(f"{event.type} carries {type(data).__name__}")
    changed = Changed(member=member)
    for channel in (data.channel,) if data.channel is not None else CHANNELS:
        changed = ledger.withdrawn(changed, channel, data.purpose, data.method, event.time)
    return changed


def _contact_requested(member: Member, event: Event, content: Content, fingerprint: Fingerprint) -> Changed:
    data = event.data
    if not isinstance(data, types.ContactRequested):
        raise TypeError(f"{event.type} carries {type(data).__name__}")
    asked = asked_for(member, data, event.time, content, fingerprint)
    if asked is None:
        return Changed(member=member)
    entry = Entry(kind="contact_point", channel=data.channel, state="requested", occurred_at=event.time)
    return Changed(member=replace(member, requested={**member.requested, data.channel: asked}), entries=(entry,))


def _contact_confirmed(member: Member, event: Event, content: Content, _fingerprint: Fingerprint) -> Changed:
    data = event.data
    if not isinstance(data, types.ContactConfirmed):
        raise TypeError(f"{event.type} carries {type(data).__name__}")
    asked = member.requested.get(data.channel)
    within = content.policies.confirm_within(data.channel, "marketing", event.time)
    if asked is None or not asked.at <= event.time < asked.at + within:
        return Changed(member=member)
    left = {channel: each for channel, each in member.requested.items() if channel != data.channel}
    known = replace(member, contact_points=confirmed(member, asked, event.time), requested=left)
    told = _encode({"method": data.method}).decode()
    entry = Entry(kind="contact_point", channel=data.channel, state="confirmed", occurred_at=event.time, trail=told)
    return Changed(member=replace(known, residence=residence_of(known, content)), entries=(entry,))


def _message_received(member: Member, event: Event, _content: Content, _fingerprint: Fingerprint) -> Changed:
    data = event.data
    if not isinstance(data, types.MessageReceived):
        raise TypeError(f"{event.type} carries {type(data).__name__}")
    points = tuple(wrote(point, data, member.country, event.time) for point in member.contact_points)
    if all(after is before for after, before in zip(points, member.contact_points, strict=True)):
        return Changed(member=member)
    entry = Entry(kind="contact_point", channel=data.channel, state="heard", occurred_at=event.time)
    return Changed(member=replace(member, contact_points=points), entries=(entry,))


def _tier_changed(member: Member, event: Event, _content: Content, _fingerprint: Fingerprint) -> Changed:
    if not isinstance(event.data, types.TierChanged):
        raise TypeError(f"{event.type} carries {type(event.data).__name__}")
    if _told_later(member, "tier", event.time):
        return Changed(member=member)
    return Changed(member=_told(replace(member, tier=event.data.tier), ["tier"], event.time))


def _complaint_opened(member: Member, event: Event, _content: Content, _fingerprint: Fingerprint) -> Changed:
    if not isinstance(event.data, types.ComplaintOpened):
        raise TypeError(f"{event.type} carries {type(event.data).__name__}")
    kept = tuple(known for known in member.complaints if known != event.data.complaint_id)
    return Changed(member=replace(member, complaints=(*kept, event.data.complaint_id)[-MAX_COMPLAINTS:]))


def _complaint_closed(member: Member, event: Event, _content: Content, _fingerprint: Fingerprint) -> Changed:
    if not isinstance(event.data, types.ComplaintClosed):
        raise TypeError(f"{event.type} carries {type(event.data).__name__}")
    complaint = event.data.complaint_id
    return Changed(member=replace(member, complaints=tuple(c for c in member.complaints if c != complaint)))


_CHANGES: dict[str, Callable[[Member, Event, Content, Fingerprint], Changed]] = {
    "member.enrolled": _enrolled,
    "member.updated": _updated,
    "member.cancelled": _cancelled,
    "contact.requested": _contact_requested,
    "contact.confirmed": _contact_confirmed,
    "consent.granted": _consent_granted,
    "consent.confirmed": _consent_confirmed,
    "consent.withdrawn": _consent_withdrawn,
    "tier.changed": _tier_changed,
    "complaint.opened": _complaint_opened,
    "complaint.closed": _complaint_closed,
    "message.received": _message_received,
}
