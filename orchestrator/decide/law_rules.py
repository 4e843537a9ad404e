"""What each kind of law rule answers. A clause is one dated version of one rule, compiled; it holds no state.

A clause is asked only while it is in force and only about the channels and purposes that it binds; `decide.law` sees
to both. All times of day are the member's; a member without a known zone is judged in every zone of the country.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from orchestrator.decide.dealings import last_dealing, months_after
from orchestrator.decide.hours import HOLIDAY, Week, next_closed, opens
from orchestrator.decide.local import minute_text, wall
from orchestrator.decide.member import Consent, Member, Place
from orchestrator.decide.rules import Finding, Question, Reading, Saw, Says, Version, never, standing
from orchestrator.decide.soft_opt_in import CONDITIONS
from orchestrator.decide.touches import Count, Scope, touches_of
from orchestrator.decide.windows import Window, counted, free_at

Model = Literal["none", "opt_out", "soft_opt_in", "opt_in", "opt_in_separate"]

EVER = datetime.min.replace(tzinfo=UTC)
NEVER = datetime.max.replace(tzinfo=UTC)
_UTC = ZoneInfo("UTC")
EBR_MONTHS = 18


class Calendar(Struct, frozen=True):
    """Public holidays: of the country, and of its regions (ISO 3166-2), each with the national ones in it."""

    national: frozenset[date] = frozenset()
    regions: Mapping[str, frozenset[date]] = {}

    def days(self, region: str) -> frozenset[date]:
        """The holidays where the region is; the national ones where it is not known."""
        return self.regions.get(region, self.national)


class Clause(Struct, frozen=True, kw_only=True):
    """One dated version of one rule. Each kind says in `answer` what it makes of a question."""

    rule: str
    # the pack that holds it, "US-NY@2026.11.0"
    version: str
    # short text of the article
    cite: str
    # in force from `starts` (inclusive) to `ends` (exclusive)
    starts: datetime = EVER
    ends: datetime = NEVER
    # names from EXCEPTIONS, each of which makes the rule pass
    exceptions: tuple[str, ...] = ()
    # what is unsettled about it; stands in every finding
    notes: Mapping[str, str | int | bool | None] = {}
    # outside the deployment's profile: logged, binds nobody
    advisory: bool = False

    def answer(self, question: Question) -> Finding:
        """What the rule says of the question, exceptions apart."""
        raise NotImplementedError

    @property
    def reads(self) -> tuple[Reading, ...]:
        """What the answer rests on where it is kept, as `rules.Version` has it."""
        return ()

    def keeps(self, _: Question) -> bool:
        """Whether the answer is kept, exceptions apart."""
        return False

    def judge(self, question: Question) -> Finding:
        """What the rule says of the question: an exception that holds makes it pass."""
        finding = self.answer(question)
        why = excepted(self.exceptions, question) if finding.says != "pass" else ""
        return self.found("pass", {**finding.saw, "unless": why}) if why else finding

    def version_at(self, _: datetime) -> Version:
        """Itself; exceptions look at much more than the rule."""
        return Version(self.judge, (), never) if self.exceptions else Version(self.answer, self.reads, self.keeps)

    @property
    def looks_back(self) -> timedelta:
        """How far back it looks at earlier touches."""
        return timedelta(0)

    def found(self, says: Says, saw: Saw, reason: str = "", until: datetime | None = None) -> Finding:
        """A finding of this clause."""
        if self.notes:
            saw.update(self.notes)
        return Finding(
            rule=self.rule,
            version=self.version,
            says=says,
            reason=reason,
            until=until,
            saw=saw,
            cite=self.cite,
            advisory=self.advisory,
        )


class ConsentClause(Clause, frozen=True, kw_only=True):
    """Which word of the member the law asks for.

    none: no word at all. opt_out: no objection. soft_opt_in: agreed, or a customer who was offered to object.
    opt_in: agreed. opt_in_separate: agreed in a wording that stands for nothing else.
    """

    model: Model
    # of a soft opt-in: names from `soft_opt_in.CONDITIONS`, all of which must be met
    conditions: tuple[str, ...] = ()
    # an objection counts beyond its own channel: to the same purpose, or to any purpose, on these channels
    scope: Literal["", "same_topic", "all_topics"] = ""
    scope_channels: frozenset[str] = frozenset()
    # a soft opt-in of somebody who is no member any more ends so many months after the last dealing; 0: never
    lapse_months: int = 0
    # any consent must be given anew after so many months; 0: never
    renew_months: int = 0

    @property
    def grounds(self) -> bool:
        """Whether it may be what a contact rests on; a rule on the reach of an objection only tightens."""
        return not self.scope and not self.renew_months

    def answer(self, question: Question) -> Finding:
        """Passes where the member's latest word is enough at `question.at`; every condition stands in the trail."""
        key = question.channel + "/" + question.purpose
        record = question.member.consents.get(key)
        if self.scope:
            return self._objections(question, record)
        saw: Saw = {"model": self.model}
        if record is None:
            reason = "" if self.model in ("none", "opt_out") else "no_consent"
        else:
            saw |= {"state": record.state, "basis": record.basis, "consent": record.record}
            reason = self._refusal(question, record, saw)
        if not reason:
            return self.found("pass", saw)
        if (asked := question.member.unconfirmed(key)) is not None:
            reason = "consent_pending"
            saw["asked"] = asked.at.isoformat(timespec="minutes")
        return self.found("suppress", saw, reason)

    @property
    def reads(self) -> tuple[Reading, ...]:
        """The record on this channel and purpose; or whether there is any objection."""
        return (_objected,) if self.scope else (standing,)

    def keeps(self, question: Question) -> bool:
        """Where nothing but the record counts, and no date."""
        if self.scope:
            return not _objected(question)
        key = question.channel + "/" + question.purpose
        if question.member.asked and key in question.member.asked:
            return False
        record = question.member.consents.get(key)
        if record is None:
            return True
        if record.basis == "soft_opt_in" and (self.lapse_months or self.conditions):
            return False
        return record.expires_at is None and not self.renew_months and self.model != "opt_in_separate"

    def _refusal(self, question: Question, record: Consent, saw: Saw) -> str:
        if self.model == "none":
            return ""
        if record.state == "withdrawn":
            return "consent_withdrawn"
        if self.model == "opt_out":
            return ""
        if not record.is_proven():
            return "no_consent"
        if record.expires_at is not None and question.at >= record.expires_at:
            saw["ended"] = record.expires_at.isoformat(timespec="minutes")
            return "consent_expired"
        if self.renew_months and question.at >= months_after(record.at, self.renew_months):
            saw["ended"] = months_after(record.at, self.renew_months).isoformat(timespec="minutes")
            return "consent_expired"
        if record.basis == "soft_opt_in":
            if self.model != "soft_opt_in":
                return "consent_basis"
            if self.lapse_months and question.member.status != "enrolled":
                end = months_after(last_dealing(question.member, record.at), self.lapse_months)
                saw["ended"] = end.isoformat(timespec="minutes")
                if question.at >= end:
                    return "consent_expired"
            return self._condition_missing(question, record, saw)
        if self.model == "opt_in_separate" and not _separate(question.member, record):
            return "consent_basis"
        return ""

    def _condition_missing(self, question: Question, record: Consent, saw: Saw) -> str:
        """What each condition of a soft opt-in rests on goes into `saw`; false where it is not met."""
        reason = ""
        for name in self.conditions:
            ground = CONDITIONS[name](question.member, record)
            saw[f"if {name}"] = ground or False
            if not ground:
                reason = "consent_condition"
        return reason

    def _objections(self, question: Question, record: Consent | None) -> Finding:
        """A word taken back on another channel, or about another topic, stops this contact; a later grant lifts it."""
        granted = record.at if record is not None and record.state == "granted" else EVER
        saw: Saw = {"model": self.model, "scope": self.scope}
        for other in question.member.consents.values():
            if (
                other.state == "withdrawn"
                and other.at >= granted
                and other.channel in self.scope_channels
                and (self.scope == "all_topics" or other.purpose == question.purpose)
            ):
                saw["state"], saw["channel"], saw["purpose"] = other.state, other.channel, other.purpose
                saw["consent"] = other.record
                return self.found("suppress", saw, "consent_withdrawn")
        return self.found("pass", saw)


class HoursClause(Clause, frozen=True, kw_only=True):
    """At which hours of the member's day."""

    week: Week
    # the week's windows in words, by the same index
    words: tuple[str, ...]
    calendar: Calendar = Calendar()
    # all zones of the country, for a member whose zone is not known
    zones: tuple[ZoneInfo, ...] = ()

    def answer(self, question: Question) -> Finding:
        """Passes within the windows in every candidate zone; else defers to the first instant that is."""
        zones = question.zones or self.zones
        at, memo, days = question.at, question.memo, self.week.days
        # what the trail shows: the first zone, or the first of them where it is closed
        shown: tuple[ZoneInfo, int] | None = None
        for zone in zones:
            local, day, minute = wall(memo, zone, at)
            if days[HOLIDAY] is not None and local.date() in self.calendar.days(question.member.region):
                day = HOLIDAY
            for start, end in days[day] or ():
                if start <= minute < end:
                    break
            else:
                return self._closed(question, zones, self._saw(question, zones, zone, day))
            if shown is None:
                shown = (zone, day)
        if shown is None:
            return self.found("suppress", {"zone_known": False}, "zone_unknown")
        return self.found("pass", self._saw(question, zones, *shown))

    def _saw(self, question: Question, zones: tuple[ZoneInfo, ...], zone: ZoneInfo, day: int) -> Saw:
        local = minute_text(question.memo, zone, question.at)
        saw: Saw = {"local": local, "zone": zone.key, "window": self.words[day]}
        if day == HOLIDAY:
            saw["holiday"] = True
        if len(zones) > 1:
            saw["zones"] = len(zones)
        if not question.zones:
            saw["zone_known"] = False
        return saw

    def _closed(self, question: Question, zones: tuple[ZoneInfo, ...], saw: Saw) -> Finding:
        until = opens(question, self.week, zones, self.calendar.days(question.member.region).__contains__)
        return (
            self.found("suppress", saw, "law_hours") if until is None else self.found("defer", saw, "law_hours", until)
        )

    def open_until(self, question: Question) -> datetime | None:
        """When these hours end; None when they stay open, or bind nobody under the profile."""
        if self.advisory:
            return None
        holidays = self.calendar.days(question.member.region)
        return next_closed(self.week, question.zones or self.zones, holidays.__contains__, question.at)


class CapClause(Clause, frozen=True, kw_only=True):
    """How many touches, or on how many channels, a stretch of time may hold."""

    maximum: int
    # the stretch in words: "calendar_day", "week", "7_consecutive_days"
    per: str
    # exactly one of the two: a window, or so many consecutive local days, the day of the touch being the first
    window: Window | None = None
    days: int = 0
    channels: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset()
    # counted are channels, not touches
    distinct: bool = False
    by_contact: bool = False
    by_subject: bool = False
    # counted is the instant that this attribute of the member holds (RFC 3339) instead of touches
    attribute: str = ""
    zones: tuple[ZoneInfo, ...] = ()
    # worked out: the touches that are counted, where their channel, purpose and journey say which
    scope: Scope | None = None

    def __post_init__(self) -> None:
        """Looks at its own terms once."""
        if not self.attribute and not self.by_contact:
            channels, purposes = self.channels or None, self.purposes or None
            force_setattr(self, "scope", Scope(channels=channels, purposes=purposes, same_journey=self.by_subject))

    @property
    def looks_back(self) -> timedelta:
        """The window's length; for local days one more, for the zones."""
        return self.window.longest if self.window is not None else timedelta(days=self.days + 1)

    def answer(self, question: Question) -> Finding:
        """Passes while one more keeps to the maximum; else defers to the first instant that has room."""
        zones = question.zones or self.zones
        taken = self._taken(question, zones)
        if len(taken) < self.maximum:
            return self.found("pass", {"n": len(taken), "max": self.maximum, "per": self.per})
        return self._full(taken, self.maximum, question.at, zones)

    @property
    def reads(self) -> tuple[Reading, ...]:
        """How many places are taken."""
        if self.window is not None and self.scope is not None and not self.distinct:
            return (standing, Count(self.scope, self.window))
        return (self._number,)

    def keeps(self, question: Question) -> bool:
        """While one is left; what is read of touches goes by the member's own zone."""
        return self._number(question) < self.maximum and (bool(question.zones) or self.distinct or not self.scope)

    def _number(self, question: Question) -> int:
        return len(self._taken(question, question.zones or self.zones))

    def _taken(self, question: Question, zones: tuple[ZoneInfo, ...]) -> list[datetime]:
        """The instants, in order, at which places of the stretch were taken."""
        if self.attribute:
            return self._inside(self._told(question), question, zones)
        if self.window is None or self.scope is None or not question.zones:
            places = self._counted(question)
            return self._channels(places, question, zones) if self.distinct else self._inside(places, question, zones)
        if not self.distinct:
            return touches_of(question).inside(self.scope, self.window, question)
        return touches_of(question).channels(self.scope, self.window, question)

    def _counted(self, question: Question) -> tuple[Place, ...]:
        """The touches of the kind that this cap counts."""
        channels, purposes = self.channels, self.purposes
        places = tuple(
            [
                place
                for place in question.places
                if (not channels or place.channel in channels) and (not purposes or place.purpose in purposes)
            ]
        )
        if self.by_subject:
            places = tuple(place for place in places if place.journey == question.journey)
        if self.by_contact and question.contact is not None:
            contact = question.contact.fingerprint
            places = tuple(place for place in places if place.contact == contact)
        return places

    def _told(self, question: Question) -> tuple[Place, ...]:
        """The instant that the member's attribute holds, as a place."""
        said = question.member.attributes.get(self.attribute)
        at = _instant(said) if isinstance(said, str) else None
        if at is None:
            return ()
        return (Place(touch_id="", channel=question.channel, purpose="", journey="", contact="", at=at),)

    def _inside(self, places: tuple[Place, ...], question: Question, zones: tuple[ZoneInfo, ...]) -> list[datetime]:
        """The instants, in order, of those within the stretch that `question.at` falls into."""
        if self.window is not None:
            return counted(places, self.window, question.at, question.now, zones)
        now, span = question.now, timedelta(days=self.days)
        instants = sorted(now if place.at is None else min(place.at, now) for place in places)
        keys = [(zone, question.at.astimezone(zone).date()) for zone in zones or (_UTC,)]
        return [each for each in instants if any(today - each.astimezone(zone).date() < span for zone, today in keys)]

    def _full(self, instants: list[datetime], maximum: int, at: datetime, zones: tuple[ZoneInfo, ...]) -> Finding:
        saw: Saw = {"n": len(instants), "max": self.maximum, "per": self.per}
        if self.window is not None:
            until = free_at(instants, maximum, self.window, at, zones)
        else:
            leaves = instants[len(instants) - maximum]
            until = max(_midnight(leaves, zone, self.days) for zone in zones or (_UTC,))
        if until is None:
            return self.found("suppress", saw, "law_cap")
        return self.found("defer", saw, "law_cap", until)

    def _channels(self, places: tuple[Place, ...], question: Question, zones: tuple[ZoneInfo, ...]) -> list[datetime]:
        """When each of the other channels within the window was last used: a place is a channel."""
        latest: list[datetime] = []
        for channel in {place.channel for place in places} - {question.channel}:
            of_channel = tuple(place for place in places if place.channel == channel)
            inside = self._inside(of_channel, question, zones)
            latest.extend(inside[-1:])
        return sorted(latest)


class RegistryClause(Clause, frozen=True, kw_only=True):
    """Whoever stands on a do-not-contact list is left alone; so is everybody while the list is too old to tell."""

    # as the store keeps it: `RNE/sms` where the list has an entry for each channel apart
    name: str
    max_age: timedelta
    per_channel: bool = False

    def answer(self, question: Question) -> Finding:
        """Passes where a fresh list does not name the contact point.

        Fresh is measured at the turn's now, not at a release instant: a deferred message is decided anew by then.
        """
        state = question.registries.get(self.name)
        listed, checked_at = (False, None) if state is None else (state.listed, state.checked_at)
        if checked_at is None:
            reason = "registry_unknown"
        elif listed:
            reason = "registry_listed"
        else:
            reason = "registry_unknown" if question.now - checked_at > self.max_age else ""
        saw: Saw = {"registry": self.name, "max_age_days": self.max_age.days}
        if checked_at is not None:
            saw["listed"], saw["checked_at"] = listed, _minutes(checked_at, checked_at.tzinfo)
        return self.found("suppress", saw, reason) if reason else self.found("pass", saw)


class BlockClause(Clause, frozen=True, kw_only=True):
    """Nobody is contacted so: a platform or a law bars the channel for the purpose."""

    def answer(self, question: Question) -> Finding:
        """Suppresses, always."""
        return self.found("suppress", {"channel": question.channel}, "platform_block")

    def keeps(self, _: Question) -> bool:
        """Always."""
        return True


class AgeClause(Clause, frozen=True, kw_only=True):
    """Nobody is contacted who is too young, by the calendar of the zone where it is earliest."""

    minimum: int
    # what to make of a member whose birthday is not known
    unknown: Literal["pass", "suppress"] = "pass"

    def answer(self, question: Question) -> Finding:
        """Passes from the birthday on; somebody born on 29 February has theirs on 1 March of other years."""
        saw: Saw = {"min": self.minimum}
        reached = self._reached(question)
        if reached is None:
            saw["birthday_known"] = False
            reached = self.unknown == "pass"
        return self.found("pass", saw) if reached else self.found("suppress", saw, "under_age")

    @property
    def reads(self) -> tuple[Reading, ...]:
        """Whether the age is reached."""
        return (self._reached,)

    def keeps(self, _: Question) -> bool:
        """Always."""
        return True

    def _reached(self, question: Question) -> bool | None:
        birthday, at = question.member.birthday, question.at
        if birthday is None:
            return None
        today = min([wall(question.memo, zone, at)[0].date() for zone in question.zones or (_UTC,)])
        years = today.year - birthday.year - ((today.month, today.day) < (birthday.month, birthday.day))
        return years >= self.minimum


class ExemptClause(Clause, frozen=True, kw_only=True):
    """The article that leaves such a message free."""

    what: tuple[str, ...]

    def answer(self, _: Question) -> Finding:
        """Passes, naming what is exempt."""
        return self.found("pass", {"exempt": ", ".join(self.what)})

    def keeps(self, _: Question) -> bool:
        """Always."""
        return True


def _granted_opt_in(question: Question) -> bool:
    record = question.member.consents.get(question.channel + "/" + question.purpose)
    return (
        record is not None
        and record.state == "granted"
        and record.basis == "opt_in"
        and (record.expires_at is None or question.at < record.expires_at)
    )


def _bought_lately(question: Question) -> bool:
    bought = question.member.aggregates.get("purchase.completed")
    return bought is not None and question.at < months_after(bought.last, EBR_MONTHS)


def _not_known(_: Question) -> bool:
    """A circumstance that no record of ours tells: it never holds, so the rule binds."""
    return False


# what a rule may name under `unless`; the stricter answer where we can't know
EXCEPTIONS: dict[str, Callable[[Question], bool]] = {
    # the member agreed to this channel and purpose, and the word still holds
    "opt_in": _granted_opt_in,
    # established business relationship: a purchase within eighteen months
    "ebr_18m": _bought_lately,
    "member_asked_other_hours_in_separate_document": _not_known,
    "member_agreed_to_stated_time": _not_known,
}
# exceptions that rest on the member's own recorded word: they hold for unverified rules too
OWN_WORD = frozenset({"opt_in"})


def _objected(question: Question) -> bool:
    """A reading: whether the member took back any word."""
    return any(record.state == "withdrawn" for record in question.member.consents.values())


def for_channel(clause: Clause, channel: str) -> Clause:
    """The clause as it is asked about this channel: which list to look at."""
    if isinstance(clause, RegistryClause) and clause.per_channel:
        return replace(clause, name=f"{clause.name}/{channel}")
    return clause


def excepted(names: tuple[str, ...], question: Question) -> str:
    """The first of these exceptions that holds, or ""."""
    return next((name for name in names if EXCEPTIONS[name](question)), "")


@lru_cache(maxsize=1024)
def _minutes(at: datetime, _zone: tzinfo | None) -> str:
    """An instant to the minute; a list that was read once is named in the trails of a whole day.

    Instants are equal whatever the zone they are told in, hence the second argument.
    """
    return at.isoformat(timespec="minutes")


def _separate(member: Member, record: Consent) -> bool:
    """Whether the wording agreed to stands for this channel and purpose alone."""
    if not record.wording:
        return False
    return not any(
        other is not record and other.state == "granted" and other.wording == record.wording
        for other in member.consents.values()
    )


def _instant(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _midnight(since: datetime, zone: ZoneInfo, days: int) -> datetime:
    """The start of the local day so many days after the one that `since` falls on."""
    day = since.astimezone(zone).date() + timedelta(days=days)
    return datetime.combine(day, time(), zone).astimezone(UTC)
