"""What is asked of a cluster outside the stream: which it is, its topics, and where their logs begin and end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from orchestrator.errors import SetupError
from orchestrator.kafka_security import client_options
from orchestrator.settings import KafkaSettings

UNKNOWN_TOPIC = 3
TIMEOUT_MS = 10_000


class Log(NamedTuple):
    """The log of a topic."""

    # "<cluster id>/<topic id>": another one's offsets mean other events
    source: str
    partitions: int


class Ends(NamedTuple):
    """Where a partition's log begins, and the offset after its last readable record."""

    first: int
    end: int


def find_logs(kafka: KafkaSettings, topics: list[str]) -> dict[str, Log]:
    """The logs of these topics; raises SetupError, naming the command that makes them, where one is missing."""
    with _reachable(kafka):
        admin = KafkaAdminClient(
            **client_options(kafka), request_timeout_ms=TIMEOUT_MS, bootstrap_timeout_ms=TIMEOUT_MS
        )
        try:
            cluster = admin.describe_cluster()["cluster_id"]
            found = {topic["name"]: topic for topic in admin.describe_topics(topics)}
        finally:
            admin.close()
    missing = [name for name in topics if name not in found or found[name]["error_code"] == UNKNOWN_TOPIC]
    if missing:
        raise SetupError(
            f"no topic {', '.join(missing)} on {kafka.bootstrap}; make it with: orchestrator topics create"
        )
    return {name: Log(f"{cluster}/{found[name]['topic_id']}", len(found[name]["partitions"])) for name in topics}


def find_ends(kafka: KafkaSettings, topic: str, partitions: int) -> dict[int, Ends]:
    """Where each partition of a topic begins and ends, open and aborted transactions left out."""
    tps = [TopicPartition(topic, partition) for partition in range(partitions)]
    with _reachable(kafka):
        consumer = KafkaConsumer(
            **client_options(kafka),
            isolation_level="read_committed",
            enable_auto_commit=False,
            bootstrap_timeout_ms=TIMEOUT_MS,
        )
        try:
            first, end = consumer.beginning_offsets(tps), consumer.end_offsets(tps)
        finally:
            consumer.close()
    return {tp.partition: Ends(first[tp], end[tp]) for tp in tps}


@contextmanager
def _reachable(kafka: KafkaSettings) -> Iterator[None]:
    try:
        yield
    except KafkaError as error:
        raise SetupError(
            f"Kafka at {kafka.bootstrap} does not answer ({type(error).__name__}); see [kafka] bootstrap in "
            "orchestrator.toml"
        ) from None
