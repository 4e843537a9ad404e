"""Proving that offsets which did not arrive hold nothing.

Transactions leave markers in the log, which take an offset each and are never delivered; what an aborted transaction
wrote is not delivered either. Anything else that is missing was lost on its way to us, or deleted by retention.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from orchestrator.errors import OrchestratorError, SetupError

LIMIT_S = 20.0


class Lost(OrchestratorError):
    """Records that the log holds did not arrive; a fresh start reads them again."""


class GapReader:
    """Reads ranges of the events topic on a connection of its own, opened when first needed."""

    def __init__(self, topic: str, options: Mapping[str, object]) -> None:
        """`options` are aiokafka's: bootstrap_servers and security."""
        self._topic, self._options = topic, dict(options)
        self._consumer: AIOKafkaConsumer | None = None

    async def prove_empty(self, partition: int, first: int, end: int) -> None:
        """Returns if no readable record has an offset with first <= offset < end.

        Raises Lost where one has, or where it can't be found out; SetupError where retention has deleted the range.
        """
        consumer = await self._opened()
        tp = TopicPartition(self._topic, partition)
        consumer.assign([tp])
        consumer.seek(tp, first)
        try:
            async with asyncio.timeout(LIMIT_S):
                while await consumer.position(tp) < end:
                    rows = (await consumer.getmany(tp, timeout_ms=200)).get(tp, [])
                    if rows and rows[0].offset < end:
                        raise Lost(f"partition {partition}: offset {rows[0].offset} did not arrive")
        except OffsetOutOfRangeError:
            raise SetupError(
                f"partition {partition}: the log no longer holds offset {first}, which the store needs next: events "
                "were deleted before they were read; retention must outlast any outage"
            ) from None
        except TimeoutError:
            raise Lost(f"partition {partition}: offsets {first} to {end - 1} can't be read") from None

    async def close(self) -> None:
        """Closes the connection, if one was opened."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def _opened(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                **self._options,
                isolation_level="read_committed",
                enable_auto_commit=False,
                auto_offset_reset="none",
            )
            await consumer.start()
            self._consumer = consumer
        return self._consumer
