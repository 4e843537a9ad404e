"""Tells the topics what the contact log says: one cursor for each chain and topic, in order, at least once.

A row counts as told when the broker has confirmed it, and only then does the cursor move, by compare-and-set. Whoever
reads the topics sees a repeat by its header `chain`, "<partition>/<n>": n never goes back but by a repeat. Two relays
of one chain repeat each other's rows and lose nothing; the one that loses a race rests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from itertools import islice

import msgspec
import structlog
from aiokafka import AIOKafkaProducer

from orchestrator.contact_log.export import line
from orchestrator.runtimes.kafka.patience import patiently
from orchestrator.runtimes.kafka.watchdog import Watchdog
from orchestrator.settings import KafkaSettings
from orchestrator.stores.contract import LogRow, Store

# rows of one chain told at once
PAGE = 500
IDLE_S = 0.25
# an orderly end waits so long for what was decided last to be told; whoever comes next tells the rest
LAST_S = 5.0
# how long a relay leaves a chain alone that another one told
REST_S = 5.0

log = structlog.get_logger()

_encode = msgspec.json.Encoder().encode


class Relay:
    """The role `relay`: the chains of some partitions, told to both topics."""

    def __init__(
        self,
        store: Store,
        producer: AIOKafkaProducer,
        kafka: KafkaSettings,
        partitions: Callable[[], Iterable[int]],
        watchdog: Watchdog,
    ) -> None:
        """`producer` is started, idempotent, with acks of all; `partitions` says whose chains are ours to tell now."""
        self.store, self.producer, self.partitions, self.watchdog = store, producer, partitions, watchdog
        # kind of a log row -> topic it is told to
        self.topics = {"decision": kafka.decisions, "touch": kafka.touches}
        # rows told since the start
        self.told = 0
        # (partition, topic) -> where its cursor stands, as far as we know
        self._cursors: dict[tuple[int, str], int] = {}
        self._rests: dict[int, float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Rounds until `stop`, then for at most LAST_S until all is told."""
        while not stop.is_set():
            with self.watchdog.watching("the relay"):
                told = await self.round()
            if not told:
                try:
                    async with asyncio.timeout(IDLE_S):
                        await stop.wait()
                except TimeoutError:
                    pass
        until = time.monotonic() + LAST_S
        with self.watchdog.watching("the relay's last rounds"):
            while time.monotonic() < until and await self.round():
                pass

    async def round(self) -> int:
        """One page of each chain that has news; how many rows the cursors passed."""
        mine = set(self.partitions())
        # where we don't own a chain, its cursor may move without us
        self._cursors = {key: n for key, n in self._cursors.items() if key[0] in mine}
        passed = 0
        for row in await asyncio.to_thread(patiently, self.store.progress):
            if row.partition in mine and time.monotonic() >= self._rests.get(row.partition, 0.0):
                passed += await self._chain(row.partition, row.log_n)
        return passed

    async def _chain(self, partition: int, last: int) -> int:
        """The next page of one chain."""
        cursors = {topic: await self._cursor(partition, topic) for topic in self.topics.values()}
        after = min(cursors.values())
        if after >= last:
            return 0
        rows = await asyncio.to_thread(patiently, lambda: self._page(partition, after))
        if not rows:
            return 0
        confirmed = []
        for row in rows:
            topic = self.topics.get(row.kind)
            if topic is not None and row.n > cursors[topic]:
                confirmed.append(await self._send(topic, row))
        await asyncio.gather(*confirmed)
        self.told += len(confirmed)
        for topic, before in cursors.items():
            if before < rows[-1].n:
                await self._move(partition, topic, before, rows[-1].n)
        return rows[-1].n - after

    async def _send(self, topic: str, row: LogRow) -> asyncio.Future[object]:
        sent: asyncio.Future[object] = await self.producer.send(
            topic,
            value=_encode(line(row)),
            key=row.ref.encode() or None,
            headers=[("chain", f"{row.partition}/{row.n}".encode()), ("content-type", b"application/json")],
        )
        return sent

    def _page(self, partition: int, after: int) -> list[LogRow]:
        return list(islice(self.store.log(partition=partition, after=after), PAGE))

    async def _cursor(self, partition: int, topic: str) -> int:
        known = self._cursors.get((partition, topic))
        if known is None:
            known = await asyncio.to_thread(patiently, lambda: self.store.cursor(partition, topic))
            self._cursors[partition, topic] = known
        return known

    async def _move(self, partition: int, topic: str, before: int, after: int) -> None:
        moved = await asyncio.to_thread(patiently, lambda: self.store.move_cursor(partition, topic, before, after))
        if moved:
            self._cursors[partition, topic] = after
            return
        # another relay was here, or an answer was lost: look anew, and leave the chain to it for a while
        self._cursors.pop((partition, topic), None)
        self._rests[partition] = time.monotonic() + REST_S
        log.info("another relay told this chain", partition=partition, topic=topic)
