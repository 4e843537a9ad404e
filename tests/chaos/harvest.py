"""What a run leaves for the checker, by plain means: the CLI's own export, plain SQL, a plain consumer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from kafka import KafkaConsumer, TopicPartition

from tests.chaos.stage import Stage

TOPICS = {"decisions": "decision", "touches": "touch"}
# rows of the inbox that are due at the first instant, or that may still do something by the second: the end of validity
# and a look at the outbox do nothing any more once no touch is live
TO_DO = """
SELECT count(*) FROM inbox
 WHERE due <= %s
    OR due <= %s AND convert_from(input, 'UTF8')::json ->> 'type' NOT IN ('expired', 'tick')"""
EVENTS = "SELECT partition, count(*) FROM journal WHERE kind = 'event'"
COMMITS = """
SELECT partition, min(n), (extract(epoch FROM pg_xact_commit_timestamp(min(xmin::text)::xid)) * 1000000)::int8
  FROM log GROUP BY partition, xmin::text ORDER BY 1, 2"""
LIVE = "SELECT count(*) FROM touches WHERE state IN ('reserved', 'claimed', 'attempting')"


def harvest(stage: Stage, folder: Path, at: int) -> None:
    """Writes log, books and what the topics told; `at` is the run's end in microseconds."""
    stage.run_cli("log", "export", "--members", "--out", str(folder / "log.jsonl"))
    ends = end_offsets(stage.kafka.bootstrap, "member-events")
    (folder / "books.json").write_text(json.dumps(books(stage.database, ends, at)), encoding="utf-8")
    with (folder / "relayed.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(record) + "\n" for record in relayed(stage.kafka.bootstrap))


def to_do(database: str, soon: int) -> int:
    """Rows that are due by so many microseconds from now, and live touches."""
    at = time.time_ns() // 1_000
    with psycopg.connect(database, autocommit=True, connect_timeout=5) as connection:
        asked = connection.execute(TO_DO, (at, at + soon)), connection.execute(LIVE)
        return sum(row[0] for rows in asked for row in rows)


def books(database: str, ends: dict[int, int], at: int) -> dict[str, Any]:
    """How far each partition is and what it counted, by plain SQL, and where its arrivals end."""
    with psycopg.connect(database, autocommit=True) as connection:

        def table(query: str) -> dict[Any, Any]:
            return dict(connection.execute(query).fetchall())

        offsets = table("SELECT partition, next_offset FROM progress")
        # an event that came for an alias is the other member's, and has no place in that one's partition of the topic
        events = table(f'{EVENTS} AND "offset" >= 0 GROUP BY partition')
        sent_on = table(f'{EVENTS} AND "offset" < 0 GROUP BY partition')
        parked = table("SELECT partition, count(*) FROM parked WHERE kind = 'event' GROUP BY partition")
        totals: dict[int, dict[str, int]] = {}
        for partition, name, count in connection.execute("SELECT partition, name, count FROM totals"):
            totals.setdefault(partition, {})[name] = count
        vouchers = connection.execute("SELECT fingerprint, touch_id FROM vouchers ORDER BY seq").fetchall()
        (kept,) = connection.execute("SHOW track_commit_timestamp").fetchall()[0]
        commits: dict[int, list[tuple[int, int]]] = {}
        for partition, n, committed in connection.execute(COMMITS) if kept == "on" else ():
            commits.setdefault(partition, []).append((n, committed))
        overdue = connection.execute("SELECT count(*) FROM inbox WHERE due <= %s", (at,)).fetchone()
        live = connection.execute(LIVE).fetchone()
    return {
        "inbox_overdue": overdue[0] if overdue else 0,
        "live_touches": live[0] if live else 0,
        "vouchers": [{"fingerprint": fingerprint, "touch_id": touch} for fingerprint, touch in vouchers],
        # of each partition (first entry of the log, instant), by entry
        "commits": commits,
        "partitions": {
            partition: {
                "next_offset": offset,
                "end_offset": ends.get(partition, 0),
                "journal_events": events.get(partition, 0),
                "sent_on": sent_on.get(partition, 0),
                "parked": parked.get(partition, 0),
                "totals": totals.get(partition, {}),
            }
            for partition, offset in offsets.items()
        },
    }


def end_offsets(bootstrap: str, topic: str) -> dict[int, int]:
    """The offset after the last record of each partition."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    try:
        tps = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
        return {tp.partition: end for tp, end in consumer.end_offsets(tps).items()}
    finally:
        consumer.close()


def relayed(bootstrap: str) -> Iterator[dict[str, Any]]:
    """Every record of the topics that the relay tells, by topic, partition and offset."""
    for topic in TOPICS:
        consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, enable_auto_commit=False, isolation_level="read_committed"
        )
        try:
            tps = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
            consumer.assign(tps)
            consumer.seek_to_beginning()
            ends = consumer.end_offsets(tps)
            while any(consumer.position(tp) < end for tp, end in ends.items()):
                for tp, records in consumer.poll(timeout_ms=1_000).items():
                    for record in records:
                        chain, _, n = dict(record.headers)["chain"].decode().partition("/")
                        place = {"topic": topic, "partition": tp.partition, "offset": record.offset}
                        yield place | {"chain": int(chain), "n": int(n)}
        finally:
            consumer.close()
