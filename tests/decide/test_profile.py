"""A profile is what was said last of each part of it, in whatever order that comes to our ears."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.decide.content import Content
from orchestrator.decide.facts import apply_event
from orchestrator.decide.member import Member
from orchestrator.testing.builders import event
from orchestrator.testing.world import shipped_content

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
PARTS = ("given_name", "zone", "tier", "attributes", "preferences")


@pytest.fixture(scope="module")
def content() -> Content:
    return shipped_content()


def after(content: Content, *told: tuple[int, dict[str, Any]]) -> Member:
    """A member after these words, each said so many days after the first day, in the order in which they came."""
    member = Member(id="ana", ref="r")
    for i, (day, data) in enumerate(told):
        said = event("member.updated", "ana", FIRST + timedelta(days=day), data, id=f"{i}")
        member = apply_event(member, said, content, lambda channel, address: f"{channel}:{address}").member
        # as it comes back from the store
        member = msgspec.json.decode(msgspec.json.encode(member), type=Member)
    return member


def profile(member: Member) -> dict[str, Any]:
    return {name: getattr(member, name) for name in PARTS} | {"zones": member.residence.zones}


def test_a_late_word_does_not_take_the_place_of_a_newer_one(content: Content) -> None:
    member = after(content, (5, {"zone": "Europe/Madrid", "given_name": "Ana"}), (3, {"zone": "America/Bogota"}))
    assert ("Europe/Madrid", ("Europe/Madrid",)) == (member.zone, member.residence.zones)


def test_a_late_word_on_what_nobody_spoke_of_since_holds(content: Content) -> None:
    member = after(content, (1, {"zone": "America/Bogota"}), (9, {"tier": "gold"}), (5, {"zone": "Europe/Madrid"}))
    assert ("Europe/Madrid", "gold") == (member.zone, member.tier)


def test_that_wishes_were_taken_back_is_a_word_too(content: Content) -> None:
    limit = {"channels": ["sms"], "limit": {"max": 1, "per": "week"}}
    member = after(content, (5, {"preferences": {}}), (3, {"preferences": limit}))
    assert () == member.preferences.channels


def test_a_tier_that_was_told_with_the_profile_and_one_that_was_told_alone_are_one(content: Content) -> None:
    member = after(content, (5, {"tier": "gold"}))
    late = event("tier.changed", "ana", FIRST, {"tier": "silver"}, id="late")
    assert "gold" == apply_event(member, late, content, lambda _, __: "").member.tier


def test_attributes_that_are_forgotten_leave_nothing_behind(content: Content) -> None:
    told = [(day, {"attributes": {f"a{day}-{n}": n for n in range(30)}}) for day in range(8)]
    member = after(content, *told)
    assert len(member.told) <= len(member.attributes)


words = st.fixed_dictionaries(
    {},
    optional={
        "given_name": st.sampled_from(("Ana", "Bea", "Cleo")),
        "zone": st.sampled_from(("Europe/Madrid", "America/Bogota", "America/New_York")),
        "tier": st.sampled_from(("basic", "gold")),
        "attributes": st.dictionaries(st.sampled_from("ab"), st.integers(0, 3), max_size=2),
        "preferences": st.sampled_from(({}, {"channels": ["sms"]}, {"channels": ["email"]})),
    },
)


@given(
    st.lists(words, min_size=1, max_size=5).flatmap(
        lambda said: st.tuples(st.just(said), st.permutations(range(len(said))))
    )
)
def test_the_order_of_arrival_makes_no_difference(
    content: Content, given_words: tuple[list[dict[str, Any]], list[int]]
) -> None:
    said, order = given_words
    in_time = [(day, said[day]) for day in range(len(said))]
    assert profile(after(content, *in_time)) == profile(after(content, *[in_time[day] for day in order]))
