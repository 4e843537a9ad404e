"""Law rules on how many touches, or channels, a stretch of time may hold."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec.structs import force_setattr

from orchestrator.decide.law_rules.clause import Clause
from orchestrator.decide.member import Place
from orchestrator.decide.rules import Finding, Question, Reading, Saw, standing
from orchestrator.decide.touches import Count, Scope, touches_of
from orchestrator.decide.windows import Window, counted, free_at

_UTC = ZoneInfo("UTC")


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
