"""What every adapter of an HTTP API must do, on a scripted provider. A test module says how its adapter is opened.

    def shop(host: str, timeout_s: float) -> Shop: ...              # with `channel_suite.KEY` as its key

    class TestShop(ApiSuite):
        channel = "sms"
        account = Account(shop, Reply(202), Reply(404), lambda request: str(request.json["reference"]))

`sent` and `on_provider` are for tests of single answers.
"""

# ruff: noqa: D102, SIM300 - these are tests: their names say what must hold, and what is expected stands on the left

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import ClassVar, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orchestrator.channels.contract import Adapter, Answer, Message
from orchestrator.testing.channel_suite import ChannelSuite, Rig, Script
from orchestrator.testing.provider import CUT, DRIP, GARBAGE, HALF, HANG, Provider, Reply, Request, Step

# what may go wrong once a connection stands, and leaves a message in doubt
IN_DOUBT: tuple[Step, ...] = (CUT, HALF, GARBAGE, DRIP, HANG)


class Account(NamedTuple):
    """How one adapter is opened on a provider, and read at it."""

    # (provider's URL, seconds for a call) -> adapter
    open: Callable[[str, float], Adapter]
    usual: Reply
    refusal: Reply
    # the touch id that a request carries
    touch_id: Callable[[Request], str]


class ApiRig:
    """An adapter and its provider, for the contract suite."""

    def __init__(self, account: Account, provider: Provider) -> None:
        self.account, self.provider = account, provider
        self.adapter = account.open(provider.url, 1.0)

    def script(self, what: Script) -> bool:
        """Plays it."""
        steps: dict[Script, Step] = {
            "accept": self.account.usual,
            "refuse": self.account.refusal,
            "down": CUT,
            "hang": HANG,
        }
        self.provider.step = steps[what]
        return True

    def calls(self) -> list[str]:
        """As the requests carry them."""
        return [self.account.touch_id(request) for request in self.provider.requests]

    def waiting(self) -> int:
        """Calls that hang."""
        return self.provider.waiting

    def release(self) -> None:
        """Answers them."""
        self.provider.release()


class ApiSuite(ChannelSuite):
    """What holds of every adapter that calls an HTTP API, beside what holds of all."""

    account: ClassVar[Account]

    @asynccontextmanager
    async def rig(self, folder: Path) -> AsyncIterator[Rig]:  # noqa: ARG002 - nothing is kept on disk
        """The account on a provider of its own."""
        async with Provider(self.account.usual) as provider:
            yield ApiRig(self.account, provider)

    @pytest.mark.parametrize("step", IN_DOUBT)
    def test_once_the_connection_stands_no_verdict_is_unknown_and_nothing_is_tried_again(self, step: Step) -> None:
        answer, requests = sent(self.account, self.message(), step)
        assert ("unknown", 1) == (answer.kind, len(requests))

    def test_a_connection_that_is_refused_is_transient(self) -> None:
        assert Answer(kind="transient", code="connection") == refused_connection(self.account, self.message())

    @pytest.mark.parametrize("host", ["http://no-such-host.invalid", "http://", "gopher://example.invalid"])
    def test_an_address_that_leads_nowhere_is_no_reason_to_lose_a_message(self, host: str) -> None:
        elsewhere = self.account._replace(open=lambda _, timeout_s: self.account.open(host, timeout_s))
        assert "transient" == sent(elsewhere, self.message())[0].kind

    def test_a_redirect_is_not_followed_and_the_key_goes_nowhere_else(self) -> None:
        async def work(adapter: Adapter, provider: Provider) -> None:
            async with Provider(self.account.usual) as elsewhere:
                for status in (301, 302, 303, 307, 308):
                    provider.step = Reply(status, {"Location": f"{elsewhere.url}/login"})
                    assert Answer(kind="unknown", code=str(status)) == await adapter.send(self.message())
                assert [] == elsewhere.requests

        on_provider(self.account, work)

    def test_a_certificate_that_is_not_trusted_stops_the_sender_before_anything_is_said(self, tmp_path: Path) -> None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(self_signed(tmp_path / "pair.pem"))

        async def work(adapter: Adapter, provider: Provider) -> None:
            assert Answer(kind="rejected_sender", code="tls") == await adapter.send(self.message())
            assert [] == provider.requests

        on_provider(self.account, work, tls=tls)

    def test_headers_do_not_grow_from_call_to_call(self) -> None:
        async def work(adapter: Adapter, provider: Provider) -> None:
            for n in range(3):
                await adapter.send(self.message(f"touch-{n}"))
            first, *others = (request.headers for request in provider.requests)
            assert [first, first] == others

        on_provider(self.account, work)


def on_provider(
    account: Account,
    work: Callable[[Adapter, Provider], Awaitable[None]],
    timeout_s: float = 5.0,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Runs `work` with a fresh adapter and provider."""

    async def run() -> None:
        async with Provider(account.usual, tls=tls) as provider:
            adapter = account.open(provider.url, timeout_s)
            try:
                await work(adapter, provider)
            finally:
                await adapter.close()

    asyncio.run(run())


def sent(account: Account, message: Message, step: Step | None = None) -> tuple[Answer, list[Request]]:
    """The answer to one send at a provider that takes this step, and the requests that reached it."""
    kept: list[tuple[Answer, list[Request]]] = []

    async def work(adapter: Adapter, provider: Provider) -> None:
        provider.step = account.usual if step is None else step
        kept.append((await adapter.send(message), provider.requests))

    on_provider(account, work, 0.4 if step in (DRIP, HANG) else 5.0)
    return kept[0]


def refused_connection(account: Account, message: Message) -> Answer:
    """The answer where nothing listens."""
    kept: list[Answer] = []

    async def work(adapter: Adapter, provider: Provider) -> None:
        await provider.stop()
        kept.append(await adapter.send(message))

    on_provider(account, work)
    return kept[0]


def self_signed(path: Path) -> Path:
    """A certificate for 127.0.0.1 that nobody else signed, with its key, as one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(private + made.public_bytes(pem))
    return path
