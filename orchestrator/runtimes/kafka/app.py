"""Faust as we use it: consumption, the ownership of partitions, and nothing that holds state.

What is overridden, each for a behaviour of faust-streaming 0.15.3 that `tests/kafka/test_faust.py` pins:

- `seek_to_committed` answers the store's offsets: those committed to Kafka may stand past an unfinished event;
- a commit to Kafka that fails is a line in the log: it is a courtesy to Kafka's own tools;
- what is fetched is handed on by the fetch: a stream of Faust's costs more than all that we do with an event;
- events of aborted transactions are not read (Faust offers that only with its own transactions);
- the producer is idempotent;
- a crash of any part ends the process: Faust would go on, or hang while it stops;
- no folder is made for tables, since there are none.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

import aiokafka
import faust
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.transports import TPorTopicSet
from mode import ServiceT

from orchestrator.kafka_security import addresses
from orchestrator.runtimes.kafka.credentials import credentials
from orchestrator.runtimes.kafka.ending import die
from orchestrator.runtimes.kafka.fetched import Fetched
from orchestrator.runtimes.kafka.holding import Holding
from orchestrator.settings import KafkaSettings

# records of a fetch at most, and how many wait at most until another fetch is made
FETCH, WAITING = 1_000, 1_000
# a fetch waits so long for a record, in seconds; a rebalance waits for the fetch
FETCH_S = 0.25
# what a broker last said of a partition's end counts for so long, in seconds
FRESH_S = 10.0
# a broker that was killed comes back without knowing its topics yet: a group formed in that moment is given nothing,
# and looks again only when its metadata are so old, in milliseconds (five minutes unless told)
METADATA_AGE_MS = 5_000

log = structlog.get_logger()


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that talks to Kafka, heartbeats included."""

    def _create_worker_consumer(self, transport: driver.Transport) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        # read by the fetcher that `start` makes
        consumer._isolation_level = "read_committed"  # noqa: SLF001 - no setting reaches it
        return consumer

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Tells Kafka's own tools how far we are; False where it did not hear it."""
        mine = self.assignment()
        try:
            # aiokafka takes no names of partitions but its own
            known = {TopicPartition(*tp): offset for tp, offset in offsets.items() if tp in mine}
            await self._ensure_consumer().commit(known)
        except Exception as error:  # noqa: BLE001 - whatever it is, the offsets that count are in the store
            log.info("offsets not told to Kafka", error=type(error).__name__)
            return False
        return True

    def stands_at_end(self, tp: TP) -> bool:
        """Whether Kafka said within FRESH_S that nothing readable lies beyond what was fetched from a partition."""
        assignment = self._ensure_consumer()._subscription.subscription.assignment  # noqa: SLF001 - see `highwater`
        if assignment is None or tp not in assignment.tps:
            return False
        state = assignment.state_value(tp)
        if state.lso is None or not state.has_valid_position or state.timestamp is None:
            return False
        return bool(state.position >= state.lso and time.time() - state.timestamp / 1000 < FRESH_S)


class Consumer(driver.Consumer):
    """Faust's consumer on the store's offsets."""

    app: Worker
    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._seeking = asyncio.Lock()
        # False from a revocation until the next assignment is known
        self._joined = False
        self._generation = -1
        # one fetch, or one seek, at a time: what was fetched before a seek must not be handed on after it
        self._fetching = asyncio.Lock()
        # the offsets that Kafka's own tools were last told
        self._told: dict[TP, int] = {}
        # offset of the last record fetched since the last seek
        self._fetched: dict[TP, int] = {}

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # --- partitions come and go

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Waits for the batch under way; after it nothing is written until the next assignment is known."""
        self.app.holding.awaited = True
        await super().on_partitions_revoked(revoked)
        self._joined = False
        await self.app.holding.do(lambda: None)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Lets go of what is not ours any more, before anything else happens."""
        missed = generation_id != self._generation + 1
        self._generation = generation_id
        self.app.holding.awaited = False
        # a generation passed without us: another worker may have owned what we think we kept
        await self.app.holding.do(self.app.holding.keep, [] if missed else [tp.partition for tp in assigned])
        self._joined = True
        await super().on_partitions_assigned(assigned, generation_id)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Takes the partitions that are new to us and seeks each to the store's next offset; tp -> that offset.

        A rebalance calls it, and so does a fetch that meets a stopped flow. Whatever goes wrong ends the process.
        """
        try:
            async with self._seeking:
                return await self._seek_to_store()
        except Exception as error:  # noqa: BLE001 - Faust would log it and go on from another offset
            die(error, "partitions can't be taken")

    async def _seek_to_store(self) -> Mapping[TP, int]:
        holding = self.app.holding
        tps = {tp.partition: tp for tp in self.assignment() if tp.topic == self.app.events_topic}
        if not self._joined:
            # between two assignments: nothing may be taken, and what is fetched now will be fetched again
            return {}
        new = await holding.do(holding.take, tps)
        if new:
            asked = [tps[partition] for partition in new]
            first, end = await self.earliest_offsets(*asked), await self.highwaters_now(*asked)
            holding.begin(
                new,
                {tp.partition: offset for tp, offset in first.items()},
                {tp.partition: offset for tp, offset in end.items()},
            )
        # a batch of a kept partition may still move its offset: ask after it ended
        await holding.do(lambda: None)
        # whoever waits for room to put what was fetched lets go of it
        self.app.fetched.drop()
        async with self._fetching:
            self.app.fetched.drop()
            offsets = {tp: holding.next_offset(p) for p, tp in tps.items() if p in holding.held}
            for tp, offset in offsets.items():
                self._fetched.pop(tp, None)
                # taken away meanwhile: the next assignment seeks anew
                with suppress(IllegalStateError):
                    self._thread.seek(tp, offset)
        return offsets

    async def highwaters_now(self, *tps: TP) -> Mapping[TP, int]:
        """The offset after the last readable record of each partition, asked of the broker."""
        consumer = self._thread._ensure_consumer()  # noqa: SLF001 - our own thread
        ends: Mapping[TP, int] = await self._thread.call_thread(consumer.end_offsets, tps)
        return ends

    # --- delivery

    async def _drain_messages(self, fetcher: ServiceT) -> None:
        """Hands on what is fetched as it comes, by the fetch.

        Faust makes a message and an event of each record and delivers them one by one, through two queues, in two
        tasks each; then it keeps book of what is acknowledged. We ask neither: where a record belongs, whether it came
        before and whether one is missing is told by its offset and the store's.
        """
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow.wait())
                elif not self._get_active_partitions():
                    await self.sleep(FETCH_S)
                else:
                    await self._hand_on()
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise
        except asyncio.CancelledError:
            # Faust takes it for a crash wherever the group is rebalancing, also where a worker ends as it was told to
            if not self.app.should_stop:
                raise

    async def _hand_on(self) -> None:
        """One fetch. What meets a stopped flow is no loss: partitions that stay ours are sought before it goes on."""
        async with self._fetching:
            records = await self._getmany(self._get_active_partitions(), FETCH_S) if self.flow_active else {}
            if self.flow_active:
                ours = {tp.partition: rows for tp, rows in records.items() if tp.topic == self.app.events_topic}
                await self.app.fetched.put(ours)

    async def wait_empty(self) -> None:
        """Returns when nothing is under way: what was only fetched is dropped, and will be fetched by its next owner.

        Faust calls it when partitions are revoked, with the flow stopped, and when it stops.
        """
        self.app.fetched.drop()
        await self.app.fetched.idle()
        await self.commit()

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust looks for streams that hang; ours is the watchdog's business."""

    # --- how far we are

    async def commit(self, topics: TPorTopicSet | None = None, start_new_transaction: bool = True) -> bool:  # noqa: ARG002 - Faust's
        """Tells Kafka's own tools how far the store is; whether there was anything to tell, and they heard it.

        Faust calls it once in a commit interval and when it stops.
        """
        stands = {TP(self.app.events_topic, p): offset for p, offset in self.app.holding.next_offsets().items()}
        news = {tp: offset for tp, offset in stands.items() if self._told.get(tp) != offset}
        if not news or not await self._thread.commit(news):
            return False
        self._told = {tp: offset for tp, offset in (self._told | news).items() if tp in stands}
        return True

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's
        records = await super()._getmany(active_partitions, timeout)
        for tp, rows in records.items():
            if rows:
                self._fetched[TP(tp.topic, tp.partition)] = rows[-1].offset
        return records

    def at_end(self, tp: TP, next_offset: int) -> bool:
        """Whether, with everything below `next_offset` applied, a partition stands at the end of its input."""
        return self._fetched.get(tp, -1) < next_offset and self._thread.stands_at_end(tp)


class Producer(driver.Producer):
    """Faust's producer, idempotent: a retry of a send never makes a second record."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class Transport(driver.Transport):
    """Faust's transport with our parts."""

    Consumer: ClassVar[Any] = Consumer
    Producer: ClassVar[Any] = Producer


class Worker(faust.App):
    """The Faust app of a worker."""

    # set once, before the start
    holding: Holding
    fetched: Fetched
    events_topic: str

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Transport:
        return Transport(self.conf.broker_producer, self)

    def _create_directories(self) -> None:
        """There are no tables, so no folders either."""

    def _crash(self, reason: BaseException) -> None:
        """Any part that crashed: nothing of it was written, and the supervisor starts us again."""
        die(reason, "a part of the worker crashed")


def build(kafka: KafkaSettings, partitions: int, holding: Holding) -> Worker:
    """The app, not started; `kafka` names brokers and topics, `partitions` how many the events topic has."""
    app = Worker(
        kafka.group,
        broker=[f"kafka://{address}" for address in addresses(kafka)],
        broker_credentials=credentials(kafka),
        version=1,
        processing_guarantee="at_least_once",
        # our own codec: Faust's record decoding costs three times as much
        key_serializer="raw",
        value_serializer="raw",
        topic_partitions=partitions,
        topic_replication_factor=3,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=kafka.instance_id or None,
        broker_max_poll_records=FETCH,
        broker_session_timeout=kafka.session_timeout_s,
        broker_heartbeat_interval=kafka.session_timeout_s / 5,
        # at least the session's
        broker_request_timeout=max(40.0, kafka.session_timeout_s),
        broker_commit_interval=1.0,
        broker_max_poll_interval=300,
        consumer_metadata_max_age_ms=METADATA_AGE_MS,
        stream_wait_empty=True,
        # seconds to wait after a rebalance: with no tables there is nothing to gather for
        stream_recovery_delay=0.0,
        producer_acks=-1,
        # seconds; none at all costs a third to a half of the throughput
        producer_linger=0.02,
        producer_max_batch_size=131072,
        store="memory://",
        web_enabled=False,
        worker_redirect_stdouts=False,
    )
    app.holding, app.events_topic, app.fetched = holding, kafka.events, Fetched(WAITING)
    # no agent, no stream: the decider takes from `fetched`
    app.topics.add(app.topic(kafka.events, key_type=bytes, value_type=bytes))
    holding.losing = lambda: bool(app.rebalancing)
    return app
