"""A misplaced event that is sent on to its own partition leaves no trace on its member where it lay."""

from __future__ import annotations

from orchestrator.events.envelope import write_event
from orchestrator.events.partition import partition_of
from orchestrator.testing.builders import enrolled, purchase
from orchestrator.testing.world import World

NOON = "2026-03-02T17:00:00Z"
LATER = "2026-03-03T17:00:00Z"


def test_a_member_is_still_known_in_a_batch_that_also_sends_on_a_misplaced_event_of_theirs(world: World) -> None:
    """Found by the chaos run of seed 1: the member was looked for in the wrong partition, and was born anew."""
    world.live(enrolled("ana", NOON))
    ref = world.ref("ana")
    home = partition_of("ana", world.store.partitions)
    away = (home + 1) % world.store.partitions
    with world.runner() as runner:
        pipeline, held = runner.engine.pipeline, runner.engine.held
        at_home = pipeline.arrival(write_event(purchase("ana", LATER)))
        sent_on = at_home._replace(forwarded=True)
        ran = pipeline.run(held, {home: [at_home], away: [sent_on]}, None)
        held.update(ran.progress)
    assert ref == world.ref("ana")
    member = world.member("ana")
    assert member is not None
    assert "enrolled" == member.status
    assert 1 == world.total("forwarded")
