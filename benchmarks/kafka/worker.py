"""The real worker, `orchestrator worker`, with an adapter to the benchmark's sink.

    python -m benchmarks.kafka.worker --project DIR worker --roles decide,dispatch,relay

A seam for measurements alone: it replaces what loads adapters, then calls the real command line.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from orchestrator.channels.contract import Adapter, Answer, Capabilities, Message
from orchestrator.cli.app import main
from orchestrator.runtimes.kafka import worker as worker_module
from orchestrator.settings import Settings

PORT = "BENCH_SINK"
_ACCEPTED = b"HTTP/1.1 202"

_encode = msgspec.json.Encoder().encode


class SinkAdapter:
    """One channel of the sink: the whole message travels, over connections that stay open."""

    capabilities = Capabilities()
    slots = 64

    def __init__(self, channel: str, port: int) -> None:
        self.channel, self._port = channel, port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, message: Message) -> Answer:
        """Notes the moment, then makes one call."""
        body = b"%b %d\n%b" % (message.touch_id.encode(), time.time_ns() // 1_000, _encode(message))
        try:
            reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
            writer.write(b"POST /send HTTP/1.1\r\nHost: sink\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
            answer = await reader.readuntil(b"\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError):
            return Answer(kind="unknown", code="connection")
        self._idle.append((reader, writer))
        return Answer(kind="accepted" if answer.startswith(_ACCEPTED) else "unknown")

    async def close(self) -> None:
        """Closes what is open."""
        for _, writer in self._idle:
            writer.close()


def _adapters(settings: Settings, _project: Path, *_: Any) -> dict[str, Adapter]:
    return {channel: SinkAdapter(channel, int(os.environ[PORT])) for channel in settings.dispatch.adapters}


if __name__ == "__main__":
    worker_module.load_accounts = _adapters  # type: ignore[attr-defined, assignment]  # imported there by name
    main()
