"""What comes in: dead letters, duplicates, old news, files."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from orchestrator.testing.builders import enrolled, event, line, purchase
from orchestrator.testing.world import World, when

NOON = "2026-03-02T17:00:00Z"  # a Monday in New York
ANA = enrolled("ana", NOON)


def letters(world: World) -> list[tuple[str, str]]:
    return [(row.reason, row.cure) for row in world.store.dead()]


# --- dead letters


@pytest.mark.parametrize(
    ("raw", "reason", "cure"),
    [
        (b"\xff\xfe\x00", "not_json", "send one JSON object"),
        (b'{"specversion":"1.0"}', "bad_envelope", "CloudEvents 1.0 envelope"),
        (line("purchase.completed", "ana", NOON, {"purchase_id": "1", "amount": 1, "currency": "USD"}).replace(
            b"purchase.completed", b"purchase.dreamt"), "unknown_type", "no schema for this type"),
        (line("purchase.completed", "ana", NOON, {"purchase_id": "1", "amount": 7, "currency": "USD"}).replace(
            b'"amount":7', b'"amount":"lots"'), "bad_data", "see schemas/events/purchase.completed.v1.json"),
    ],
    ids=["bytes", "envelope", "type", "data"],
)  # fmt: skip
def test_what_cannot_be_read_is_a_dead_letter_with_reason_and_cure(
    world: World, raw: bytes, reason: str, cure: str
) -> None:
    world.live(ANA, raw, purchase("ana", "2026-03-03T17:00:00Z"))
    ((found, told),) = letters(world)
    assert reason == found
    assert cure in told
    assert [raw] == [world.vault.open_dead(row.raw) for row in world.store.dead()]
    assert 1 == world.total("dead")
    # what came after it is not held up
    assert [("thanks", "send", "")] == world.decisions("ana", "thank-you")


def test_an_id_used_again_for_other_content_is_a_dead_letter_and_changes_nothing(world: World) -> None:
    first = purchase("ana", "2026-03-03T17:00:00Z", id="7")
    world.live(ANA, first, purchase("ana", "2026-03-03T17:00:00Z", 9_900, id="7"))
    assert ["id_reused"] == [reason for reason, _ in letters(world)]
    member = world.member("ana")
    assert member is not None
    assert (1, 2_500) == (member.aggregates["purchase.completed"].count, member.aggregates["purchase.completed"].sum)


def test_the_same_event_again_is_a_duplicate_and_changes_nothing(world: World) -> None:
    bought = purchase("ana", "2026-03-03T17:00:00Z", id="7")
    world.live(ANA, bought, bought)
    before = list(world.store.log())
    world.live(bought, ANA)
    assert before == list(world.store.log())
    assert 3 == world.total("duplicate")
    assert [] == letters(world)


def test_an_event_older_than_the_horizon_is_a_dead_letter_unless_it_is_history(world: World) -> None:
    old = purchase("ana", "2026-01-05T17:00:00Z", id="old")
    older = replace(purchase("ana", "2026-01-04T17:00:00Z", id="older"), history=True)
    world.live(ANA, old, older)
    ((reason, cure),) = letters(world)
    assert "too_old" == reason
    assert "ingest --history" in cure
    member = world.member("ana")
    assert member is not None
    assert 1 == member.aggregates["purchase.completed"].count


def test_the_horizon_itself_is_not_too_old(world: World) -> None:
    """35 days to the microsecond are remembered; one second more is not."""
    world.live(ANA, purchase("ana", "2026-01-26T17:00:00Z", id="edge"), purchase("ana", "2026-01-26T16:59:59Z", id="x"))
    assert ["too_old"] == [reason for reason, _ in letters(world)]


# --- old news


def test_a_trigger_older_than_its_freshness_is_a_silence_stale(world: World) -> None:
    """Three days late: the purchase counts, and nobody is thanked."""
    world.live(ANA, purchase("ana", "2026-03-08T17:00:00Z", 100), purchase("ana", "2026-03-05T16:59:59Z"))
    assert [("thanks", "suppress", "stale")] == world.decisions("ana", "thank-you")
    member = world.member("ana")
    assert member is not None
    assert 2_600 == member.aggregates["purchase.completed"].sum


def test_a_trigger_exactly_as_old_as_its_freshness_still_triggers(world: World) -> None:
    world.live(ANA, purchase("ana", "2026-03-08T17:00:00Z", 100), purchase("ana", "2026-03-06T17:00:00Z"))
    assert [("thanks", "send", "")] == world.decisions("ana", "thank-you")


def test_history_changes_what_is_known_and_never_triggers(world: World) -> None:
    events = [replace(given, history=True) for given in (ANA, purchase("ana", "2026-03-03T17:00:00Z"))]
    world.live(*events, until="2026-03-20T00:00:00Z")
    assert [] == world.log("ana", "decision")
    member = world.member("ana")
    assert member is not None
    assert "enrolled" == member.status
    assert 1 == member.aggregates["purchase.completed"].count


def test_events_out_of_order_leave_the_facts_as_if_they_had_come_in_order(world: World) -> None:
    """Consent, membership, tier and running figures follow the time it happened, not the time it arrived."""
    grant = {"channel": "sms", "wording": "w2", "method": "form", "evidence": "f"}
    events = [
        event("consent.withdrawn", "ana", "2026-03-04T17:00:00Z", {"channel": "email", "method": "link"}),
        event("consent.granted", "ana", "2026-03-03T17:00:00Z", {**grant, "channel": "email"}),
        event("consent.granted", "ana", "2026-03-06T17:00:00Z", grant),
        event("tier.changed", "ana", "2026-03-07T17:00:00Z", {"tier": "gold"}),
        event("tier.changed", "ana", "2026-03-05T17:00:00Z", {"tier": "silver"}),
        purchase("ana", "2026-03-08T17:00:00Z", 900),
        purchase("ana", "2026-03-06T17:00:00Z", 400),
        event("member.cancelled", "ana", "2026-03-09T17:00:00Z"),
    ]
    inorder = sorted(events, key=lambda given: given.time)
    world.live(ANA, *[replace(given, subject="ana") for given in events])
    told = [replace(given, subject="ben", id=f"{given.id}/ben") for given in inorder]
    world.live(enrolled("ben", "2026-03-09T17:00:01Z"))  # keeps the clocks apart from what follows
    late = world.member("ana")
    assert late is not None
    assert ("withdrawn", "granted") == (late.consents["email/marketing"].state, late.consents["sms/marketing"].state)
    assert ("gold", "cancelled") == (late.tier, late.status)
    figures = late.aggregates["purchase.completed"]
    assert (2, 1_300) == (figures.count, figures.sum)
    assert ("2026-03-06", "2026-03-08") == (figures.first.date().isoformat(), figures.last.date().isoformat())
    # the same in order, for comparison
    world.live(*[replace(given, history=True) for given in told])
    ben = world.member("ben")
    assert ben is not None
    assert ben.aggregates["purchase.completed"] == figures


def test_due_rows_are_taken_before_a_later_arrival_and_after_an_earlier_one(world: World) -> None:
    """The wait of three days ends on the fifth at noon; a cancellation a second before it ends the journey."""
    ben = enrolled("ben", NOON)
    world.live(
        ANA,
        ben,
        event("member.cancelled", "ben", "2026-03-05T16:59:59Z"),
        event("member.cancelled", "ana", "2026-03-05T17:00:01Z"),
    )
    assert [("hello", "send", ""), ("first-steps", "send", "")] == world.decisions("ana", "welcome")
    assert [("hello", "send", "")] == world.decisions("ben", "welcome")
    assert ["2026-03-05T17:00:00Z"] == [when(row) for row in world.log("ana", "decision") if row.step == "first-steps"]
