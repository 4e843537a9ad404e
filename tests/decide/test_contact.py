"""The contact point's health, and windows that the dispatcher found closed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from orchestrator.decide.contact import ClosedWindowRule, ContactPointRule
from orchestrator.decide.member import ContactPoint, Member
from orchestrator.decide.rules import Finding, Question

NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
PAUSE = timedelta(days=3)
POINT = ContactPointRule(id="point", version="1", soft_bounced_pause=PAUSE)
CLOSED = ClosedWindowRule(id="closed", version="1")


def question(contact: ContactPoint | None, *closed: tuple[datetime, datetime]) -> Question:
    return Question(
        at=NOON, now=NOON, channel="email", purpose="marketing", journey="j", member=Member(id="m", ref="r"),
        contact=contact, zones=(), registries={}, closed=closed,
    )  # fmt: skip


def judged(health: str, since: datetime | None = None) -> Finding:
    address = "someone@example.com"
    point = ContactPoint(channel="email", address=address, fingerprint="f", health=health, health_since=since)  # type: ignore[arg-type]
    found = POINT.judge(question(point))
    assert address not in str(found)
    return found


def test_without_a_contact_point_there_is_nobody_to_write_to() -> None:
    found = POINT.judge(question(None))
    assert ("suppress", "no_contact_point") == (found.says, found.reason)


@pytest.mark.parametrize("health", ["hard_bounced", "complained", "invalid"])
def test_a_dead_contact_point_suppresses_however_long_ago(health: str) -> None:
    found = judged(health, NOON - 1000 * PAUSE)
    assert ("suppress", "contact_point_unhealthy", health) == (found.says, found.reason, found.saw["health"])


def test_a_healthy_one_passes() -> None:
    assert judged("ok").says == "pass"


@pytest.mark.parametrize(
    ("since", "until"),
    [(NOON - PAUSE, None), (NOON - PAUSE + SECOND, NOON + SECOND), (NOON, NOON + PAUSE), (None, NOON + PAUSE)],
)
def test_after_a_soft_bounce_it_is_left_alone_for_the_pause(since: datetime | None, until: datetime | None) -> None:
    found = judged("soft_bounced", since)
    assert ("defer" if until else "pass", until) == (found.says, found.until)


@pytest.mark.parametrize(
    ("closed", "until"),
    [
        ([], None),
        ([(NOON, NOON + HOUR)], NOON + HOUR),
        ([(NOON - HOUR, NOON)], None),
        ([(NOON + SECOND, NOON + HOUR)], None),
        # windows that touch or overlap, in any order
        ([(NOON + HOUR, NOON + 2 * HOUR), (NOON - HOUR, NOON + HOUR)], NOON + 2 * HOUR),
        ([(NOON - HOUR, NOON + 2 * HOUR), (NOON - HOUR, NOON + HOUR)], NOON + 2 * HOUR),
    ],
)
def test_a_window_found_closed_at_dispatch_is_waited_out(
    closed: list[tuple[datetime, datetime]], until: datetime | None
) -> None:
    found = CLOSED.judge(question(None, *closed))
    reason = "dispatch_window_closed" if until else ""
    assert ("defer" if until else "pass", reason, until) == (found.says, found.reason, found.until)


BLOCKS = ContactPointRule(
    id="point",
    version="1",
    soft_bounced_pause=PAUSE,
    block_after=3,
    block_within=10 * PAUSE,
    block_pause=7 * PAUSE,
    unfit={"sms": frozenset({"fixed_line"})},
    unfit_for_marketing={"email": frozenset({"disposable"})},
)


@pytest.mark.parametrize(
    ("bounces", "until"),
    [
        # the third within the window closes it, counted from the last; then it is tried again
        ((NOON - 9 * PAUSE, NOON - 8 * PAUSE, NOON - 4 * PAUSE), NOON + 3 * PAUSE),
        ((NOON - 16 * PAUSE, NOON - 8 * PAUSE, NOON - 7 * PAUSE), None),
        # the window is half-open: a bounce just so long ago has left it
        ((NOON - 14 * PAUSE, NOON - 5 * PAUSE, NOON - 4 * PAUSE), None),
        ((NOON - 14 * PAUSE + SECOND, NOON - 5 * PAUSE, NOON - 4 * PAUSE), NOON + 3 * PAUSE),
        ((NOON - 5 * PAUSE, NOON - 4 * PAUSE), None),
        # older ones do not matter
        ((NOON - 90 * PAUSE, NOON - 6 * PAUSE, NOON - 5 * PAUSE, NOON - 4 * PAUSE), NOON + 3 * PAUSE),
        # tried again and bounced again, the count still reaches the number
        ((NOON - 9 * PAUSE, NOON - 8 * PAUSE, NOON), NOON + 7 * PAUSE),
    ],
)
def test_so_many_soft_bounces_within_so_long_close_it_for_so_long(
    bounces: tuple[datetime, ...], until: datetime | None
) -> None:
    point = ContactPoint(
        channel="email", address="a", fingerprint="f", health="soft_bounced", health_since=bounces[-1],
        soft_bounces=bounces,
    )  # fmt: skip
    found = BLOCKS.judge(question(point))
    assert ("defer" if until else "pass", until) == (found.says, found.until)
    if until:
        assert "pass" == BLOCKS.judge(replace(question(point), at=until)).says


@pytest.mark.parametrize(
    ("channel", "purpose", "kind", "says"),
    [
        ("sms", "service", "fixed_line", "suppress"),
        ("sms", "service", "mobile", "pass"),
        ("phone", "service", "fixed_line", "pass"),
        ("email", "marketing", "disposable", "suppress"),
        ("email", "service", "disposable", "pass"),
        ("email", "marketing", "role", "pass"),
    ],
)
def test_an_address_of_a_kind_that_does_not_do_is_refused_with_the_kind(
    channel: str, purpose: str, kind: str, says: str
) -> None:
    point = ContactPoint(channel=channel, address="a", fingerprint="f", kind=kind)  # type: ignore[arg-type]
    found = BLOCKS.judge(replace(question(point), channel=channel, purpose=purpose))
    assert says == found.says
    if says == "suppress":
        assert ("contact_point_unfit", kind) == (found.reason, found.saw["kind"])
