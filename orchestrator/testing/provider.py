"""A real HTTP server on loopback that answers as it is told and counts what reaches it.

It runs in the caller's event loop, on a port of its own:

    async with Provider(Reply(202, {"X-Message-Id": "abc"})) as provider:
        provider.step = Reply(429)              # from now on
        ...                                     # call provider.url
        assert len(provider.requests) == 1      # nothing was tried twice behind our back

A step is a reply, or what goes wrong in place of one: `CUT` closes without a word, `HALF` in the middle of the reply,
`GARBAGE` sends what is no HTTP, `DRIP` a reply that never ends, `HANG` none until `release`. Connections are kept
alive.
"""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self
from urllib.parse import parse_qsl

import msgspec

CUT: Final = "CUT"
HALF: Final = "HALF"
GARBAGE: Final = "GARBAGE"
DRIP: Final = "DRIP"
HANG: Final = "HANG"
# between two bytes of DRIP
_DRIP_S = 0.05


class Reply(NamedTuple):
    """An answer of the provider."""

    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012 - read only
    body: bytes = b""


def json_reply(status: int, value: object, **headers: str) -> Reply:
    """A reply with a JSON body; `_` in the names of headers stands for `-`."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Reply(status, {"Content-Type": "application/json", **named}, msgspec.json.encode(value))


Step = Reply | Literal["CUT", "HALF", "GARBAGE", "DRIP", "HANG"]


class Request(NamedTuple):
    """One request, as it came."""

    method: str
    # with its query
    target: str
    # names in lower case
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """Without the query."""
        return self.target.partition("?")[0]

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form; of a repeated one the last."""
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def json(self) -> dict[str, object]:
        """The object that the body holds."""
        return msgspec.json.decode(self.body, type=dict[str, object])


class Provider:
    """One provider; leave the `async with` block to end it."""

    host = "127.0.0.1"

    def __init__(self, usual: Reply, *, tls: ssl.SSLContext | None = None) -> None:
        """`usual` is what an accepted message is answered with, and what hanging calls get when released."""
        self.usual = usual
        self.step: Step = usual
        self.port = 0
        # whole requests only
        self.requests: list[Request] = []
        self.connections = 0
        self.waiting = 0
        self._tls = tls
        self._released = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    def release(self) -> None:
        """Whatever hangs is answered with the usual reply, now and from now on."""
        self._released.set()

    async def __aenter__(self) -> Self:
        """Listens."""
        self._server = await asyncio.start_server(self._connection, self.host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes every connection."""
        await self.stop()

    async def stop(self) -> None:
        """From now on connections are refused, and open ones are closed."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.drop()

    async def drop(self) -> None:
        """Closes every open connection; new ones are taken."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                if not await self._answer(writer, self.step):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()

    async def _answer(self, writer: asyncio.StreamWriter, step: Step) -> bool:
        """Plays one step; whether the connection lives on."""
        if step == HANG:
            self.waiting += 1
            try:
                await self._released.wait()
            finally:
                self.waiting -= 1
            step = self.usual
        whole = _bytes(step if isinstance(step, Reply) else self.usual)
        if step == CUT:
            return False
        if step == GARBAGE:
            writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        elif step == HALF:
            # in the middle of the body, or of the status where there is none
            writer.write(whole[:-1] if not whole.endswith(b"\r\n\r\n") else whole[:10])
        elif step == DRIP:
            writer.write(whole[: whole.index(b"\r\n\r\n") + 2] + b"X-Drip: ")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(_DRIP_S)
        else:
            writer.write(whole)
        await writer.drain()
        return isinstance(step, Reply)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    """The next request of a connection, None where it ended."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.split(":", 1) for line in lines)
    headers = {name.lower(): value.strip() for name, value in pairs}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


def _bytes(reply: Reply) -> bytes:
    headers = {"Content-Length": str(len(reply.body)), **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("latin-1") + reply.body
