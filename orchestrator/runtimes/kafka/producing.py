"""Events into the topic that workers read, each in its member's own partition."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from orchestrator.events.envelope import Event
from orchestrator.events.kafka_binding import write_record
from orchestrator.events.partition import partition_of
from orchestrator.kafka_security import client_options
from orchestrator.settings import KafkaSettings

# seconds that a record may wait for its acknowledgement, so that whoever sent it is not kept waiting for ever
TIMEOUT_MS = 10_000
# how long a failure is told to whoever asks whether all is well
REMEMBERED_S = 10.0


class NotAcknowledged(Exception):
    """Some of these events may be in the topic, and some not; its text is the kind of the first error."""


class Producer:
    """A producer whose records are acknowledged by every copy that counts; repeats of its own are dropped."""

    def __init__(self, kafka: KafkaSettings, partitions: int) -> None:
        """`partitions`: how many the topic has. Raises SetupError for a login that lacks its password."""
        self._topic, self._partitions = kafka.events, partitions
        self._options = client_options(kafka)
        self._producer: AIOKafkaProducer | None = None
        self._failed_at = -REMEMBERED_S

    async def start(self) -> None:
        """Connects; raises KafkaError."""
        self._producer = AIOKafkaProducer(
            **self._options, acks="all", enable_idempotence=True, linger_ms=2, request_timeout_ms=TIMEOUT_MS
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Sends what waits, and gives back connections."""
        if self._producer is not None:
            await self._producer.stop()

    def well(self) -> bool:
        """Whether no record failed of late."""
        return time.monotonic() - self._failed_at >= REMEMBERED_S

    async def put(self, events: Sequence[Event]) -> None:
        """Returns when all of them are acknowledged; raises NotAcknowledged."""
        try:
            async with asyncio.timeout(2 * TIMEOUT_MS / 1_000):
                waiting = [await self._send(event) for event in events]
                answers = await asyncio.gather(*waiting, return_exceptions=True)
        except (KafkaError, TimeoutError) as error:
            self._failed_at = time.monotonic()
            raise NotAcknowledged(type(error).__name__) from None
        if failed := [answer for answer in answers if isinstance(answer, BaseException)]:
            self._failed_at = time.monotonic()
            raise NotAcknowledged(type(failed[0]).__name__)

    async def _send(self, event: Event) -> asyncio.Future[object]:
        if self._producer is None:
            raise NotAcknowledged("NotStarted")
        key, value, headers = write_record(event)
        sent: asyncio.Future[object] = await self._producer.send(
            self._topic,
            value,
            key=key,
            headers=headers,
            partition=partition_of(event.subject, self._partitions),
        )
        return sent
