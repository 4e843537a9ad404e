"""Which partitions are ours, and what happens when they are not: no broker is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import OperationalError

from orchestrator.errors import Refused, SetupError
from orchestrator.events.envelope import write_event
from orchestrator.events.inputs import Tick, write_input
from orchestrator.events.partition import partition_of
from orchestrator.orders import activate
from orchestrator.pipeline import Arrival, Pipeline
from orchestrator.runtimes.kafka.holding import Holding
from orchestrator.runtimes.kafka.watchdog import Watchdog
from orchestrator.stores.contract import NewInbox, Progress
from orchestrator.stores.memory.store import MemoryStore
from orchestrator.testing.builders import purchase
from orchestrator.times import micros

PARTITIONS = 4
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
MEMBER = "member-1"
HOME = partition_of(MEMBER, PARTITIONS)
AWAY = OperationalError("COMMIT", None, ConnectionError("gone"))

Pipelines = Callable[[MemoryStore], Pipeline]


def held(pipeline: Pipeline, source: str = "cluster/topic") -> Holding:
    """A worker that took every partition of an empty log."""
    holding = Holding(pipeline.store, pipeline, source, Watchdog(60))
    new = holding.take(range(PARTITIONS))
    holding.begin(new, dict.fromkeys(new, 0), dict.fromkeys(new, 0))
    return holding


def bought(holding: Holding, offset: int, at: datetime = NOW) -> Arrival:
    raw = write_event(purchase(MEMBER, at, id=f"p{offset}"))
    return holding.pipeline.arrival(raw, micros(at))._replace(offset=offset)


def tick(store: MemoryStore, partition: int, due: datetime) -> None:
    """An inbox row about no member."""
    store.suppress([], [NewInbox(partition, micros(due), b"", write_input(Tick(due)))])


def applied(store: MemoryStore) -> int:
    return sum(n for (_, name), n in store.totals().items() if name == "applied")


def test_a_redelivery_is_skipped(pipeline_over: Pipelines) -> None:
    holding = held(pipeline_over(store := MemoryStore(PARTITIONS)))
    holding.turn({HOME: [bought(holding, 0), bought(holding, 1)]}, [], micros(NOW))
    holding.turn({HOME: [bought(holding, 1), bought(holding, 2)]}, [], micros(NOW))
    assert (3, 3) == (applied(store), holding.next_offset(HOME))


def test_only_new_partitions_are_taken(pipeline_over: Pipelines) -> None:
    """A rebalance names those that we keep as well: taking them again would refuse our own batch."""
    holding = Holding(store := MemoryStore(PARTITIONS), pipeline_over(store), "cluster/topic", Watchdog(60))
    assert [0, 1] == holding.take([0, 1])
    assert [2] == holding.take([0, 1, 2])
    assert {0: 1, 1: 1, 2: 1} == {row.partition: row.epoch for row in store.progress()}


def test_a_partition_that_was_lost_is_taken_again_when_it_comes_back(pipeline_over: Pipelines) -> None:
    holding = held(pipeline_over(store := MemoryStore(PARTITIONS)))
    holding.keep([0, 1])
    assert {0, 1} == holding.held.keys()
    assert [2] == holding.take([1, 2])
    assert 2 == {row.partition: row.epoch for row in store.progress()}[2]


def test_what_is_lost_or_taken_is_forgotten(pipeline_over: Pipelines) -> None:
    """Another owner may have changed the members that we remember."""
    holding = held(pipeline_over(MemoryStore(PARTITIONS)))
    holding.turn({HOME: [bought(holding, 0)]}, [], micros(NOW))
    assert holding.pipeline.cache
    holding.keep([])
    assert not holding.pipeline.cache


def test_arrivals_of_a_partition_that_is_not_ours_are_dropped(pipeline_over: Pipelines) -> None:
    holding = held(pipeline_over(store := MemoryStore(PARTITIONS)))
    holding.keep([])
    assert 0 == holding.turn({HOME: [bought(holding, 0)]}, [HOME], micros(NOW)).consumed
    assert 0 == applied(store)


def test_a_worker_whose_partition_was_taken_is_refused(pipeline_over: Pipelines) -> None:
    """A frozen worker wakes and believes that it still has it: only a fresh start can tell."""
    store = MemoryStore(PARTITIONS)
    frozen = held(pipeline_over(store))
    other = held(pipeline_over(store))
    other.turn({HOME: [bought(other, 0)]}, [], micros(NOW))
    with pytest.raises(Refused):
        frozen.turn({HOME: [bought(frozen, 0)]}, [], micros(NOW))
    assert 1 == applied(store)


def test_a_worker_that_is_losing_its_partitions_drops_what_is_refused(pipeline_over: Pipelines) -> None:
    store = MemoryStore(PARTITIONS)
    slow = held(pipeline_over(store))
    held(pipeline_over(store))
    slow.losing = lambda: True
    assert 0 == slow.turn({HOME: [bought(slow, 0)]}, [], micros(NOW)).consumed
    assert 0 == applied(store)


def test_each_transaction_of_a_batch_shows_life(pipeline_over: Pipelines) -> None:
    """An order about a million members stands before the events: the watchdog must not take that for a hang."""
    holding = held(pipeline_over(MemoryStore(PARTITIONS)))
    other = (HOME + 1) % PARTITIONS
    beats: list[int] = []
    holding.turn({HOME: [bought(holding, 0)]}, [other], micros(NOW), lambda: beats.append(1))
    assert 2 == len(beats)


def test_a_rebalance_waits_for_one_transaction_and_what_is_left_comes_again(pipeline_over: Pipelines) -> None:
    holding = held(pipeline_over(store := MemoryStore(PARTITIONS)))
    activate(store, "r1", "worker")
    arrivals = {HOME: [bought(holding, 0)]}
    other = (HOME + 1) % PARTITIONS

    def rebalance() -> None:
        holding.awaited = True

    # the one that does not stand at its end goes first
    assert 1 == holding.turn(arrivals, [other], micros(NOW), rebalance).consumed
    assert other in store.backlog(micros(NOW))
    holding.awaited = False
    assert 0 == holding.turn({}, [other], micros(NOW)).consumed
    assert other not in store.backlog(micros(NOW))


def test_a_partition_that_was_never_fed_begins_where_the_log_does(pipeline_over: Pipelines) -> None:
    holding = Holding(store := MemoryStore(PARTITIONS), pipeline_over(store), "cluster/topic", Watchdog(60))
    holding.take([HOME])
    holding.begin([HOME], {HOME: 700}, {HOME: 900})
    assert 700 == holding.next_offset(HOME)
    holding.turn({HOME: [bought(holding, 700)]}, [], micros(NOW))
    assert 701 == holding.next_offset(HOME)


@pytest.mark.parametrize(
    ("first", "end", "says"),
    [(2, 9, "the log begins at offset 2"), (0, 0, "the log ends at offset 0")],
    ids=["retention deleted what is needed", "the topic was made anew"],
)
def test_a_log_that_lacks_what_is_needed_next_stops_the_worker(
    pipeline_over: Pipelines, first: int, end: int, says: str
) -> None:
    holding = held(pipeline_over(MemoryStore(PARTITIONS)))
    holding.turn({HOME: [bought(holding, 0)]}, [], micros(NOW))
    with pytest.raises(SetupError, match=says):
        holding.begin([HOME], {HOME: first}, {HOME: end})


def test_a_log_that_still_has_the_next_event_is_fine_to_its_edge(pipeline_over: Pipelines) -> None:
    holding = held(pipeline_over(MemoryStore(PARTITIONS)))
    holding.turn({HOME: [bought(holding, 0)]}, [], micros(NOW))
    holding.begin([HOME], {HOME: 1}, {HOME: 1})
    assert 1 == holding.next_offset(HOME)


def test_another_log_is_refused(pipeline_over: Pipelines) -> None:
    store = MemoryStore(PARTITIONS)
    held(pipeline_over(store))
    with pytest.raises(SetupError, match="was fed from cluster/topic"):
        held(pipeline_over(store), source="cluster/another-topic")


def test_timers_fire_only_where_a_partition_stands_at_its_end(pipeline_over: Pipelines) -> None:
    holding = held(pipeline_over(store := MemoryStore(PARTITIONS)))
    activate(store, "r1", "worker")
    assert PARTITIONS == sum(row.due for row in store.backlog(micros(NOW)).values())
    holding.turn({}, [0, 2], micros(NOW))
    assert {1, 3} == store.backlog(micros(NOW)).keys()


def test_timers_due_before_an_event_come_first_even_far_from_the_end(pipeline_over: Pipelines) -> None:
    holding = held(pipeline_over(store := MemoryStore(PARTITIONS)))
    tick(store, HOME, NOW - timedelta(minutes=1))
    holding.turn({HOME: [bought(holding, 0)]}, [], micros(NOW + timedelta(days=1)))
    rows = list(store.log(partition=HOME))
    assert ["tick"] == [row.kind for row in rows if row.turn == 1]
    assert micros(NOW) == {row.partition: row.clock for row in store.progress()}[HOME]


def test_timers_due_before_an_event_come_first_even_where_a_later_one_has_an_earlier_instant(
    pipeline_over: Pipelines,
) -> None:
    """Append times step back under another broker; found by the parity runs: a batch's last event spoke for all."""
    holding = held(pipeline_over(store := MemoryStore(PARTITIONS)))
    tick(store, HOME, NOW - timedelta(minutes=1))
    back = bought(holding, 1, NOW - timedelta(minutes=2))
    holding.turn({HOME: [bought(holding, 0), back]}, [], micros(NOW))
    assert ["tick"] == [row.kind for row in store.log(partition=HOME) if row.turn == 1]


def test_a_partition_at_its_end_is_not_moved_by_the_events_of_another(pipeline_over: Pipelines) -> None:
    """The broker's clock may be ahead of ours: what is due here waits for our own. Found by the parity runs."""
    holding = held(pipeline_over(store := MemoryStore(PARTITIONS)))
    for partition in range(PARTITIONS):
        tick(store, partition, NOW + timedelta(minutes=1))
    ahead = bought(holding, 0, NOW + timedelta(minutes=2))
    holding.turn({HOME: [ahead]}, range(PARTITIONS), micros(NOW))
    assert {HOME} == {row.partition for row in store.progress() if row.turn}


class LosesAnswers(MemoryStore):
    """A store whose next commits are lost on the way: before they happen, or after."""

    before = after = 0

    def batch(self, held: Sequence[Progress]):  # type: ignore[no-untyped-def]  # the base class says it
        if self.before:
            self.before -= 1
            raise AWAY
        return _Unheard(super().batch(held), self)


class _Unheard:
    def __init__(self, batch, store: LosesAnswers) -> None:  # type: ignore[no-untyped-def]
        self.batch, self.store = batch, store

    def __enter__(self):  # type: ignore[no-untyped-def]
        return self.batch.__enter__()

    def __exit__(self, *raised):  # type: ignore[no-untyped-def]
        self.batch.__exit__(*raised)
        if self.store.after and raised[0] is None:
            self.store.after -= 1
            raise AWAY


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_event_counts_once_whether_or_not_the_lost_commit_happened(
    pipeline_over: Pipelines, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.runtimes.kafka.patience.FIRST_PAUSE_S", 0.0)
    store = LosesAnswers(PARTITIONS)
    holding = held(pipeline_over(store))
    setattr(store, when, 2)
    holding.turn({HOME: [bought(holding, 0), bought(holding, 1)]}, [], micros(NOW))
    assert (2, 2) == (applied(store), holding.next_offset(HOME))
    holding.turn({HOME: [bought(holding, 2)]}, [], micros(NOW))
    assert 3 == applied(store)


def test_work_is_done_one_after_another(pipeline_over: Pipelines) -> None:
    """A partition is taken after the batch before it ended."""
    holding = held(pipeline_over(MemoryStore(PARTITIONS)))
    order: list[int] = []

    async def many() -> None:
        await asyncio.gather(*(holding.do(order.append, i) for i in range(50)))

    asyncio.run(many())
    assert list(range(50)) == order


def test_nobody_is_quarantined_for_a_database_that_is_away(
    pipeline_over: Pipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a turn reads may fail as well as a commit: the input is not at fault, however often."""
    monkeypatch.setattr("orchestrator.runtimes.kafka.patience.FIRST_PAUSE_S", 0.0)
    store = MemoryStore(PARTITIONS)
    holding = held(pipeline_over(store))
    failures = 5

    def given(batch: object, member: bytes, wants: object, shared: object) -> tuple[object, None]:
        nonlocal failures
        if failures:
            failures -= 1
            raise AWAY
        return shared, None

    monkeypatch.setattr("orchestrator.pipeline.facts.Facts.given", given)
    holding.turn({HOME: [bought(holding, 0)]}, [], micros(NOW))
    assert (1, 0, 0) == (applied(store), holding.turner.quarantined, failures)
