"""A message provider on loopback, in a process of its own, that writes every call down before it answers.

    .venv/bin/python -m tests.chaos.provider LEDGER [SEED]    prints its port, then serves until it is ended

    POST /send    {touch_id, channel, account, to, code, …}   what becomes of a touch follows from the seed
    POST /block   {seconds}                                   for so long FIRST has its sender refused
    POST /storm   {seconds}                                   for so long every call is answered 429
    POST /crawl   {seconds}                                   for so long every answer takes its time

The ledger's line is on disk (fsync) before the first byte of the answer: what the provider knows can't be lost.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from tests.chaos.evidence import rfc3339

# percent of touches; the rest is accepted at once
ANSWERS = (("4xx", 4), ("hung_up", 3), ("5xx", 3), ("slow", 2), ("accepted_late", 6))
# the account that refuses so many percent of touches for its own reasons: another one may take them
FIRST, REFUSED = "north", 6
# longer than any call may take
SLOW_S = 5.0
LATE_S = 0.3
# quicker than any call may take
CRAWL_S = 1.0


def answer_for(seed: int | None, touch_id: str) -> str:
    """4xx | hung_up | 5xx | slow | accepted_late | accepted: the same for the same seed and touch, accepted without."""
    if seed is None:
        return "accepted"
    drawn = int.from_bytes(hashlib.sha256(f"{seed}/{touch_id}".encode()).digest()[:8], "big") % 100
    for answer, percent in ANSWERS:
        if drawn < percent:
            return answer
        drawn -= percent
    return "accepted"


def refuses(seed: int | None, account: str, touch_id: str) -> bool:
    """Whether the account itself is refused for this touch."""
    drawn = hashlib.sha256(f"{seed}/{account}/{touch_id}".encode()).digest()[0] * 100 // 256
    return seed is not None and account == FIRST and drawn < REFUSED


class Provider:
    """The server's state: its ledger, and the weather."""

    def __init__(self, ledger: Path, seed: int | None) -> None:
        ledger.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._seed = seed
        # until when each weather lasts, by time.monotonic
        self._until = {"storm": 0.0, "crawl": 0.0, "block": 0.0}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one answer."""
        with suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
            length = next(int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:"))
            body = json.loads(await asyncio.wait_for(reader.readexactly(length), 10))
            what = head.split(" ", 2)[1].removeprefix("/")
            if what in self._until:
                self._until[what] = time.monotonic() + body["seconds"]
                await self._say(writer, 200, {})
            else:
                await self._send(writer, body)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def _send(self, writer: asyncio.StreamWriter, body: dict[str, str]) -> None:
        answer = self._answer(body["account"], body["touch_id"])
        self._write(body, answer.removesuffix("_late"))
        if self._is("crawl"):
            await asyncio.sleep(CRAWL_S)
        if answer == "429":
            await self._say(writer, 429, {})
        elif answer == "403":
            await self._say(writer, 403, {"code": "sender refused"})
        elif answer == "4xx":
            await self._say(writer, 400, {"code": "bad recipient"})
        elif answer == "5xx":
            await self._say(writer, 503, {})
        elif answer != "hung_up":
            await asyncio.sleep({"slow": SLOW_S, "accepted_late": LATE_S}.get(answer, 0))
            await self._say(writer, 202, {"id": f"p-{body['touch_id'][:8]}"})

    def _answer(self, account: str, touch_id: str) -> str:
        if self._is("storm"):
            return "429"
        if refuses(self._seed, account, touch_id) or (account == FIRST and self._is("block")):
            return "403"
        return answer_for(self._seed, touch_id)

    def _is(self, weather: str) -> bool:
        return time.monotonic() < self._until[weather]

    def _write(self, body: dict[str, str], answer: str) -> None:
        line = {
            "at": rfc3339(time.time_ns() // 1_000),
            "provider": "chaos",
            "touch_id": body["touch_id"],
            "channel": body["channel"],
            "account": body["account"],
            "member_ref": body["member_ref"],
            "contact_point_fingerprint": body["contact"],
            "to": body["to"],
            "code": body["code"],
            "answer": answer,
        }
        os.write(self._file, json.dumps(line).encode() + b"\n")
        os.fsync(self._file)

    async def _say(self, writer: asyncio.StreamWriter, status: int, body: dict[str, str]) -> None:
        raw = json.dumps(body).encode()
        writer.write(b"HTTP/1.1 %d .\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (status, len(raw), raw))
        await writer.drain()


async def main(ledger: Path, seed: int | None) -> None:
    """Serves for ever on a port that the system picks."""
    provider = Provider(ledger, seed)
    server = await asyncio.start_server(provider.serve, "127.0.0.1", 0, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
