"""What a member's own page shows: their state in plain words and masked addresses, ready for the sheet. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from msgspec import Struct

from orchestrator.content.topics import Topics
from orchestrator.decide.member import Consent, Limit, Member
from orchestrator.dispatch.receipts import MARKETING
from orchestrator.serve.choices import LIMITS, PAUSES, limit_value
from orchestrator.serve.own_words import OWN
from orchestrator.serve.words import CHANNELS
from orchestrator.stores.contract import SuppressionRow

_HIDDEN = "•••"


class Option(Struct, frozen=True):
    """One choice of several."""

    value: str
    text: str
    chosen: bool


class Way(Struct, frozen=True, kw_only=True):
    """A channel that the member can be reached on."""

    channel: str
    text: str
    # masked
    addresses: tuple[str, ...]
    on: bool
    # whatever keeps it from working, or waits for it
    note: str


class Held(Struct, frozen=True):
    """Something that is kept, and why."""

    what: str
    value: str
    why: str


def reached(member: Member, suppressions: Sequence[SuppressionRow], now: datetime) -> frozenset[str]:
    """The channels on which the member agreed to marketing and is not kept from it."""
    on, every = set(), {point.fingerprint for point in member.contact_points}
    for channel in {point.channel for point in member.contact_points}:
        consent = member.consents.get(f"{channel}/{MARKETING}")
        if consent is None or not _stands(consent, now):
            continue
        points = {point.fingerprint for point in member.contact_points if point.channel == channel}
        covering = {
            row.subject for row in suppressions if row.channel in (channel, "*") and row.purpose in (MARKETING, "*")
        }
        # of several contact points any will do; a subject that is none of them is the member
        if points - covering and not covering - every:
            on.add(channel)
    return frozenset(on)


def view(
    member: Member, on: frozenset[str], language: str, fallback: str, now: datetime, topics: Topics
) -> dict[str, object]:
    """What the sheet shows; `on` are the channels that marketing goes to, `fallback` the house's locale."""
    words, dates = OWN[language], _dates(member, language, fallback)
    has = {point.channel for point in member.contact_points}
    ways = [_way(member, channel, on, language) for channel in CHANNELS[language] if channel in has]
    pause, wishes = member.preferences.pause, member.preferences
    over = pause is None or (pause.until is not None and pause.until <= now)
    pauses = [Option("none", words["pause_none"], over)]
    if not over and pause is not None and pause.until is not None:
        pauses.append(Option("keep", words["pause_until"].format(day=dates(pause.until)), True))
    pauses += [Option(str(days), words[f"pause_{days}"], False) for days in PAUSES]
    pauses.append(Option("open", words["pause_open"], pause is not None and pause.until is None))
    limits = [Option("none", words["limit_none"], wishes.limit is None)]
    offered = LIMITS if wishes.limit is None or wishes.limit in LIMITS else (wishes.limit, *LIMITS)
    limits += [Option(limit_value(limit), _limit_text(limit, words), limit == wishes.limit) for limit in offered]
    first = wishes.channels[0] if wishes.channels else ""
    firsts = [Option("", words["first_any"], not first)]
    firsts += [Option(way.channel, words["by"].format(channel=way.text), way.channel == first) for way in ways]
    return {
        "topics": [Option(name, each[language], name not in wishes.topics_off) for name, each in topics.items()],
        "ways": ways,
        "waiting": [masked("email", each.point.address) for each in member.requested.values()],
        "shown": " ".join(sorted(on)),
        "limits": limits,
        "pauses": pauses,
        "firsts": firsts,
        "held": list(_held(member, on, language, fallback)),
    }


def masked(channel: str, address: str) -> str:
    """Enough of an address for its owner to know it, and too little for anybody else."""
    if channel == "email":
        local, _, domain = address.rpartition("@")
        return f"{local[:1]}{_HIDDEN}@{domain[:1]}{_HIDDEN}{domain[domain.rfind('.') :]}"
    return f"{_HIDDEN} {address[-3:]}" if len(address) > 6 else _HIDDEN


def _way(member: Member, channel: str, on: frozenset[str], language: str) -> Way:
    points = [point for point in member.contact_points if point.channel == channel]
    words, note = OWN[language], ""
    if member.unconfirmed(f"{channel}/{MARKETING}") is not None and channel not in on:
        note = words["unconfirmed"]
    elif all(point.health not in ("ok", "soft_bounced") for point in points):
        note = words["unreachable"]
    return Way(
        channel=channel,
        text=CHANNELS[language][channel],
        addresses=tuple(masked(channel, point.address) for point in points),
        on=channel in on,
        note=note,
    )


def _held(member: Member, on: frozenset[str], language: str, fallback: str) -> list[Held]:
    words, dates = OWN[language], _dates(member, language, fallback)
    held: list[Held] = []
    heard = [
        f"{CHANNELS[language][point.channel]}: {dates(point.heard_at)}"
        for point in member.contact_points
        if point.heard_at
    ]

    def add(what: str, value: str) -> None:
        if value:
            held.append(Held(words[what], value, words[f"{what}_why"]))

    add("name", " ".join(filter(None, (member.given_name, member.family_name))))
    for point in member.contact_points:
        add("address", f"{CHANNELS[language][point.channel]}: {masked(point.channel, point.address)}")
    add("member_since", "" if member.since is None or member.status != "enrolled" else dates(member.since))
    add("tier", member.tier)
    add("birthday", "" if member.birthday is None else words["on_record"])
    add("home", " · ".join(filter(None, (member.region or member.country, member.zone))))
    add("spoken", _language_name(member.locale, language))
    for consent in member.consents.values():
        if consent.purpose != MARKETING or consent.channel not in CHANNELS[language]:
            continue
        said = words["agreed" if consent.channel in on else "declined"]
        value = said.format(channel=CHANNELS[language][consent.channel], day=dates(consent.at))
        add("consent", value if consent.channel in on or consent.state == "withdrawn" else "")
    bought = member.aggregates.get("purchase.completed")
    add("purchases", "" if bought is None else words["counted"].format(n=bought.count, day=dates(bought.last)))
    add("touches", str(len(member.places)) if member.places else "")
    add("heard", " · ".join(heard))
    return held


def _stands(consent: Consent, now: datetime) -> bool:
    lasts = consent.expires_at is None or consent.expires_at > now
    return consent.state == "granted" and consent.is_proven() and lasts


def _limit_text(limit: Limit, words: dict[str, str]) -> str:
    if limit.max == 0:
        return words["limit_zero"]
    return words[f"limit_{limit.per}_one" if limit.max == 1 else f"limit_{limit.per}"].format(n=limit.max)


def _language_name(locale: str, language: str) -> str:
    try:
        return Locale.parse(locale.replace("-", "_")).get_display_name(language) or locale if locale else ""
    except (ValueError, UnknownLocaleError):
        return locale


def _dates(member: Member, language: str, fallback: str) -> Callable[[datetime], str]:
    """Days in words of this language, on the member's clock, as written where they live."""
    zone = member.residence.zones[0] if member.residence.zones else "UTC"
    written = next((tag for tag in (member.locale, fallback) if tag[:2].lower() == language), language)
    try:
        locale = Locale.parse(written.replace("-", "_"))
    except (ValueError, UnknownLocaleError):
        locale = Locale(language)
    return lambda at: format_date(at.astimezone(ZoneInfo(zone)).date(), "long", locale)
