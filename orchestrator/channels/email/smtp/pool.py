"""Connections to the relay: opened when needed, kept while they are good, used by one call at a time.

A connection that failed in any way is dropped, never put back. Nothing here sends a message twice: a kept connection is
probed before it is used again, and one that the server has closed meanwhile is replaced before the message begins.
"""

from __future__ import annotations

import ipaddress
import ssl
import time
from collections.abc import Callable
from contextlib import suppress

import aiosmtplib

from orchestrator.channels.email.smtp.session import Connection
from orchestrator.errors import SetupError
from orchestrator.settings import SmtpSettings

# a server may close an idle connection at any time (RFC 5321, 4.5.3.2.7): after this many seconds it is probed first
IDLE_S = 5.0
# many relays end a session after some hundred messages
MESSAGES = 100


class NoTls(Exception):
    """The server offers no STARTTLS, and plain text is not an answer to that."""


class Pool:
    """Sessions with one relay."""

    def __init__(
        self,
        settings: SmtpSettings,
        password: str,
        hostname: str,
        tls: ssl.SSLContext,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        """`hostname` is what we call ourselves in EHLO; `seconds` is any clock that only goes forward.

        Raises SetupError where a password would cross a network in the clear, or a user has none.
        """
        if settings.user and not password:
            raise SetupError(
                f"[dispatch.smtp] user is set, but the environment variable {settings.password_env} is empty"
            )
        if settings.user and settings.security == "none" and not is_loopback(settings.host):
            raise SetupError(
                '[dispatch.smtp] security = "none" would send the password in the clear; '
                'set it to "starttls" (port 587) or "tls" (port 465)'
            )
        self._settings, self._password, self._hostname = settings, password, hostname
        self._tls, self._seconds = tls, seconds
        self._kept: list[Connection] = []

    async def take(self) -> Connection:
        """A session that is ready for MAIL: the one used last, or a new one.

        Raises what aiosmtplib raises when the relay can't be reached or refuses us, NoTls, and ssl.SSLError.
        """
        while self._kept:
            connection = self._kept.pop()
            if await self._is_good(connection):
                return connection
            connection.close()
        return await self._open()

    def put(self, connection: Connection, *, refused: bool, closing: bool) -> None:
        """Keeps a session whose last message was answered; `closing`: the server said that it ends the session."""
        connection.messages += 1
        connection.used_at = self._seconds()
        connection.refused = refused
        if connection.good and connection.messages < MESSAGES and not closing:
            self._kept.append(connection)
        else:
            connection.close()

    async def close(self) -> None:
        """Ends kept sessions politely, within the call's time-out each."""
        while self._kept:
            connection = self._kept.pop()
            with suppress(aiosmtplib.SMTPException, OSError, ValueError):
                await connection.quit()
            connection.close()

    async def _is_good(self, connection: Connection) -> bool:
        if not connection.good:
            return False
        if not connection.refused and self._seconds() - connection.used_at < IDLE_S:
            return True
        try:
            return await connection.reset()
        except (aiosmtplib.SMTPException, OSError, ValueError):
            return False

    async def _open(self) -> Connection:
        settings = self._settings
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            port=settings.port,
            local_hostname=self._hostname,
            timeout=settings.timeout_s,
            use_tls=settings.security == "tls",
            start_tls=False,
            tls_context=None if settings.security == "none" else self._tls,
        )
        try:
            await client.connect()
            await client.ehlo()
            if settings.security == "starttls":
                if not client.supports_extension("starttls"):
                    raise NoTls
                await client.starttls()
                await client.ehlo()
            if settings.user:
                await client.login(settings.user, self._password)
            return Connection(client)
        except BaseException:
            # a cancelled call too: nothing may stay half open
            client.close()
            raise


def is_loopback(host: str) -> bool:
    """Whether this name or address stays on this machine; a name other than localhost is never taken for granted."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
