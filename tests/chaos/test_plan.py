"""The plan of a chaos run is a function of its three numbers."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from tests.chaos.plan import BIG, CHANNELS, FAULTS, TELLING, codes_of, contact_of, expected, make_plan, people_of
from tests.chaos.sabotage import KINDS
from tests.chaos.trouble import BEYOND_S


def test_the_same_numbers_give_the_same_plan_and_another_seed_another() -> None:
    assert make_plan(7, 2_000, 9) == make_plan(7, 2_000, 9)
    assert make_plan(7, 2_000, 9).events != make_plan(8, 2_000, 9).events


def test_a_plan_has_as_many_events_and_faults_as_asked_and_every_kind_of_trouble() -> None:
    plan = make_plan(1, 3_000, len(FAULTS))
    kinds = Counter(event.kind for event in plan.events)
    assert plan.events[0].at_s == 0.0
    assert len(plan.events) == 3_000
    assert set(FAULTS) == {fault.kind for fault in plan.faults}
    assert set(kinds) == {
        "enrolled",
        "purchase",
        "withdrawn",
        "complaint",
        "cancelled",
        "merged",
        "duplicate",
        "reused",
        "poison",
    }
    assert all(0 < fault.at_s < plan.play_s for fault in plan.faults)


def test_a_duplicate_comes_at_least_a_second_after_its_original() -> None:
    plan = make_plan(3, 2_000, 4)
    originals = {event.number: event.at_s for event in plan.events if event.kind in {"enrolled", "purchase"}}
    repeats = [event for event in plan.events if event.kind in {"duplicate", "reused"}]
    assert repeats
    assert all(event.at_s >= originals[event.number] + 1.0 for event in repeats)


def test_some_who_opt_out_before_the_first_worker_starts_have_a_big_purchase_in_the_backlog() -> None:
    plan = make_plan(5, 2_000, 4)
    early = {optout.member for optout in plan.optouts if optout.at_s == 0.0}
    assert early
    assert early <= {event.member for event in plan.events if event.at_s == 0.0 and event.amount >= BIG}


def test_whoever_is_merged_had_enrolled_before_and_is_merged_once() -> None:
    plan = make_plan(5, 3_000, 4)
    enrolled = {event.member for event in plan.events if event.kind == "enrolled" and event.at_s == 0.0}
    merges = [event for event in plan.events if event.kind == "merged"]
    old = [event.member for event in merges]
    assert len(old) == len(set(old))
    assert {*old, *(event.into for event in merges)} <= enrolled
    # some are merged on, and nobody in a circle
    assert {event.into for event in merges} & set(old)
    assert len(people_of(plan)) == len(merges) + len(set(people_of(plan).values()))


def test_some_members_share_a_number_or_an_address_and_some_of_them_are_merged() -> None:
    plan = make_plan(5, 3_000, 4)
    for channel in CHANNELS:
        points = Counter(contact_of(member, channel) for member in range(plan.members))
        assert 2 <= max(points.values())
        assert 1 == min(points.values())
    merges = [(event.member, event.into) for event in plan.events if event.kind == "merged"]
    assert any(contact_of(old, "email") == contact_of(new, "email") for old, new in merges)


def test_there_are_voucher_codes_for_some_of_those_who_are_to_have_one() -> None:
    first, later = codes_of(make_plan(5, 3_000, 4))
    assert first
    assert later
    assert not set(first) & set(later)


def test_what_is_expected_counts_every_event_once() -> None:
    plan = make_plan(5, 2_000, 4)
    counts = expected(plan)["events"]
    assert isinstance(counts, dict)
    assert 2_000 == counts["distinct"] + counts["duplicate"] + counts["dead"]


@pytest.mark.parametrize("sabotage", KINDS)
def test_the_moment_in_which_a_missing_safeguard_matters_is_planned(sabotage: str) -> None:
    """With room enough for a worker to sleep until it is given up, before the next fault."""
    plan = make_plan(1, 10_000, 4, sabotage)
    faults = [fault.kind for fault in plan.faults]
    assert faults.count(TELLING.get(sabotage, faults[0])) == (2 if sabotage in TELLING else 1)
    gaps = [later.at_s - fault.at_s for fault, later in pairwise(plan.faults)]
    assert min(gaps, default=plan.play_s) > plan.pace.session_s + BEYOND_S
    assert not plan.kill_at_rest


def test_nothing_else_goes_wrong_while_the_hours_close_on_what_was_claimed() -> None:
    for seed in range(20):
        plan = make_plan(seed, 10_000, 6, "recheck")
        first, *others = plan.faults
        assert "pause_claimed" == first.kind
        assert plan.burst_s < first.at_s < plan.close_s
        assert all(fault.at_s > plan.close_s for fault in others)


def test_a_run_that_is_not_short_ends_with_a_kill_at_rest() -> None:
    assert make_plan(1, 10_000, 2).kill_at_rest
    assert not make_plan(1, 3_000, 2).kill_at_rest
