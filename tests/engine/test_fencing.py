"""Two engines on one store: whoever took the partitions last may write, the other is refused."""

from __future__ import annotations

import pytest

from orchestrator.errors import Refused
from orchestrator.stores.contract import Clock
from orchestrator.testing.builders import enrolled, purchase
from orchestrator.testing.world import World, us

NOON = "2026-03-02T17:00:00Z"


def test_an_engine_whose_partitions_were_taken_is_refused_and_writes_nothing(world: World) -> None:
    with world.runner() as first:
        first.engine.feed([world.delivery(first, enrolled("ana", NOON))], us(NOON))
        first.loop.run(first.dispatcher.drain(Clock.partition))
        with world.runner() as second:
            before = (world.store.progress(), list(world.store.log()), world.store.totals(), world.touches("ana"))
            late = purchase("ana", "2026-03-03T17:00:00Z")
            with pytest.raises(Refused):
                first.engine.feed([world.delivery(first, late)], us("2026-03-03T17:00:00Z"))
            with pytest.raises(Refused):
                first.engine.feed([], us("2026-03-03T17:00:00Z"))
            assert before == (
                world.store.progress(),
                list(world.store.log()),
                world.store.totals(),
                world.touches("ana"),
            )
            second.engine.feed([world.delivery(second, late)], us("2026-03-03T17:00:00Z"))
    assert [("thanks", "send", "")] == world.decisions("ana", "thank-you")
    member = world.member("ana")
    assert member is not None
    assert 1 == member.aggregates["purchase.completed"].count
    world.live()
