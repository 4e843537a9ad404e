"""Which approved texts a platform has stopped, as far as this process has heard: they are not called for a while.

A paused or disabled template would be refused call by call, and refusals cost the sender's standing. What is heard
holds for an hour, or until the platform approves the text again; then one call finds out.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestrator.channels.contract import Answer
from orchestrator.channels.webhooks import Review

HOLDS = timedelta(hours=1)


class Approvals:
    """Stopped texts of one account, by the name that its platform knows them by."""

    def __init__(self) -> None:
        self._stopped: dict[str, datetime] = {}

    def stop(self, name: str, at: datetime) -> None:
        """The platform refused it at that moment."""
        if name:
            self._stopped[name] = at

    def hear(self, review: Review) -> None:
        """The platform's own word, by webhook."""
        name = key(review.name, review.language)
        if review.state == "approved":
            self._stopped.pop(name, None)
        else:
            self.stop(name, review.at)

    def refusal(self, name: str, at: datetime) -> Answer | None:
        """Why a text is not sent now, or None."""
        since = self._stopped.get(name)
        if since is None or at - since >= HOLDS:
            return None
        return Answer(kind="rejected_message", code="template_stopped")


def key(name: str, language: str) -> str:
    """A template in one language: each is approved by itself."""
    return f"{name}/{language}" if name else ""
