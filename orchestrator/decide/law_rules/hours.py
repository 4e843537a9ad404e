"""Law rules on the hours of the member's day, and the public holidays that they go by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

from msgspec import Struct

from orchestrator.decide.hours import HOLIDAY, Week, next_closed, opens
from orchestrator.decide.law_rules.clause import Clause
from orchestrator.decide.local import minute_text, wall
from orchestrator.decide.rules import Finding, Question, Saw


class Calendar(Struct, frozen=True):
    """Public holidays: of the country, and of its regions (ISO 3166-2), each with the national ones in it."""

    national: frozenset[date] = frozenset()
    regions: Mapping[str, frozenset[date]] = {}

    def days(self, region: str) -> frozenset[date]:
        """The holidays where the region is; the national ones where it is not known."""
        return self.regions.get(region, self.national)


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
