"""A TCP proxy in a thread: workers reach PostgreSQL through it, and `cut` ends every connection as a network would."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress


class Proxy:
    """Forwards 127.0.0.1:<port> to 127.0.0.1:<target>."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._ready = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        self._ready.wait(10)

    def cut(self) -> int:
        """Resets every connection that is open now; how many there were."""

        async def reset() -> int:
            for writer in self._writers:
                writer.transport.abort()
            return len(self._writers) // 2

        return asyncio.run_coroutine_threadsafe(reset(), self._loop).result(10)

    def close(self) -> None:
        """Stops serving."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)

    def _run(self) -> None:
        async def serve() -> None:
            self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
            async with await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=256) as server:
                self.port = server.sockets[0].getsockname()[1]
                self._ready.set()
                await self._over.wait()
                for writer in self._writers:
                    writer.transport.abort()

        asyncio.run(serve())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            away_reader, away_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, away_writer}
        self._writers |= pair
        await asyncio.gather(_pump(reader, away_writer), _pump(away_reader, writer))
        self._writers -= pair


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(1 << 16):
            writer.write(chunk)
            await writer.drain()
    writer.transport.abort() if writer.is_closing() else writer.close()
