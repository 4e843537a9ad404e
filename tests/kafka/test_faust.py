"""Behaviours of faust-streaming 0.15.3 that this worker is built around: each shown in Faust, then answered by us.

A new release of Faust is taken up only when these and the chaos run pass: a test of Faust's own behaviour that fails
says that an answer of ours may be given up.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from importlib.metadata import version
from typing import Any

import faust
import pytest
from aiokafka import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, Message
from mode import Service

from orchestrator.pipeline import Pipeline
from orchestrator.runtimes.kafka import app as ours
from orchestrator.runtimes.kafka import decider as decider_module
from orchestrator.runtimes.kafka.decider import Decider
from orchestrator.runtimes.kafka.gaps import GapReader
from orchestrator.runtimes.kafka.holding import Holding
from orchestrator.runtimes.kafka.watchdog import Watchdog
from orchestrator.settings import KafkaSettings
from orchestrator.stores.memory.store import MemoryStore

KAFKA = KafkaSettings(bootstrap="127.0.0.1:1", session_timeout_s=6.0)
TOPIC = TP(KAFKA.events, 0)

Pipelines = Callable[[MemoryStore], Pipeline]


class Died(BaseException):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def _loops(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Faust makes a loop for each thread it may start, and closes those it started."""
    made, make = [], asyncio.new_event_loop

    def new_event_loop() -> asyncio.AbstractEventLoop:
        made.append(make())
        return made[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", new_event_loop)
    yield
    for loop in made:
        loop.close()


@pytest.fixture
def holding(pipeline_over: Pipelines) -> Holding:
    store = MemoryStore(4)
    return Holding(store, pipeline_over(store), "cluster/topic", Watchdog(60))


def run(work: Callable[[], Coroutine[None, None, Any]]) -> Any:
    return asyncio.run(work())


def message(offset: int, value: bytes = b"{}") -> Message:
    return driver.ConsumerMessage(KAFKA.events, 0, offset, 0.0, 1, [], b"k", value, None, 1, 2, TOPIC)


def record(offset: int) -> ConsumerRecord:
    return ConsumerRecord(KAFKA.events, 0, offset, 0, 1, b"k", b"{}", None, 1, 2, ())


def stock() -> faust.App:
    return faust.App("stock", broker="kafka://127.0.0.1:1", key_serializer="raw", value_serializer="raw")


def test_faust_is_the_release_that_was_examined() -> None:
    assert version("faust-streaming") == "0.15.3"


# --- acknowledgement


async def takes(app: faust.App, n: int = 3) -> list[bool]:
    """Feeds a stream `n` events, lets it be left by an error while it holds them; which of them are acknowledged."""
    topic = app.topic(KAFKA.events, key_type=bytes, value_type=bytes)
    app.topics._acking_topics.add(KAFKA.events)
    app.flow_control.resume()
    stream = topic.stream()
    messages = [message(offset) for offset in range(n)]
    for each in messages:
        each.generation_id = app.consumer_generation_id
        each.incref()
        stream.channel.queue.put_nowait(await stream.channel.decode(each))
    batches: AsyncIterator[object] = stream.take(n, within=0.05)

    async def handler() -> None:
        async for _ in batches:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await handler()
    await batches.aclose()  # type: ignore[attr-defined]  # it is a generator
    acked = [each.acked for each in messages]
    await stream.stop()
    return acked


def test_faust_acknowledges_a_batch_whose_handler_failed() -> None:
    async def work() -> list[bool]:
        return await takes(stock())

    assert [True, True, True] == run(work)


def test_a_batch_that_fails_ends_the_process_before_kafka_is_told_anything(
    holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    def died(error: BaseException, _what: str) -> None:
        raise Died from error

    async def fails(_: object) -> None:
        raise ZeroDivisionError

    async def work() -> None:
        app = ours.build(KAFKA, 4, holding)
        consumer, thread = consumer_of(app, 0)
        await consumer.perform_seek()
        await consumer.commit()
        decider = Decider(app, holding, GapReader(KAFKA.events, {}), Watchdog(60))
        monkeypatch.setattr(decider, "apply", fails)
        await app.fetched.put({0: [record(0)]})
        with pytest.raises(Died):
            await decider.run()
        assert not await consumer.commit()
        assert [{TOPIC: 0}] == thread.told

    monkeypatch.setattr(decider_module, "die", died)
    run(work)


# --- offsets


def test_faust_commits_past_an_unfinished_event() -> None:
    """Committed is 2585; 2585 is still being worked on; 2586 to 2589 are done: it commits 2590."""

    async def work() -> int | None:
        consumer = stock().consumer
        consumer._committed_offset[TOPIC] = 2585
        consumer._acked[TOPIC] = [2586, 2587, 2588, 2589]
        return consumer._new_offset(TOPIC)  # type: ignore[no-any-return]

    assert 2590 == run(work)


class Assigned(ours.ConsumerThread):
    """A consumer thread that was assigned some partitions, and remembers where it was told to read on."""

    partitions = (0,)
    first = 0

    def __post_init__(self) -> None:
        self.sought: dict[TP, int] = {}
        # what Kafka's own tools were told, and what the next fetches bring
        self.told: list[dict[TP, int]] = []
        self.fetched: list[list[ConsumerRecord]] = []
        # what happens while a fetch is under way
        self.meanwhile: Callable[[], None] = lambda: None

    def assignment(self) -> set[TP]:
        return {TP(KAFKA.events, partition) for partition in self.partitions}

    async def earliest_offsets(self, *partitions: TP) -> dict[TP, int]:
        return dict.fromkeys(partitions, self.first)

    def _ensure_consumer(self) -> Any:
        return self

    def end_offsets(self, partitions: list[TP]) -> dict[TP, int]:
        return dict.fromkeys(partitions, 10_000)

    async def call_thread(self, fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return fun(*args, **kwargs)

    def seek(self, partition: TP, offset: int) -> None:
        self.sought[partition] = offset

    async def commit(self, offsets: Any) -> bool:
        self.told.append(dict(offsets))
        return True

    async def getmany(self, active_partitions: Any, timeout: float) -> Any:  # noqa: ARG002, ASYNC109 - Faust's
        self.meanwhile()
        return {TOPIC: self.fetched.pop(0)} if self.fetched else {}


def consumer_of(app: ours.Worker, *partitions: int, first: int = 0) -> tuple[ours.Consumer, Assigned]:
    consumer = app.consumer
    assert isinstance(consumer, ours.Consumer)
    thread = Assigned(consumer)
    thread.partitions, thread.first = partitions, first  # type: ignore[assignment]  # any number
    consumer._thread = thread
    consumer._joined = True
    consumer._set_active_tps(thread.assignment())
    return consumer, thread


def test_we_read_on_from_the_stores_offset_whatever_kafka_was_told(holding: Holding) -> None:
    async def work() -> None:
        app = ours.build(KAFKA, 4, holding)
        consumer, thread = consumer_of(app, 0, 2, first=2585)
        await consumer.perform_seek()
        assert {TP(KAFKA.events, 0): 2585, TP(KAFKA.events, 2): 2585} == thread.sought
        assert consumer._read_offset[TOPIC] == 2585

    run(work)
    assert {0: 1, 2: 1} == {row.partition: row.epoch for row in holding.store.progress()}


def test_a_rebalance_takes_only_what_is_new_although_faust_seeks_all(holding: Holding) -> None:
    async def work() -> None:
        app = ours.build(KAFKA, 4, holding)
        consumer, thread = consumer_of(app, 0)
        await consumer.perform_seek()
        thread.partitions = (0, 1)  # type: ignore[assignment]  # any number
        await consumer.perform_seek()

    run(work)
    assert {0: 1, 1: 1} == {row.partition: row.epoch for row in holding.store.progress()}


def test_nothing_is_taken_between_revocation_and_assignment(holding: Holding) -> None:
    """Faust seeks also when a fetch meets the stopped flow, while the assignment is still the old one."""

    async def work() -> None:
        app = ours.build(KAFKA, 4, holding)
        consumer, thread = consumer_of(app, 0, 1)
        consumer._joined = False
        await consumer.perform_seek()
        assert {} == thread.sought

    run(work)
    assert [] == holding.store.progress()


def test_a_generation_that_passed_without_us_makes_every_partition_new(holding: Holding) -> None:
    async def work() -> None:
        app = ours.build(KAFKA, 4, holding)
        consumer, _ = consumer_of(app, 0)
        await consumer.perform_seek()
        consumer._generation = 5
        consumer._on_partitions_assigned = _nothing
        await consumer.on_partitions_assigned({TOPIC}, 6)
        assert {0} == holding.held.keys()
        await consumer.on_partitions_assigned({TOPIC}, 8)
        assert set() == holding.held.keys()

    run(work)


async def _nothing(*_: object) -> None:
    return None


def test_a_partition_that_cant_be_taken_ends_the_process(holding: Holding, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust logs what a seek raises, and goes on from the offset committed to Kafka."""
    said: list[BaseException] = []

    def died(error: BaseException, _what: str) -> None:
        said.append(error)
        raise Died

    async def work() -> None:
        consumer, _ = consumer_of(ours.build(KAFKA, 4, holding), 0)
        await consumer.perform_seek()

    holding.store.take([0], source="another/log")
    monkeypatch.setattr(ours, "die", died)
    with pytest.raises(Died):
        run(work)
    assert "was fed from another/log" in str(said[0])


def test_a_commit_to_kafka_that_fails_is_no_failure(holding: Holding) -> None:
    class Unwilling(Assigned):
        def commit(self, _offsets: object) -> None:
            raise ConnectionError

    async def work() -> bool:
        consumer, _ = consumer_of(ours.build(KAFKA, 4, holding), 0)
        return await Unwilling(consumer)._commit({TOPIC: 5})

    assert run(work) is False


def test_kafka_is_told_what_the_store_holds_once(holding: Holding) -> None:
    async def work() -> None:
        consumer, thread = consumer_of(ours.build(KAFKA, 4, holding), 0, 1, first=5)
        await consumer.perform_seek()
        assert [True, False] == [await consumer.commit(), await consumer.commit()]
        holding.held[0] = holding.held[0]._replace(next_offset=9)
        assert await consumer.commit()
        assert [{TOPIC: 5, TP(KAFKA.events, 1): 5}, {TOPIC: 9}] == thread.told

    run(work)


# --- delivery


def test_what_is_fetched_is_handed_on_by_the_fetch(holding: Holding) -> None:
    """Faust makes four tasks for each message."""

    async def deliver() -> None:
        return None

    async def tasks_of(app: faust.App, work: Callable[[], Coroutine[None, None, object]]) -> int:
        made = []

        def task(loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> asyncio.Task[Any]:
            made.append(coroutine)
            return asyncio.Task(coroutine, loop=loop, **more)

        asyncio.get_running_loop().set_task_factory(task)
        await work()
        asyncio.get_running_loop().set_task_factory(None)
        return len(made)

    async def work() -> None:
        theirs, mine = stock(), ours.build(KAFKA, 4, holding)
        consumer, thread = consumer_of(mine, 0)
        thread.fetched = [[record(offset) for offset in range(3)]]
        flow = theirs.consumer
        assert 4 == await tasks_of(theirs, lambda: flow.wait_first(deliver(), flow.suspend_flow.wait()))
        assert 0 == await tasks_of(mine, consumer._hand_on)
        assert [0, 1, 2] == [row.offset for row in (await mine.fetched.take())[0]]

    run(work)


def test_a_fetch_that_meets_a_stopped_flow_is_not_handed_on(holding: Holding) -> None:
    """Its partitions are taken away, or sought anew."""

    async def work() -> None:
        app = ours.build(KAFKA, 4, holding)
        consumer, thread = consumer_of(app, 0)
        thread.fetched, thread.meanwhile = [[record(0)]], consumer.stop_flow
        await consumer._hand_on()
        assert not thread.fetched
        consumer.resume_flow()
        thread.fetched, thread.meanwhile = [[record(1)]], lambda: None
        await consumer._hand_on()
        assert [1] == [row.offset for row in (await app.fetched.take())[0]]

    run(work)


def test_what_was_fetched_before_a_seek_is_never_handed_on_after_it(holding: Holding) -> None:
    """A fetch waits for room; the seek drops it with all that is there, and the fetch after it is the first."""

    async def work() -> None:
        app = ours.build(KAFKA, 4, holding)
        consumer, thread = consumer_of(app, 0)
        await app.fetched.put({0: [record(0)] * ours.WAITING})
        thread.fetched = [[record(1)]]
        waiting = asyncio.create_task(consumer._hand_on())
        await asyncio.sleep(0)
        await consumer.perform_seek()
        await waiting
        thread.fetched = [[record(5)]]
        await consumer._hand_on()
        assert [5] == [row.offset for row in (await app.fetched.take())[0]]

    run(work)


def test_revoking_waits_for_the_batch_under_way_and_drops_what_nobody_took(holding: Holding) -> None:
    order: list[str] = []

    async def work() -> None:
        app = ours.build(KAFKA, 4, holding)
        consumer, _ = consumer_of(app, 0)
        await app.fetched.put({0: [record(0)]})
        taken = await app.fetched.take()
        await app.fetched.put({0: [record(1)]})
        revoking = asyncio.create_task(consumer.wait_empty())
        for _ in range(5):
            await asyncio.sleep(0)
        order.append("applied")
        app.fetched.applied()
        await revoking
        order.append("revoked")
        await app.fetched.put({0: [record(2)]})
        assert [0] == [row.offset for row in taken[0]]
        assert [2] == [row.offset for row in (await app.fetched.take())[0]]

    run(work)
    assert ["applied", "revoked"] == order


# --- settings


def test_faust_would_read_what_a_transaction_took_back(holding: Holding) -> None:
    """Its own consumer reads events of aborted transactions; ours does not."""

    async def work() -> tuple[str, str]:
        theirs, mine = stock(), ours.build(KAFKA, 4, holding)
        made = []
        for app in (theirs, mine):
            consumer = app.consumer._thread._create_worker_consumer(app.transport)
            made.append(consumer._isolation_level)
            await consumer.stop()
        return made[0], made[1]

    assert ("read_uncommitted", "read_committed") == run(work)


def test_a_retry_of_a_send_makes_no_second_record(holding: Holding) -> None:
    async def work() -> tuple[Any, Any]:
        return stock().producer._settings_extra(), ours.build(KAFKA, 4, holding).producer._settings_extra()

    theirs, mine = run(work)
    assert {} == theirs
    assert {"acks": "all", "enable_idempotence": True} == mine


def test_faust_serves_the_web_and_takes_standard_output_unless_told(holding: Holding) -> None:
    async def work() -> None:
        theirs, mine = stock().conf, ours.build(KAFKA, 4, holding).conf
        assert (True, True) == (theirs.web_enabled, theirs.worker_redirect_stdouts)
        assert (False, False) == (mine.web_enabled, mine.worker_redirect_stdouts)

    run(work)


def test_a_group_that_was_formed_without_its_topic_looks_again_soon(holding: Holding) -> None:
    """Seen in a chaos run: the broker was killed, the group formed as it came back, and nobody read for minutes."""

    async def work() -> None:
        theirs, mine = stock().conf, ours.build(KAFKA, 4, holding).conf
        assert 300_000 == theirs.consumer_metadata_max_age_ms
        assert mine.consumer_metadata_max_age_ms <= 1_000 * mine.broker_session_timeout

    run(work)


@pytest.mark.parametrize("ending", [True, False])
def test_a_worker_that_is_told_to_end_while_its_group_rebalances_is_not_taken_for_crashed(
    holding: Holding, ending: bool
) -> None:
    """Faust has its fetcher crash when it is cancelled during a rebalance; the end of the process cancels it too."""

    async def work() -> None:
        app = ours.build(KAFKA, 4, holding)
        consumer, _ = consumer_of(app)
        consumer.resume_flow()
        # a part of its own, as the fetcher is: it ends before the consumer does
        draining = asyncio.create_task(consumer._drain_messages(Service()))
        await asyncio.sleep(0.05)
        if ending:
            app._stopped.set()
        draining.cancel()
        await asyncio.wait({draining}, timeout=5)
        assert draining.done()
        assert ending is not draining.cancelled()

    run(work)


def test_our_settings_keep_faust_from_state_of_its_own(holding: Holding) -> None:
    async def work() -> None:
        app = ours.build(KAFKA, 4, holding)
        assert app.conf.store.scheme == "memory"
        assert not app.tables
        assert not app.in_transaction
        assert (False, True) == (app.conf.topic_allow_declare, app.conf.topic_disable_leader)
        assert app.conf.broker_session_timeout <= app.conf.broker_request_timeout

    run(work)


def test_a_crash_of_any_part_ends_the_process(holding: Holding, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust marks its parts as crashed and was seen to hang while it stops."""

    def died(error: BaseException, _what: str) -> None:
        raise Died from error

    async def work() -> None:
        app = ours.build(KAFKA, 4, holding)
        app.consumer.beacon.reattach(app.beacon)
        await app.consumer.crash(ValueError("x"))

    monkeypatch.setattr(ours, "die", died)
    with pytest.raises(Died):
        run(work)
