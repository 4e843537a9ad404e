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
from collections.abc import Iterator

import structlog
import uvicorn

from orchestrator.errors import SetupError
from orchestrator.metrics import Standing
from orchestrator.project import Project
from orchestrator.runtimes.kafka import logs
from orchestrator.serve.app import build
from orchestrator.serve.intake import Taking
from orchestrator.serve.offers import Offers

# seconds that requests under way may take to end
GRACE_S = 20

log = structlog.get_logger()


def run(project: Project) -> None:
    """Serves until it is told to end. Raises SetupError, ContentError or FedElsewhere before it begins."""
    taking = _by_kafka(project) if goes_to_kafka(project) else _by_engine(project)
    logs.configure()
    asyncio.run(_serve(project, taking))
    sys.stderr.flush()


def goes_to_kafka(project: Project) -> bool:
    """Whether events go to the topic; `auto`: where the store is PostgreSQL."""
    settings = project.settings
    if settings.serve.into == "auto":
        return not settings.store.url.startswith("sqlite:")
    return settings.serve.into == "kafka"


# Each is imported alone: the engine needs no client of Kafka, and who hands events on needs no engine.


def _by_kafka(project: Project) -> Taking:
    from orchestrator.serve.by_kafka import ByKafka

    return ByKafka(project)


def _by_engine(project: Project) -> Taking:
    from orchestrator.serve.by_engine import ByEngine

    return ByEngine(project)


async def _serve(project: Project, taking: Taking) -> None:
    settings = project.settings.serve
    offers = Offers(project)
    # where workers decide, they tell of the store
    standing = None if taking.name == "kafka" else Standing(project.store, project.settings)
    app = build(project.settings, project.store, project.vault, taking, offers.now, standing=standing)
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
    await taking.start()
    following = asyncio.create_task(offers.follow())
    try:
        host, port = listening.getsockname()[:2]
        log.info("serving", address=f"http://{host}:{port}", events=taking.name)
        await server.serve([listening])
    finally:
        following.cancel()
        await taking.stop()
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
