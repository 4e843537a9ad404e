"""Events into the engine of this process: engine and outbox beside the server, on one store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestrator.channels.load import load_accounts
from orchestrator.events.envelope import Event
from orchestrator.project import Project
from orchestrator.runtimes.embedded.engine import Engine
from orchestrator.runtimes.embedded.turning import Full, Stopped, Turning
from orchestrator.runtimes.kafka.dispatching import Dispatching
from orchestrator.runtimes.kafka.ending import die
from orchestrator.runtimes.kafka.side import Side
from orchestrator.runtimes.kafka.watchdog import Watchdog
from orchestrator.serve.intake import Unavailable


class ByEngine:
    """Engine and outbox beside the server."""

    name = "engine"

    def __init__(self, project: Project) -> None:
        """Takes every partition; raises FedElsewhere where workers feed the store from a topic."""
        self._project, settings = project, project.settings
        content = project.begin("serve")
        self._engine = Engine(
            project.store,
            project.vault,
            content,
            horizon_days=settings.store.horizon_days,
            unapproved=project.approvals_of(content).unapproved,
            revisions=project.shelf.take,
        )
        self._turning = Turning(self._engine, lambda error: die(error, "the engine failed"))
        self._watchdog = Watchdog(settings.kafka.watchdog_s)
        self._sending = Side("dispatch", self._dispatch)

    async def start(self) -> None:
        """Engine and outbox begin."""
        self._watchdog.start()
        self._turning.start()
        self._sending.start()

    async def stop(self) -> None:
        """Applies what was taken, finishes the calls under way, and returns when both have ended."""
        await asyncio.to_thread(self._turning.stop)
        self._sending.stop()
        await self._sending.ended()

    def well(self) -> bool:
        """Whether the engine turns, and has room."""
        return self._turning.well()

    async def take(self, events: Sequence[Event]) -> None:
        """Returns when they are applied; Unavailable where the engine is full or ends."""
        try:
            await self._turning.take(events)
        except (Full, Stopped):
            raise Unavailable from None

    async def _dispatch(self, stop: asyncio.Event) -> None:
        project = self._project
        accounts = load_accounts(project.settings, project.path)
        sending = Dispatching(
            project.store,
            project.vault,
            self._engine.pipeline.latency_margin,
            project.settings.dispatch,
            accounts,
            self._watchdog,
        )
        await sending.run(stop)
