"""WhatsApp by Twilio: `orchestrator.channels.twilio_api` on this channel."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from orchestrator.channels.twilio_api.adapter import Twilio, open_account
from orchestrator.settings import Settings


def open_adapter(channel: str, settings: Settings, project: Path, clock: Callable[[], datetime]) -> Twilio:  # noqa: ARG001 - the shape that every adapter's folder has
    """The account of `[dispatch.twilio]`."""
    return open_account(channel, settings, clock)
