"""What was fetched from Kafka and is not applied yet: bounded, in the order of each partition's log.

    fetch ─▶ put (waits for room) ─▶ take (everything there is) ─▶ applied
                    drop: what is here will be fetched again

A batch takes whatever gathered while the one before it was applied: so batches are as large as the backlog asks for,
and an event that comes alone waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import ConsumerRecord

# partition -> records, by offset
Records = dict[int, list[ConsumerRecord]]


class Fetched:
    """Between the one who fetches and the one who applies; for one event loop."""

    def __init__(self, limit: int) -> None:
        """Whoever puts waits while `limit` records or more are here."""
        self._limit = limit
        self._records: Records = {}
        self._count = 0
        self._drops = 0
        # set while something is here, while there is room, while nothing taken is under way
        self._some, self._room, self._idle = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._room.set()
        self._idle.set()

    async def put(self, records: Mapping[int, Sequence[ConsumerRecord]]) -> None:
        """Adds what was fetched, when there is room; gives it up where `drop` is called meanwhile."""
        drops = self._drops
        await self._room.wait()
        if drops != self._drops:
            return
        for partition, rows in records.items():
            self._records.setdefault(partition, []).extend(rows)
            self._count += len(rows)
        if self._count:
            self._some.set()
        if self._count >= self._limit:
            self._room.clear()

    async def take(self) -> Records:
        """All that is here, once something is; the caller says `applied` when it is."""
        await self._some.wait()
        records = self._records
        self._forget()
        self._idle.clear()
        return records

    def applied(self) -> None:
        """What was taken is in the store, or is no longer ours to write."""
        self._idle.set()

    def drop(self) -> None:
        """Forgets what nobody has taken, and what somebody waits to put."""
        self._drops += 1
        self._forget()

    async def idle(self) -> None:
        """Returns when nothing that was taken is under way."""
        await self._idle.wait()

    def _forget(self) -> None:
        self._records, self._count = {}, 0
        self._some.clear()
        self._room.set()
