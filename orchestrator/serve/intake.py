"""Where events go: to the engine of this process, or to the topic that workers read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from orchestrator.events.envelope import Event


class Unavailable(Exception):
    """Events can't be taken now, or nobody knows whether they were: sending them again does no harm."""


class Intake(Protocol):
    """Takes events for good."""

    async def take(self, events: Sequence[Event]) -> None:
        """When it returns, all of them survive a power cut, and will be applied once each.

        Raises Unavailable, where any number of them may have been taken.
        """

    def well(self) -> bool:
        """Whether events can be taken now, as far as is known."""


class Taking(Intake, Protocol):
    """An intake with work of its own in this process, for as long as it serves."""

    @property
    def name(self) -> str:
        """What takes the events: `engine` or `kafka`."""

    async def start(self) -> None:
        """Begins; called once, in the loop that serves."""

    async def stop(self) -> None:
        """Returns when what was taken is safe and nothing runs any more."""
