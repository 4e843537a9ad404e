"""Content that is put in force while an engine runs: every partition decides by it from its order on, none before."""

from __future__ import annotations

import json
from itertools import groupby

import pytest

from orchestrator.errors import UsageError
from orchestrator.orders import activate, activations
from orchestrator.pipeline import Pipeline
from orchestrator.replay import replay
from orchestrator.revisions import files_of, in_force, keep, named
from orchestrator.runtimes.embedded.runner import Runner
from orchestrator.stores.contract import LogRow
from orchestrator.testing.builders import enrolled, purchase
from orchestrator.testing.journeys import content_of
from orchestrator.testing.world import World, us
from orchestrator.times import instant

NOON = "2026-03-02T17:00:00Z"
BEFORE = content_of("trigger: {event: purchase.completed}\nsteps:\n  - {send: before, channels: [sms]}\n")
AFTER = content_of("trigger: {event: purchase.completed}\nsteps:\n  - {send: after, channels: [sms]}\n")
MEMBERS = ("ana", "ben", "cleo", "dan", "eva", "finn")


@pytest.fixture
def peopled(world: World) -> World:
    """Members in each partition, under BEFORE."""
    world.content, world.revisions = BEFORE, {AFTER.revision: AFTER}
    world.live(*[enrolled(member, NOON) for member in MEMBERS])
    assert world.store.partitions == len({row.partition for row in world.store.log() if row.ref})
    return world


def buys(world: World, runner: Runner, at: str) -> None:
    """Everybody buys something; the engine goes on as it stood."""
    runner.engine.feed([world.delivery(runner, purchase(member, at)) for member in MEMBERS], us(at))


def decided(world: World) -> list[str]:
    """The steps that were decided on, of all members, each moment once."""
    steps = [row.step for row in sorted(world.log(kind="decision"), key=lambda row: row.at)]
    return [step for step, _ in groupby(steps)]


def by_partition(world: World) -> dict[int, list[LogRow]]:
    return {n: list(rows) for n, rows in groupby(world.store.log(), key=lambda row: row.partition)}


def test_every_partition_decides_by_it_from_its_order_on_and_none_before(peopled: World) -> None:
    with peopled.runner(dispatch=False) as runner:
        buys(peopled, runner, "2026-03-03T17:00:00Z")
        assert activate(peopled.store, AFTER.revision, "ana", instant(us("2026-03-03T18:00:00Z")))
        buys(peopled, runner, "2026-03-04T17:00:00Z")
    assert ["before", "after"] == decided(peopled)
    for rows in by_partition(peopled).values():
        (order,) = [i for i, row in enumerate(rows) if row.reason == "activate" and row.revision == AFTER.revision]
        assert {BEFORE.revision} == {row.revision for row in rows[:order]}
        assert {AFTER.revision} == {row.revision for row in rows[order:]}
        told = json.loads(rows[order].trail)
        assert ("ana", AFTER.revision) == (told["actor"], told["revision"])
        assert told["ordered_at"].startswith("2026-03-03T18:00:00")


def test_past_decisions_can_be_run_again_each_by_its_own(peopled: World) -> None:
    with peopled.runner(dispatch=False) as runner:
        buys(peopled, runner, "2026-03-03T17:00:00Z")
        activate(peopled.store, AFTER.revision, "ana")
        buys(peopled, runner, "2026-03-04T17:00:00Z")
    found = replay(peopled.store, peopled.vault, AFTER, former={BEFORE.revision: BEFORE})
    assert (True, found.turns) == (found.ok, found.same)


def test_the_last_of_several_orders_holds(peopled: World) -> None:
    with peopled.runner(dispatch=False) as runner:
        buys(peopled, runner, "2026-03-03T17:00:00Z")
        for revision in (AFTER.revision, BEFORE.revision):
            activate(peopled.store, revision, "ana")
        buys(peopled, runner, "2026-03-04T17:00:00Z")
        activate(peopled.store, AFTER.revision, "ana")
        buys(peopled, runner, "2026-03-05T17:00:00Z")
    steps = [row.step for row in peopled.log("ana", "decision")]
    assert ["before", "before", "after"] == steps
    assert [BEFORE.revision, AFTER.revision, BEFORE.revision, AFTER.revision] == [
        each.revision for each in activations(peopled.store)
    ]


def test_who_takes_a_partition_decides_by_what_was_ordered_while_another_had_it(peopled: World) -> None:
    """The order was carried out by the former owner: the next one finds no trace of it in the inbox."""
    with peopled.runner(dispatch=False) as runner:
        buys(peopled, runner, "2026-03-03T17:00:00Z")
        next_one = Pipeline(peopled.store, peopled.vault, BEFORE, revisions=peopled.revisions.get)
        activate(peopled.store, AFTER.revision, "ana")
        buys(peopled, runner, "2026-03-04T17:00:00Z")
    next_one.follow()
    assert AFTER.revision == next_one.content.revision


def test_what_is_not_kept_leaves_the_former_in_force_and_the_log_names_what_decided(peopled: World) -> None:
    with peopled.runner(dispatch=False) as runner:
        activate(peopled.store, "0123456789abcdef", "ana")
        buys(peopled, runner, "2026-03-04T17:00:00Z")
        buys(peopled, runner, "2026-03-05T17:00:00Z")
    assert ["before"] == decided(peopled)
    assert {BEFORE.revision} == {row.revision for row in peopled.store.log()}
    assert "0123456789abcdef" == in_force(peopled.store)


def test_journeys_that_are_not_approved_are_asked_of_the_new_content(peopled: World) -> None:
    asked: list[str] = []

    def unapproved(content: object) -> frozenset[str]:
        asked.append("after" if content is AFTER else "before")
        return frozenset({"test"}) if content is AFTER else frozenset()

    peopled.unapproved = unapproved
    with peopled.runner(dispatch=False) as runner:
        buys(peopled, runner, "2026-03-03T17:00:00Z")
        activate(peopled.store, AFTER.revision, "ana")
        buys(peopled, runner, "2026-03-04T17:00:00Z")
    verdicts = [each[:2] for each in peopled.decisions("ana")]
    assert [("before", "send"), ("after", "suppress")] == verdicts
    assert "not_approved" == peopled.decisions("ana")[-1][2]
    assert ["before", "after"] == [name for name, _ in groupby(asked)]


def test_files_come_back_as_they_were_also_those_that_are_no_text(world: World) -> None:
    files = {"templates/a/journey.yaml": "journey: ñ\r\n".encode(), "templates/a/picture.png": b"\x89PNG\xff\x00"}
    keep(world.store, "abcd0123", files)
    keep(world.store, "abce0123", {})
    assert files == files_of(world.store, "abcd0123")
    assert "abcd0123" == named(world.store, "abcd")
    for prefix in ("abc", "ab", "", "ffff", "active"):
        with pytest.raises(UsageError, match="content list"):
            named(world.store, prefix)
