"""What may be said at the door: types of events, and topics that members may switch off, of the content in force."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog
from msgspec import Struct
from sqlalchemy.exc import DBAPIError

from orchestrator.content import locate
from orchestrator.content.event_types import load_event_types
from orchestrator.content.topics import Topics, load_topics
from orchestrator.errors import ContentError, Interrupted
from orchestrator.events.catalogue import ENGINE, EventTypes
from orchestrator.project import Project
from orchestrator.revisions import files_of, in_force, unfolded

# seconds between two looks at which revision is in force
LOOK_S = 5.0

log = structlog.get_logger()


class Offer(Struct, frozen=True):
    """What one revision knows."""

    types: EventTypes = ENGINE
    topics: Topics = {}


class Offers:
    """The offer of the content in force; the folder's where nothing was ever put in force."""

    def __init__(self, project: Project) -> None:
        """Raises ContentError where types or topics can't be read."""
        self._project = project
        self._ordered = in_force(project.store)
        self._now = self._of(self._ordered)

    def now(self) -> Offer:
        """What holds now, as far as was looked."""
        return self._now

    def look(self) -> None:
        """Asks the store whether another revision was put in force; what can't be read leaves the former as it is."""
        ordered = in_force(self._project.store)
        if ordered == self._ordered:
            return
        self._ordered = ordered
        try:
            self._now = self._of(ordered)
        except ContentError as error:
            log.error("event types can't be read: those of before stay", revision=ordered, why=error.briefly)
        else:
            log.info("event types and topics in force", revision=ordered)

    async def follow(self) -> None:
        """Looks again every few seconds, until it is cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                await asyncio.to_thread(self.look)
            except (DBAPIError, Interrupted):
                # who asks whether this process is ready hears of it
                log.warning("the store does not say which content is in force")

    def _of(self, revision: str) -> Offer:
        files = files_of(self._project.store, revision)
        if files is None:
            return _read(self._project.path)
        with unfolded({name: body for name, body in files.items() if not name.endswith(".j2")}) as folder:
            return _read(folder)


def _read(folder: Path) -> Offer:
    return Offer(load_event_types(folder), load_topics(locate.folder("templates", folder)))
