"""What members ask for themselves, and when the rules that honour it let go."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from orchestrator.decide.member import Limit, Member, Pause, Place, Preferences
from orchestrator.decide.preferences import LimitRule, PauseRule
from orchestrator.decide.rules import Finding, Question
from orchestrator.decide.touches import Scope

# a Wednesday; in Madrid an hour later
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
MONDAY = datetime(2026, 11, 15, 23, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LIMIT = LimitRule(id="own", version="1", scope=Scope(purposes=frozenset({"marketing"})))
PAUSE = PauseRule(id="own", version="1")


def ask(rule: LimitRule | PauseRule, wishes: Preferences, *touches: datetime | None, at: datetime = NOON) -> Finding:
    places = [
        Place(touch_id="t", channel="sms", purpose="marketing", journey="j", contact="c", at=touch) for touch in touches
    ]
    member = Member(id="m", ref="r", preferences=wishes, places=tuple(places))
    zones = (ZoneInfo("Europe/Madrid"),)
    return rule.judge(
        Question(at=at, now=at, channel="email", purpose="marketing", journey="k", member=member, contact=None,
                 zones=zones, registries={})
    )  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "touches", "says", "until"),
    [
        (Limit(1, "week"), [MONDAY], "defer", MONDAY + timedelta(days=7)),
        (Limit(1, "week"), [MONDAY - SECOND], "pass", None),
        (Limit(2, "week"), [MONDAY], "pass", None),
        (Limit(1, "day"), [datetime(2026, 11, 17, 23, tzinfo=UTC)], "defer", datetime(2026, 11, 18, 23, tzinfo=UTC)),
        (Limit(1, "day"), [datetime(2026, 11, 17, 22, 59, 59, tzinfo=UTC)], "pass", None),
        (Limit(1, "month"), [datetime(2026, 10, 31, 23, tzinfo=UTC)], "defer", datetime(2026, 11, 30, 23, tzinfo=UTC)),
        (Limit(0, "month"), [], "suppress", None),
        (None, [NOON], "pass", None),
    ],
)
def test_a_limit_counts_the_calendar_of_the_members_own_clock(
    limit: Limit | None, touches: list[datetime], says: str, until: datetime | None
) -> None:
    found = ask(LIMIT, Preferences(limit=limit), *touches)
    assert (says, until) == (found.says, found.until)
    assert ("" if says == "pass" else "member_limit") == found.reason


def test_what_is_on_its_way_uses_a_limit_up() -> None:
    found = ask(LIMIT, Preferences(limit=Limit(1, "day")), None)
    assert {"n": 1, "max": 1, "window": "calendar day", "in_flight": 1} == found.saw


@pytest.mark.parametrize(
    ("pause", "says"),
    [(None, "pass"), (Pause(NOON), "pass"), (Pause(NOON + SECOND), "defer"), (Pause(None), "suppress")],
)
def test_a_pause_ends_to_the_second_or_not_at_all(pause: Pause | None, says: str) -> None:
    found = ask(PAUSE, Preferences(pause=pause))
    assert says == found.says
    assert ("" if says == "pass" else "member_paused") == found.reason
    assert (NOON + SECOND if says == "defer" else None) == found.until
