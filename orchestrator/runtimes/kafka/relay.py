"""The role `relay`: decisions, touches and dead letters, each told to its topic in the order of its chain.

    progress ─▶ news of all chains at once, from their cursors on ─▶ topics ─▶ every record confirmed ─▶ cursors

At least once: a crash between the confirmation and the cursors tells a page again, and consumers drop what they have
seen by the header `chain` ("partition/n"). Rows of the log are keyed by member reference, so that whoever follows one
member sees that member's rows in order; dead letters by their partition, and what they held stays in the store, sealed.
A cursor stands for one chain and one topic, and moves by compare-and-set: two relays on one chain repeat each other's
rows and lose nothing; the one that loses a race rests.

A round asks for all chains together and sends each topic's records by the batch: what it costs hangs on how much there
is to tell, not on how many chains there are.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, ParamSpec, TypeVar

import msgspec
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from orchestrator.contact_log.export import line
from orchestrator.deadletters import notice
from orchestrator.events.partition import partition_of
from orchestrator.runtimes.kafka.patience import patiently
from orchestrator.runtimes.kafka.watchdog import Watchdog
from orchestrator.settings import KafkaSettings
from orchestrator.stores.contract import Burial, CursorMove, LogRow, Store

# rows of one chain told at once
PAGE = 250
# from the start of one round to that of the next, unless a chain has more than a page: what gathers is told together
ROUND_S = 0.25
# an orderly end takes so long for what was decided last; whoever comes next tells the rest
LAST_S = 5.0
# how long a relay leaves a chain alone that another one told
REST_S = 5.0

log = structlog.get_logger()

P = ParamSpec("P")
T = TypeVar("T")

# a member's rows come in a row: the decision, then the touch's states
_home = lru_cache(16_384)(partition_of)
_encode = msgspec.json.Encoder().encode


class Relay:
    """The role `relay`: the chains of some partitions, told to their topics."""

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
        self.dead_letters = kafka.dead_letters
        # records told since the start
        self.told = 0
        # (partition, topic) -> where its cursor stands, as far as we know
        self._cursors: dict[tuple[int, str], int] = {}
        self._rests: dict[int, float] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Rounds until `stop`, then for at most LAST_S until all is told."""
        while not stop.is_set():
            started = time.monotonic()
            with self.watchdog.watching("the relay"):
                most = await self.round()
            if most < PAGE:
                try:
                    async with asyncio.timeout(started + ROUND_S - time.monotonic()):
                        await stop.wait()
                except TimeoutError:
                    pass
        until = time.monotonic() + LAST_S
        # nobody else may be there any more to tell the chains that were left to another one
        self._rests.clear()
        with self.watchdog.watching("the relay's last rounds"):
            while time.monotonic() < until and await self.round():
                pass

    async def round(self) -> int:
        """At most a page of each chain that has news; how many rows the cursor of the longest one passed."""
        mine, now = set(self.partitions()), time.monotonic()
        # where we don't own a chain, its cursor may move without us
        self._cursors = {key: n for key, n in self._cursors.items() if key[0] in mine}
        lasts = {row.partition: row.log_n for row in await self._ask(self.store.progress) if row.partition in mine}
        chains = [partition for partition in lasts if now >= self._rests.get(partition, 0.0)]
        await self._know(chains)
        after = {p: min(self._cursors[p, topic] for topic in self.topics.values()) for p in chains}
        rows = await self._ask(self.store.news, {p: n for p, n in after.items() if n < lasts[p]}, PAGE)
        buried = await self._ask(self.store.burials, {p: self._cursors[p, self.dead_letters] for p in chains}, PAGE)
        if not rows and not buried:
            return 0
        await self._tell([*self._entries(rows), *self._letters(buried)])
        # they come in the order of their chains: the last one stands
        reached = {(row.partition, topic): row.n for topic in self.topics.values() for row in rows}
        reached |= {(letter.partition, self.dead_letters): n for n, letter in buried}
        await self._move(reached)
        of_each = Counter(row.partition for row in rows), Counter(letter.partition for _, letter in buried)
        return max(n for counts in of_each for n in counts.values())

    async def _know(self, partitions: Iterable[int]) -> None:
        """Sees that we know where the cursors of these partitions stand."""
        topics = (*self.topics.values(), self.dead_letters)
        wanted = [(p, topic) for p in partitions for topic in topics if (p, topic) not in self._cursors]
        if wanted:
            found = await self._ask(self.store.cursors)
            self._cursors |= {key: found.get(key, 0) for key in wanted}

    def _entries(self, rows: Iterable[LogRow]) -> Iterator[_Record]:
        """What of these rows their topics have not been told."""
        for row in rows:
            topic = self.topics.get(row.kind)
            if topic is not None and row.n > self._cursors[row.partition, topic]:
                yield _Record(topic, row.ref, f"{row.partition}/{row.n}", _encode(line(row)))

    def _letters(self, buried: Iterable[Burial]) -> Iterator[_Record]:
        for burial in buried:
            partition = burial.letter.partition
            yield _Record(self.dead_letters, str(partition), f"{partition}/{burial.n}", _encode(notice(burial)))

    async def _tell(self, records: Sequence[_Record]) -> None:
        """Sends records to their topics; returns when the brokers have confirmed them all."""
        topics = {record.topic for record in records}
        counts = {topic: len(await self.producer.partitions_for(topic)) for topic in topics}
        batches: dict[tuple[str, int], BatchBuilder] = {}
        confirmed: list[asyncio.Future[Any]] = []
        for record in records:
            place = record.topic, _home(record.key, counts[record.topic])
            batch = batches.get(place)
            if batch is None or not _added(batch, record):
                if batch is not None:
                    confirmed.append(await self._send(place, batch))
                batch = batches[place] = self.producer.create_batch()
                _added(batch, record)
        for place, batch in batches.items():
            confirmed.append(await self._send(place, batch))
        await asyncio.gather(*confirmed)
        self.told += len(records)

    async def _send(self, place: tuple[str, int], batch: BatchBuilder) -> asyncio.Future[Any]:
        batch.close()
        sent: asyncio.Future[Any] = await self.producer.send_batch(batch, place[0], partition=place[1])
        return sent

    async def _move(self, reached: dict[tuple[int, str], int]) -> None:
        """Moves these cursors, all in one transaction."""
        moves = [CursorMove(*key, before, n) for key, n in reached.items() if (before := self._cursors[key]) < n]
        for move, moved in zip(moves, await self._ask(self.store.move_cursors, moves), strict=True):
            if moved:
                self._cursors[move.partition, move.topic] = move.after
                continue
            # another relay was here, or an answer was lost: look anew, and leave the chain to it for a while
            self._cursors.pop((move.partition, move.topic), None)
            self._rests[move.partition] = time.monotonic() + REST_S
            log.info("another relay told this chain", partition=move.partition, topic=move.topic)

    async def _ask(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What the store answers, asked in a thread until it is there."""
        return await asyncio.to_thread(patiently, lambda: question(*args, **kwargs))


class _Record(NamedTuple):
    """One record to send."""

    topic: str
    # whose records stay in order; "" for no one's
    key: str
    # its place: "partition/n"
    chain: str
    value: bytes


def _added(batch: BatchBuilder, record: _Record) -> bool:
    """Whether there was room; an empty batch has room for any record."""
    headers = [("chain", record.chain.encode()), ("content-type", b"application/json")]
    # the brokers set the time
    put = batch.append(timestamp=None, key=record.key.encode() or None, value=record.value, headers=headers)
    return put is not None
