"""Made-up members and events to try templates on, and the names that templates may use.

The names are those that `orchestrator.decide.context.view` gives at decision; a test keeps the two alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime

import msgspec
from msgspec import Struct

from orchestrator.content.cases import Case, event_data
from orchestrator.decide.content import Identity
from orchestrator.decide.context import plain
from orchestrator.decide.journey import TriggerKind
from orchestrator.events.catalogue import ENGINE, EventTypes
from orchestrator.events.types import Data, MemberEnrolled

ANY = "*"
MEMBER_FIELDS = (
    "given_name", "family_name", "birthday", "locale", "country", "region", "tier", "status", "attributes", "since",
    "tags",
)  # fmt: skip
AGGREGATE_FIELDS = ("count", "sum", "first", "last")
_NOW = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)
_UNSUBSCRIBE = "https://example.com/u/sample-9b1c2f7a40d85e63"
_PREFERENCES = "https://example.com/p/sample-9b1c2f7a40d85e63"
_CONFIRM = "https://example.com/c/sample-9b1c2f7a40d85e63"
_CODE, _LAST_DAY = "SAMPLE-7Q4X2", date(2026, 12, 31)
VOUCHER_FIELDS = ("code", "last_day")
# those of one message, which a condition can't ask about
LINKS = ("unsubscribe_url", "preferences_url", "confirm_url")

# what a journey that starts by silence offers as `event`
SILENCE: dict[str, object] = {"last": "2026-10-25T11:00:00+00:00", "days": 30}
# … one that starts by the calendar, and one that starts by an audience or by hand
DAY: dict[str, object] = {"day": "2026-11-24"}
_FACTS: dict[str, dict[str, object]] = {
    "inactivity": SILENCE, "date": DAY, "schedule": DAY, "enters": {}, "leaves": {}, "manual": {}
}  # fmt: skip


class Occasion(Struct, frozen=True):
    """What starts a journey."""

    # event type; "" where it is none, or the journey's file is not sound
    event: str = ""
    kind: TriggerKind = "event"
    # of the journey: only marketing has an opt-out page
    purpose: str = "marketing"
    # of a condition on a later event: what started the run
    start: Occasion | None = None


class Promise(Struct, frozen=True):
    """A message promises a voucher code."""

    # whether each of its pools has a last day
    ends: bool


# one full example of each event type; the smallest one keeps only what the type requires
_EVENTS: dict[str, dict[str, object]] = {
    "member.enrolled": {"given_name": "Lucía", "family_name": "Gómez", "country": "ES", "tier": "Oro"},
    "member.updated": {"given_name": "Lucía", "family_name": "Gómez", "country": "ES", "tier": "Oro"},
    "member.cancelled": {"reason": "moved"},
    "contact.requested": {"channel": "email", "address": "lucia@example.org"},
    "consent.granted": {"channel": "email", "wording": "v1", "method": "web form", "evidence": "form 1"},
    "consent.confirmed": {"channel": "email", "method": "link", "evidence": "click 1"},
    "consent.withdrawn": {"channel": "email", "purpose": "marketing", "method": "link"},
    "purchase.completed": {
        "purchase_id": "p-1", "amount": 1234567, "currency": "EUR", "lines": 3, "store": "Calle Mayor",
        "category": "home",
    },
    "points.earned": {"points": 120, "balance": 1840, "activity": "purchase"},
    "points.expiring": {"points": 300, "expires_on": "2026-12-31"},
    "reward.delivered": {"reward_id": "r-1", "name": "Coffee", "points": 200, "value": 450, "currency": "EUR"},
    "tier.changed": {"tier": "Oro", "former": "Plata"},
    "survey.answered": {"survey_id": "s-1", "score": 9, "answers": {"again": True}},
    "complaint.opened": {"complaint_id": "c-1", "topic": "delivery"},
    "complaint.closed": {"complaint_id": "c-1", "outcome": "refunded"},
    "social.mentioned": {"network": "mastodon", "url": "https://example.social/@lucia/1", "sentiment": "positive"},
    "message.received": {"channel": "whatsapp", "sender": "+34600111222"},
}  # fmt: skip


class Sample(Struct, frozen=True):
    """One context to render for."""

    # for people: "a member of whom nothing is known"
    who: str
    context: dict[str, object]


def samples(
    occasion: Occasion, locale: str, identity: Identity, journey: str, types: EventTypes = ENGINE
) -> list[Sample]:
    """The two ends: a member of whom nothing is known, and one of whom all is known."""
    full = types.own[occasion.event].example if occasion.event in types.own else _EVENTS.get(occasion.event, {})
    kind = types.kinds.get(occasion.event)
    required = {field.name for field in msgspec.structs.fields(kind) if field.required} if kind else set[str]()
    smallest = {name: value for name, value in full.items() if name in required}
    facts = _FACTS.get(occasion.kind)
    least, most = (facts, facts) if facts is not None else (_plain(smallest, kind), _plain(full, kind))
    known = MemberEnrolled(
        given_name="Lucía", family_name="Gómez", birthday=date(1988, 5, 14), locale=locale, country="ES", tier="Oro"
    )
    return [
        Sample(
            "a member of whom nothing is known",
            _context(MemberEnrolled(), least, {}, identity, journey, occasion.purpose),
        ),
        Sample(
            "a member of whom all is known",
            _context(known, most, {occasion.event: (7, 412_300)}, identity, journey, occasion.purpose),
        ),
    ]


def of_case(case: Case, occasion: Occasion, identity: Identity, journey: str, types: EventTypes = ENGINE) -> Sample:
    """The case's member at the last of its events of this type."""
    matching = [event for event in case.events if event.type == occasion.event]
    totals: dict[str, tuple[int, int]] = {}
    for event in case.events:
        data = event_data(event, types)
        count, total = totals.get(event.type, (0, 0))
        amount = getattr(data, data.summed) if data.summed else 0
        totals[event.type] = (count + 1, total + (amount or 0))
    facts = _FACTS.get(occasion.kind)
    given = facts if facts is not None else plain(event_data(matching[-1], types)) if matching else {}
    return Sample(case.name, _context(case.member, given, totals, identity, journey, occasion.purpose))


def _plain(given: Mapping[str, object], kind: type[Data] | None) -> dict[str, object]:
    return plain(msgspec.convert(dict(given), kind)) if kind else {}


def _context(
    member: MemberEnrolled,
    event: Mapping[str, object],
    totals: Mapping[str, tuple[int, int]],
    identity: Identity,
    journey: str,
    purpose: str,
) -> dict[str, object]:
    return {
        "member": {
            "given_name": member.given_name or "",
            "family_name": member.family_name or "",
            "birthday": member.birthday,
            "locale": member.locale or "",
            "country": member.country or "",
            "region": member.region or "",
            "tier": member.tier or "",
            "status": "enrolled",
            "attributes": member.attributes,
            "since": _NOW,
            "tags": (),
        },
        "event": dict(event),
        "gathered": (dict(event),),
        "heard": {},
        "aggregates": {
            name.replace(".", "_"): {"count": count, "sum": total, "first": _NOW, "last": _NOW}
            for name, (count, total) in totals.items()
        },
        "missing": [fact for fact in ("given_name", "birthday") if not getattr(member, fact)],
        "ask": "" if member.birthday else "birthday",
        "now": _NOW,
        "programme": identity.programme,
        "site": identity.site,
        "postal_address": identity.postal_address,
        "journey": journey,
        "unsubscribe_url": _UNSUBSCRIBE if purpose == "marketing" else "",
        "preferences_url": _PREFERENCES,
        "confirm_url": _CONFIRM,
    }


def with_voucher(sample: Sample, promised: Promise | None) -> Sample:
    """The sample of a message that promises a voucher code."""
    if promised is None:
        return sample
    voucher = {"code": _CODE, "last_day": _LAST_DAY if promised.ends else None}
    return Sample(sample.who, {**sample.context, "voucher": voucher})


def declared(occasion: Occasion, types: EventTypes = ENGINE, promised: Promise | None = None) -> dict[str, object]:
    """The names templates may use, as nested dicts; ANY where whatever follows is the project's own."""
    return {
        **({} if promised is None else {"voucher": dict.fromkeys(VOUCHER_FIELDS, ANY)}),
        "member": dict.fromkeys(MEMBER_FIELDS, ANY),
        "event": _fields(occasion, types),
        "gathered": ANY,
        "heard": ANY,
        "aggregates": {name.replace(".", "_"): dict.fromkeys(AGGREGATE_FIELDS, ANY) for name in types.names},
        "missing": ANY,
        "ask": ANY,
        "now": ANY,
        "programme": ANY,
        "site": ANY,
        "postal_address": ANY,
        "journey": ANY,
        **dict.fromkeys(LINKS, ANY),
        "subject": ANY,
        "preheader": ANY,
    }


def conditions(occasion: Occasion, types: EventTypes = ENGINE) -> dict[str, object]:
    """The names that a journey's conditions may use: those of its texts that are no message's."""
    names = declared(occasion, types)
    for name in ("journey", *LINKS, "subject", "preheader"):
        del names[name]
    if occasion.start is not None:
        names["start"] = _fields(occasion.start, types)
    return names


def _fields(occasion: Occasion, types: EventTypes) -> object:
    if occasion.kind in _FACTS:
        return dict.fromkeys(_FACTS[occasion.kind], ANY)
    kind = types.kinds.get(occasion.event)
    return {field.name: ANY for field in msgspec.structs.fields(kind)} if kind else ANY


def unknown(path: str, names: Mapping[str, object]) -> tuple[str, list[str]] | None:
    """The first part of a dotted path that is not declared, with what there is in its place; None if all is well."""
    level: object = names
    for part in path.split("."):
        if not isinstance(level, Mapping):
            return None
        if part not in level:
            return part, sorted(level)
        level = level[part]
    return None
