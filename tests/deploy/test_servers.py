"""The servers that other tests rely on start, answer, survive a restart and a kill, and end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from tests.servers import Kafka, NotStarted, Postgres, Process


def records(kafka: Kafka, topic: str) -> list[bytes]:
    """All values of partition 0, to its end."""
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, enable_auto_commit=False)
    try:
        here = TopicPartition(topic, 0)
        consumer.assign([here])
        consumer.seek_to_beginning(here)
        end = consumer.end_offsets([here])[here]
        values: list[bytes] = []
        while consumer.position(here) < end:
            values += [record.value for batch in consumer.poll(timeout_ms=500).values() for record in batch]
        return values
    finally:
        consumer.close()


def produce(kafka: Kafka, topic: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all")
    try:
        producer.send(topic, value=value).get(timeout=30)
    finally:
        producer.close()


@pytest.mark.kafka
def test_kafka_keeps_what_it_acknowledged_over_a_restart_and_a_kill(kafka: Kafka) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    try:
        admin.create_topics([NewTopic("servers-survive", 1, 1)])
    finally:
        admin.close()
    produce(kafka, "servers-survive", b"before")
    first = kafka.pid
    kafka.restart()
    assert first != kafka.pid
    produce(kafka, "servers-survive", b"between")
    kafka.kill()
    assert not kafka.running
    kafka.start()
    assert [b"before", b"between"] == records(kafka, "servers-survive")


def test_each_postgres_database_is_fresh_and_its_sessions_can_be_ended(postgres: Postgres, postgres_url: str) -> None:
    other = postgres.fresh_database()
    assert other != postgres_url
    with psycopg.connect(postgres_url) as mine:
        assert [(0,)] == mine.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchall()
        assert 1 == postgres.kill_sessions(postgres_url)
        with pytest.raises(psycopg.OperationalError):
            mine.execute("SELECT 1")
    postgres.drop(other)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(other)


def test_postgres_keeps_what_was_committed_over_a_restart_and_a_kill(postgres: Postgres, postgres_url: str) -> None:
    if not postgres.owned:
        pytest.skip("the PostgreSQL of ORCHESTRATOR_TEST_POSTGRES is not ours to stop")
    with psycopg.connect(postgres_url) as session:
        session.execute("CREATE TABLE kept (word text)")
        session.execute("INSERT INTO kept VALUES ('before')")
    postgres.restart()
    with psycopg.connect(postgres_url) as session:
        session.execute("INSERT INTO kept VALUES ('between')")
        session.commit()
        session.execute("INSERT INTO kept VALUES ('never committed')")
        postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            session.commit()
    assert not postgres.running
    postgres.start()
    with psycopg.connect(postgres_url) as session:
        assert [("before",), ("between",)] == session.execute("SELECT word FROM kept ORDER BY word").fetchall()


def test_a_server_that_ends_by_itself_is_reported_with_its_last_words(tmp_path: Path) -> None:
    process = Process(tmp_path / "words")
    with pytest.raises(NotStarted, match="no disk"):
        process.start([sys.executable, "-c", "print('no disk')"], ready=lambda said: "ready" in said)
    assert not process.running


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end the children")
def test_a_server_ends_with_the_run_that_started_it_however_that_ends(tmp_path: Path) -> None:
    program = (
        "import sys, signal, os; from pathlib import Path; from tests.servers import Process\n"
        f"child = Process(Path({str(tmp_path / 'words')!r}))\n"
        "code = 'print(1, flush=True); import time; time.sleep(600)'\n"
        "child.start([sys.executable, '-c', code], lambda said: '1' in said)\n"
        "print(child.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert -signal.SIGKILL == run.returncode, run.stderr
    child = Path("/proc") / run.stdout.strip()
    for _ in range(100_000):
        # gone, or a zombie that nobody has reaped yet
        if not child.exists() or ") Z " in (child / "stat").read_text(encoding="utf-8"):
            return
    pytest.fail("the server outlived the run that started it")
