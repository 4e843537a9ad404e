"""Events into the topic that workers read; nothing is decided and nothing sent here."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from orchestrator.events.envelope import Event
from orchestrator.project import Project
from orchestrator.runtimes.kafka.producing import NotAcknowledged, Producer
from orchestrator.runtimes.kafka.roles import Role, check
from orchestrator.serve.intake import Unavailable

log = structlog.get_logger()


class ByKafka:
    """Events into the topic; the store is written to by others, but for what members and providers say."""

    name = "kafka"

    def __init__(self, project: Project) -> None:
        """Raises SetupError where the cluster, the topic or its partitions are not as they must be."""
        check(project, [Role.decide])
        _ = project.store, project.vault
        self._producer = Producer(project.settings.kafka, project.settings.store.partitions)

    async def start(self) -> None:
        """Connects to the cluster."""
        await self._producer.start()

    async def stop(self) -> None:
        """Sends what waits, and gives back connections."""
        await self._producer.stop()

    def well(self) -> bool:
        """Whether no record failed of late."""
        return self._producer.well()

    async def take(self, events: Sequence[Event]) -> None:
        """Returns when every copy that counts has them; Unavailable where that is not known."""
        try:
            await self._producer.put(events)
        except NotAcknowledged as error:
            log.warning("events were not acknowledged", error=str(error))
            raise Unavailable from None
