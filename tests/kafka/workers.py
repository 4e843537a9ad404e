"""Worker processes for tests: a project of its own, topics of its own, and what the topics and the store say."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from typer.testing import CliRunner

from orchestrator import starter, topics
from orchestrator.cli.app import app
from orchestrator.events.envelope import Event, write_event
from orchestrator.events.partition import partition_of
from orchestrator.project import open_project
from orchestrator.runtimes.kafka.lag import lag
from orchestrator.settings import FILE
from orchestrator.stores.contract import Store
from tests.few_journeys import only
from tests.servers import Kafka, end_with_parent

# a loaded machine may take several times as long as a quiet one
WITHIN_S = 120.0


class Send(NamedTuple):
    """A record to produce."""

    value: bytes | None
    key: bytes | None
    partition: int
    # milliseconds since 1970; None: now. It counts where the topic takes the producer's word for it
    at_ms: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


class Town:
    """A project with its topics on a broker; its workers are ended with it."""

    # what a worker process runs, with the command line's arguments
    module = "orchestrator.cli"

    def __init__(
        self,
        folder: Path,
        kafka: Kafka,
        store: str = "",
        partitions: int = 4,
        keys: Path | None = None,
        dispatch: Sequence[str] = ("lease_s = 20.0",),
        journeys: Sequence[str] | None = None,
        **more: object,
    ) -> None:
        """`store` is a database URL, "" an SQLite file in the folder; `keys` a key file, None for one of its own;
        `dispatch` are lines of [dispatch] and of tables within, `more` settings of [kafka]. `journeys` are those that
        there are, None all that are shipped: to read them takes half of the time in which a process starts."""
        self.folder, self.kafka, self.partitions = folder, kafka, partitions
        self.workers: list[Running] = []
        name = uuid.uuid4().hex[:8]
        starter.create(folder)
        if journeys is not None:
            only(folder, *journeys)
        values = {
            "bootstrap": kafka.bootstrap,
            "events": f"{name}-events",
            "decisions": f"{name}-decisions",
            "touches": f"{name}-touches",
            "dead_letters": f"{name}-dead",
            "group": name,
            "replication": 1,
            "session_timeout_s": 6.0,
        } | more
        lines = ["[dispatch]", *dispatch]
        lines += [
            *(["[keys]", f"file = {json.dumps(str(keys))}"] if keys else []),
            "[store]",
            f"partitions = {partitions}",
            *([f"url = {json.dumps(store)}"] if store else []),
            "[kafka]",
        ]
        lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        (folder / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
        # one that stays open: a store is opened in a tenth of a second
        self.project = open_project(folder)
        self.settings = self.project.settings
        topics.create(self.settings)

    @property
    def store(self) -> Store:
        """The project's store, to look into."""
        return self.project.store

    def worker(self, roles: str = "decide,dispatch,relay", **environment: str) -> Running:
        """A worker process, started."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        running = Running(self.folder, roles, environment, log, self.module)
        self.workers.append(running)
        return running

    def command(self, *words: str, **environment: str) -> tuple[int, Any]:
        """Exit code of a command beside the workers, and what it printed as JSON; its error text where it failed."""
        done = CliRunner().invoke(app, ["--project", str(self.folder), "--json", *words], env=environment)
        return done.exit_code, json.loads(done.stdout) if done.stdout else done.stderr

    def close(self) -> None:
        """Ends the workers that still run."""
        for running in self.workers:
            running.kill()
        self.project.__exit__(None, None, None)

    # --- what goes in

    def send(self, given: Iterable[Event | Send], *, transaction: str = "", commit: bool = True) -> None:
        """Produces events, each to its member's partition; in a transaction, committed or not, where one is named."""

        async def produce() -> None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self.kafka.bootstrap, linger_ms=5, transactional_id=transaction or None
            )
            await producer.start()
            try:
                if transaction:
                    await producer.begin_transaction()
                sent = [
                    await producer.send(
                        self.settings.kafka.events, one.value, one.key, one.partition, one.at_ms, list(one.headers)
                    )
                    for one in map(self.record, given)
                ]
                await asyncio.gather(*sent)
                if transaction:
                    await (producer.commit_transaction() if commit else producer.abort_transaction())
            finally:
                await producer.stop()

        asyncio.run(produce())

    def record(self, given: Event | Send) -> Send:
        """The record of an event, in its member's partition."""
        if isinstance(given, Send):
            return given
        return Send(write_event(given), given.subject.encode(), partition_of(given.subject, self.partitions))

    # --- what came of it

    def settled(self) -> bool:
        """Whether all that was sent is applied, called and told, and nothing is due."""
        now = time.time_ns() // 1_000
        # while the store has work the broker need not be asked: that takes two connections each time
        if any(rows.due or rows.reserved or rows.in_flight for rows in self.store.backlog(now).values()):
            return False
        report = lag(self.project, now)
        waits = [report.lag, report.due, report.reserved, report.untold, *(p.in_flight for p in report.partitions)]
        return not any(waits)

    def totals(self) -> dict[str, int]:
        """The running totals over all partitions."""
        found: dict[str, int] = {}
        for (_, name), n in self.store.totals().items():
            found[name] = found.get(name, 0) + n
        return found

    def next_offsets(self) -> dict[int, int]:
        """How far the store is; partitions that were never taken are left out."""
        return {row.partition: row.next_offset for row in self.store.progress()}

    def read(self, topic: str) -> list[Any]:
        """All records of a topic, partition by partition."""

        async def consume() -> list[Any]:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self.kafka.bootstrap, isolation_level="read_committed", auto_offset_reset="earliest"
            )
            await consumer.start()
            try:
                tps = [TopicPartition(topic, partition) for partition in range(self.partitions)]
                consumer.assign(tps)
                ends, records = await consumer.end_offsets(tps), []
                for tp in tps:
                    while await consumer.position(tp) < ends[tp]:
                        records += (await consumer.getmany(tp, timeout_ms=500)).get(tp, [])
                return records
            finally:
                await consumer.stop()

        return asyncio.run(consume())


class Running:
    """One worker process; its log is one JSON object a line."""

    def __init__(
        self, folder: Path, roles: str, environment: dict[str, str], log: Path, module: str = Town.module
    ) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, "--project", str(folder), "worker", "--roles", roles],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=out,
                env=os.environ | environment,
                cwd=folder,
                preexec_fn=end_with_parent,  # noqa: PLW1509 - one call to the kernel, which takes no lock
            )

    def said(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.log.read_text(encoding="utf-8").splitlines() if line.startswith("{")]

    def says(self, event: str) -> bool:
        """Whether a line of its log says so."""
        return any(line["event"] == event for line in self.said())

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal, and does not wait."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Ends it at once, as a power cut would."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WITHIN_S)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def end(self) -> int:
        """Asks it to end, and gives its exit code."""
        self.signal(signal.SIGTERM)
        return self.exit_code()

    def exit_code(self) -> int:
        """Its exit code, once it has ended."""
        return self.process.wait(WITHIN_S)

    def listens(self) -> list[str]:
        """Addresses on which the process waits for connections (Linux)."""
        sockets = {
            target.removeprefix("socket:[").removesuffix("]")
            for entry in Path(f"/proc/{self.process.pid}/fd").iterdir()
            if (target := _target(entry)).startswith("socket:[")
        }
        rows = [
            line.split()
            for table in ("tcp", "tcp6")
            for line in Path(f"/proc/{self.process.pid}/net/{table}").read_text().splitlines()[1:]
        ]
        return [row[1] for row in rows if row[3] == "0A" and row[9] in sockets]


def owners(town: Town) -> list[int]:
    """How many partitions each worker says that it holds, the least first."""
    return sorted(len(held(worker)) for worker in town.workers)


def held(worker: Running) -> set[int]:
    """What a worker's log says that it holds."""
    found: set[int] = set()
    for said in worker.said():
        if said["event"] == "partitions taken":
            found |= set(said["partitions"])
        if said["event"] == "partitions lost":
            found -= set(said["partitions"])
    return found


def where_it_is_noon(now: datetime) -> str:
    """A time zone in which messages may be sent at this hour."""
    zones = [f"Etc/GMT{hours:+d}" for hours in range(-14, 13)]
    return min(zones, key=lambda zone: abs(now.astimezone(ZoneInfo(zone)).hour - 13))


def until(holds: Callable[[], bool], what: str, within_s: float = WITHIN_S, workers: Sequence[Running] = ()) -> None:
    """Returns when something holds; fails with the workers' last words where it does not in time, or one has ended."""
    deadline = time.monotonic() + within_s
    while not holds():
        ended = [worker for worker in workers if worker.process.poll() is not None]
        if ended or time.monotonic() > deadline:
            words = "\n".join(worker.log.read_text(encoding="utf-8")[-1500:] for worker in workers)
            raise AssertionError(f"{'a worker ended' if ended else 'in time'} before {what}\n{words}")
        time.sleep(0.1)


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""
