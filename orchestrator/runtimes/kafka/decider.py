"""Events to turns: the loop that takes what was fetched and has it applied, and the tick that fires timers.

    batch ─▶ below next_offset? skip ─▶ gap? prove it empty ─▶ read ─▶ misplaced? produce again ─▶ turn

Nothing is acknowledged: the offsets that count are written by the turn itself. Any unexpected error ends the process,
uncommitted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import NamedTuple

import structlog
from faust.types import TP

from orchestrator.clocks import wall_clock
from orchestrator.pipeline import Arrival
from orchestrator.runtimes.kafka.app import Consumer, Worker
from orchestrator.runtimes.kafka.ending import die
from orchestrator.runtimes.kafka.fetched import Records
from orchestrator.runtimes.kafka.gaps import GapReader
from orchestrator.runtimes.kafka.holding import Holding
from orchestrator.runtimes.kafka.records import arrival, headers_of, home_of
from orchestrator.runtimes.kafka.watchdog import Watchdog

TICK_S = 0.5

log = structlog.get_logger()


class Astray(NamedTuple):
    """A record in a partition that is not its member's."""

    partition: int
    # its place among the partition's records of the batch
    i: int
    home: int


class Decider:
    """The role `decide` of one worker."""

    def __init__(
        self, app: Worker, holding: Holding, gaps: GapReader, watchdog: Watchdog, clock: Callable[[], int] = wall_clock
    ) -> None:
        """`run` and `tick` are to be run beside the app."""
        self.app, self.holding, self.gaps, self.watchdog, self.clock = app, holding, gaps, watchdog, clock
        self.forwarded = 0

    async def run(self) -> None:
        """Batches, until cancelled."""
        fetched = self.app.fetched
        try:
            while True:
                records = await fetched.take()
                with self.watchdog.watching("events of a batch", self.watchdog.limit_s * 2) as watch:
                    await self.apply(records, watch.beat)
                fetched.applied()
        except Exception as error:  # noqa: BLE001 - whatever it is, a fresh start reads them again
            die(error, "a batch failed")

    async def apply(self, records: Records, alive: Callable[[], object] = lambda: None) -> None:
        """Applies a batch of records; when it returns they are in the store, or are fetched again by their owner.

        `alive` is called after each transaction.
        """
        batch = await self._in_order(records)
        if not batch:
            return
        given, astray = await self.holding.do(self._read, batch)
        if astray:
            await self._forward(batch, given, astray)
        ended = [partition for partition in given if self._at_end(partition, given[partition][-1].offset + 1)]
        await self.holding.do(self.holding.turn, given, ended, self.clock(), alive)

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

    async def _in_order(self, records: Records) -> Records:
        """Records of partitions we hold, from the next offset on, without a gap that is not proved empty."""
        batch: Records = {}
        for partition, rows in records.items():
            if partition not in self.holding.held:
                continue
            wanted = self.holding.next_offset(partition)
            for row in rows:
                if row.offset < wanted:
                    continue
                if row.offset > wanted:
                    await self.gaps.prove_empty(partition, wanted, row.offset)
                wanted = row.offset + 1
                batch.setdefault(partition, []).append(row)
        return batch

    def _read(self, batch: Records) -> tuple[dict[int, list[Arrival]], list[Astray]]:
        """The records as arrivals, and which of them lie in a partition that is not their member's."""
        pipeline, partitions = self.holding.pipeline, self.holding.store.partitions
        given = {partition: [arrival(pipeline, row) for row in rows] for partition, rows in batch.items()}
        homes = (
            Astray(partition, i, home_of(one, partition, partitions))
            for partition, arrivals in given.items()
            for i, one in enumerate(arrivals)
        )
        return given, [found for found in homes if found.home != found.partition]

    async def _forward(self, batch: Records, given: dict[int, list[Arrival]], astray: list[Astray]) -> None:
        """Events in a partition that is not their member's are produced again to the right one, and only counted here.

        A crash before the count is written produces them once more: the same id, so a duplicate.
        """
        producer = self.app.producer
        sent = []
        for partition, i, home in astray:
            row = batch[partition][i]
            # aiokafka hands headers over as a tuple, and takes them as a list alone
            sent.append(
                await producer.send(self.app.events_topic, row.key, row.value, home, None, list(headers_of(row)))
            )
            given[partition][i] = given[partition][i]._replace(forwarded=True)
        await asyncio.gather(*sent)
        self.forwarded += len(astray)
        log.warning("misplaced events produced again", events=len(astray), in_all=self.forwarded)

    def _at_end(self, partition: int, next_offset: int) -> bool:
        consumer = self.app.consumer
        return isinstance(consumer, Consumer) and consumer.at_end(TP(self.app.events_topic, partition), next_offset)

    def partitions(self) -> Collection[int]:
        """The partitions this worker holds now."""
        return tuple(self.holding.held)
