"""The application behind a real uvicorn in this process, for tests that must hold its clock or its store."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import httpx
import uvicorn

from orchestrator.content.topics import Topics
from orchestrator.events.envelope import Event
from orchestrator.metrics import Standing
from orchestrator.serve.app import build
from orchestrator.serve.offers import Offer
from orchestrator.settings import Settings
from orchestrator.stores.contract import Store
from orchestrator.vault import Vault


class NoEvents:
    """An intake for tests that send no events."""

    async def take(self, events: Sequence[Event]) -> None:
        raise AssertionError(f"no event was to come, and there were {len(events)}")

    def well(self) -> bool:
        return True


def wall() -> datetime:
    return datetime.now(UTC)


@contextmanager
def inside(
    settings: Settings,
    store: Store,
    vault: Vault,
    clock: Callable[[], datetime] = wall,
    topics: Topics | None = None,
    standing: Standing | None = None,
) -> Iterator[httpx.Client]:
    """A client of the application of this store."""
    offer = Offer(topics=topics or {})
    listening = socket.create_server(("127.0.0.1", 0))
    app = build(settings, store, vault, NoEvents(), lambda: offer, clock, standing)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=60) as client:
            deadline = time.monotonic() + 30
            while not server.started:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield client
    finally:
        server.should_exit = True
        thread.join(30)
        listening.close()
