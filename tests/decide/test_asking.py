"""Which facts are known, and which one is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.decide.asking import NOTHING, Asking, asked, missing, to_ask
from orchestrator.decide.member import ContactPoint, Member

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
MONTH = timedelta(days=30)
ASKING = Asking(facts=("given_name", "birthday", "sms"), again_after=MONTH, journeys=frozenset({"tell-us"}))


def member(**fields: object) -> Member:
    return Member(id="m", ref="r", **fields)  # type: ignore[arg-type]  # fields of a member


def point(channel: str, **changes: object) -> tuple[ContactPoint, ...]:
    return (ContactPoint(channel=channel, address="a", fingerprint="f", **changes),)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fact", "known", "fields"),
    [
        ("given_name", False, {}),
        ("given_name", True, {"given_name": "Ana"}),
        ("birthday", False, {}),
        ("attributes.shop", False, {"attributes": {"shop": ""}}),
        ("attributes.shop", False, {"attributes": {"shop": None}}),
        ("attributes.children", True, {"attributes": {"children": 0}}),
        ("attributes.news", True, {"attributes": {"news": False}}),
        ("sms", False, {"contact_points": point("email")}),
        ("sms", True, {"contact_points": point("sms", kind="mobile")}),
        ("sms", False, {"contact_points": point("sms", kind="fixed_line")}),
        ("email", False, {"contact_points": point("email", health="hard_bounced")}),
        # a full mailbox is an address all the same
        ("email", True, {"contact_points": point("email", health="soft_bounced")}),
    ],
)
def test_what_is_missing_none_or_empty_is_not_known(fact: str, known: bool, fields: dict[str, object]) -> None:
    assert ([] if known else [fact]) == missing(member(**fields), Asking(facts=(fact,)))


@pytest.mark.parametrize(
    ("asked_for", "expected"),
    [
        ({}, "given_name"),
        ({"given_name": MONTH}, "birthday"),
        ({"given_name": MONTH - timedelta(microseconds=1)}, ""),
        # a fact that is known by now keeps the others waiting all the same
        ({"tier": timedelta(days=1)}, ""),
        ({"given_name": 3 * MONTH, "birthday": 2 * MONTH, "sms": MONTH}, "given_name"),
        ({"given_name": 2 * MONTH, "birthday": 3 * MONTH, "sms": MONTH}, "birthday"),
    ],
)
def test_one_fact_at_a_time_the_longest_not_asked_for(asked_for: dict[str, timedelta], expected: str) -> None:
    who = member(asked_for={fact: NOW - ago for fact, ago in asked_for.items()})
    assert expected == to_ask(who, ASKING, missing(who, ASKING), NOW)


def test_only_the_journeys_that_ask_are_remembered_and_the_memory_is_bounded() -> None:
    assert member() == asked(member(), ASKING, "welcome", NOW)
    once = asked(member(), ASKING, "tell-us", NOW)
    assert {"given_name": NOW} == once.asked_for
    assert once == asked(once, ASKING, "tell-us", NOW + MONTH / 2)
    other = Asking(facts=("tier",), again_after=MONTH, journeys=frozenset({"tell-us"}))
    assert {"tier": NOW + MONTH} == asked(once, other, "tell-us", NOW + MONTH).asked_for


def test_without_a_policy_nothing_is_missing() -> None:
    assert ([], "") == (missing(member(), NOTHING), to_ask(member(), NOTHING, [], NOW))
