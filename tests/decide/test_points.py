"""A contact point's health: what bounces and arrivals make of it, in whatever order they are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from msgspec.structs import replace

from orchestrator.decide.facts import apply_event
from orchestrator.decide.member import MAX_SOFT_BOUNCES, ContactPoint, Member
from orchestrator.decide.points import ended, soft_bounced, worked
from orchestrator.testing.builders import event
from orchestrator.testing.world import shipped_content

START = datetime(2026, 11, 1, 12, tzinfo=UTC)
WELL = ContactPoint(channel="email", address="ana@example.com", fingerprint="f")


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def lived(*words: tuple[str, float]) -> ContactPoint:
    point = WELL
    for word, hours in words:
        if word == "soft":
            point = soft_bounced(point, at(hours))
        elif word == "arrived":
            point = worked(point, at(hours))
        else:
            point = ended(point, word, at(hours))  # type: ignore[arg-type]  # one of the ends
    return point


@pytest.mark.parametrize("order", list(permutations([("soft", 1), ("hard_bounced", 2), ("soft", 3), ("arrived", 4)])))
def test_a_bounce_for_good_stands_whatever_is_told_after_it(order: tuple[tuple[str, float], ...]) -> None:
    point = lived(*order)
    assert ("hard_bounced", at(2), ()) == (point.health, point.health_since, point.soft_bounces)


def test_a_complaint_outlives_a_bounce_and_the_first_of_two_alike_stands() -> None:
    assert "complained" == lived(("hard_bounced", 1), ("complained", 2)).health
    assert "complained" == lived(("complained", 1), ("hard_bounced", 2), ("invalid", 3)).health
    assert at(1) == lived(("hard_bounced", 1), ("hard_bounced", 5)).health_since


def test_what_arrives_makes_it_well_and_forgets_the_bounces_before() -> None:
    point = lived(("soft", 1), ("soft", 2), ("arrived", 3))
    assert ("ok", at(3), ()) == (point.health, point.health_since, point.soft_bounces)


@pytest.mark.parametrize("order", list(permutations([("soft", 1), ("soft", 5), ("arrived", 3)])))
def test_a_bounce_after_the_last_arrival_counts_in_any_order(order: tuple[tuple[str, float], ...]) -> None:
    point = lived(*order)
    assert ("soft_bounced", at(5)) == (point.health, point.health_since)
    assert point.soft_bounces[-1] == at(5)


def test_a_bounce_told_late_of_before_it_worked_changes_nothing() -> None:
    well = lived(("soft", 1), ("arrived", 3))
    assert well is soft_bounced(well, at(2))
    assert "soft_bounced" == soft_bounced(well, at(4)).health


def test_the_same_bounce_twice_is_one_and_the_number_kept_is_bounded() -> None:
    once = lived(("soft", 1))
    assert once is soft_bounced(once, at(1))
    point = lived(*[("soft", hours) for hours in range(50)])
    assert [at(hours) for hours in range(40, 50)] == list(point.soft_bounces)
    assert MAX_SOFT_BOUNCES == len(point.soft_bounces)


# --- what the member tells


def told(member: Member, hours: float, *addresses: str, channel: str = "email", **profile: object) -> Member:
    points = [{"channel": channel, "address": address} for address in addresses]
    data = {"contact_points": points, **profile}
    given = event("member.updated", "ana", at(hours), data)
    return apply_event(member, given, shipped_content(), lambda channel, address: f"{channel}:{address}").member


def of(member: Member, **point: object) -> Member:
    first, *rest = member.contact_points
    return replace(member, contact_points=(replace(first, **point), *rest))


ANA = Member(id="ana", ref="r")


def test_a_corrected_address_starts_well_and_the_same_address_keeps_its_health() -> None:
    ill = of(told(ANA, 0, "ana@example.com"), health="hard_bounced", health_since=at(1))
    # the domain in any case is the same address
    (same,) = told(ill, 2, "ana@Example.COM", "ana@example.com").contact_points
    assert "hard_bounced" == same.health
    (other,) = told(ill, 2, "anna@example.com").contact_points
    assert ("ok", "anna@example.com") == (other.health, other.address)


def test_an_old_address_that_bounced_is_no_better_when_it_comes_back() -> None:
    member = replace(told(ANA, 0, "ana@example.com"), suppressed={"email:ana@example.com/email/*": "hard_bounced"})
    member = told(told(member, 1, "anna@example.com"), 2, "ana@example.com")
    assert ["hard_bounced"] == [point.health for point in member.contact_points]


def test_points_told_late_do_not_take_the_place_of_later_ones_of_their_channel() -> None:
    member = told(told(ANA, 5, "new@example.com"), 1, "old@example.com")
    assert ["new@example.com"] == [point.address for point in member.contact_points]
    member = told(member, 1, "+34612345678", channel="sms")
    assert ["new@example.com", "+34612345678"] == [point.address for point in member.contact_points]


def test_kind_and_country_are_kept_with_the_point_and_what_is_no_address_is_marked() -> None:
    member = told(ANA, 0, "910123456", "612345678", "123", channel="sms", country="ES")
    assert [("fixed_line", "ES", "ok"), ("mobile", "ES", "ok"), ("", "", "invalid")] == [
        (point.kind, point.country, point.health) for point in member.contact_points
    ]
    (mail,) = told(ANA, 0, "x@yopmail.com").contact_points
    assert "disposable" == mail.kind
