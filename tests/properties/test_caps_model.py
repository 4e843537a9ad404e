"""Caps and gaps against a naive model: the words of random policies, read by the definition, on random histories.

Nothing of the orchestrator decides here what is expected: the model knows the YAML words, `zoneinfo`, and that a place
in flight counts as now. It finds a release by trying every moment at which anything can change. CI asks some hundred
histories, `make soak` 100,000.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from orchestrator.content.policies import load_policies
from orchestrator.decide.decision import weigh
from orchestrator.decide.member import Member, Place
from orchestrator.decide.policies import HousePolicies
from orchestrator.decide.rules import Question

SOAK = os.environ.get("SOAK") == "1"
# policies, and histories for each of them
POLICIES, HISTORIES = (500, 200) if SOAK else (30, 15)
WHY = "because it is so"
CHANNELS = ("email", "sms", "whatsapp", "push")
PURPOSES = ("marketing", "marketing", "service")
CATEGORIES = {"welcome": "acquisition", "birthday": "retention", "thanks": "retention", "news": ""}
GROUP = ("sms", "whatsapp")
# half and quarter hours, clock changes at midnight, south and north
ZONES = (
    *("Europe/Madrid", "America/New_York", "America/Bogota", "Asia/Kathmandu", "Asia/Kolkata", "Australia/Lord_Howe"),
    *(
        "Pacific/Chatham",
        "America/Havana",
        "Africa/Cairo",
        "America/Santiago",
        "America/St_Johns",
        "Pacific/Kiritimati",
    ),
)
# clock changes of these zones, a month's and a year's end, a Wednesday
NOWS = [
    datetime(*day, tzinfo=UTC)
    for day in ((2026, 3, 8), (2026, 3, 29), (2026, 4, 5), (2026, 4, 24), (2026, 9, 6), (2026, 9, 27), (2026, 10, 25),
                (2026, 11, 1), (2026, 10, 30), (2027, 1, 1), (2026, 11, 18), (2028, 2, 29))
]  # fmt: skip

Words = dict[str, Any]


class Touch(NamedTuple):
    """A touch of the history, or the one that is asked about."""

    channel: str
    purpose: str
    journey: str
    # None: in flight
    at: datetime | None
    category: str


# --- the model


def scope_holds(words: Words, purposes: list[str], touch: Touch) -> bool:
    over = words["over"]
    channels = CHANNELS if over == "all" else GROUP if over == "phones" else over
    journeys, categories = words.get("journeys", "any"), words.get("categories")
    return (
        touch.purpose in purposes
        and touch.channel in channels
        and (isinstance(journeys, str) or touch.journey in journeys)
        and (categories is None or touch.category in categories)
    )


def exempts(words: Words, touch: Touch) -> bool:
    exempt = words.get("exempt", {})
    return touch.journey in exempt.get("journeys", ()) or touch.category in exempt.get("categories", ())


def binds(words: Words, asked: Touch) -> bool:
    return scope_holds(words, words.get("purposes", ["marketing"]), asked) and not exempts(words, asked)


def uses_up(words: Words, touch: Touch, asked: Touch) -> bool:
    purposes = words.get("counts", words.get("purposes", ["marketing"]))
    if not scope_holds(words, purposes, touch):
        return False
    if words.get("journeys") == "each" and touch.journey != asked.journey:
        return False
    return not exempts(words, touch) or words["exempt"]["count"]


def in_window(window: str, at: datetime, moment: datetime, zones: list[str]) -> bool:
    """Whether a touch at `at` is in the window around `moment`."""
    kind, _, what = window.partition(" ")
    if kind == "rolling":
        return at <= moment < at + duration(what)
    for name in zones:
        a, b = (each.astimezone(ZoneInfo(name)).date() for each in (at, moment))
        key = {"day": str, "week": lambda day: day.isocalendar()[:2], "month": lambda day: (day.year, day.month)}[what]
        if key(a) == key(b):
            return True
    return False


def duration(text: str) -> timedelta:
    return timedelta(hours=int(text[2:-1])) if text.startswith("PT") else timedelta(days=int(text[1:-1]))


def refuses(words: Words, asked: Touch, history: list[Touch], now: datetime, moment: datetime, zones: list[str]) -> str:
    """defer, suppress, or "" where it passes."""
    if not binds(words, asked) or words.get("max") == "unlimited":
        return ""
    counted = [(touch, now if touch.at is None else touch.at) for touch in history if uses_up(words, touch, asked)]
    if "at_least" in words:
        return "defer" if any(moment < at + duration(words["at_least"]) for _, at in counted) else ""
    inside = [touch for touch, at in counted if in_window(words["window"], at, moment, zones)]
    refusal = ""
    places = [(words["max"], inside)]
    reserved = words.get("reserved")
    if reserved and asked.journey not in reserved["journeys"]:
        rest = [touch for touch in inside if touch.journey not in reserved["journeys"]]
        places.append((words["max"] - reserved["places"], rest))
    for most, taken in places:
        if len(taken) >= most:
            if most <= 0:
                return "suppress"
            refusal = "defer"
    return refusal


def expected(
    rules: list[Words], asked: Touch, history: list[Touch], now: datetime, zones: list[str]
) -> tuple[str, datetime | None]:
    def verdicts(moment: datetime) -> set[str]:
        return {refuses(words, asked, history, now, moment, zones) for words in rules}

    first = verdicts(now)
    if "suppress" in first:
        return "suppress", None
    if "defer" not in first:
        return "pass", None
    for moment in moments(rules, history, now, zones):
        if not verdicts(moment) & {"defer", "suppress"}:
            return "defer", moment
    raise AssertionError("nothing is refused for ever but what is none at all")


def moments(rules: list[Words], history: list[Touch], now: datetime, zones: list[str]) -> list[datetime]:
    """Everything at which a count can change: touches leaving their windows, local midnights."""
    lengths = [duration(words["at_least"]) for words in rules if "at_least" in words]
    lengths += [
        duration(words["window"].split()[1]) for words in rules if words.get("window", "").startswith("rolling")
    ]
    ends = {(touch.at or now) + length for touch in history for length in lengths}
    at = now.replace(minute=0, second=0, microsecond=0)
    for name in zones:
        zone, before = ZoneInfo(name), now
        quarter = at
        while quarter < now + timedelta(days=34):
            quarter += timedelta(minutes=15)
            if quarter > now and quarter.astimezone(zone).date() != before.astimezone(zone).date():
                ends.add(quarter)
            before = quarter
    return sorted(end for end in ends if end > now)


# --- chance


def policy(chance: Random) -> dict[str, Words]:
    """Some caps, and sometimes a gap."""
    rules = {f"cap-{i}": cap(chance) for i in range(chance.randint(1, 4))}
    if chance.random() < 0.4:
        rules["gap"] = {"at_least": chance.choice(("PT20H", "P2D", "PT3H")), **counting(chance)}
    return rules


def cap(chance: Random) -> Words:
    window = chance.choice(("rolling P7D", "rolling PT36H", "rolling P1D", "calendar day", "calendar week",
                            "calendar month"))  # fmt: skip
    words: Words = {"max": chance.choice((0, 1, 1, 2, 3, 4, "unlimited")), "window": window, **counting(chance)}
    if words["max"] not in (0, "unlimited") and chance.random() < 0.3:
        journeys = chance.sample(list(CATEGORIES), 1)
        words["reserved"] = {"places": chance.randint(1, words["max"]), "journeys": journeys}
    return words


def counting(chance: Random) -> Words:
    words: Words = {"why": WHY, "over": chance.choice(("all", "phones", ["email"], ["email", "push"]))}
    if chance.random() < 0.4:
        words["purposes"] = chance.choice((["marketing"], ["service"], ["marketing", "service"]))
    if chance.random() < 0.3:
        words["counts"] = chance.choice((["marketing"], ["marketing", "service"]))
    if chance.random() < 0.4:
        words["journeys"] = chance.choice(("each", "any", ["welcome", "thanks"], ["birthday"]))
    if chance.random() < 0.3:
        words["categories"] = chance.choice((["retention"], ["acquisition", "retention"]))
    if chance.random() < 0.5:
        who = chance.choice(({"journeys": ["birthday"]}, {"categories": ["acquisition"]}))
        words["exempt"] = {**who, "count": chance.random() < 0.5}
    return words


def loaded(rules: dict[str, Words], folder: Path) -> HousePolicies:
    """JSON is YAML too, but for the date, which YAML reads as one only unquoted."""
    entry: dict[str, Any] = {
        "effective": "2000-01-01",
        "why": WHY,
        "groups": {"phones": GROUP},
        "caps": {name: words for name, words in rules.items() if "max" in words},
        "gaps": {name: words for name, words in rules.items() if "at_least" in words},
    }
    text = json.dumps({"channel": "house", "units": "touches and durations", "entries": [entry]})
    folder.mkdir()
    (folder / "house.yaml").write_text(text.replace('"2000-01-01"', "2000-01-01"), encoding="utf-8")
    return load_policies(folder, CATEGORIES)


def touch(chance: Random, at: datetime | None) -> Touch:
    journey = chance.choice(list(CATEGORIES))
    return Touch(chance.choice(CHANNELS), chance.choice(PURPOSES), journey, at, CATEGORIES[journey])


def histories(chance: Random) -> Iterator[tuple[Touch, list[Touch], datetime, list[str]]]:
    for _ in range(HISTORIES):
        now = chance.choice(NOWS) + timedelta(seconds=chance.randint(-40 * 3600, 40 * 3600))
        zones = chance.sample(ZONES, chance.choice((1, 1, 1, 2)))
        history = [touch(chance, moment(chance, now)) for _ in range(chance.randint(0, 9))]
        yield touch(chance, now), history, now, zones


def moment(chance: Random, now: datetime) -> datetime | None:
    """Often on a boundary, to the second."""
    if chance.random() < 0.1:
        return None
    if chance.random() < 0.4:
        ago = chance.choice((timedelta(days=7), timedelta(days=1), timedelta(hours=36), timedelta(hours=20)))
        return now - ago + timedelta(seconds=chance.choice((-1, 0, 0, 1)))
    return now - timedelta(seconds=chance.randint(0, chance.choice((86_400, 9 * 86_400, 40 * 86_400))))


def answer(policies: HousePolicies, asked: Touch, history: list[Touch], now: datetime, zones: list[str]) -> Any:
    places = [
        Place(touch_id=str(i), channel=each.channel, purpose=each.purpose, journey=each.journey, contact="c",
              at=each.at, category=each.category)
        for i, each in enumerate(history)
    ]  # fmt: skip
    member = Member(id="m", ref="r", places=tuple(places))
    question = Question(
        at=now, now=now, channel=asked.channel, purpose=asked.purpose, journey=asked.journey, member=member,
        contact=None, zones=tuple(map(ZoneInfo, zones)), registries={},
    )  # fmt: skip
    tried = weigh(policies.rules_for(asked.channel, asked.purpose, asked.journey), question)
    return tried.says, tried.release_at


@pytest.mark.parametrize("seed", range(POLICIES))
def test_caps_of_any_policy_answer_as_the_naive_model_does(tmp_path: Path, seed: int) -> None:
    """Verdict and release, to the second."""
    chance = Random(seed)
    rules = policy(chance)
    policies = loaded(rules, tmp_path / "channel_policies")
    for asked, history, now, zones in histories(chance):
        told = (rules, asked, history, now, zones)
        assert expected(list(rules.values()), asked, history, now, zones) == answer(
            policies, asked, history, now, zones
        ), told


def test_the_histories_reach_every_verdict() -> None:
    """The comparison above compares something: each verdict comes up in a fair share."""
    came: dict[str, int] = {}
    for seed in range(30):
        chance = Random(seed)
        rules = policy(chance)
        for asked, history, now, zones in histories(chance):
            says = expected(list(rules.values()), asked, history, now, zones)[0]
            came[says] = came.get(says, 0) + 1
    assert {"pass", "defer", "suppress"} == set(came)
    assert sum(came.values()) // 25 <= min(came.values()), came
