"""Events to turns: the loop that takes batches from Faust and has them applied, and the tick that fires timers.

    batch ─▶ below next_offset? skip ─▶ gap? prove it empty ─▶ read ─▶ misplaced? produce again ─▶ turn ─▶ ack

Nothing is acknowledged for us, and what is acknowledged here is a courtesy: the offsets that count are written by the
turn itself. Any unexpected error ends the process, uncommitted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Collection, Sequence

import structlog
from faust.types import TP, EventT, StreamT

from orchestrator.clocks import wall_clock
from orchestrator.pipeline import Arrival
from orchestrator.runtimes.kafka.app import Consumer, Worker
from orchestrator.runtimes.kafka.ending import die
from orchestrator.runtimes.kafka.gaps import GapReader
from orchestrator.runtimes.kafka.holding import Holding
from orchestrator.runtimes.kafka.records import arrival, headers_of, home_of
from orchestrator.runtimes.kafka.watchdog import Watchdog

# events of a batch at most, and how long one is gathered
BATCH = 1_000
GATHER_S = 0.02
TICK_S = 0.5

log = structlog.get_logger()

Events = Sequence[EventT[bytes]]


class Decider:
    """The role `decide` of one worker."""

    def __init__(
        self, app: Worker, holding: Holding, gaps: GapReader, watchdog: Watchdog, clock: Callable[[], int] = wall_clock
    ) -> None:
        """Adds the loop to the app, as its only agent; `tick` is to be run beside it."""
        self.app, self.holding, self.gaps, self.watchdog, self.clock = app, holding, gaps, watchdog, clock
        self.forwarded = 0
        topic = app.topic(app.events_topic, key_type=bytes, value_type=bytes)
        app.agent(topic, name="decide")(self._run)

    async def _run(self, stream: StreamT[bytes]) -> None:
        """Batches, for ever."""
        try:
            # its events, as objects; the stream's declared type does not know the method
            batches: AsyncIterable[Events] = stream.noack_take(BATCH, within=GATHER_S)  # type: ignore[attr-defined]
            async for events in batches:
                with self.watchdog.watching("events of a batch", self.watchdog.limit_s * 2):
                    await self.apply(events)
                for event in events:
                    await stream.ack(event)
        except Exception as error:  # noqa: BLE001 - Faust would acknowledge the events and go on
            die(error, "a batch failed")

    async def apply(self, events: Events) -> None:
        """Applies a batch of events; when it returns they are in the store, or are no longer ours to write."""
        batch = await self._in_order(events)
        if not batch:
            return
        given = await self.holding.do(self._read, batch)
        for partition, arrivals in given.items():
            await self._forward(partition, arrivals, batch[partition])
        ended = [partition for partition in given if self._at_end(partition, given[partition][-1].offset + 1)]
        await self.holding.do(self.holding.turn, given, ended, self.clock())

    async def tick(self) -> None:
        """Fires what is due in partitions that stand at the end of their input; runs until cancelled."""
        try:
            while True:
                await asyncio.sleep(TICK_S)
                while await self._tick_once():
                    pass
        except Exception as error:  # noqa: BLE001 - a worker without timers is no worker
            die(error, "a tick failed")

    async def _tick_once(self) -> bool:
        """True where more is due now."""
        now = self.clock()
        if self.app.rebalancing or not self.holding.held:
            return False
        due = await self.holding.do(self.holding.next_due)
        # what was true before the question may not be after it; from here to the call nothing else runs
        if due is None or due > now or self.app.rebalancing:
            return False
        ended = [p for p in self.holding.held if self._at_end(p, self.holding.next_offset(p))]
        turned = await self.holding.do(self.holding.turn, {}, ended, now)
        return turned.more_due and turned.turns > 0

    async def _in_order(self, events: Events) -> dict[int, list[EventT[bytes]]]:
        """Events of partitions we hold, from the next offset on, without a gap that is not proved empty."""
        batch: dict[int, list[EventT[bytes]]] = {}
        following: dict[int, int] = {}
        for event in events:
            partition, offset = event.message.partition, event.message.offset
            if partition not in self.holding.held:
                continue
            wanted = following.get(partition)
            if wanted is None:
                wanted = self.holding.next_offset(partition)
            if offset < wanted:
                continue
            if offset > wanted:
                await self.gaps.prove_empty(partition, wanted, offset)
            following[partition] = offset + 1
            batch.setdefault(partition, []).append(event)
        return batch

    def _read(self, batch: dict[int, list[EventT[bytes]]]) -> dict[int, list[Arrival]]:
        pipeline = self.holding.pipeline
        return {partition: [arrival(pipeline, event) for event in events] for partition, events in batch.items()}

    async def _forward(self, partition: int, arrivals: list[Arrival], events: Events) -> None:
        """Events in a partition that is not their member's are produced again to the right one, and only counted here.

        A crash before the count is written produces them once more: the same id, so a duplicate.
        """
        partitions = self.holding.store.partitions
        homes = [(i, home_of(given, partition, partitions)) for i, given in enumerate(arrivals)]
        astray = [(i, home) for i, home in homes if home != partition]
        if not astray:
            return
        producer = self.app.producer
        sent = []
        for i, home in astray:
            message = events[i].message
            # aiokafka hands them over as a tuple, and takes them as a list alone
            headers = list(headers_of(message))
            sent.append(await producer.send(self.app.events_topic, message.key, message.value, home, None, headers))
            arrivals[i] = arrivals[i]._replace(forwarded=True)
        await asyncio.gather(*sent)
        self.forwarded += len(astray)
        log.warning("misplaced events produced again", partition=partition, events=len(astray), in_all=self.forwarded)

    def _at_end(self, partition: int, next_offset: int) -> bool:
        consumer = self.app.consumer
        return isinstance(consumer, Consumer) and consumer.at_end(TP(self.app.events_topic, partition), next_offset)

    def partitions(self) -> Collection[int]:
        """The partitions this worker holds now."""
        return tuple(self.holding.held)
