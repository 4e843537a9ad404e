"""Small parts of the worker that need no broker: the watchdog, patience, records, logs, the command line."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from aiokafka import ConsumerRecord
from sqlalchemy.exc import IntegrityError, OperationalError

from orchestrator.errors import Interrupted, Unreadable
from orchestrator.events.envelope import Event
from orchestrator.events.kafka_binding import write_record
from orchestrator.events.partition import partition_of
from orchestrator.pipeline import Pipeline
from orchestrator.runtimes.kafka import logs, watchdog
from orchestrator.runtimes.kafka.patience import LONGEST_PAUSE_S, PATIENCE_S, patiently
from orchestrator.runtimes.kafka.records import arrival, home_of
from orchestrator.runtimes.kafka.watchdog import Watchdog
from orchestrator.stores.memory.store import MemoryStore
from orchestrator.testing.builders import purchase

AWAY = OperationalError("SELECT", None, ConnectionError("gone"))
Pipelines = Callable[[MemoryStore], Pipeline]


# --- watchdog


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The uptime, to be set."""
    time = [100.0]
    monkeypatch.setattr(watchdog, "uptime", lambda: time[0])
    return time


def test_what_ends_in_time_is_left_alone(now: list[float]) -> None:
    ended: list[tuple[str, float]] = []
    dog = Watchdog(60, lambda what, silent: ended.append((what, silent)))
    with dog.watching("a batch"):
        now[0] += 60
        dog.look()
    now[0] += 60
    dog.look()
    assert [] == ended


def test_what_shows_no_life_beyond_the_limit_ends_the_process(now: list[float]) -> None:
    ended: list[tuple[str, float]] = []
    dog = Watchdog(60, lambda what, silent: ended.append((what, silent)))
    with dog.watching("a batch"), dog.watching("the relay", 90):
        now[0] += 61
        dog.look()
    assert [("a batch", 61.0)] == ended


def test_a_process_that_stood_still_beyond_the_limit_ends_whatever_wakes_first(now: list[float]) -> None:
    ended: list[str] = []
    dog = Watchdog(60, lambda what, _: ended.append(what))
    with dog.watching("the event loop") as watch:
        for passed in (60.0, 61.0):
            now[0] += passed
            watch.beat()
            dog.look_after(passed)
    assert ["this process stood still"] == ended


def test_who_waits_for_the_database_is_alive(now: list[float]) -> None:
    ended: list[str] = []
    dog = Watchdog(60, lambda what, _: ended.append(what))
    with dog.watching("a batch"):
        now[0] += 59
        dog.beat()
        now[0] += 59
        dog.look()
    assert [] == ended


def test_the_watchdog_ends_a_process_with_70() -> None:
    code = (
        "import time; from orchestrator.runtimes.kafka.watchdog import Watchdog\n"
        "dog = Watchdog(0.1); dog.start()\n"
        "with dog.watching('nothing'): time.sleep(60)"
    )
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False, capture_output=True)
    assert done.returncode == 70


# --- patience


def failing(*errors: Exception) -> Callable[[], str]:
    left = iter(errors)

    def work() -> str:
        for error in left:
            raise error
        return "done"

    return work


@pytest.mark.parametrize("error", [AWAY, Interrupted("lost")], ids=["away", "interrupted"])
def test_a_database_that_is_away_is_waited_for(error: Exception) -> None:
    said: list[object] = []
    result = patiently(
        failing(error, error, error),
        again=lambda: said.append("again"),
        beat=lambda: said.append("beat"),
        sleep=said.append,
    )
    assert result == "done"
    assert ["beat", 0.1, "again", "beat", 0.2, "again", "beat", 0.4, "again"] == said


def test_patience_ends() -> None:
    pauses: list[float] = []
    with pytest.raises(OperationalError):
        patiently(failing(*[AWAY] * 1000), sleep=pauses.append)
    assert PATIENCE_S <= sum(pauses) <= PATIENCE_S + LONGEST_PAUSE_S


def test_an_error_that_waiting_does_not_cure_is_raised_at_once() -> None:
    with pytest.raises(IntegrityError):
        patiently(failing(IntegrityError("INSERT", None, ValueError("twice"))), sleep=lambda _: pytest.fail("waited"))


def test_an_error_while_looking_again_is_waited_for_as_well() -> None:
    assert patiently(failing(AWAY), again=failing(AWAY, AWAY), sleep=lambda _: None) == "done"


# --- records


def record(value: bytes | None, headers: Sequence[tuple[str, bytes]] = (), key: bytes = b"m") -> ConsumerRecord:
    """A record as aiokafka hands it over."""
    return ConsumerRecord("t", 0, 7, 1_795_176_000_123, 1, key, value, None, 0, 0, tuple(headers))


@pytest.fixture
def pipeline(pipeline_over: Pipelines) -> Pipeline:
    return pipeline_over(MemoryStore(4))


EVENT = purchase("member-1", datetime(2026, 11, 20, tzinfo=UTC), id="p1")


def test_an_arrival_is_at_the_brokers_time_with_its_offset(pipeline: Pipeline) -> None:
    _, value, headers = write_record(EVENT)
    found = arrival(pipeline, record(value, headers))
    assert (1_795_176_000_123_000, 7, EVENT) == (found.at, found.offset, found.event)


def test_binary_mode_is_read_too(pipeline: Pipeline) -> None:
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1"),
        ("ce_source", b"shop"),
        ("ce_type", b"purchase.completed"),
        ("ce_time", b"2026-11-20T00:00:00Z"),
    ]
    data = b'{"purchase_id":"p","amount":1,"currency":"USD"}'
    found = arrival(pipeline, record(data, headers, key=b"member-1"))
    assert isinstance(found.event, Event)
    assert found.event.subject == "member-1"
    assert pipeline.arrival(found.raw).event == found.event


def test_a_record_without_a_value_is_unreadable_and_stays_where_it_is(pipeline: Pipeline) -> None:
    found = arrival(pipeline, record(None))
    assert isinstance(found.event, Unreadable)
    assert (b"", 7, 3) == (found.raw, found.offset, home_of(found, 3, 4))


def test_an_events_home_is_its_members_partition(pipeline: Pipeline) -> None:
    found = arrival(pipeline, record(write_record(EVENT)[1]))
    assert partition_of("member-1", 4) == home_of(found, 0, 4)


# --- logs


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, object]]]]:
    """Logging set up as in a worker; gives the lines said so far."""
    said = io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    handlers, level, levels = (
        logging.root.handlers[:],
        logging.root.level,
        {n: logging.getLogger(n).level for n in logs.LIBRARIES},
    )
    logs.configure()
    yield lambda: [json.loads(line) for line in said.getvalue().splitlines()]
    structlog.reset_defaults()
    logging.root.handlers[:], logging.root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def test_an_error_is_told_by_kind_and_place_without_its_text(logged: Callable[[], list[dict[str, object]]]) -> None:
    try:
        raise ValueError("ann@example.com")
    except ValueError as error:
        logging.getLogger("faust").exception("it failed: %r", error)
        structlog.get_logger().error("ours failed", exc_info=error)
    assert "ann@example.com" not in json.dumps(logged())
    assert ["it failed: 'ValueError'", "ours failed"] == [line["event"] for line in logged()]
    assert ["ValueError"] * 2 == [line["error"] for line in logged()]


def test_a_line_break_in_a_log_line_is_escaped(logged: Callable[[], list[dict[str, object]]]) -> None:
    structlog.get_logger().info("one\ntwo")
    assert ["one\ntwo"] == [line["event"] for line in logged()]


def test_libraries_are_quiet_by_name(logged: Callable[[], list[dict[str, object]]]) -> None:
    """An agent whose logger stands at DEBUG costs time even where nothing shows."""
    for name in ("faust", "mode", "aiokafka"):
        assert logging.getLogger(f"{name}.any").getEffectiveLevel() >= logging.WARNING
        logging.getLogger(f"{name}.any").info("chatter")
    assert [] == logged()


# --- command line


def said_by(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "--project", str(folder), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
        env=os.environ | {"ORCHESTRATOR_KAFKA_BOOTSTRAP": "127.0.0.1:9"},
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("roles", ["", "decide,send"])
def test_an_unknown_role_is_wrong_use(tmp_path: Path, roles: str) -> None:
    code, said = said_by(tmp_path, "worker", "--roles", roles)
    assert code == 2
    assert "decide, dispatch, relay" in said


def test_a_broker_that_does_not_answer_is_a_setup_error(project: object, tmp_path: Path) -> None:
    folder = project.path  # type: ignore[attr-defined]  # the fixture's project
    code, said = said_by(folder, "worker")
    assert code == 3
    assert "[kafka] bootstrap" in said
