"""The consent ledger: what a word on consent makes of the record, by when it was said and not by when it was told.

One record for each channel and purpose, the latest word; every word told makes an entry of the contact log, also one
that a later word had overtaken. On the same instant a withdrawal outranks a grant. A consent without proof takes no
record's place. A double opt-in waits apart: whatever stood before goes on standing until it is confirmed in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.decide.member import Asked, Consent, Member
from orchestrator.decide.result import Entry
from orchestrator.events.envelope import Event
from orchestrator.events.types import ConsentConfirmed, ConsentData

_encode = msgspec.json.Encoder().encode


class Changed(Struct, frozen=True, kw_only=True):
    """A member after an event, with what the log and the outbox must hear of it."""

    member: Member
    entries: tuple[Entry, ...] = ()
    # (channel, purpose) withdrawn by this event
    withdrawn: tuple[tuple[str, str], ...] = ()
    # (channel, purpose) granted, with proof and confirmed where that was asked for, by this event
    granted: tuple[tuple[str, str], ...] = ()


def granted(changed: Changed, data: ConsentData, event: Event, confirm_within: timedelta) -> Changed:
    """The consent that this event tells, on record; one of a double opt-in waits for its confirmation."""
    consent = Consent(
        channel=data.channel,
        purpose=data.purpose,
        state="granted",
        at=data.at if data.at is not None else event.time,
        basis=data.basis,
        wording=data.wording,
        method=data.method,
        evidence=data.evidence,
        expires_at=data.expires_at,
        conditions=data.conditions,
        imported_from=data.imported_from or "",
        record=f"{data.wording}/{data.method}",
    )
    key = f"{consent.channel}/{consent.purpose}"
    if not consent.is_proven():
        told = _told(changed, consent, "unproven")
        return told if key in told.member.consents else _standing(told, consent)
    if data.double_opt_in:
        return _asked(changed, consent, confirm_within)
    return _given(changed, consent, "granted")


def confirmed(changed: Changed, data: ConsentConfirmed, event: Event, confirm_within: timedelta) -> Changed:
    """The double opt-in that this event confirms; a request that is told later finds the confirmation waiting."""
    key, at = f"{data.channel}/{data.purpose}", data.at if data.at is not None else event.time
    waiting = changed.member.asked.get(key)
    if waiting is not None and waiting.consent is not None and waiting.consent.at <= at:
        return _settled(changed, waiting.consent, at, confirm_within, data.method)
    entry = _entry(data.channel, data.purpose, "unmatched", at, {"method": data.method})
    changed = replace(changed, entries=(*changed.entries, entry))
    standing = changed.member.consents.get(key)
    if (standing is not None and standing.at >= at) or (waiting is not None and waiting.consent is not None):
        return changed
    if waiting is not None and waiting.confirmed_at is not None:
        at = max(at, waiting.confirmed_at)
    return _waits(changed, key, Asked(confirmed_at=at))


def withdrawn(changed: Changed, channel: str, purpose: str, method: str, at: datetime) -> Changed:
    """The consent taken back at `at`, however that was said: in a form, by a link, by a complaint to the provider."""
    key = f"{channel}/{purpose}"
    former, waiting = changed.member.consents.get(key), changed.member.asked.get(key)
    # what was asked for before the withdrawal is over by it, also where the confirmation came after
    overtaken = (
        former is not None
        and (former.asked_at or former.at) > at
        and (former.state == "withdrawn" or former.is_proven())
    )
    entry = _entry(channel, purpose, "withdrawn", at, {"method": method, "superseded": overtaken})
    changed = replace(changed, entries=(*changed.entries, entry))
    if waiting is not None and _since(waiting) <= at:
        changed = _waits(changed, key, None)
    if overtaken:
        return changed
    consent = Consent(
        channel=channel, purpose=purpose, state="withdrawn", at=at, method=method, record=f"withdrawn/{method}"
    )
    return replace(_standing(changed, consent), withdrawn=(*changed.withdrawn, (channel, purpose)))


def _asked(changed: Changed, consent: Consent, confirm_within: timedelta) -> Changed:
    key = f"{consent.channel}/{consent.purpose}"
    waiting = changed.member.asked.get(key)
    known, confirmed_at = (None, None) if waiting is None else (waiting.consent, waiting.confirmed_at)
    overtaken = known is not None and known.at > consent.at
    if overtaken or _outranks(changed.member.consents.get(key), consent.at):
        return _told(changed, consent, "asked", superseded=True)
    changed = _told(changed, consent, "asked")
    if confirmed_at is not None and confirmed_at >= consent.at:
        return _settled(changed, consent, confirmed_at, confirm_within, consent.method)
    return _waits(changed, key, Asked(consent=consent))


def _settled(changed: Changed, asked: Consent, at: datetime, confirm_within: timedelta, method: str) -> Changed:
    """What was asked for, confirmed at `at`: in time it is a consent given then, too late it waits on in vain."""
    consent = replace(asked, at=at, asked_at=asked.at)
    if at >= asked.at + confirm_within:
        key = f"{asked.channel}/{asked.purpose}"
        return _waits(_told(changed, consent, "late", confirmed_by=method), key, Asked(consent=asked))
    return _given(changed, consent, "confirmed", confirmed_by=method)


def _given(changed: Changed, consent: Consent, state: str, confirmed_by: str = "") -> Changed:
    key = f"{consent.channel}/{consent.purpose}"
    if _outranks(changed.member.consents.get(key), consent.at):
        return _told(changed, consent, state, superseded=True, confirmed_by=confirmed_by)
    changed = _told(changed, consent, state, confirmed_by=confirmed_by)
    waiting = changed.member.asked.get(key)
    if waiting is not None and _since(waiting) <= consent.at:
        changed = _waits(changed, key, None)
    return replace(_standing(changed, consent), granted=(*changed.granted, (consent.channel, consent.purpose)))


def _outranks(standing: Consent | None, at: datetime) -> bool:
    """Whether the record is a later word than a grant at `at`; what has no proof outranks nothing."""
    if standing is None:
        return False
    if standing.state == "withdrawn":
        return standing.at >= at
    return standing.at > at and standing.is_proven()


def _since(waiting: Asked) -> datetime:
    at = waiting.consent.at if waiting.consent is not None else waiting.confirmed_at
    if at is None:
        raise ValueError("half of a double opt-in is a request or a confirmation")
    return at


def _standing(changed: Changed, consent: Consent) -> Changed:
    consents = {**changed.member.consents, f"{consent.channel}/{consent.purpose}": consent}
    return replace(changed, member=replace(changed.member, consents=consents))


def _waits(changed: Changed, key: str, waiting: Asked | None) -> Changed:
    asked = {name: each for name, each in changed.member.asked.items() if name != key}
    if waiting is not None:
        asked[key] = waiting
    return replace(changed, member=replace(changed.member, asked=asked))


def _told(
    changed: Changed, consent: Consent, state: str, *, superseded: bool = False, confirmed_by: str = ""
) -> Changed:
    """The same with an entry of what was told, what it rests on, and whether a later word was known already."""
    facts: dict[str, object] = {
        "record": consent.record,
        "basis": consent.basis,
        "wording": consent.wording,
        "method": consent.method,
        "expires_at": consent.expires_at,
        "asked_at": consent.asked_at,
        "confirmed_by": confirmed_by,
        "imported_from": consent.imported_from,
        "conditions": ", ".join(consent.conditions),
        "superseded": superseded,
    }
    entry = _entry(consent.channel, consent.purpose, state, consent.at, facts)
    return replace(changed, entries=(*changed.entries, entry))


def _entry(channel: str, purpose: str, state: str, at: datetime, facts: Mapping[str, object]) -> Entry:
    told = {name: value for name, value in facts.items() if value not in ("", None, False)}
    return Entry(
        kind="consent", channel=channel, purpose=purpose, state=state, occurred_at=at, trail=_encode(told).decode()
    )
