"""Where messages are handed over to: an HTTP server on loopback that takes everything and writes down what and when.

    python -m benchmarks.kafka.sink FILE      prints its port, then serves until it is ended

One line a message: its touch id, and the microsecond at which the adapter was handed it, as the adapter says.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import TextIO

from tests.servers import ROOT, Process

ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


class Sink:
    """The server, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        """`folder` is where it writes."""
        self._file, self._process = folder / "handed-over", Process(folder / "sink.log")
        self.port = 0

    def start(self) -> None:
        """Returns when it serves."""
        words = [sys.executable, str(Path(__file__)), str(self._file)]
        self._process.start(["env", f"PYTHONPATH={ROOT}", *words], ready=lambda said: said.strip().isdigit())
        self.port = int(self._process.said())

    def stop(self) -> None:
        """Ends it."""
        self._process.signal(signal.SIGTERM)

    def handed(self) -> dict[str, int]:
        """Touch id -> microseconds since 1970 at which its last call began."""
        lines = self._file.read_text(encoding="utf-8").splitlines()
        return {touch: int(at) for touch, at in (line.split(" ") for line in lines)}


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, out: TextIO) -> None:
    """Requests of one connection, one after the other."""
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            said = await reader.readexactly(length)
            # the message follows the first line
            out.write(said.partition(b"\n")[0].decode() + "\n")
            writer.write(ANSWER)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main(file: Path) -> None:
    """Serves for ever on a port that the system picks."""
    with file.open("w", encoding="utf-8", buffering=1) as out:
        server = await asyncio.start_server(lambda r, w: serve(r, w, out), "127.0.0.1", 0, backlog=512)
        print(server.sockets[0].getsockname()[1], flush=True)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
