"""A programme's file, straight into the topic that workers read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.events.kafka_binding import read_record
from orchestrator.events.partition import partition_of
from tests.kafka.workers import Town, until
from tests.servers import Kafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

PARTITIONS = 4
DEMO = Path(__file__).parents[2] / "orchestrator" / "demo" / "data"


@pytest.fixture(scope="module")
def town(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    town = Town(tmp_path_factory.mktemp("town") / "project", kafka, partitions=PARTITIONS, journeys=["welcome"])
    yield town
    town.close()


def ingested(town: Town) -> dict[str, Any]:
    words = (str(DEMO / "demographics.csv"), "--map", "complete-journey/demographics", "--history", "--into", "kafka")
    code, report = town.command("ingest", *words)
    assert 0 == code, report
    return dict(report)


def test_each_event_lies_in_its_members_partition_and_a_repeat_changes_nothing(town: Town) -> None:
    first, again = ingested(town), ingested(town)
    assert f"topic {town.settings.kafka.events}" == first["output"]
    assert first == again
    assert [] == list((town.folder / "incoming").glob("*.jsonl"))
    records = town.read(town.settings.kafka.events)
    events = [read_record(record.key, record.value, record.headers) for record in records]
    assert 2 * first["events"] == len(events)
    assert [partition_of(event.subject, PARTITIONS) for event in events] == [record.partition for record in records]
    assert all(event.history for event in events)
    worker = town.worker()
    until(town.settled, "all was applied", workers=[worker])
    # in each partition the order that put the content in force was applied before them
    assert (PARTITIONS + first["events"], first["events"]) == (town.totals()["applied"], town.totals()["duplicate"])
    assert 0 == worker.end()
