"""One session with a relay, from login to QUIT: two round trips a message where the relay takes groups (RFC 2920).

aiosmtplib connects, encrypts and logs in; it sends one command at a time and drops a reply that nobody waits for yet.
So its protocol is exchanged, on the same transport, for one that keeps replies. MAIL, RCPT and DATA then go out as one
group, and each reply is still judged as if its command had gone alone: the first refusal is the answer.

A relay may invite the body although it refused the recipient. Then nothing of the message is sent: a lone dot ends the
body for nobody (RFC 2920, 3.1). Where it is not sure that there is nobody, the connection is cut instead, which ends
the transaction as well (RFC 5321, 4.1.1.4).
"""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from typing import TypeAlias

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from orchestrator.channels.contract import Answer
from orchestrator.channels.email.smtp.receipts import Where, read_reply

_START_INPUT = 354
_REFUSAL = 400
# replies to MAIL and RCPT that take what was said: 251 will forward it
_TAKEN = (250, 251)
# octets of a body that goes out with its dot: the socket has taken those of a longer one, but for so many, before that
_AT_ONCE = 65_536
# octets of a reply: who sends more than that is no mail server
_LONGEST = 8_192
# a reply of one line, and octets of such a one
_LINE, _SHORT = re.compile(rb"([2-5][0-9]{2}) ([\x20-\x7e]*)\r\n"), 128

_Group: TypeAlias = tuple[tuple[Where, bytes], ...]


@lru_cache(maxsize=256)
def _one_line(line: bytes) -> aiosmtplib.SMTPResponse | None:
    """A reply of one line as aiosmtplib reads it; None for anything else."""
    found = _LINE.fullmatch(line)
    return None if found is None else aiosmtplib.SMTPResponse(int(found[1]), found[2].decode("ascii").strip())


class Progress:
    """How far one call came."""

    def __init__(self) -> None:
        self.where: Where = "connect"
        self.dot_written = False


class _Replies(SMTPProtocol):
    """aiosmtplib's protocol, but a reply is kept until it is asked for."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        before = client.protocol
        if before is None or not isinstance(before.transport, asyncio.Transport):
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        super().__init__(asyncio.get_running_loop(), before._connection_lost_callback)  # noqa: SLF001 - of the one that it replaces
        self.transport, self._command_lock = before.transport, asyncio.Lock()
        self._lost: Exception | None = None
        self._waiting: asyncio.Future[None] | None = None
        # replies that commands on their way will have
        self.owed = 0
        # it said something that nobody asked for: no reply can be told from another any more
        self.confused = False
        before.transport.set_protocol(self)
        client.protocol = self

    def data_received(self, data: bytes) -> None:
        if not self.owed:
            self.confused = True
            return
        self._buffer.extend(data)
        if len(self._buffer) > _LONGEST:
            self._fail(aiosmtplib.SMTPServerDisconnected("Reply too long"))
        self._wake()

    def eof_received(self) -> bool:
        self._fail(aiosmtplib.SMTPServerDisconnected("Unexpected EOF received"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._fail(aiosmtplib.SMTPServerDisconnected("Connection lost"))

    async def read_response(self, timeout: float | None = None) -> aiosmtplib.SMTPResponse:  # noqa: ASYNC109 - aiosmtplib's shape
        """The next reply, in the order of the commands."""
        if timeout is None:
            return await self.reply()
        async with asyncio.timeout(timeout):
            return await self.reply()

    async def reply(self) -> aiosmtplib.SMTPResponse:
        """The same, within the time that the whole call has."""
        while (reply := self._next()) is None:
            if self._lost is not None:
                raise self._lost
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        self.owed -= 1
        if not self.owed and self._buffer:
            self.confused = True
        return reply

    def _next(self) -> aiosmtplib.SMTPResponse | None:
        """The first reply in the buffer: most often one short line, and of few kinds."""
        end = self._buffer.find(b"\n") + 1
        if 0 < end <= _SHORT and (reply := _one_line(bytes(self._buffer[:end]))) is not None:
            del self._buffer[:end]
            return reply
        return self._read_response_from_buffer()

    async def execute_command(
        self,
        *args: bytes,
        timeout: float | None = None,  # noqa: ASYNC109 - aiosmtplib's shape
    ) -> aiosmtplib.SMTPResponse:
        """One command alone; what aiosmtplib itself says (RSET, QUIT) comes by here."""
        self.owed += 1
        self.write(b" ".join(args) + b"\r\n")
        return await self.read_response(timeout)

    async def drain(self) -> None:
        """What `StreamWriter.drain` does: returns when what was written is on its way, raises where it is lost.

        Also where the server has ended the connection by now, and said so.
        """
        await asyncio.sleep(0)
        if self._lost is not None:
            raise self._lost
        await self._drain_helper()

    def _fail(self, error: Exception) -> None:
        self._lost = self._lost or error
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Connection:
    """One session with the relay, ready for MAIL."""

    def __init__(self, client: aiosmtplib.SMTP) -> None:
        """`client` has said EHLO, and is logged in where it has to be; it is not to be used for messages any more."""
        self._client, self._replies = client, _Replies(client)
        self._groups, self._size = client.supports_extension("pipelining"), client.supports_extension("size")
        self.messages = 0
        self.used_at = 0.0
        # a refused transaction is still open: RSET comes first
        self.refused = False

    @property
    def good(self) -> bool:
        """Whether it is open, and its replies can be told apart."""
        return self._client.is_connected and not self._replies.owed and not self._replies.confused

    def close(self) -> None:
        """Ends it at once."""
        self._client.close()

    async def reset(self) -> bool:
        """Whether the relay answers to RSET, which does nothing where no transaction is open, as it should."""
        return (await self._replies.execute_command(b"RSET")).code in _TAKEN

    async def quit(self) -> None:
        """Ends it politely."""
        await self._client.quit()

    async def deliver(self, progress: Progress, sender: str, recipient: str, raw: bytes) -> Answer:
        """MAIL, RCPT, DATA, body, dot: the server's verdict, or its first refusal; `raw` has CRLF line ends alone.

        Raises what aiosmtplib raises where there is neither; `progress` then says how far it came.
        """
        size = f" SIZE={len(raw)}" if self._size else ""
        group: _Group = (
            ("sender", f"MAIL FROM:<{sender}>{size}\r\n".encode("ascii")),
            ("recipient", f"RCPT TO:<{recipient}>\r\n".encode("ascii")),
            ("data", b"DATA\r\n"),
        )
        refused = await (self._as_group(progress, group) if self._groups else self._one_by_one(progress, group))
        if refused is not None:
            return refused
        replies = self._replies
        # each of its lines that begins with a dot has it doubled (RFC 5321, 4.5.2); the first begins a header. To look
        # whether there is one takes a sixth of the time
        body = raw.replace(b"\r\n.", b"\r\n..") if b"\r\n." in raw else raw
        if len(body) > _AT_ONCE:
            # a connection lost while a long body goes out is noticed before the dot is written
            replies.write(body)
            body = b""
        await replies.drain()
        replies.owed += 1
        progress.dot_written = True
        replies.write(body + b".\r\n")
        verdict = await replies.reply()
        return read_reply("data", verdict.code, verdict.message)

    async def _one_by_one(self, progress: Progress, group: _Group) -> Answer | None:
        for where, command in group:
            progress.where = where
            reply = await self._replies.execute_command(command.removesuffix(b"\r\n"))
            if refused := _refusal(where, reply):
                return refused
        return None

    async def _as_group(self, progress: Progress, group: _Group) -> Answer | None:
        progress.where, self._replies.owed = group[0][0], len(group)
        self._replies.write(b"".join(command for _, command in group))
        refused: Answer | None = None
        by: Where = "data"
        for where, _ in group:
            if refused is None:
                progress.where = where
            try:
                reply = await self._replies.reply()
                if refused is None and (refused := _refusal(where, reply)):
                    by = where
            except (aiosmtplib.SMTPException, OSError):
                if refused is None:
                    raise
                # it has been refused already, whatever breaks now
                self.close()
                return refused
        if refused is not None and reply.code == _START_INPUT:
            await self._for_nobody(by)
        return refused

    async def _for_nobody(self, by: Where) -> None:
        """The body was invited after a refusal."""
        if by != "recipient":
            # the recipient was not refused, and might get an empty message
            self.close()
            return
        try:
            self._replies.owed += 1
            self._replies.write(b".\r\n")
            await self._replies.reply()
        except (aiosmtplib.SMTPException, OSError):
            self.close()


def _refusal(where: Where, reply: aiosmtplib.SMTPResponse) -> Answer | None:
    """What a reply comes to where it stops the message. Raises where DATA is neither refused nor taken."""
    if where != "data":
        return None if reply.code in _TAKEN else read_reply(where, reply.code, reply.message)
    if reply.code >= _REFUSAL:
        return read_reply("data", reply.code, reply.message)
    if reply.code != _START_INPUT:
        raise aiosmtplib.SMTPServerDisconnected("no invitation to send the body")
    return None
