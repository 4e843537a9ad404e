"""Orders are carried out by whoever owns the partition: once, in their place, at its own clock."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from orchestrator.events.inputs import Command
from orchestrator.members import erase, erased
from orchestrator.orders import activate, to_all, to_member
from orchestrator.runtimes.embedded.engine import SOURCE
from orchestrator.stores.contract import Store
from orchestrator.stores.partitions import FedElsewhere
from orchestrator.testing.builders import enrolled, purchase
from orchestrator.testing.store_rows import inbox
from orchestrator.testing.world import World, us
from orchestrator.times import instant

NOON = "2026-03-02T17:00:00Z"
LATER = us("2026-03-12T17:00:00Z")


def orders(store: Store, verb: str) -> list[tuple[int, int]]:
    """(partition, at) of the log's entries of this order."""
    return [(row.partition, row.at) for row in store.log() if (row.kind, row.reason) == ("operator", verb)]


def clocks(store: Store) -> dict[int, int]:
    return {row.partition: row.clock for row in store.progress()}


def test_a_revision_is_put_in_force_once_by_however_many_at_the_same_moment(world: World) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda actor: activate(world.store, "r2", str(actor)), range(8)))
    assert [True] == [done for done in made if done]
    assert list(range(world.store.partitions)) == [row.partition for row in inbox(world.store)]
    assert activate(world.store, "r3", "somebody")
    assert 2 * world.store.partitions == len(inbox(world.store))


def test_a_revision_stands_in_each_partition_before_whatever_is_decided_by_it(world: World) -> None:
    world.live(enrolled("ana", NOON), enrolled("ben", NOON), enrolled("cleo", NOON))
    first = {row.partition: row for row in reversed(list(world.store.log()))}
    assert {("operator", "activate")} == {(row.kind, row.reason) for row in first.values()}
    assert world.store.partitions == len(first)
    assert all(us(NOON) <= row.at for row in first.values())


def test_an_order_is_next_in_a_partition_that_is_behind_and_moves_no_clock(world: World) -> None:
    world.live(enrolled("ana", NOON))
    before = clocks(world.store)
    given = instant(LATER)
    order = Command(verb="restrict", actor="operator", given_at=given)
    world.store.suppress([], [to_member(world.store, world.vault, "ana", order)])
    world.live(purchase("ana", "2026-03-03T17:00:00Z"))
    (entry,) = world.log("ana", "operator")
    (home,) = {row.partition for row in world.log("ana")}
    assert (before[home], LATER) == (entry.at, entry.occurred_at)
    assert entry.n < max(row.n for row in world.log("ana"))


def test_an_order_about_no_member_is_carried_out_by_each_partition(world: World) -> None:
    world.live(enrolled("ana", NOON))
    world.store.suppress([], to_all(world.store, Command(verb="switch", actor="operator")))
    world.live(until="2026-03-03T00:00:00Z")
    assert list(range(world.store.partitions)) == [partition for partition, _ in orders(world.store, "switch")]


def test_carrying_out_an_order_fires_nothing_that_is_due_later(world: World) -> None:
    world.live(enrolled("ana", "2026-03-10T04:00:00Z"), until="2026-03-10T05:00:00Z")
    assert [("hello", "defer", "quiet_hours")] == world.decisions("ana")
    before = clocks(world.store)
    order = Command(verb="restrict", actor="operator")
    world.store.suppress([], [to_member(world.store, world.vault, "ana", order)])
    with world.runner(dispatch=False) as runner:
        runner.engine.carry_out()
    assert 1 == len(world.log("ana", "operator"))
    assert [("hello", "defer", "quiet_hours")] == world.decisions("ana")
    assert max(before.values()) == max(clocks(world.store).values())


def test_an_erasure_suppresses_at_once_and_destroys_the_key_in_its_turn(world: World) -> None:
    world.live(enrolled("ana", NOON), dispatch=False)
    (touch,) = world.touches("ana")
    erase(world.store, world.vault, "ana", "privacy desk", LATER)
    assert "cancelled" == world.store.touch(touch.touch_id).state  # type: ignore[union-attr]  # it is there
    assert not erased(world.store, world.vault, "ana")
    with world.runner(dispatch=False) as runner:
        runner.engine.carry_out()
    assert erased(world.store, world.vault, "ana")
    assert world.store.key(touch.ref) is None


# --- whose offsets they are


def test_a_store_that_workers_feed_from_a_topic_is_not_taken_by_the_embedded_engine(world: World) -> None:
    """Its arrivals are counted: they would move the offset at which the workers go on."""
    world.store.take(range(world.store.partitions), source="cluster/topic")
    before = world.store.progress()
    with pytest.raises(FedElsewhere, match="cluster/topic"):
        world.runner()
    assert before == world.store.progress()


def test_a_store_that_files_fed_is_not_taken_by_workers(world: World) -> None:
    """They would pass over as many events of the topic as were read from files."""
    world.live(enrolled("ana", NOON))
    with pytest.raises(FedElsewhere, match=SOURCE):
        world.store.take([0], source="cluster/topic")
