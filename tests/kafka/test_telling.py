"""The relay and proofs of emptiness against a real broker, in this process."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from orchestrator.contact_log.export import read_rows
from orchestrator.errors import SetupError
from orchestrator.runtimes.kafka.gaps import GapReader, Lost
from orchestrator.runtimes.kafka.relay import PAGE, Relay
from orchestrator.runtimes.kafka.watchdog import Watchdog
from orchestrator.settings import KafkaSettings
from orchestrator.stores.contract import CursorMove, DeadRow, LogRow
from orchestrator.stores.memory.store import MemoryStore
from orchestrator.testing.store_rows import Owner
from tests.servers import Kafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture
def settings(kafka: Kafka) -> Iterator[KafkaSettings]:
    """Settings whose topics exist, with two partitions."""
    name = uuid.uuid4().hex[:8]
    named = KafkaSettings(
        bootstrap=kafka.bootstrap,
        events=f"{name}-events",
        decisions=f"{name}-decisions",
        touches=f"{name}-touches",
        dead_letters=f"{name}-dead",
    )
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    topics = [named.events, named.decisions, named.touches, named.dead_letters]
    admin.create_topics([NewTopic(topic, 2, 1) for topic in topics])
    yield named
    admin.delete_topics(topics)
    admin.close()


def rows(kinds: str, first: int = 1) -> list[LogRow]:
    """Log rows of partition 0: d decision, t touch, c consent."""
    words = {"d": "decision", "t": "touch", "c": "consent"}
    return [
        LogRow(
            0, n, n, n, 0, 0, words[kind], f"{n % 3:032x}", "welcome", "", "", f"i{n}", "", "email", "marketing",
            "send", "", 0, "", "r1", "{}", bytes(32), bytes(32),
        )
        for n, kind in enumerate(kinds, first)
    ]  # fmt: skip


def logged(store: MemoryStore, kinds: str) -> MemoryStore:
    """The store with these rows in the log of partition 0, and its progress after them."""
    owner = Owner(store)
    before, after = owner.step(0)
    written = rows(kinds)
    owner.commit((before, after._replace(log_n=len(written))), log=written)
    return store


def buried(store: MemoryStore, n: int, partition: int = 0) -> MemoryStore:
    """The store with so many dead letters more in a partition, whose offsets run from 100 downwards."""
    owner = Owner(store, [partition])
    for i in range(n):
        letter = DeadRow(partition, 100 - i, 1_000_000, "bad_data", "send an amount in cents", b"ann@example.com")
        owner.commit(owner.step(partition), dead=[letter])
    return store


def relaying(settings: KafkaSettings, store: MemoryStore, work: Callable[[Relay], Coroutine[None, None, Any]]) -> Any:
    """What `work` gives of a relay with a producer."""

    async def run() -> Any:
        producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, enable_idempotence=True, acks="all")
        await producer.start()
        try:
            return await work(Relay(store, producer, settings, lambda: range(4), Watchdog(60)))
        finally:
            await producer.stop()

    return asyncio.run(run())


async def until_told(relay: Relay) -> int:
    while await relay.round():
        pass
    return relay.told


def read(settings: KafkaSettings, topic: str) -> list[Any]:
    async def consume() -> list[Any]:
        consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            tps = [TopicPartition(topic, 0), TopicPartition(topic, 1)]
            consumer.assign(tps)
            ends, found = await consumer.end_offsets(tps), []
            for tp in tps:
                while await consumer.position(tp) < ends[tp]:
                    found += (await consumer.getmany(tp, timeout_ms=500)).get(tp, [])
            return found
        finally:
            await consumer.stop()

    return asyncio.run(consume())


def numbers(records: list[Any]) -> list[int]:
    """Numbers of the log rows told, in order of their number; repeats included."""
    return sorted(int(dict(record.headers)["chain"].decode().split("/")[1]) for record in records)


def test_each_kind_goes_to_its_topic_and_both_cursors_reach_the_end(settings: KafkaSettings) -> None:
    store = logged(MemoryStore(4), "dtcdt")
    assert 4 == relaying(settings, store, until_told)
    assert [1, 4] == numbers(read(settings, settings.decisions))
    assert [2, 5] == numbers(read(settings, settings.touches))
    assert {(0, settings.decisions): 5, (0, settings.touches): 5} == store.cursors()


def test_what_is_told_is_the_row_itself(settings: KafkaSettings) -> None:
    store = logged(MemoryStore(4), "dd")
    relaying(settings, store, until_told)
    told = list(read_rows(sorted(record.value for record in read(settings, settings.decisions))))
    assert sorted(store.log()) == sorted(told)


def test_a_long_chain_is_told_page_by_page_in_each_members_order(settings: KafkaSettings) -> None:
    store = logged(MemoryStore(4), "d" * (PAGE + 7))
    assert PAGE + 7 == relaying(settings, store, until_told)
    told: dict[tuple[int, bytes], list[int]] = {}
    for record in read(settings, settings.decisions):
        told.setdefault((record.partition, record.key), []).append(*numbers([record]))
    assert 3 == len(told), "a member's rows are all in one partition"
    assert all(sorted(ns) == ns for ns in told.values())


def test_what_was_told_is_not_told_again(settings: KafkaSettings) -> None:
    store = logged(MemoryStore(4), "dd")
    relaying(settings, store, until_told)
    assert 0 == relaying(settings, store, until_told)
    assert [1, 2] == numbers(read(settings, settings.decisions))


def test_a_crash_before_the_cursor_moved_repeats_and_loses_nothing(settings: KafkaSettings) -> None:
    store = logged(MemoryStore(4), "dd")

    async def crash(relay: Relay) -> None:
        relay._move = _crash  # type: ignore[method-assign]
        with pytest.raises(ConnectionError):
            await relay.round()

    relaying(settings, store, crash)
    relaying(settings, store, until_told)
    assert [1, 1, 2, 2] == numbers(read(settings, settings.decisions))


async def _crash(*_: object) -> None:
    raise ConnectionError


def test_a_relay_whose_cursor_was_moved_by_another_rests_and_goes_on_from_there(settings: KafkaSettings) -> None:
    store = logged(MemoryStore(4), "ddd")

    async def raced(relay: Relay) -> int:
        await relay._know([0])
        store.move_cursors([CursorMove(0, settings.decisions, 0, 2)])
        await relay.round()
        assert 2 == store.cursors()[0, settings.decisions]
        assert 0 == await relay.round(), "it rests"
        relay._rests.clear()
        return await until_told(relay)

    relaying(settings, store, raced)
    assert 3 == store.cursors()[0, settings.decisions]
    assert {1, 2, 3} == set(numbers(read(settings, settings.decisions)))


def test_a_relay_that_ends_tells_also_what_it_let_rest(settings: KafkaSettings) -> None:
    store = logged(MemoryStore(4), "ddd")

    async def ends(relay: Relay) -> int:
        await relay._know([0])
        store.move_cursors([CursorMove(0, settings.decisions, 0, 2)])
        await relay.round()
        stop = asyncio.Event()
        stop.set()
        await relay.run(stop)
        return relay.told

    relaying(settings, store, ends)
    assert {(0, settings.decisions): 3, (0, settings.touches): 3} == store.cursors()


# --- dead letters


def offsets(settings: KafkaSettings, partition: int) -> list[int]:
    """Offsets of the dead letters that were told of a partition, in the order of the topic."""
    told = [json.loads(record.value) for record in read(settings, settings.dead_letters)]
    return [letter["offset"] for letter in told if letter["partition"] == partition]


def test_dead_letters_are_told_in_the_order_in_which_they_were_buried_beside_the_log(settings: KafkaSettings) -> None:
    store = buried(buried(logged(MemoryStore(4), "dt"), 3), PAGE + 2, partition=1)
    assert 2 + 3 + PAGE + 2 == relaying(settings, store, until_told)
    assert [100, 99, 98] == offsets(settings, 0)
    assert list(range(100, 100 - PAGE - 2, -1)) == offsets(settings, 1)
    assert 0 == relaying(settings, store, until_told), "what was told is not told again"


def test_a_dead_letter_is_told_with_reason_and_cure_and_without_what_it_held(settings: KafkaSettings) -> None:
    relaying(settings, buried(MemoryStore(4), 1), until_told)
    (record,) = read(settings, settings.dead_letters)
    said = json.loads(record.value)
    assert ("bad_data", "send an amount in cents", 100) == (said["reason"], said["cure"], said["offset"])
    assert f"{said['partition']}/{said['n']}" == dict(record.headers)["chain"].decode()
    assert b"ann@example.com" not in record.value


def test_a_crash_before_the_cursor_moved_tells_dead_letters_again_and_loses_none(settings: KafkaSettings) -> None:
    store = buried(MemoryStore(4), 2)

    async def crash(relay: Relay) -> None:
        relay._move = _crash  # type: ignore[method-assign]
        with pytest.raises(ConnectionError):
            await relay.round()

    relaying(settings, store, crash)
    relaying(settings, buried(store, 1), until_told)
    assert [100, 99, 100, 99, 100] == offsets(settings, 0)


# --- gaps


async def produce(settings: KafkaSettings, n: int, *, commit: bool, end: int) -> None:
    """`n` records in partition 0 in one transaction, which leaves a marker: the log then ends at `end`."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, transactional_id=uuid.uuid4().hex)
    await producer.start()
    await producer.begin_transaction()
    for _ in range(n):
        await producer.send_and_wait(settings.events, b"{}", partition=0)
    await (producer.commit_transaction() if commit else producer.abort_transaction())
    await producer.stop()
    # a broker acknowledges the end of a transaction before it writes the marker: the next record must not overtake it
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap)
    await consumer.start()
    partition = TopicPartition(settings.events, 0)
    try:
        async with asyncio.timeout(60):
            while (await consumer.end_offsets([partition]))[partition] < end:  # noqa: ASYNC110 - no broker calls back
                await asyncio.sleep(0.01)
    finally:
        await consumer.stop()


def proving(settings: KafkaSettings, first: int, end: int) -> None:
    async def run() -> None:
        await produce(settings, 2, commit=True, end=3)
        await produce(settings, 1, commit=False, end=5)
        await produce(settings, 1, commit=True, end=7)
        gaps = GapReader(settings.events, {"bootstrap_servers": settings.bootstrap})
        try:
            await gaps.prove_empty(0, first, end)
            await gaps.prove_empty(0, first, end)
        finally:
            await gaps.close()

    asyncio.run(run())


# offsets: 0, 1 events, 2 marker, 3 aborted, 4 marker, 5 event, 6 marker
def test_markers_and_aborted_events_are_proved_empty(settings: KafkaSettings) -> None:
    proving(settings, 2, 5)


@pytest.mark.parametrize(("first", "end"), [(1, 5), (2, 6)])
def test_an_event_that_did_not_arrive_is_found(settings: KafkaSettings, first: int, end: int) -> None:
    with pytest.raises(Lost, match="did not arrive"):
        proving(settings, first, end)


def test_a_gap_that_retention_made_stops_the_worker(settings: KafkaSettings) -> None:
    async def run() -> None:
        await produce(settings, 3, commit=True, end=4)
        admin = KafkaAdminClient(bootstrap_servers=settings.bootstrap)
        admin.delete_records({_tp(settings): 2})
        admin.close()
        gaps = GapReader(settings.events, {"bootstrap_servers": settings.bootstrap})
        try:
            await gaps.prove_empty(0, 0, 2)
        finally:
            await gaps.close()

    with pytest.raises(SetupError, match="no longer holds offset 0"):
        asyncio.run(run())


def _tp(settings: KafkaSettings) -> Any:
    from kafka import TopicPartition

    return TopicPartition(settings.events, 0)
