"""A worker process: its roles put together, its signals, and the order in which it ends.

    decide     takes events from Kafka, turns its partitions, fires their timers
    dispatch   empties the outbox
    relay      tells the topics what was decided; with `decide` of its own partitions, alone of all

On SIGTERM or SIGINT it claims and fetches nothing more, finishes what is under way, leaves the group and exits with 0.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer

from orchestrator.channels.load import load_accounts
from orchestrator.kafka_security import client_options
from orchestrator.metrics import Standing, listen
from orchestrator.pipeline import Pipeline
from orchestrator.project import Project
from orchestrator.revisions import InForce
from orchestrator.runtimes.kafka import cluster, logs
from orchestrator.runtimes.kafka.app import Worker, build
from orchestrator.runtimes.kafka.decider import Decider
from orchestrator.runtimes.kafka.dispatching import Dispatching
from orchestrator.runtimes.kafka.ending import FAULT, die
from orchestrator.runtimes.kafka.gaps import GapReader
from orchestrator.runtimes.kafka.holding import Holding
from orchestrator.runtimes.kafka.patience import patiently
from orchestrator.runtimes.kafka.relay import Relay
from orchestrator.runtimes.kafka.roles import Role, check
from orchestrator.runtimes.kafka.side import Side
from orchestrator.runtimes.kafka.watchdog import Watchdog

# an orderly end takes at most this long, in seconds; supervisors commonly kill after 30
DRAIN_S = 25.0
# how long a thread computes while another waits its turn, in seconds: the turning thread gives way at every question to
# the database, and would wait five milliseconds (Python's own figure) for the event loop each time it is answered
SWITCH_S = 0.0005

log = structlog.get_logger()


def run(project: Project, roles: Collection[Role]) -> None:
    """Runs a worker until it is told to end; the process ends with it.

    Raises SetupError or ContentError before it starts. Afterwards it exits with 0 after an orderly end, 3 where an
    operator must act, 70 where a fresh start may help.
    """
    found = check(project, roles)
    # opened here, where their errors are told in full
    _ = project.store, project.vault
    if Role.decide in roles or Role.dispatch in roles:
        _ = project.in_force
    logs.configure()
    sys.setswitchinterval(SWITCH_S)
    # what is loaded by now stays, and is not walked through by the garbage collector any more
    gc.collect()
    gc.freeze()
    asyncio.run(_Process(project, roles, found).run())
    sys.stderr.flush()
    # threads of Faust and of drivers were seen to keep a process that has nothing left to do
    os._exit(0)


class _Process:
    """The parts of one worker."""

    def __init__(self, project: Project, roles: Collection[Role], found: dict[str, cluster.Log]) -> None:
        self.project, self.roles, self.found = project, roles, found
        self.settings, self.kafka = project.settings, project.settings.kafka
        self.watchdog = Watchdog(self.kafka.watchdog_s)
        self.stop = asyncio.Event()
        self.app: Worker | None = None
        self.decider: Decider | None = None
        # of the policies in force; who decides knows them first
        self.latency_margin = self._margin_in_store
        self.tasks: list[asyncio.Task[Any]] = []
        self.sides: list[Side] = []

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        self.watchdog.start()
        if hasattr(self.project.store, "wait_with"):
            self.project.store.wait_with(lambda: False, self._pause)
        quiet = self._tell()
        log.info("worker starts", roles=sorted(self.roles))
        if Role.decide in self.roles:
            self._decide()
        if Role.dispatch in self.roles:
            self.sides.append(Side("dispatch", self._dispatch))
        if Role.relay in self.roles:
            self.sides.append(Side("relay", self._relay))
        for side in self.sides:
            side.start()
        with self.watchdog.watching("the event loop") as watch:
            while not self.stop.is_set():
                watch.beat()
                try:
                    async with asyncio.timeout(1):
                        await self.stop.wait()
                except TimeoutError:
                    pass
        await asyncio.to_thread(quiet)
        await self._end()

    def _tell(self) -> Callable[[], None]:
        """Answers whoever asks for figures; how to end that."""
        address = self.settings.metrics.listen
        if not address:
            return lambda: None
        kafka, partitions = self.kafka, self.project.store.partitions

        def ends() -> dict[int, tuple[int, int]]:
            found = cluster.find_ends(kafka, kafka.events, partitions)
            return {partition: (each.first, each.end) for partition, each in found.items()}

        # who decides may read all that the figures rest on
        decides = Role.decide in self.roles
        return listen(address, Standing(self.project.store, self.settings, ends) if decides else None)

    def _pause(self, seconds: float) -> None:
        """Waits for a database that is away: who waits is alive."""
        self.watchdog.beat()
        time.sleep(seconds)

    def _decide(self) -> None:
        project, kafka = self.project, self.kafka
        horizon = timedelta(days=self.settings.store.horizon_days)
        content = patiently(lambda: project.begin("worker"))
        log.info("content in force", revision=content.revision)
        if project.folder_differs():
            log.warning("the folder is not what is in force; see: orchestrator content diff, content activate")
        approvals = project.approvals_of(content)
        pipeline = Pipeline(project.store, project.vault, content, horizon, approvals.unapproved, project.shelf.take)
        self.latency_margin = pipeline.latency_margin
        holding = Holding(project.store, pipeline, self.found[kafka.events].source, self.watchdog)
        self.app = build(kafka, project.store.partitions, holding)
        self.gaps = GapReader(kafka.events, client_options(kafka))
        self.decider = Decider(self.app, holding, self.gaps, self.watchdog)
        parts = (self._start(self.app), self.decider.run(), self.decider.tick())
        self.tasks += [asyncio.create_task(part) for part in parts]

    @cached_property
    def _in_force(self) -> InForce:
        project = self.project
        return InForce(project.store, project.in_force, project.shelf.take)

    def _margin_in_store(self, channel: str, at: datetime) -> timedelta:
        return self._in_force.now().policies.latency_margin(channel, at)

    async def _start(self, app: Worker) -> None:
        try:
            await app.start()
            log.info("worker decides")
        except Exception as error:  # noqa: BLE001 - whatever it is, the supervisor starts us again
            die(error, "the worker can't start")

    async def _dispatch(self, stop: asyncio.Event) -> None:
        project = self.project
        accounts = load_accounts(self.settings, project.path)
        await Dispatching(
            project.store, project.vault, self.latency_margin, self.settings.dispatch, accounts, self.watchdog
        ).run(stop)

    async def _relay(self, stop: asyncio.Event) -> None:
        producer = AIOKafkaProducer(
            **client_options(self.kafka), acks="all", enable_idempotence=True, linger_ms=20, max_batch_size=131072
        )
        await producer.start()
        try:
            store = self.project.store
            await Relay(store, producer, self.kafka, self._chains, self.watchdog).run(stop)
        finally:
            await producer.stop()

    def _chains(self) -> Iterable[int]:
        return range(self.project.store.partitions) if self.decider is None else self.decider.partitions()

    async def _end(self) -> None:
        """Each part in its turn: what makes work first, what tells of it last."""
        log.info("worker ends")
        try:
            async with asyncio.timeout(DRAIN_S):
                if self.tasks:
                    # the last one is the tick; the batch under way is waited for when the app stops
                    self.tasks[-1].cancel()
                for side in self.sides:
                    if side.name == "dispatch":
                        side.stop()
                if self.app is not None:
                    await self.app.stop()
                    await self.gaps.close()
                for side in self.sides:
                    side.stop()
                    await side.ended()
                self.project.store.close()
        except TimeoutError:
            log.error("what was under way did not end in time; it is done again after the next start", exit=FAULT)
            os._exit(FAULT)
        log.info("worker ended")
