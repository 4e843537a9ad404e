"""What may befall a worker, caused for real: its end, its wait, or its going on, and what is on record afterwards."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, TopicPartition

from orchestrator import topics
from orchestrator.contact_log.verify import verify
from orchestrator.events.envelope import Event
from orchestrator.events.partition import partition_of
from orchestrator.settings import FILE
from orchestrator.testing.builders import enrolled, purchase
from orchestrator.testing.relay import HANG, Relay
from orchestrator.testing.world import lines
from tests.kafka.workers import Running, Town, until, where_it_is_noon
from tests.servers import Kafka, Postgres

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

PARTITIONS = 4
NOW = datetime.now(UTC)
ROOT = Path(__file__).parents[2]

NewTown = Callable[..., Town]


@pytest.fixture
def new_town(kafka: Kafka, tmp_path: Path) -> Iterator[NewTown]:
    """`new_town(**settings of [kafka])`: a project on an SQLite file, or on the `store` named."""
    made: list[Town] = []

    def new_town(**more: object) -> Town:
        folder = tmp_path / f"town-{len(made)}"
        made.append(Town(folder, kafka, partitions=PARTITIONS, journeys=["welcome"], **more))  # type: ignore[arg-type]
        return made[-1]

    yield new_town
    for town in made:
        town.close()


def joins(member: str, **profile: object) -> Event:
    """A member who is greeted at once: it is noon where they live."""
    where = {"zone": where_it_is_noon(NOW), "country": "GB", "region": "GB-LND"} | profile
    return enrolled(member, NOW - timedelta(hours=2), channels=("email",), consents=("email",), **where)


def bought(n: int, members: int = 20) -> list[Event]:
    return [purchase(f"member-{i % members}", NOW - timedelta(hours=1), id=f"p{i}") for i in range(n)]


def applied(town: Town) -> int:
    return sum(row.kind == "event" for p in range(PARTITIONS) for row in town.store.journal(p))


def epochs(town: Town) -> set[int]:
    return {row.epoch for row in town.store.progress()}


# --- the database is away


def test_a_worker_waits_for_a_database_that_is_away_and_goes_on(
    new_town: NewTown, postgres: Postgres, postgres_url: str
) -> None:
    """In the middle of its work, and for longer than any of its time-outs; neither ended nor skipped."""
    if not postgres.owned:
        pytest.skip("this server is not ours to stop")
    town = new_town(store=postgres_url, watchdog_s=8.0)
    given = [*[joins(f"member-{n}") for n in range(20)], *bought(400)]
    town.send(given)
    worker = town.worker()
    until(lambda: sum(town.next_offsets().values()) > 40, "some events were applied", workers=[worker])
    postgres.kill()
    town.send(bought(500)[400:])
    until(lambda: sum("away" in line["event"] for line in worker.said()) >= 3, "it waits", workers=[worker])
    time.sleep(10)
    postgres.start()
    until(town.settled, "all was applied, called and told", workers=[worker])
    assert len(given) + 100 == applied(town)
    assert {1} == epochs(town), "it kept its partitions"
    assert 0 == worker.end()
    assert verify(town.store).ok


# --- an input that can't be applied


def test_a_member_whose_event_fails_is_quarantined_and_redriven_beside_a_worker_that_goes_on(new_town: NewTown) -> None:
    town = new_town()
    home = partition_of("glassy", PARTITIONS)
    beside = next(name for name in map(str, range(99)) if partition_of(name, PARTITIONS) == home)
    town.send([joins("glassy", tier="glass"), joins(beside), purchase("glassy", NOW, id="p1")])
    town.module = "tests.kafka.broken_worker"
    broken = town.worker(PYTHONPATH=str(ROOT))
    until(lambda: applied(town) == 1 and town.settled(), "the other was greeted", workers=[broken])
    alarm = [line for line in broken.said() if line["event"] == "member quarantined"]
    assert [("error", "ZeroDivisionError")] == [(line["level"], line["error"]) for line in alarm]
    assert 2 == town.totals()["parked"]
    assert 0 == broken.end()

    code, listed = town.command("dlq", "parked", "--members")
    assert (0, [("glassy", 2)]) == (code, [(row["member"], row["inputs"]) for row in listed])

    town.module = Town.module
    sound = town.worker()
    until(lambda: epochs(town) == {2}, "another worker has them all", workers=[sound])
    code, done = town.command("dlq", "redrive", "glassy")
    assert (0, False) == (code, done["carried_out"])
    until(lambda: applied(town) == 3 and town.settled(), "what was parked was applied", workers=[sound])
    assert (0, []) == (town.totals()["parked"], town.store.quarantine())
    (touch, *_) = town.store.touches(member=town.project.vault.member("glassy"))
    assert "accepted" == touch.state
    assert 0 == town.command("member", "erase", "glassy", "--yes")[0]
    until(lambda: town.store.key(touch.ref) is None, "the key was destroyed", workers=[sound])
    assert {2} == epochs(town), "no command took a partition"
    assert 0 == sound.end()


# --- another log than the store's


def refused(town: Town) -> str:
    """Why a worker did not start, or ended: an operator must act."""
    worker = town.worker("decide")
    assert 3 == worker.exit_code()
    return worker.log.read_text(encoding="utf-8")


def fed(town: Town, n: int = 30) -> None:
    """A worker applied so many events, and ended in order."""
    town.send(bought(n))
    worker = town.worker("decide")
    until(lambda: applied(town) == n, "all was applied", workers=[worker])
    assert 0 == worker.end()


def test_a_topic_that_was_made_anew_is_not_read_on_from_where_the_former_one_was(new_town: NewTown) -> None:
    town = new_town()
    fed(town)
    admin = KafkaAdminClient(bootstrap_servers=town.kafka.bootstrap)
    admin.delete_topics([town.settings.kafka.events])
    until(lambda: town.settings.kafka.events not in admin.list_topics(), "it is gone")
    topics.create(town.settings)
    admin.close()
    town.send(bought(60))
    assert "was fed from" in refused(town)
    assert 30 == applied(town)


def test_a_log_whose_next_events_were_deleted_stops_the_worker(new_town: NewTown) -> None:
    town = new_town()
    fed(town)
    town.send(bought(60)[30:])
    home = partition_of("member-0", PARTITIONS)
    admin = KafkaAdminClient(bootstrap_servers=town.kafka.bootstrap)
    admin.delete_records({TopicPartition(town.settings.kafka.events, home): town.next_offsets()[home] + 1})
    admin.close()
    assert "were deleted before they were read" in refused(town)


def test_a_store_that_files_fed_is_not_fed_by_a_topic(new_town: NewTown) -> None:
    town = new_town()
    lines(town.folder / "events.jsonl", bought(20))
    assert 0 == town.command("run", str(town.folder / "events.jsonl"), "--clock", "events", "--no-dispatch")[0]
    town.send(bought(40))
    assert "was fed from files and standard input" in refused(town)
    assert 20 == applied(town)


def test_a_store_that_a_topic_fed_is_not_fed_by_files(new_town: NewTown) -> None:
    town = new_town()
    fed(town, 10)
    before = town.next_offsets()
    lines(town.folder / "events.jsonl", bought(20)[10:])
    code, said = town.command("run", str(town.folder / "events.jsonl"), "--clock", "events")
    assert 3 == code
    assert "was fed from" in said
    assert before == town.next_offsets()


# --- the worker itself


def test_a_worker_that_was_frozen_beyond_its_limit_ends_as_it_wakes(new_town: NewTown) -> None:
    """Whatever it believed then may be long over; a supervisor starts it again."""
    town = new_town(watchdog_s=5.0, session_timeout_s=60.0)
    town.send(bought(10))
    worker = town.worker("decide")
    until(lambda: applied(town) == 10, "all was applied", workers=[worker])
    worker.signal(signal.SIGSTOP)
    time.sleep(7)
    worker.signal(signal.SIGCONT)
    assert 70 == worker.exit_code()
    assert worker.says("no sign of life")


class SlowMail:
    """A mail server in a thread that answers no message until it is told to."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.relay = self._do(self._open())

    async def _open(self) -> Relay:
        relay = await Relay().__aenter__()
        relay.script["BODY"] = HANG
        return relay

    def _do(self, work):  # type: ignore[no-untyped-def]  # whatever it gives
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def release(self) -> None:
        """From now on it answers."""
        self._loop.call_soon_threadsafe(self.relay.release)

    def close(self) -> None:
        """Ends it."""
        self._do(self.relay.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()


@pytest.fixture
def slow_mail() -> Iterator[SlowMail]:
    server = SlowMail()
    yield server
    server.close()


def sends_by(town: Town, server: SlowMail) -> None:
    """The town's letters go there."""
    settings = town.folder / FILE
    text = settings.read_text(encoding="utf-8")
    smtp = ["[dispatch.smtp]", f"port = {server.relay.port}", 'security = "none"', "timeout_s = 30.0"]
    text = text.replace("lease_s = 20.0", 'lease_s = 60.0\nadapters = {email = "smtp"}')
    settings.write_text(text + "\n".join(smtp) + "\n", encoding="utf-8")


def test_a_worker_that_is_asked_to_end_waits_for_its_calls_and_begins_none(
    new_town: NewTown, slow_mail: SlowMail
) -> None:
    town = new_town()
    sends_by(town, slow_mail)
    town.send([joins(f"member-{n}") for n in range(20)])
    worker: Running = town.worker()
    until(lambda: slow_mail.relay.waiting > 0 and applied(town) == 20, "calls are under way", workers=[worker])
    worker.signal(signal.SIGTERM)
    until(lambda: worker.says("worker ends"), "it was told")
    time.sleep(1)
    under_way = len(slow_mail.relay.mails)
    assert worker.process.poll() is None, "it waits"
    slow_mail.release()
    assert 0 == worker.exit_code()
    states = [touch.state for touch in town.store.touches()]
    assert {"accepted": under_way, "reserved": 20 - under_way} == {state: states.count(state) for state in set(states)}
    assert under_way == len(slow_mail.relay.mails)
    assert 0 < under_way < 20, "or nothing was tried here"


def test_an_unexpected_error_ends_the_worker_uncommitted_and_a_fresh_start_goes_on(new_town: NewTown) -> None:
    """The store loses a table under the worker, which nobody foresaw."""
    town = new_town()
    town.send(bought(10))
    worker = town.worker("decide")
    until(lambda: applied(town) == 10, "all was applied", workers=[worker])
    with sqlite3.connect(town.folder / "orchestrator.db", timeout=30) as database:
        database.execute("ALTER TABLE daily RENAME TO daily_away")
        database.execute("ALTER TABLE totals RENAME TO totals_away")
    town.send(bought(20)[10:])
    assert 70 == worker.exit_code()
    (last,) = [json.loads(line) for line in worker.log.read_text(encoding="utf-8").splitlines() if '"exit"' in line]
    assert ("critical", 70) == (last["level"], last["exit"])
    with sqlite3.connect(town.folder / "orchestrator.db", timeout=30) as database:
        database.execute("ALTER TABLE daily_away RENAME TO daily")
        database.execute("ALTER TABLE totals_away RENAME TO totals")
    assert 10 == applied(town)
    again = town.worker("decide")
    until(lambda: applied(town) == 20, "the rest was applied", workers=[again])
    assert 0 == again.end()
