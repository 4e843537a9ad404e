"""The process of `orchestrator serve`: its parts put together, its signals, and the order in which it ends.

    where events go to Kafka      HTTP alone; the workers decide and send
    where they go to the engine   HTTP, engine and outbox in one process, on one store

On SIGTERM or SIGINT it takes no new connection, answers what is under way, then ends engine and outbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Iterator, Sequence

import structlog
import uvicorn

from orchestrator.channels.load import load_accounts
from orchestrator.content import locate
from orchestrator.content.topics import load_topics
from orchestrator.errors import SetupError
from orchestrator.events.envelope import Event
from orchestrator.metrics import Standing
from orchestrator.project import Project
from orchestrator.runtimes.embedded.engine import Engine
from orchestrator.runtimes.embedded.turning import Full, Stopped, Turning
from orchestrator.runtimes.kafka import logs
from orchestrator.runtimes.kafka.dispatching import Dispatching
from orchestrator.runtimes.kafka.ending import die
from orchestrator.runtimes.kafka.producing import NotAcknowledged, Producer
from orchestrator.runtimes.kafka.side import Side
from orchestrator.runtimes.kafka.watchdog import Watchdog
from orchestrator.runtimes.kafka.worker import Role, check
from orchestrator.serve.app import build
from orchestrator.serve.intake import Unavailable

# seconds that requests under way may take to end
GRACE_S = 20

log = structlog.get_logger()


def run(project: Project) -> None:
    """Serves until it is told to end. Raises SetupError, ContentError or FedElsewhere before it begins."""
    parts = (_ByKafka if goes_to_kafka(project) else _ByEngine)(project)
    logs.configure()
    asyncio.run(_serve(project, parts))
    sys.stderr.flush()


def goes_to_kafka(project: Project) -> bool:
    """Whether events go to the topic; `auto`: where the store is PostgreSQL."""
    settings = project.settings
    if settings.serve.into == "auto":
        return not settings.store.url.startswith("sqlite:")
    return settings.serve.into == "kafka"


async def _serve(project: Project, parts: _ByKafka | _ByEngine) -> None:
    settings = project.settings.serve
    topics = load_topics(locate.folder("templates", project.path))
    # where workers decide, they tell of the store
    standing = None if parts.name == "kafka" else Standing(project.store, project.settings)
    app = build(
        project.settings, project.store, project.vault, parts, project.event_types, topics=topics, standing=standing
    )
    server = _Server(
        uvicorn.Config(
            app,
            # paths of members' links would stand in it
            access_log=False,
            log_config=None,
            lifespan="off",
            server_header=False,
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=GRACE_S,
            limit_concurrency=2_000,
            ws="none",
        )
    )
    listening = _listen(settings.host, settings.port)
    await parts.start()
    try:
        host, port = listening.getsockname()[:2]
        log.info("serving", address=f"http://{host}:{port}", events=parts.name)
        await server.serve([listening])
    finally:
        await parts.stop()
        project.store.close()
        log.info("ended")


class _Server(uvicorn.Server):
    """A server that a signal ends in order, and that leaves the rest of the process to end after it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own raises the signal again once it has ended, which would cut off engine and outbox."""
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)

        def end() -> None:
            self.should_exit = True

        for number in numbers:
            loop.add_signal_handler(number, end)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(found[0], found[1])
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(found[4])
        # who comes from now on waits, and is not turned away
        listening.listen(2_048)
    except OSError as error:
        raise SetupError(f"[serve] can't listen at {host}:{port}: {error.strerror or error}") from None
    return listening


class _ByEngine:
    """Engine and outbox beside the server."""

    name = "engine"

    def __init__(self, project: Project) -> None:
        """Takes every partition; raises FedElsewhere where workers feed the store from a topic."""
        self._project, settings = project, project.settings
        project.keep_content()
        engine = Engine(
            project.store,
            project.vault,
            project.content,
            horizon_days=settings.store.horizon_days,
            unapproved=project.approvals.unapproved,
        )
        self._turning = Turning(engine, lambda error: die(error, "the engine failed"))
        self._watchdog = Watchdog(settings.kafka.watchdog_s)
        self._sending = Side("dispatch", self._dispatch)

    async def start(self) -> None:
        self._watchdog.start()
        self._turning.start()
        self._sending.start()

    async def stop(self) -> None:
        await asyncio.to_thread(self._turning.stop)
        self._sending.stop()
        await self._sending.ended()

    def well(self) -> bool:
        return self._turning.well()

    async def take(self, events: Sequence[Event]) -> None:
        try:
            await self._turning.take(events)
        except (Full, Stopped):
            raise Unavailable from None

    async def _dispatch(self, stop: asyncio.Event) -> None:
        project = self._project
        accounts = load_accounts(project.settings, project.path)
        sending = Dispatching(
            project.store, project.vault, project.content, project.settings.dispatch, accounts, self._watchdog
        )
        await sending.run(stop)


class _ByKafka:
    """Events into the topic; the store is written to by others, but for what members and providers say."""

    name = "kafka"

    def __init__(self, project: Project) -> None:
        """Raises SetupError where the cluster, the topic or its partitions are not as they must be."""
        check(project, [Role.decide])
        _ = project.store, project.vault, project.event_types
        self._producer = Producer(project.settings.kafka, project.settings.store.partitions)

    async def start(self) -> None:
        await self._producer.start()

    async def stop(self) -> None:
        await self._producer.stop()

    def well(self) -> bool:
        return self._producer.well()

    async def take(self, events: Sequence[Event]) -> None:
        try:
            await self._producer.put(events)
        except NotAcknowledged as error:
            log.warning("events were not acknowledged", error=str(error))
            raise Unavailable from None
