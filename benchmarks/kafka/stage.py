"""The servers of a run, what is asked of them, and what processes cost."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka import KafkaAdminClient

from benchmarks.kafka.load import Record
from orchestrator.errors import SetupError
from tests.servers import Kafka, Postgres, kafka_missing, postgres_missing

_TICKS = os.sysconf("SC_CLK_TCK")


class Stage(NamedTuple):
    """A run's servers, and a folder for everything that it makes."""

    folder: Path
    kafka: Kafka
    postgres: Postgres


@contextmanager
def servers() -> Iterator[Stage]:
    """Both servers, started for long runs and durable; stopped in the end, with their files."""
    if missing := kafka_missing() or postgres_missing():
        raise SetupError(missing)
    folder = Path(tempfile.mkdtemp(prefix="bench-kafka-"))
    # the account that PostgreSQL runs under looks through it
    folder.chmod(0o755)
    kafka = Kafka(folder / "kafka", heap_mb=768, quick_start=False)
    postgres = Postgres(
        _made(folder / "postgres"), shared_buffers="1GB", max_wal_size="4GB", track_commit_timestamp="on"
    )
    try:
        kafka.start()
        postgres.start()
        yield Stage(folder, kafka, postgres)
    finally:
        postgres.stop()
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)


def make_topic(bootstrap: str, name: str, partitions: int) -> None:
    """A topic with the broker's append time, as ours are."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        configs = {"message.timestamp.type": "LogAppendTime"}
        admin.create_topics({name: {"num_partitions": partitions, "replication_factor": 1, "configs": configs}})
    finally:
        admin.close()


def produce(bootstrap: str, topic: str, records: Sequence[Record]) -> None:
    """All records, as fast as it goes; returns when the broker has them."""

    async def run() -> None:
        async with _producer(bootstrap) as producer:
            sent = [await producer.send(topic, each.value, key=each.key, partition=each.partition) for each in records]
            await asyncio.gather(*sent)

    asyncio.run(run())


def produce_paced(bootstrap: str, topic: str, records: Sequence[Record], per_s: float) -> None:
    """The records at so many a second, evenly, or as soon after as this process gets to it."""

    async def run() -> None:
        async with _producer(bootstrap) as producer:
            begin, sent = time.monotonic(), []
            for i, each in enumerate(records):
                wait = begin + i / per_s - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                sent.append(await producer.send(topic, each.value, key=each.key, partition=each.partition))
            await asyncio.gather(*sent)

    asyncio.run(run())


def appended(bootstrap: str, topic: str, partitions: int, since: int) -> dict[tuple[int, int], int]:
    """(partition, offset) -> when the broker appended it, of all records since an instant; both in microseconds."""

    async def run() -> dict[tuple[int, int], int]:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
        await consumer.start()
        try:
            tps = [TopicPartition(topic, partition) for partition in range(partitions)]
            consumer.assign(tps)
            ends, firsts = (
                await consumer.end_offsets(tps),
                await consumer.offsets_for_times(dict.fromkeys(tps, since // 1_000)),
            )
            found = {}
            for tp in tps:
                if firsts[tp] is None:
                    continue
                consumer.seek(tp, firsts[tp].offset)
                while await consumer.position(tp) < ends[tp]:
                    for row in (await consumer.getmany(tp, timeout_ms=500)).get(tp, []):
                        found[tp.partition, row.offset] = row.timestamp * 1_000
            return found
        finally:
            await consumer.stop()

    return asyncio.run(run())


def _producer(bootstrap: str) -> AIOKafkaProducer:
    return AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=5, max_batch_size=131072)


def cpu_s(pids: Iterable[int]) -> float:
    """Seconds of processor time that these living processes have had; those that ended count nothing (Linux)."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def children(pid: int) -> list[int]:
    """The processes that a process started and that live (Linux)."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
