"""A part of the worker with a thread and an event loop of its own: it neither waits for Faust's nor holds it up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine

from orchestrator.runtimes.kafka.ending import die


class Side:
    """Runs a coroutine function beside the main loop; it is handed the event that tells it to end."""

    def __init__(self, name: str, run: Callable[[asyncio.Event], Coroutine[None, None, None]]) -> None:
        """`run` returns some time after its event is set; any error it raises ends the process."""
        self.name, self._run = name, run
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> None:
        """Begins to run."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Tells it to end; returns at once."""
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    async def ended(self) -> None:
        """Returns when it has ended."""
        await asyncio.to_thread(self._thread.join)

    def _main(self) -> None:
        async def run() -> None:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._ready.set()
            await self._run(self._stop)

        try:
            asyncio.run(run())
        except Exception as error:  # noqa: BLE001 - a worker without one of its roles is no worker
            die(error, f"{self.name} failed")
