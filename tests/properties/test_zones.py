"""Quiet hours over clock changes of thirty zones, against a clock that is read minute by minute.

What is expected is worked out from the words of the shipped policy, `zoneinfo` and the table of holidays alone: each
minute's wall clock is looked at, and the end of quiet is the first open minute that comes.
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import holidays
import pytest
import yaml

from orchestrator.content import locate
from orchestrator.content.policies import load_policies
from orchestrator.decide.member import Member, Residence
from orchestrator.decide.rules import Finding, Question

SOAK = os.environ.get("SOAK") == "1"
MINUTE = timedelta(minutes=1)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
SHIPPED = locate.shipped("channel_policies")
POLICIES = load_policies(SHIPPED)
# zone -> (country, part of it): whole, half and quarter hours off, changes of an hour, of half an hour and of two,
# by night and at midnight, in both halves of the year, backwards in winter (Dublin), around Ramadan, and none at all
ZONES = {
    "Europe/Madrid": ("ES", "ES-MD"), "Europe/London": ("GB", "GB-ENG"), "Europe/Dublin": ("IE", ""),
    "Europe/Lisbon": ("PT", ""), "Atlantic/Azores": ("PT", ""), "Atlantic/Canary": ("ES", "ES-CN"),
    "Europe/Berlin": ("DE", "DE-BY"), "Europe/Chisinau": ("MD", ""), "America/New_York": ("US", "US-NY"),
    "America/Chicago": ("US", "US-TX"), "America/Denver": ("US", ""), "America/Los_Angeles": ("US", "US-CA"),
    "America/Anchorage": ("US", "US-AK"), "America/St_Johns": ("CA", "CA-NL"), "America/Halifax": ("CA", ""),
    "America/Havana": ("CU", ""), "America/Santiago": ("CL", ""), "America/Asuncion": ("PY", ""),
    "America/Nuuk": ("GL", ""), "America/Bogota": ("CO", ""), "America/Caracas": ("VE", ""),
    "Africa/Casablanca": ("MA", ""), "Africa/Cairo": ("EG", ""), "Asia/Beirut": ("LB", ""),
    "Asia/Jerusalem": ("IL", ""), "Asia/Kathmandu": ("NP", ""), "Asia/Kolkata": ("IN", "IN-MH"),
    "Australia/Lord_Howe": ("AU", "AU-NSW"), "Pacific/Chatham": ("NZ", ""), "Antarctica/Troll": ("NO", ""),
}  # fmt: skip
YEARS = range(2024, 2029)


def changes(zone: ZoneInfo) -> list[datetime]:
    """The hours of these years in which the clock changes; a zone that never does has some ordinary ones."""
    at, end = datetime(YEARS[0], 1, 1, tzinfo=UTC), datetime(YEARS[-1] + 1, 1, 1, tzinfo=UTC)
    found = []
    before = at.astimezone(zone).utcoffset()
    while at < end:
        at += timedelta(hours=1)
        offset = at.astimezone(zone).utcoffset()
        if offset != before:
            found.append(at)
        before = offset
    return found or [datetime(year, month, 28, 2, tzinfo=UTC) for year in YEARS for month in (2, 12)]


def words(channel: str, rule: str) -> dict[str, list[str]]:
    """The closed hours that the file says."""
    text = Path(SHIPPED, f"{channel}.yaml").read_text(encoding="utf-8")
    file: dict[str, Any] = yaml.safe_load(text)
    found: dict[str, list[str]] = file["entries"][0]["quiet_hours"][rule]["closed"]
    return found


def minutes(text: str) -> int:
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def named(word: str) -> list[int]:
    first, _, last = word.partition("-")
    return list(range(DAYS.index(first), DAYS.index(last or first) + 1))


class Clock:
    """Whether each minute around a clock change is quiet, and the first that is open from there."""

    def __init__(self, zone: str, closed: dict[str, list[str]], around: datetime) -> None:
        self.zone, self.closed = ZoneInfo(zone), closed
        country, part = ZONES[zone]
        years = [around.year - 1, around.year, around.year + 1]
        try:
            self.holidays = holidays.country_holidays(country, subdiv=part.partition("-")[2] or None, years=years)
        except NotImplementedError:
            self.holidays = holidays.country_holidays(country, years=years)
        self.begins = around - timedelta(hours=30)
        self.quiet = [self._quiet(self.begins + i * MINUTE) for i in range(8 * 24 * 60)]

    def at(self, i: int) -> datetime:
        return self.begins + i * MINUTE

    def opens(self, i: int) -> datetime:
        return self.at(next(n for n in range(i, len(self.quiet)) if not self.quiet[n]))

    def _quiet(self, at: datetime) -> bool:
        wall = at.astimezone(self.zone)
        now, today = wall.hour * 60 + wall.minute, wall.date()
        if "holiday" in self.closed and today in self.holidays:
            # its own hours, and what any evening may bring into its morning
            brought = [text for day, texts in self.closed.items() if day != "holiday" for text in texts]
            return self._within(self.closed["holiday"], now) or any(
                minutes(text.split("-")[0]) >= minutes(text.split("-")[1]) and now < minutes(text.split("-")[1])
                for text in brought
            )
        yesterday = today - timedelta(days=1)
        return self._within(self._of(today), now) or any(
            start >= end and now < end for start, end in self._spans(self._of(yesterday))
        )

    def _of(self, day: date) -> list[str]:
        return [text for word, texts in self.closed.items() if word != "holiday" and day.weekday() in named(word)
                for text in texts]  # fmt: skip

    def _within(self, texts: list[str], now: int) -> bool:
        return any(start <= now < (end if start < end else 24 * 60) for start, end in self._spans(texts))

    def _spans(self, texts: list[str]) -> list[tuple[int, int]]:
        return [(minutes(text.split("-")[0]), minutes(text.split("-")[1])) for text in texts]


def ask(zone: str, channel: str, purpose: str, rule: str, at: datetime) -> Finding:
    country, part = ZONES[zone]
    home = Residence(jurisdictions=(country,), zones=(zone,))
    member = Member(id="m", ref="r", residence=home, country=country, region=part)
    question = Question(
        at=at, now=at, channel=channel, purpose=purpose, journey="j", member=member, contact=None,
        zones=(ZoneInfo(zone),), registries={},
    )  # fmt: skip
    (found,) = [each for each in POLICIES.rules_for(channel, purpose, "j") if each.id == f"house.{channel}.{rule}"]
    return found.judge(question)


RULES = (("email", "marketing", "night"), ("sms", "marketing", "night"), ("sms", "service", "service-night"))


@pytest.mark.parametrize("zone", ZONES)
def test_quiet_hours_agree_with_a_clock_that_is_read_minute_by_minute(zone: str) -> None:
    """Every few minutes over a clock change, between minutes too: quiet or not, and until when."""
    chance = Random(zone)
    around = changes(ZoneInfo(zone))
    for change in around if SOAK else [chance.choice(around)]:
        for channel, purpose, rule in RULES if SOAK else [chance.choice(RULES)]:
            clock = Clock(zone, words(channel, rule), change)
            for i in range(0, 3 * 24 * 60, 1 if SOAK else 11):
                at = clock.at(i) + timedelta(seconds=chance.choice((0, 0, 1, 59)))
                found = ask(zone, channel, purpose, rule, at)
                expected = ("defer", clock.opens(i)) if clock.quiet[i] else ("pass", None)
                assert expected == (found.says, found.until), (channel, at.isoformat())


def test_the_zones_are_thirty_and_most_of_them_change_their_clocks() -> None:
    assert 30 == len(ZONES)
    offsets = {name: {at.astimezone(ZoneInfo(name)).utcoffset() for at in changes(ZoneInfo(name))} for name in ZONES}
    assert 24 <= sum(len(found) > 1 for found in offsets.values())
    odd = [name for name, found in offsets.items() if any((each or MINUTE) % timedelta(hours=1) for each in found)]
    assert {"Asia/Kathmandu", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Chatham", "America/St_Johns"} <= set(odd)
