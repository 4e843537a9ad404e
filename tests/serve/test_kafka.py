"""Events by HTTP where workers decide: acknowledged by the topic, each in its member's own partition, applied once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.events.envelope import write_event
from orchestrator.events.kafka_binding import read_record
from orchestrator.events.partition import partition_of
from orchestrator.serve.keys import new_key
from orchestrator.settings import FILE
from orchestrator.testing.builders import enrolled
from tests.kafka.workers import Town, until
from tests.serve.serving import Serving, serving
from tests.servers import Kafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

PARTITIONS = 4
NOW = datetime.now(UTC)
JOINS = [write_event(enrolled(f"member-{n}", NOW - timedelta(minutes=1))) for n in range(60)]
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


@pytest.fixture(scope="module")
def town(kafka: Kafka, postgres_url_of_module: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    town = Town(tmp_path_factory.mktemp("town") / "project", kafka, store=postgres_url_of_module, partitions=PARTITIONS)
    yield town
    town.close()


@pytest.fixture(scope="module")
def postgres_url_of_module(postgres: object) -> Iterator[str]:
    from tests.servers import Postgres

    assert isinstance(postgres, Postgres)
    url = postgres.fresh_database()
    yield url
    postgres.drop(url)


@pytest.fixture(scope="module")
def server(town: Town) -> Iterator[Serving]:
    key = new_key("tests", ["events"])
    with (town.folder / FILE).open("a", encoding="utf-8") as file:
        file.write(f"[serve]\nport = 0\napi_keys = [{json.dumps(key.line)}]\n")
    with serving(town.folder, key.key) as running:
        yield running


def test_what_was_answered_stands_in_the_topic_in_each_members_own_partition(town: Town, server: Serving) -> None:
    answer = server.http.post("/events", content=b"[" + b",".join(JOINS) + b"]", headers=BATCH)
    assert (202, 60) == (answer.status_code, answer.json()["accepted"])
    records = list(town.read(town.settings.kafka.events))
    assert 60 == len(records)
    for record in records:
        event = read_record(record.key, record.value, record.headers)
        assert (event.subject.encode(), partition_of(event.subject, PARTITIONS)) == (record.key, record.partition)
    assert {"events": "kafka"}["events"] in server.said()


def test_the_workers_apply_it_once_however_often_it_is_sent(town: Town, server: Serving) -> None:
    assert 202 == server.http.post("/events", content=b"[" + b",".join(JOINS) + b"]", headers=BATCH).status_code
    worker = town.worker()
    until(
        lambda: town.totals().get("duplicate", 0) >= 60, "all was applied, and the repeats were seen", workers=[worker]
    )
    assert all(town.store.knows(town.project.vault.member(f"member-{n}")) for n in range(60))
    assert 60 == town.totals()["duplicate"]
    worker.end()


def test_a_broker_that_is_away_is_told_and_nothing_is_lost_when_it_is_sent_again(
    kafka: Kafka, town: Town, server: Serving
) -> None:
    late = [write_event(enrolled(f"late-{n}", NOW - timedelta(minutes=1))) for n in range(5)]
    body = b"[" + b",".join(late) + b"]"
    kafka.kill()
    answer = server.http.post("/events", content=body, headers=BATCH, timeout=60)
    assert (503, "unavailable") == (answer.status_code, answer.json()["title"])
    assert 503 == server.http.get("/health/ready").status_code
    kafka.start()
    statuses: list[int] = []

    def taken() -> bool:
        statuses.append(server.http.post("/events", content=body, headers=BATCH, timeout=60).status_code)
        return statuses[-1] == 202

    until(taken, "events are taken again")
    told = {
        read_record(record.key, record.value, record.headers).subject
        for record in town.read(town.settings.kafka.events)
    }
    assert {f"late-{n}" for n in range(5)} <= told
    assert 0 == server.end(), server.said()
