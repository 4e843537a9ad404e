"""A real mail server on loopback that answers as it is told and counts what reaches it. Needs aiosmtpd.

It runs in the caller's event loop, on a port of its own:

    async with Relay() as relay:
        relay.script["RCPT"] = "550 5.1.1 no such user"
        ...                                     # send to relay.host, relay.port
        assert relay.calls == []                # nothing got as far as its final dot

Steps are CONNECT, MAIL, RCPT, DATA (before the body) and BODY (after the final dot). A step answers with the reply it
is given, `CUT` closes the connection instead, `HANG` answers when `release` is called.
"""

from __future__ import annotations

import asyncio
import ssl
import warnings
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import AnyStr, Literal, NamedTuple, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

Step = Literal["CONNECT", "MAIL", "RCPT", "DATA", "BODY"]
CUT = "CUT"
HANG = "HANG"


class Mail(NamedTuple):
    """One message, as it came."""

    sender: str
    recipient: str
    raw: bytes
    tls: bool
    login: bool

    @property
    def touch_id(self) -> str:
        """The touch that the envelope sender names."""
        return self.sender.partition("@")[0].partition("+")[2]


class Relay:
    """One mail server; leave the `async with` block to end it."""

    host = "127.0.0.1"

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        password: str = "",
        pipelining: bool = True,
        on_mail: Callable[[Mail], None] = lambda mail: None,  # noqa: ARG005 - the type names it
    ) -> None:
        """`password`: every login must use it, and none may go without; `pipelining` offers it (RFC 2920).

        `on_mail` is called before the reply.
        """
        self.port = 0
        self.script: dict[Step, str] = {}
        # every message whose final dot arrived
        self.mails: list[Mail] = []
        # how often each step was reached
        self.steps: Counter[str] = Counter()
        # the most messages whose verdict was awaited at once
        self.peak = 0
        self.waiting = 0
        self._tls, self._implicit_tls, self._password, self._on_mail = tls, implicit_tls, password, on_mail
        self._pipelining = pipelining
        self._released = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._sessions: set[_Session] = set()

    @property
    def calls(self) -> list[str]:
        """The touches whose final dot arrived, in order."""
        return [mail.touch_id for mail in self.mails]

    def release(self) -> None:
        """Whatever hangs is answered with 250, now and from now on."""
        self._released.set()

    async def __aenter__(self) -> Self:
        """Listens."""
        loop = asyncio.get_running_loop()
        ssl_context = self._tls if self._implicit_tls else None
        self._server = await loop.create_server(self._session, self.host, self.port, ssl=ssl_context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes every connection."""
        if self._server is not None:
            await self.stop()

    async def stop(self) -> None:
        """From now on connections are refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.drop()
        # sessions notice in the loop's next passes
        for _ in range(5):
            await asyncio.sleep(0)

    def drop(self) -> None:
        """Cuts every open connection; new ones are taken."""
        for session in list(self._sessions):
            session.cut()

    def _session(self) -> _Session:
        return _Session(self, None if self._implicit_tls else self._tls, self._password, pipelining=self._pipelining)

    async def act(self, step: Step, session: _Session) -> str | None:
        """What the script says of this step: a reply to give, "" when nothing is left to say, None for the usual."""
        self.steps[step] += 1
        told = self.script.get(step)
        if told == CUT:
            session.cut()
            return ""
        if told == HANG:
            await self._released.wait()
            return None
        return told

    async def receive(self, mail: Mail, session: _Session) -> str:
        """The reply after the final dot."""
        self.mails.append(mail)
        self._on_mail(mail)
        self.waiting += 1
        self.peak = max(self.peak, self.waiting)
        try:
            told = await self.act("BODY", session)
        finally:
            self.waiting -= 1
        return "250 2.0.0 Ok: queued as 4Zx9yK1Qw2" if told is None else told


class _Session(SMTP):
    """One connection."""

    def __init__(self, relay: Relay, tls: ssl.SSLContext | None, password: str, *, pipelining: bool) -> None:
        self.relay = relay
        with warnings.catch_warnings():
            # aiosmtpd warns of logins in plain text: on loopback, that is what some tests are about
            warnings.simplefilter("ignore")
            super().__init__(
                _Handler(pipelining=pipelining),
                hostname="relay.example",
                tls_context=tls,
                auth_required=bool(password),
                auth_require_tls=False,
                authenticator=_checks(password),
                loop=asyncio.get_running_loop(),
            )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Counts it in."""
        self.relay._sessions.add(self)  # noqa: SLF001 - the two are one
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Counts it out."""
        self.relay._sessions.discard(self)  # noqa: SLF001 - the two are one
        super().connection_lost(error)

    def cut(self) -> None:
        """Closes without a word."""
        if isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()

    @property
    def encrypted(self) -> bool:
        """Whether TLS is on."""
        return self.transport is not None and self.transport.get_extra_info("sslcontext") is not None

    async def push(self, status: AnyStr) -> None:
        """The greeting is the first thing said."""
        if str(status).startswith("220 relay.example"):
            told = await self.relay.act("CONNECT", self)
            if told == "":
                return
            if told:
                await super().push(told)
                return
        if self.transport is not None and not self.transport.is_closing():
            await super().push(status)

    async def smtp_MAIL(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """MAIL FROM."""
        if not await self._scripted("MAIL"):
            await super().smtp_MAIL(arg)

    async def smtp_RCPT(self, arg: str | None) -> None:  # noqa: N802 - aiosmtpd's name
        """RCPT TO."""
        if not await self._scripted("RCPT"):
            await super().smtp_RCPT(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 - aiosmtpd's name
        """DATA, until the server invites the body."""
        if not await self._scripted("DATA"):
            await super().smtp_DATA(arg)

    async def _scripted(self, step: Step) -> bool:
        told = await self.relay.act(step, self)
        if told:
            await self.push(told)
        return told is not None


def _checks(password: str) -> Callable[[SMTP, Session, Envelope, str, object], AuthResult]:
    def check(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object) -> AuthResult:  # noqa: ARG001 - aiosmtpd's shape
        return AuthResult(success=getattr(data, "password", b"") == password.encode(), handled=False)

    return check


class _Handler:
    """What the server says of itself, and what it does when the final dot has arrived."""

    def __init__(self, *, pipelining: bool) -> None:
        self._offers = ["250-PIPELINING"] if pipelining else []

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self,
        server: _Session,  # noqa: ARG002 - aiosmtpd's shape
        session: Session,
        envelope: Envelope,  # noqa: ARG002 - aiosmtpd's shape
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], *self._offers, responses[-1]]

    async def handle_DATA(self, server: _Session, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        mail = Mail(
            sender=str(envelope.mail_from),
            recipient=str(envelope.rcpt_tos[0]),
            raw=envelope.content if isinstance(envelope.content, bytes) else b"",
            tls=server.encrypted,
            login=bool(session.authenticated),
        )
        return await server.relay.receive(mail, server)
