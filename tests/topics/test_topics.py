"""`topics create` and `topics check` against a real broker."""

from __future__ import annotations

import uuid
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource
from typer.testing import CliRunner

from orchestrator.cli.app import app
from orchestrator.errors import SetupError
from orchestrator.settings import KafkaSettings, Settings, StoreSettings
from orchestrator.starter import create as new_project
from orchestrator.topics import Checked, Created, check, create
from tests.servers import Kafka

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka: Kafka) -> Settings:
    """Settings with topic names of their own."""
    mine = uuid.uuid4().hex[:8]
    return Settings(
        store=StoreSettings(partitions=5),
        kafka=KafkaSettings(
            bootstrap=kafka.bootstrap,
            replication=1,
            retention_days=3,
            events=f"events-{mine}",
            decisions=f"decisions-{mine}",
            touches=f"touches-{mine}",
            dead_letters=f"dead-{mine}",
        ),
    )


def names(settings: Settings) -> list[str]:
    kafka = settings.kafka
    return [kafka.events, kafka.decisions, kafka.touches, kafka.dead_letters]


def test_all_four_are_made_once_and_are_then_as_they_must_be(settings: Settings) -> None:
    assert ["exists"] * 4 == [row.what for row in check(settings).differences]
    assert Created(made=names(settings), kept=[], differences=[]) == create(settings)
    assert Created(made=[], kept=names(settings), differences=[]) == create(settings)
    assert [] == check(settings).differences


def test_one_that_is_missing_is_made_beside_the_others(kafka: Kafka, settings: Settings) -> None:
    create(settings)
    moved = msgspec.structs.replace(settings.kafka, touches=f"{settings.kafka.touches}-2")
    again = msgspec.structs.replace(settings, kafka=moved)
    assert [moved.touches] == create(again).made


def test_the_broker_stamps_the_time_that_our_clock_follows(kafka: Kafka, settings: Settings) -> None:
    create(settings)
    producer = KafkaProducer(bootstrap_servers=kafka.bootstrap)
    sent = producer.send(settings.kafka.events, value=b"{}", timestamp_ms=1, partition=0).get(timeout=30)
    producer.close()
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, enable_auto_commit=False)
    consumer.assign([here := TopicPartition(settings.kafka.events, 0)])
    consumer.seek_to_beginning(here)
    (record,) = consumer.poll(timeout_ms=20_000)[here]
    consumer.close()
    assert sent.offset == record.offset
    assert record.timestamp > 1_700_000_000_000


def test_each_difference_is_listed_with_its_cure(kafka: Kafka, settings: Settings) -> None:
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    try:
        admin.create_topics(
            {
                settings.kafka.events: {
                    "num_partitions": 2,
                    "replication_factor": 1,
                    "configs": {"cleanup.policy": "compact", "message.timestamp.type": "CreateTime"},
                }
            }
        )
    finally:
        admin.close()
    found = {row.what: row for row in create(settings).differences}
    # the broker's own defaults are seen as well: a retention of seven days is not the three that were asked for
    assert {"partitions", "cleanup.policy", "message.timestamp.type", "retention.ms"} == set(found)
    assert ("2", "5") == (found["partitions"].found, found["partitions"].wanted)
    assert ("compact", "delete") == (found["cleanup.policy"].found, found["cleanup.policy"].wanted)
    assert f"--entity-name {settings.kafka.events} --add-config cleanup.policy=delete" in found["cleanup.policy"].cure
    assert all(row.cure and row.topic == settings.kafka.events for row in found.values())


def test_a_cure_that_is_followed_cures(kafka: Kafka, settings: Settings) -> None:
    create(msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, retention_days=9)))
    differences = check(settings).differences
    assert ["retention.ms"] * 4 == [row.what for row in differences]
    admin = KafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    try:
        for row in differences:
            _, _, change = row.cure.partition("--add-config ")
            name, _, value = change.partition("=")
            admin.alter_configs([ConfigResource("topic", row.topic, {name: value})])
    finally:
        admin.close()
    assert [] == check(settings).differences


def test_more_copies_than_brokers_are_refused_with_the_setting_to_change(settings: Settings) -> None:
    greedy = msgspec.structs.replace(settings, kafka=msgspec.structs.replace(settings.kafka, replication=3))
    with pytest.raises(SetupError, match=r"\[kafka\] replication"):
        create(greedy)
    create(settings)
    assert {("replication", "1", "3"), ("min.insync.replicas", "1", "2")} == {
        (row.what, row.found, row.wanted) for row in check(greedy).differences
    }


def test_the_verbs_say_what_they_did_and_end_with_1_where_something_differs(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_project(tmp_path)
    monkeypatch.setenv("ORCHESTRATOR_KAFKA_BOOTSTRAP", settings.kafka.bootstrap)
    monkeypatch.setenv("ORCHESTRATOR_KAFKA_REPLICATION", "1")
    text = (tmp_path / "orchestrator.toml").read_text(encoding="utf-8")
    for name, mine in zip(("member-events", "decisions", "touches", "dead-letters"), names(settings), strict=True):
        text = text.replace(f'= "{name}"', f'= "{mine}"')
    (tmp_path / "orchestrator.toml").write_text(text, encoding="utf-8")
    run = CliRunner()
    project = ["--project", str(tmp_path), "--json", "topics"]

    before = run.invoke(app, [*project, "check"])
    assert 1 == before.exit_code, before.output
    assert 4 == len(msgspec.json.decode(before.stdout, type=Checked).differences)

    done = run.invoke(app, [*project, "create"])
    assert 0 == done.exit_code, done.output
    assert names(settings) == msgspec.json.decode(done.stdout, type=Created).made

    after = run.invoke(app, ["--project", str(tmp_path), "topics", "check"])
    assert 0 == after.exit_code, after.output
    assert "All topics are as they must be" in after.stdout
