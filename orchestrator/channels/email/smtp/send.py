"""E-mail through a relay that speaks SMTP: one message, one call, one outcome.

The moment that counts is the final dot. Until it is written the server has taken nothing, whatever happens: transient.
Once it is written, only the server's reply says what became of the message: without one it is unknown, and must not be
sent again.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import aiosmtplib

from orchestrator.channels.capabilities import refusal
from orchestrator.channels.contract import Answer, Capabilities, Message
from orchestrator.channels.email import headers
from orchestrator.channels.email.smtp import message as wire
from orchestrator.channels.email.smtp.pool import NoTls, Pool
from orchestrator.channels.email.smtp.receipts import read_reply
from orchestrator.channels.email.smtp.session import Progress
from orchestrator.settings import Settings, SmtpSettings

_REFUSAL = 400


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
        opt_out_mail: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`clock` gives the Date of a message; `hostname` is our name in EHLO; `tls` trusts the system's roots if None.

        Raises SetupError where the settings would send a password in the clear.
        """
        self.channel = "email"
        self.slots = settings.connections
        self.capabilities = Capabilities()
        self._timeout_s = settings.timeout_s
        self._programme, self._clock, self._opt_out_mail = programme, clock, opt_out_mail
        self._pool = Pool(settings, password, hostname, tls or ssl.create_default_context())
        self._slots = asyncio.Semaphore(self.slots)

    def __repr__(self) -> str:
        return f"Smtp({self.slots} connections)"

    async def send(self, message: Message) -> Answer:
        """One call, within the time-out of the settings. Never raises."""
        if refused := refusal(message, self.capabilities, self._clock()):
            return refused
        try:
            raw = wire.build(message, self._clock(), self._programme, self._opt_out_mail)
            sender, recipient = wire.bounce_address(message), headers.recipient(message)
        except headers.Unsendable as error:
            return Answer(kind=error.kind, code=error.code)
        async with self._slots:
            call = Progress()
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._deliver(call, sender, recipient, raw)
            except Exception as error:  # noqa: BLE001 - whatever a server, network or library does must become an answer
                return _failure(error, call)

    async def close(self) -> None:
        """Ends the kept sessions."""
        await self._pool.close()

    async def _deliver(self, call: Progress, sender: str, recipient: str, raw: bytes) -> Answer:
        connection = await self._pool.take()
        answer: Answer | None = None
        try:
            answer = await connection.deliver(call, sender, recipient, raw)
            return answer
        finally:
            if answer is None:
                connection.close()
            else:
                refused = answer.kind != "accepted"
                self._pool.put(connection, refused=refused, closing=answer.code.startswith("421"))


def _failure(error: Exception, call: Progress) -> Answer:
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
        opt_out_mail=settings.opt_out_mail,
    )
