"""The SMTP adapter passes the contract that every adapter passes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.channels.email.smtp.send import Smtp
from orchestrator.settings import SmtpSettings
from orchestrator.testing.channel_suite import ChannelSuite, Rig, Script
from orchestrator.testing.relay import HANG, Relay


class SmtpRig:
    def __init__(self, adapter: Smtp, relay: Relay) -> None:
        self.adapter, self.relay = adapter, relay
        self.port = relay.port

    def script(self, what: Script) -> bool:
        self.relay.script = {
            "accept": {},
            "refuse": {"RCPT": "550 5.1.1 <lucia.private@example.org>: user unknown"},
            "down": {"CONNECT": "CUT"},
            "hang": {"BODY": HANG},
        }[what]
        return True

    def calls(self) -> list[str]:
        return self.relay.calls

    def waiting(self) -> int:
        return self.relay.waiting

    def release(self) -> None:
        self.relay.release()


class TestSmtp(ChannelSuite):
    @asynccontextmanager
    async def rig(self, folder: Path) -> AsyncIterator[Rig]:  # noqa: ARG002 - a relay keeps nothing on disk
        async with Relay() as relay:
            settings = SmtpSettings(host=relay.host, port=relay.port, security="none", timeout_s=1.0, connections=4)
            adapter = Smtp(
                settings,
                password="",
                programme="Club",
                clock=lambda: datetime(2026, 11, 22, tzinfo=UTC),
                hostname="localhost",
            )
            yield SmtpRig(adapter, relay)
