"""On the wall's clock as in production: append times by the broker, and timers that a worker fires while nothing comes.

What is recorded is the order in which a worker merged its events with what was due: each event under the instant of its
turn. Told so, the embedded engine comes to the same log on its virtual clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.stores.contract import JournalRow
from orchestrator.testing.builders import enrolled, event
from orchestrator.testing.canonical import canonical, differences
from orchestrator.times import micros
from tests.kafka.workers import Town, until, where_it_is_noon
from tests.parity import engines, quick
from tests.parity.recording import SECOND, Record, Recording
from tests.servers import Kafka, Postgres

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

PARTITIONS = 4
MEMBERS = [f"wall-{i}" for i in range(16)]
ROUNDS = 3


@pytest.fixture(scope="module")
def town(kafka: Kafka, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """A town whose members were mentioned some times, seconds apart, until nothing was due any more."""
    url = postgres.fresh_database()
    town = Town(tmp_path_factory.mktemp("wall") / "project", kafka, url, PARTITIONS)
    quick.write(town.folder / "templates")
    worker = town.worker("decide")
    engines.until_shared(town)
    zone = where_it_is_noon(datetime.now(UTC))
    town.send([enrolled(member, datetime.now(UTC), zone=zone, country="GB", region="GB-LND") for member in MEMBERS])
    for n in range(ROUNDS):
        town.send([event("social.mentioned", member, datetime.now(UTC), {"network": f"net-{n}"}) for member in MEMBERS])
        # of the two waits of each mention the first is over: what comes next comes before the end of the second
        fired = len(MEMBERS) * (2 * n + 1)
        until(lambda: len(turned(town, "timer")) >= fired, "timers fired", workers=[worker])  # noqa: B023 - called here
    until(lambda: quiet(town), "nothing was due for a while", workers=[worker])
    assert worker.end() == 0
    yield town
    town.close()
    postgres.drop(url)


def turned(town: Town, kind: str) -> list[JournalRow]:
    """The inputs of a kind, partition by partition in the order of their turns."""
    return [row for partition in range(PARTITIONS) for row in town.store.journal(partition) if row.kind == kind]


def quiet(town: Town) -> bool:
    """Whether what is due next is due in more than a minute."""
    due = town.store.next_due()
    return due is None or due > micros(datetime.now(UTC) + timedelta(minutes=1))


def test_what_a_worker_merged_by_the_walls_clock_gives_the_same_log(town: Town, tmp_path: Path) -> None:
    produced = {(row.partition, row.offset): row for row in town.read(town.settings.kafka.events)}
    merged = [(row.at, produced[row.partition, row.offset]) for row in turned(town, "event")]
    records = tuple(Record(row.partition, at, row.key, row.value) for at, row in merged)
    project, end = town.project, micros(datetime.now(UTC))
    recording = Recording(records, ())
    with engines.embedded(tmp_path / "e.db", PARTITIONS, recording, project.vault, project.content, end) as store:
        assert [] == differences(canonical(store), canonical(town.store))


def test_the_append_times_were_the_brokers_and_timers_fired_while_nothing_came(town: Town) -> None:
    appended = {row.timestamp * 1_000 for row in town.read(town.settings.kafka.events)}
    assert max(appended) - min(appended) > (ROUNDS - 1) * SECOND
    for partition in range(PARTITIONS):
        rows = list(town.store.journal(partition))
        last = max(row.turn for row in rows if row.kind == "event")
        assert {"timer", "expired"} <= {row.kind for row in rows if row.turn > last}
        assert "timer" in {row.kind for row in rows if row.turn < last}
