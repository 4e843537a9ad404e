"""E-mail through a relay that speaks SMTP: one message, one call, one outcome.

The moment that counts is the final dot. Until it is written the server has taken nothing, whatever happens: transient.
Once it is written, only the server's reply says what became of the message: without one it is unknown, and must not be
sent again.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import aiosmtplib
from aiosmtplib.protocol import normalize_message_line_endings

from orchestrator.channels.capabilities import refusal
from orchestrator.channels.contract import Answer, Capabilities, Message
from orchestrator.channels.email import headers
from orchestrator.channels.email.smtp import message as wire
from orchestrator.channels.email.smtp.pool import Connection, NoTls, Pool
from orchestrator.channels.email.smtp.receipts import Where, read_reply
from orchestrator.settings import Settings, SmtpSettings

_LEADING_DOT = re.compile(rb"(?m)^\.")
_START_INPUT = 354
_REFUSAL = 400


class _Call:
    """How far one call came."""

    def __init__(self) -> None:
        self.where: Where = "connect"
        self.dot_written = False


class Smtp:
    """One relay; see `README.md` for what its replies come to."""

    def __init__(
        self,
        settings: SmtpSettings,
        *,
        password: str,
        programme: str,
        clock: Callable[[], datetime],
        hostname: str,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`clock` gives the Date of a message; `hostname` is our name in EHLO; `tls` trusts the system's roots if None.

        Raises SetupError where the settings would send a password in the clear.
        """
        self.channel = "email"
        self.slots = settings.connections
        self.capabilities = Capabilities()
        self._timeout_s = settings.timeout_s
        self._programme, self._clock = programme, clock
        self._pool = Pool(settings, password, hostname, tls or ssl.create_default_context())
        self._slots = asyncio.Semaphore(self.slots)

    def __repr__(self) -> str:
        return f"Smtp({self.slots} connections)"

    async def send(self, message: Message) -> Answer:
        """One call, within the time-out of the settings. Never raises."""
        if refused := refusal(message, self.capabilities, self._clock()):
            return refused
        try:
            raw = wire.build(message, self._clock(), self._programme)
            sender, recipient = wire.bounce_address(message), headers.recipient(message)
        except headers.Unsendable as error:
            return Answer(kind=error.kind, code=error.code)
        async with self._slots:
            call = _Call()
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._deliver(call, sender, recipient, raw)
            except Exception as error:  # noqa: BLE001 - whatever a server, network or library does must become an answer
                return _failure(error, call)

    async def close(self) -> None:
        """Ends the kept sessions."""
        await self._pool.close()

    async def _deliver(self, call: _Call, sender: str, recipient: str, raw: bytes) -> Answer:
        connection = await self._pool.take()
        answer: Answer | None = None
        try:
            answer = await _transaction(connection, call, sender, recipient, raw)
            return answer
        finally:
            if answer is None:
                connection.client.close()
            else:
                refused = answer.kind != "accepted"
                self._pool.put(connection, refused=refused, closing=answer.code.startswith("421"))


async def _transaction(connection: Connection, call: _Call, sender: str, recipient: str, raw: bytes) -> Answer:
    """MAIL, RCPT, DATA, body, dot: the server's verdict, or its first refusal."""
    client = connection.client
    size = [f"SIZE={len(raw)}"] if client.supports_extension("size") else []
    try:
        call.where = "sender"
        await client.mail(sender, options=size)
        call.where = "recipient"
        await client.rcpt(recipient)
    except aiosmtplib.SMTPResponseException as error:
        return read_reply(call.where, error.code, error.message)
    call.where = "data"
    start = await client.execute_command(b"DATA")
    protocol = client.protocol
    if start.code >= _REFUSAL:
        return read_reply("data", start.code, start.message)
    if start.code != _START_INPUT or protocol is None:
        raise aiosmtplib.SMTPServerDisconnected("no invitation to send the body")
    protocol.write(_LEADING_DOT.sub(b"..", normalize_message_line_endings(raw)))
    # what `StreamWriter.drain` does: a connection lost while a long body goes out is noticed before the dot is written
    await asyncio.sleep(0)
    await protocol._drain_helper()  # noqa: SLF001 - the flow control that aiosmtplib copied from asyncio for this use
    call.dot_written = True
    protocol.write(b".\r\n")
    verdict = await protocol.read_response()
    return read_reply("data", verdict.code, verdict.message)


def _failure(error: Exception, call: _Call) -> Answer:
    """What a call that got no verdict comes to."""
    if call.dot_written:
        return Answer(kind="unknown", code="connection")
    if isinstance(error, aiosmtplib.SMTPResponseException) and error.code >= _REFUSAL:
        # a reply that ended the session: greeting, EHLO, STARTTLS, AUTH
        return read_reply(call.where, error.code, error.message)
    tls = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(tls, ssl.SSLError) and not isinstance(tls, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        # a certificate or protocol that does not fit needs a person; a handshake cut short does not
        return Answer(kind="rejected_sender", code="tls")
    if isinstance(error, NoTls):
        return Answer(kind="rejected_sender", code="no_starttls")
    if type(error) is aiosmtplib.SMTPException:
        # the server offers no way to log in that we know
        return Answer(kind="rejected_sender", code="no_auth")
    return Answer(kind="transient", code="connection")


def open_adapter(channel: str, settings: Settings, project: Path, clock: Callable[[], datetime]) -> Smtp:  # noqa: ARG001 - the shape that every adapter's folder has
    """The relay of the settings; the password comes from the environment variable that they name."""
    smtp = settings.dispatch.smtp
    return Smtp(
        smtp,
        password=os.environ.get(smtp.password_env, ""),
        programme=settings.programme,
        clock=clock,
        hostname=socket.getfqdn(),
    )
