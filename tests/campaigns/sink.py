"""A mail server on loopback that takes everything at once, and writes down each message before it says so.

    python -m tests.campaigns.sink LEDGER PORT DELAY_MS [--bare]

PORT 0 lets the system pick; the port is printed when it serves. A line of the ledger: the touch that the envelope's
sender names, the microsecond (since 1970) at which the final dot arrived, the size in octets. The verdict follows after
DELAY_MS. It offers PIPELINING (RFC 2920), and nothing with `--bare`. On SIGUSR1 it refuses every message at MAIL with
451, on the next one it takes them again.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.servers import ROOT, Process

HOST = "127.0.0.1"
_TOUCH = re.compile(rb"MAIL FROM:<bounce\+([^@>]+)@", re.IGNORECASE)
_END = b"\r\n.\r\n"


class Taken(NamedTuple):
    """A message whose final dot arrived."""

    touch_id: str
    # microseconds since 1970
    at: int
    size: int


class Sink:
    """The server, in a process of its own; it can be killed and started again on the same port."""

    def __init__(self, folder: Path, name: str = "sink", delay_ms: float = 0, *, bare: bool = False) -> None:
        """`folder` holds its ledger; `bare`: it offers no extension."""
        self.ledger, self.port = folder / f"{name}.ledger", 0
        self._delay_ms, self._bare = delay_ms, bare
        # octets of the ledger that were counted, and the messages in them
        self._looked = self._count = 0
        self._process = Process(folder / f"{name}.log")

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def start(self) -> None:
        """Returns when it serves: on the port that it had before, if any."""
        words = [sys.executable, "-m", "tests.campaigns.sink", str(self.ledger), str(self.port), str(self._delay_ms)]
        words += ["--bare"] if self._bare else []
        self._process.start(["env", f"PYTHONPATH={ROOT}", *words], ready=lambda said: said.strip().isdigit())
        self.port = int(self._process.said())

    def kill(self) -> None:
        """Ends it at once: connections break, new ones are refused."""
        self._process.signal(signal.SIGKILL)

    def refuse(self) -> None:
        """From now on it refuses every message for a while; the same again: it takes them."""
        os.kill(self.pid, signal.SIGUSR1)

    def count(self) -> int:
        """How many messages it has, without reading the ledger anew each time."""
        if self.ledger.exists():
            with self.ledger.open("rb") as ledger:
                ledger.seek(self._looked)
                news = ledger.read()
            self._looked, self._count = self._looked + len(news), self._count + news.count(b"\n")
        return self._count

    def taken(self) -> list[Taken]:
        """Every message, in the order in which they came."""
        if not self.ledger.exists():
            return []
        lines = (line.split(" ") for line in self.ledger.read_text(encoding="utf-8").splitlines())
        return [Taken(touch, int(at), int(size)) for touch, at, size in lines]


class State:
    """What all sessions share."""

    def __init__(self, ledger: int, delay_s: float, *, bare: bool) -> None:
        self.ledger, self.delay_s, self.bare, self.refuses = ledger, delay_s, bare, False

    def toggle(self) -> None:
        """Refuses, or takes again."""
        self.refuses = not self.refuses


class Session(asyncio.Protocol):
    """One connection; commands may come in groups, and are answered in order."""

    def __init__(self, state: State) -> None:
        self._state, self._buffer = state, bytearray()
        self._touch, self._in_body, self._waits = b"", False, False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greets."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"220 sink.example ESMTP\r\n")

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - asyncio's shape
        """Forgets what had come."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Takes what came, unless a verdict is still owed."""
        self._buffer += data
        self._go_on()

    def _go_on(self) -> None:
        said = bytearray()
        while not self._waits and self._transport is not None:
            if self._in_body:
                end = self._buffer.find(_END)
                if end < 0:
                    break
                self._received(end + 2)
                del self._buffer[: end + len(_END)]
                self._in_body = False
                if self._state.delay_s:
                    self._waits = True
                    asyncio.get_running_loop().call_later(self._state.delay_s, self._verdict)
                else:
                    said += b"250 2.0.0 Ok\r\n"
                continue
            end = self._buffer.find(b"\r\n")
            if end < 0:
                break
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 2]
            said += self._answer(line)
        if said and self._transport is not None:
            self._transport.write(bytes(said))

    def _answer(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb == b"MAIL":
            if self._state.refuses:
                return b"451 4.3.0 Not now\r\n"
            named = _TOUCH.match(line)
            self._touch = named[1] if named else b"?"
            return b"250 2.1.0 Ok\r\n"
        if verb == b"RCPT":
            return b"250 2.1.5 Ok\r\n" if self._touch else b"503 5.5.1 No sender\r\n"
        if verb == b"DATA":
            if not self._touch:
                return b"503 5.5.1 No recipient\r\n"
            self._in_body = True
            return b"354 Go on\r\n"
        if verb == b"EHLO":
            return (
                b"250 sink.example\r\n" if self._state.bare else b"250-sink.example\r\n250-SIZE\r\n250 PIPELINING\r\n"
            )
        if verb == b"RSET":
            self._touch = b""
        return b"250 2.0.0 Ok\r\n"

    def _received(self, size: int) -> None:
        os.write(self._state.ledger, b"%b %d %d\n" % (self._touch, time.time_ns() // 1_000, size))
        self._touch = b""

    def _verdict(self) -> None:
        self._waits = False
        if self._transport is not None:
            self._transport.write(b"250 2.0.0 Ok\r\n")
            self._go_on()


async def main(ledger: Path, port: int, delay_ms: float, *, bare: bool) -> None:
    """Serves for ever."""
    state = State(os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT), delay_ms / 1_000, bare=bare)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, state.toggle)
    server = await loop.create_server(lambda: Session(state), HOST, port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - for whoever started it
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), bare="--bare" in sys.argv))
