"""Two ids that are one person: the new one takes over what the old one was, whichever partitions they are in."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from orchestrator.contact_log.about import about
from orchestrator.events.envelope import Event
from orchestrator.events.inputs import Command, Receipt
from orchestrator.events.partition import partition_of
from orchestrator.orders import to_all, to_member
from orchestrator.pipeline import Arrival
from orchestrator.runtimes.embedded.aliases import Aliases
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import World, us
from orchestrator.times import instant, rfc3339

MONDAY = "2026-03-02T17:00:00Z"
TUESDAY = "2026-03-03T17:00:00Z"
NEXT_MONDAY = "2026-03-09T17:00:00Z"
HOUR = 3_600_000_000
DAY = 24 * HOUR
# both sides of a partition's edge
ELSEWHERE = next(name for name in map("dee{}".format, range(99)) if partition_of(name, 3) != partition_of("ana", 3))
BESIDE = next(name for name in map("eve{}".format, range(99)) if partition_of(name, 3) == partition_of("ana", 3))
both = pytest.mark.parametrize("new", [BESIDE, ELSEWHERE])


def merged(old: str, into: str, at: str) -> Event:
    return event("member.merged", old, at, {"into": into})


def facts(world: World, who: str) -> list[str]:
    return [row.state for row in world.log(who, "member")]


@both
def test_caps_count_what_reached_either(world: World, new: str) -> None:
    """One marketing message a day: the old one's of an hour ago stops the new one's."""
    world.live(enrolled(new, MONDAY), until="2026-03-08T00:00:00Z")
    world.live(enrolled("ana", NEXT_MONDAY), until="2026-03-09T17:30:00Z")
    assert 1 == len(world.calls("ana"))
    world.live(merged("ana", new, "2026-03-09T18:00:00Z"), until="2026-03-09T18:00:00Z")
    world.live(purchase(new, "2026-03-09T18:30:00Z"))
    assert ("thanks", "suppress", "frequency_cap") == world.decisions(new, "thank-you")[-1]


@both
def test_on_the_virtual_clock_nothing_later_comes_before_what_an_alias_sends_on(world: World, new: str) -> None:
    """All of it is read at once, and cut into batches by partition."""
    thanks = [purchase(new, f"2026-03-{day}T18:00:00Z") for day in (10, 11, 12)]
    world.live(
        *[enrolled(new, MONDAY), enrolled("ana", NEXT_MONDAY)],
        merged("ana", new, "2026-03-09T18:00:00Z"),
        purchase(new, "2026-03-09T18:30:00Z"),
        event("consent.withdrawn", "ana", "2026-03-10T17:00:00Z", {"channel": "email", "method": "link"}),
        *thanks,
    )
    assert [("thanks", "suppress", "frequency_cap")] == world.decisions(new, "thank-you")[:1]
    assert {"sms"} == {
        row.channel for row in world.log(new, "decision") if row.verdict == "send" and row.at > us("2026-03-10")
    }


def test_an_alias_is_known_however_many_were_heard_of_since(world: World) -> None:
    """Two are remembered; the others are looked up again."""
    world.live(enrolled("ana", MONDAY), enrolled(BESIDE, MONDAY), merged("ana", BESIDE, TUESDAY))
    aliases = Aliases(world.store, world.vault, remembered=2)
    arrivals = [Arrival(0, b"", event, world.vault.member(event.subject)) for event in map(buys, "abcd")]
    came = Arrival(0, b"", buys("ana"), world.vault.member("ana"))
    heard = [aliases.concerned(each) for each in (came, *arrivals, came)]
    assert [True, *[False] * 4, True] == heard
    assert 2 == aliases.count


def buys(who: str) -> Event:
    return purchase(who, TUESDAY)


@both
def test_what_the_new_one_reserved_and_is_not_called_yet_gives_its_place_back(world: World, new: str) -> None:
    """The old one was welcomed an hour before the merge: the new one's welcome, in line by then, waits for its gap."""
    world.live(enrolled("ana", MONDAY), until="2026-03-02T17:30:00Z")
    world.live(enrolled(new, "2026-03-02T18:00:00Z"), until="2026-03-02T18:00:00Z", dispatch=False)
    world.live(merged("ana", new, "2026-03-02T18:01:00Z"), until="2026-03-02T18:01:00Z", dispatch=False)
    assert ["reserved", "cancelled caps_joined"] == world.states(new)
    assert ("hello", "defer", "frequency_cap") == world.decisions(new, "welcome")[-1]
    world.live(until="2026-03-04T00:00:00Z")
    first, second = sorted(touch.attempted_at for touch in world.store.touches() if touch.attempts)
    assert second - first >= 20 * HOUR


@both
def test_what_exceeds_no_cap_keeps_its_place(world: World, new: str) -> None:
    world.live(enrolled("ana", MONDAY), until="2026-03-08T00:00:00Z")
    world.live(enrolled(new, NEXT_MONDAY), until=NEXT_MONDAY, dispatch=False)
    world.live(merged("ana", new, "2026-03-09T17:01:00Z"), until="2026-03-09T17:01:00Z", dispatch=False)
    assert ["reserved"] == world.states(new)
    world.live(until="2026-03-10T00:00:00Z")
    assert 1 == len(world.calls(new))


@both
def test_what_each_occurrence_starts_goes_on_though_the_new_one_was_in_it_before(world: World, new: str) -> None:
    """The thanks for a purchase by night wait for the morning, whoever was thanked before."""
    at_night = "2026-03-17T03:00:00Z"
    world.live(enrolled(new, MONDAY), purchase(new, NEXT_MONDAY), enrolled("ana", MONDAY), until="2026-03-15T17:00:00Z")
    world.live(purchase("ana", at_night), until=at_night)
    world.live(merged("ana", new, "2026-03-17T03:01:00Z"), until="2026-03-18T00:00:00Z")
    assert ("thanks", "send", "") == world.decisions(new, "thank-you")[-1]
    assert ("thanks", "suppress", "merged") == world.decisions("ana", "thank-you")[-1]


@both
def test_a_bounce_of_what_was_sent_to_the_old_id_is_the_new_ones(world: World, new: str) -> None:
    world.live(enrolled("ana", MONDAY), merged("ana", new, TUESDAY))
    (sent,) = [touch for touch in world.touches("ana") if touch.attempts]
    told = Receipt(touch_id=sent.touch_id, state="bounced", occurred_at=instant(us("2026-03-04T17:00:00Z")))
    world.tell("ana", "2026-03-04T17:00:00Z", told)
    world.live(until="2026-03-05T17:00:00Z")
    known = world.member(new)
    assert known is not None
    assert "hard_bounced" in {point.health for point in known.contact_points if point.fingerprint == sent.contact}


@both
def test_what_reached_a_third_at_the_old_ones_address_counts_for_the_new_one(world: World, new: str) -> None:
    """Bob has the old one's address, which is the new one's only one from the merge on."""
    world.live(at_home("ana", MONDAY), at_home("bob", "2026-03-04T17:00:00Z"), until="2026-03-20T17:00:00Z")
    world.live(merged("ana", new, "2026-03-23T17:00:00Z"), purchase("bob", "2026-03-24T17:00:00Z"))
    assert ("thanks", "send", "") == world.decisions("bob", "thank-you")[-1]
    world.live(purchase(new, "2026-03-24T18:00:00Z"))
    assert ("thanks", "suppress", "frequency_cap") == world.decisions(new, "thank-you")[-1]


@both
def test_silence_is_counted_from_the_last_purchase_of_either(world: World, new: str) -> None:
    world.live(enrolled("ana", MONDAY), enrolled(new, MONDAY), purchase("ana", TUESDAY), purchase(new, NEXT_MONDAY))
    world.live(merged(new, "ana", "2026-03-10T17:00:00Z"), until="2026-04-07T00:00:00Z")
    assert [] == world.decisions("ana", "we-miss-you")
    world.live(until="2026-04-10T00:00:00Z")
    assert 1 == len([row for row in world.log("ana", "decision") if row.journey == "we-miss-you"])


@both
def test_whoever_is_merged_into_somebody_forgotten_is_forgotten(world: World, new: str) -> None:
    world.live(enrolled("ana", MONDAY), enrolled(new, MONDAY))
    order = Command(verb="erase", actor="op", given_at=instant(us(TUESDAY)))
    world.store.suppress([], [to_member(world.store, world.vault, new, order)])
    world.live(merged("ana", new, NEXT_MONDAY), purchase("ana", "2026-03-10T17:00:00Z"))
    world.live(until="2026-03-20T17:00:00Z")
    assert (None, None) == (world.member("ana"), world.member(new))
    assert "erased" == facts(world, "ana")[-1]


@both
def test_what_everybody_is_given_reaches_one_person_once(world: World, new: str) -> None:
    """An order to everybody comes to the alias as well, and goes no further."""
    world.live(enrolled("ana", MONDAY), enrolled(new, MONDAY), merged("ana", new, TUESDAY))
    told = Command(verb="start", actor="op", arguments={"journey": "thank-you", "to": "everybody"})
    world.store.suppress([], to_all(world.store, told))
    world.live(until=NEXT_MONDAY)
    assert ["start"] == [row.reason for row in world.log(new, "operator")]
    assert [] == world.log("ana", "operator")


@both
def test_each_id_has_its_entry_and_the_old_one_is_an_alias(world: World, new: str) -> None:
    world.live(enrolled("ana", MONDAY), enrolled(new, MONDAY), until="2026-03-04T00:00:00Z")
    world.live(merged("ana", new, "2026-03-04T17:00:00Z"), until="2026-03-04T17:00:00Z")
    assert "merged" == facts(world, "ana")[-1]
    assert "absorbed" == facts(world, new)[-1]
    known, alias = world.member(new), world.member("ana")
    assert known is not None
    assert alias is not None
    assert (new, frozenset({"ana"})) == (alias.merged_into, known.absorbed)
    assert 2 == known.aggregates["member.enrolled"].count
    assert () == alias.contact_points


@both
def test_the_strictest_consent_stands(world: World, new: str) -> None:
    withdrawn = {"channel": "email", "purpose": "marketing", "method": "link"}
    world.live(enrolled("ana", MONDAY), event("consent.withdrawn", "ana", TUESDAY, withdrawn))
    world.live(enrolled(new, "2026-03-04T17:00:00Z"), until="2026-03-06T00:00:00Z")
    world.live(merged("ana", new, "2026-03-09T17:00:00Z"), until="2026-03-09T17:00:00Z")
    known = world.member(new)
    assert known is not None
    assert "withdrawn" == known.consents["email/marketing"].state
    assert "granted" == known.consents["sms/marketing"].state
    assert "consent_withdrawn" == known.suppressed["member/email/marketing"]
    assert ("email", "withdrawn") in [(row.channel, row.state) for row in world.log(new, "consent")]


@both
def test_what_was_filled_up_from_the_old_one_was_told_when_it_was_told_there(world: World, new: str) -> None:
    world.live(
        event("member.enrolled", new, MONDAY, {"given_name": "Ana"}),
        event("member.updated", "ana", TUESDAY, {"tier": "gold"}),
        merged("ana", new, "2026-03-09T18:00:00Z"),
        until="2026-03-09T19:00:00Z",
    )
    # late: said after the new one joined, and before the old one's tier was told
    world.live(event("tier.changed", new, "2026-03-02T18:00:00Z", {"tier": "silver"}))
    member = world.member(new)
    assert member is not None
    assert ("Ana", "gold") == (member.given_name, member.tier)


@both
def test_what_was_not_called_yet_is_decided_anew_and_said_once(world: World, new: str) -> None:
    world.live(enrolled("ana", MONDAY), until="2026-03-02T17:00:00Z", dispatch=False)
    assert ["reserved"] == [touch.state for touch in world.touches("ana")]
    world.live(merged("ana", new, "2026-03-02T17:01:00Z"), until="2026-03-02T17:01:00Z", dispatch=False)
    world.live(until="2026-03-02T18:00:00Z")
    assert ["cancelled"] == [touch.state for touch in world.touches("ana")]
    assert ("hello", "suppress", "merged") == world.decisions("ana", "welcome")[-1]
    assert [("hello", "send", "")] == world.decisions(new, "welcome")[:1]
    assert 1 == len(world.calls())


@both
def test_a_journey_that_the_new_one_was_in_ends_for_the_old_one(world: World, new: str) -> None:
    world.live(enrolled(new, MONDAY), until="2026-03-20T17:00:00Z")
    told = len(world.calls(new))
    world.live(enrolled("ana", "2026-03-20T18:00:00Z"), until="2026-03-20T18:00:00Z", dispatch=False)
    world.live(merged("ana", new, "2026-03-20T18:01:00Z"), until="2026-03-20T18:01:00Z", dispatch=False)
    world.live(until="2026-03-28T17:00:00Z")
    assert told == len(world.calls(new))
    assert [] == world.calls("ana")
    assert "merged" in [reason for _, _, reason in world.decisions(new, "welcome")]


@both
def test_what_comes_for_the_old_id_is_the_new_ones_once(world: World, new: str) -> None:
    world.live(enrolled("ana", MONDAY), enrolled(new, MONDAY), merged("ana", new, TUESDAY))
    late = purchase("ana", "2026-03-10T17:00:00Z")
    world.live(late)
    world.live(late, until="2026-03-10T17:00:00Z")
    known, alias = world.member(new), world.member("ana")
    assert known is not None
    assert alias is not None
    assert 1 == known.aggregates["purchase.completed"].count
    assert {} == alias.aggregates
    assert 1 == world.total("duplicate")
    assert 1 == len([row for row in world.log(new, "decision") if row.journey == "thank-you" and row.verdict == "send"])


def test_a_merge_of_a_merge_leads_to_the_last(world: World) -> None:
    world.live(enrolled("ana", MONDAY), merged("ana", ELSEWHERE, TUESDAY), merged(ELSEWHERE, BESIDE, NEXT_MONDAY))
    world.live(purchase("ana", "2026-03-10T17:00:00Z"), until="2026-03-11T17:00:00Z")
    known = world.member(BESIDE)
    assert known is not None
    assert frozenset({"ana", ELSEWHERE}) == known.absorbed
    assert 1 == known.aggregates["purchase.completed"].count


@pytest.mark.parametrize("into", ["ana", ELSEWHERE])
def test_a_merge_in_a_circle_is_refused(world: World, into: str) -> None:
    world.live(enrolled("ana", MONDAY), until=MONDAY)
    if into != "ana":
        world.live(enrolled(into, MONDAY), merged(into, "ana", "2026-03-02T17:10:00Z"), until="2026-03-02T17:20:00Z")
    world.live(merged("ana", into, TUESDAY))
    assert "merge_refused" == facts(world, "ana")[-1]
    assert world.member("ana").merged_into == ""  # type: ignore[union-attr]


@pytest.mark.parametrize("other", [BESIDE, ELSEWHERE])
def test_of_two_that_are_merged_into_each_other_at_one_moment_one_stays(world: World, other: str) -> None:
    world.live(enrolled("ana", MONDAY), enrolled(other, MONDAY), until=MONDAY)
    for old, into in ((other, "ana"), ("ana", other)):
        order = Command(verb="merge", actor="op", arguments={"into": into}, given_at=instant(us(TUESDAY)))
        world.store.suppress([], [to_member(world.store, world.vault, old, order)])
    world.live(purchase(other, "2026-03-10T17:00:00Z"), purchase("ana", "2026-03-10T17:00:00Z"))
    world.live(until="2026-03-11T17:00:00Z")
    known = {who: member for who in ("ana", other) if (member := world.member(who)) is not None}
    (stays,) = [who for who, member in known.items() if not member.merged_into]
    assert {stays} == {member.merged_into for member in known.values()} - {""}
    assert 2 == known[stays].aggregates["purchase.completed"].count
    assert 2 == known[stays].aggregates["member.enrolled"].count
    assert 1 == world.total("merged")


def test_of_three_that_are_merged_in_a_circle_at_one_moment_the_least_stays(world: World) -> None:
    three = ("ana", BESIDE, ELSEWHERE)
    world.live(*[enrolled(who, MONDAY) for who in three], until=MONDAY)
    for old, into in zip(three, (*three[1:], three[0]), strict=True):
        order = Command(verb="merge", actor="op", arguments={"into": into}, given_at=instant(us(TUESDAY)))
        world.store.suppress([], [to_member(world.store, world.vault, old, order)])
    world.live(*[purchase(who, "2026-03-10T17:00:00Z") for who in three])
    known = world.member("ana")
    assert known is not None
    assert ("", {BESIDE, ELSEWHERE}) == (known.merged_into, known.absorbed)
    assert 3 == known.aggregates["purchase.completed"].count
    assert 2 == world.total("merged")


@both
def test_forgetting_one_forgets_both(world: World, new: str) -> None:
    world.live(enrolled("ana", MONDAY), enrolled(new, MONDAY), merged("ana", new, TUESDAY))
    order = Command(verb="erase", actor="op", given_at=instant(us(NEXT_MONDAY)))
    world.store.suppress([], [to_member(world.store, world.vault, "ana", order)])
    world.live(until="2026-03-20T17:00:00Z")
    assert (None, None) == (world.member("ana"), world.member(new))
    assert ["erased", "erased"] == [facts(world, who)[-1] for who in ("ana", new)]


@both
def test_the_explanation_leads_on_and_tells_both(world: World, new: str) -> None:
    world.live(enrolled("ana", MONDAY), until="2026-03-08T00:00:00Z")
    world.live(enrolled(new, NEXT_MONDAY), merged("ana", new, "2026-03-16T17:00:00Z"), until="2026-03-16T17:00:00Z")
    old, now = (about(world.store, world.vault, who) for who in ("ana", new))
    assert (new, ("ana",)) == (old.merged_into, now.absorbed)
    stories = {paragraph.title for paragraph in now.paragraphs}
    assert {paragraph.title for paragraph in old.paragraphs} <= stories
    assert any("Another id turned out to be the same person" in title for title in stories)


PEOPLE = ("ana", BESIDE, ELSEWHERE, "bob")
names = st.sampled_from(PEOPLE)
# about the gap of twenty hours
hours = st.sampled_from([0, 1, 5, 19, 21, 26])
steps = st.lists(st.tuples(names, names, st.sampled_from(["buy", "buy", "merge"]), hours), min_size=4, max_size=14)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, cuts=st.lists(st.tuples(st.integers(2, 9), st.booleans()), min_size=1, max_size=8))
def test_no_order_of_merges_and_events_exceeds_a_cap(
    new_world: Callable[[], World], steps: list[tuple[str, str, str, int]], cuts: list[tuple[int, bool]]
) -> None:
    """Counted over the calls of all ids of one person, by what the log says of merges: no member's record is asked.

    `cuts`: how many events are told at once, and whether the outbox is seen to meanwhile; it is at the first one's
    welcome, so that others may wait for their calls when they turn out to be the same person. Two share an address.
    """
    world, clock = new_world(), us(MONDAY)
    events: list[Event] = [at_home("ana", MONDAY), enrolled(BESIDE, MONDAY), at_home(ELSEWHERE, MONDAY)]
    events.append(enrolled("bob", MONDAY))
    for who, other, what, hours in steps:
        clock += hours * HOUR
        at = rfc3339(instant(clock))
        events.append(purchase(who, at, id=f"p{len(events)}") if what == "buy" else merged(who, other, at))
    for size, dispatch in ((1, True), *cuts):
        world.live(*events[:size], dispatch=dispatch)
        del events[:size]
    world.live(*events)
    world.live(until=rfc3339(instant(clock + 10 * DAY)))
    world.check()
    for who in PEOPLE:
        for at in called(world, who):
            person = one_person(world, who, at)
            before = sorted(then for each in person for then in called(world, each) if then < at)
            assert not before or at - before[-1] >= 20 * HOUR, (who, rfc3339(instant(at)))
            assert sum(at - then < 7 * DAY for then in before) < 4


def called(world: World, who: str) -> list[int]:
    """The instants of the calls of marketing messages to an id."""
    return sorted(each.attempted_at for each in world.touches(who) if each.attempts and each.purpose == "marketing")


def one_person(world: World, who: str, at: int) -> set[str]:
    """The ids that had been absorbed into one by then, as the log says."""
    refs = {world.ref(each): each for each in PEOPLE}
    person, grown = {who}, True
    while grown:
        size = len(person)
        for each in PEOPLE:
            for row in world.log(each, "member"):
                if row.state == "absorbed" and row.at < at:
                    pair = {each, refs[json.loads(row.trail)["ref"]]}
                    person |= pair if pair & person else set()
        grown = len(person) > size
    return person


def at_home(who: str, at: str) -> Event:
    """Somebody who can be reached at an address that others have too, and nowhere else."""
    made = enrolled(who, at, channels=("email",), consents=("email",))
    points = (replace(made.data.contact_points[0], address="home@example.com"),)  # type: ignore[union-attr]
    return replace(made, data=replace(made.data, contact_points=points))
