"""One worker on a real broker with an SQLite store: everything that may happen to events, through kill and restart.

The tests tell one story, in order, so that processes are started once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka.structs import ConsumerRecord
from kafka import KafkaConsumer, TopicPartition

from orchestrator.contact_log.verify import verify
from orchestrator.content.event_types import load_event_types
from orchestrator.events.envelope import Event, write_event
from orchestrator.events.kafka_binding import write_record
from orchestrator.events.partition import partition_of
from orchestrator.stores.contract import LogRow
from orchestrator.testing.builders import enrolled, event, purchase
from tests.kafka.workers import Send, Town, until, where_it_is_noon
from tests.own_types import declare
from tests.servers import Kafka

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

PARTITIONS = 4
MEMBERS = [f"member-{n}" for n in range(40)]
NOW = datetime.now(UTC)


def joined() -> list[Event]:
    """They get a greeting at once: it is noon where they live."""
    zone = where_it_is_noon(NOW)
    return [enrolled(m, NOW - timedelta(hours=2), zone=zone, country="GB", region="GB-LND") for m in MEMBERS]


def bought(first: int, n: int) -> list[Event]:
    """`n` purchases, numbered from `first`."""
    return [
        purchase(MEMBERS[i % len(MEMBERS)], NOW - timedelta(hours=1) + timedelta(seconds=i), id=f"p{i}")
        for i in range(first, first + n)
    ]


@pytest.fixture(scope="module")
def town(kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    town = Town(tmp_path_factory.mktemp("town") / "project", kafka, partitions=PARTITIONS)
    declare(town.folder, "stay.booked")
    yield town
    town.close()


@pytest.fixture(scope="module")
def story(town: Town) -> dict[str, int]:
    """Feeds a worker, kills it in the middle, feeds another one, and ends that in order; what must have come of it."""
    own = load_event_types(town.folder)
    stay = event("stay.booked", MEMBERS[0], NOW, {"booking_id": "b-1"}, types=own)
    good = [*joined(), *bought(0, 200), stay]
    town.send(good)
    unreadable = Send(b"\x00 no event", b"member-1", partition_of("member-1", PARTITIONS))
    again = bought(0, 10)
    reused = purchase(MEMBERS[0], NOW, amount=1, id="p0")
    misfit = town.record(stay)._replace(value=write_event(stay).replace(b'"b-1"', b"1"))
    town.send([unreadable, *again, reused, misfit])
    astray = purchase(MEMBERS[3], NOW, id="astray")
    home = partition_of(MEMBERS[3], PARTITIONS)
    town.send([town.record(astray)._replace(partition=(home + 1) % PARTITIONS, headers=tuple(write_record(astray)[2]))])
    town.send([purchase(MEMBERS[5], NOW, id="aborted")], transaction="t1", commit=False)
    town.send([purchase(MEMBERS[5], NOW, id="committed")], transaction="t2")

    first = town.worker()
    until(lambda: sum(town.next_offsets().values()) > 50, "some events were applied", workers=[first])
    first.kill()
    town.send(bought(200, 100))
    second = town.worker()
    until(lambda: town.totals().get("forwarded") == 1 and town.settled(), "all was applied and told", workers=[second])
    listening = second.listens()
    code = second.end()
    assert second.process.stdout is not None
    return {
        # the purchase that was sent to a wrong partition, and the one of the transaction that was committed
        "applied": len(good) + 100 + 2,
        "exit": code,
        "listening": len(listening),
        "printed": len(second.process.stdout.read()),
    }


def test_every_event_is_applied_once_through_a_kill(town: Town, story: dict[str, int]) -> None:
    applied = [row for p in range(PARTITIONS) for row in town.store.journal(p) if row.kind == "event"]
    assert story["applied"] == len(applied)
    assert story["applied"] == len({(row.partition, row.offset) for row in applied})


def test_the_counts_add_up(town: Town, story: dict[str, int]) -> None:
    totals = town.totals()
    assert totals["inputs"] == sum(
        totals.get(name, 0) for name in ("applied", "duplicate", "dead", "parked", "forwarded")
    )


def test_each_member_is_greeted_once(town: Town, story: dict[str, int]) -> None:
    """A kill may leave a call in doubt; it is never made again."""
    touches = list(town.store.touches())
    assert len(MEMBERS) == len(touches)
    assert {touch.state for touch in touches} <= {"accepted", "unknown"}
    accepted = sum(touch.state == "accepted" for touch in touches)
    index = town.folder / "captured" / "index.jsonl"
    # the kill may have come when all were about to be called
    captured = len(index.read_text(encoding="utf-8").splitlines()) if index.exists() else 0
    assert accepted <= captured <= len(MEMBERS)


def test_an_event_told_twice_is_a_duplicate(town: Town, story: dict[str, int]) -> None:
    assert town.totals()["duplicate"] == 10


def test_bytes_that_are_no_event_and_an_id_used_again_are_dead_letters(town: Town, story: dict[str, int]) -> None:
    assert ["bad_data", "id_reused", "not_json"] == sorted(row.reason for row in town.store.dead())


def test_an_event_of_the_projects_own_type_is_held_against_its_schema(town: Town, story: dict[str, int]) -> None:
    (misfit,) = [row.cure for row in town.store.dead() if row.reason == "bad_data"]
    assert "Expected `str`, got `int` - at `$.booking_id`; see schemas/events/stay.booked.v1.json" == misfit


def test_each_dead_letter_is_told_to_its_topic(town: Town, story: dict[str, int]) -> None:
    told = {place(record): json.loads(record.value) for record in town.read(town.settings.kafka.dead_letters)}
    letters = town.store.burials(dict.fromkeys(range(PARTITIONS), 0), 100)
    assert {(row.letter.partition, row.n): row.letter.reason for row in letters} == {
        chain: said["reason"] for chain, said in told.items()
    }


def test_an_event_in_another_members_partition_is_sent_on_to_its_own(town: Town, story: dict[str, int]) -> None:
    assert town.totals()["forwarded"] == 1
    home = partition_of(MEMBERS[3], PARTITIONS)
    copies = [r for r in town.read(town.settings.kafka.events) if b'"purchase/astray"' in r.value]
    assert sorted([home, (home + 1) % PARTITIONS]) == sorted(record.partition for record in copies)
    assert 1 == len({record.headers for record in copies})


def test_the_store_stands_at_the_end_of_the_log(town: Town, story: dict[str, int]) -> None:
    records = town.read(town.settings.kafka.events)
    last = {p: max(r.offset for r in records if r.partition == p) for p in range(PARTITIONS)}
    assert {p: offset + 1 for p, offset in last.items()} == town.next_offsets()


def test_kafkas_own_tools_are_told_how_far_the_store_is(town: Town, story: dict[str, int]) -> None:
    kafka = town.settings.kafka
    consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, group_id=kafka.group, enable_auto_commit=False)
    committed = {p: consumer.committed(TopicPartition(kafka.events, p)) for p in range(PARTITIONS)}
    consumer.close()
    assert town.next_offsets() == committed


def test_the_log_verifies(town: Town, story: dict[str, int]) -> None:
    assert verify(town.store).ok


@pytest.mark.parametrize("kind", ["decision", "touch"])
def test_the_relay_told_each_row_in_order(town: Town, story: dict[str, int], kind: str) -> None:
    """Once a chain's repeats are left out, its rows are all there, each after the one before it."""
    topic = {"decision": town.settings.kafka.decisions, "touch": town.settings.kafka.touches}[kind]
    told: dict[tuple[int, str], list[int]] = {}
    for record in town.read(topic):
        chain, n = place(record)
        seen = told.setdefault((chain, (record.key or b"").decode()), [])
        if not seen or n > seen[-1]:
            seen.append(n)
    rows = [row for row in town.store.log() if row.kind == kind]
    assert by_member(rows) == told
    assert rows, "there was nothing to tell, so nothing was tried here"


def test_what_the_relay_tells_names_no_member(town: Town, story: dict[str, int]) -> None:
    record = town.read(town.settings.kafka.decisions)[0]
    said = json.loads(record.value)
    assert said["member"] is None
    assert record.key.decode() == said["member_ref"]


def test_a_worker_that_is_asked_to_end_leaves_with_0(story: dict[str, int]) -> None:
    assert story["exit"] == 0


def test_a_worker_waits_for_no_connection(story: dict[str, int]) -> None:
    """Faust's web server would listen on every address, without a login."""
    assert story["listening"] == 0


def test_a_worker_prints_nothing(story: dict[str, int]) -> None:
    assert story["printed"] == 0


def test_logs_are_json_and_name_no_member(town: Town, story: dict[str, int]) -> None:
    for worker in town.workers:
        text = worker.log.read_text(encoding="utf-8")
        assert [line for line in text.splitlines() if not line.startswith("{")] == []
        assert not any(member in text for member in MEMBERS)


def place(record: ConsumerRecord[bytes, bytes]) -> tuple[int, int]:
    """(chain, n) of a record."""
    chain, n = dict(record.headers)["chain"].decode().split("/")
    return int(chain), int(n)


def by_member(rows: list[LogRow]) -> dict[tuple[int, str], list[int]]:
    found: dict[tuple[int, str], list[int]] = {}
    for row in rows:
        found.setdefault((row.partition, row.ref), []).append(row.n)
    return found
