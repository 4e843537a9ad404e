"""Adapters on a scripted provider: the suite of adapters of an HTTP API, single calls, and the providers' own specs."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from orchestrator.channels.contract import Adapter, Answer, Message
from orchestrator.testing.channel_suite import ChannelSuite, Script
from orchestrator.testing.provider import CUT, DRIP, GARBAGE, HALF, HANG, Provider, Reply, Request, Step
from tests.servers import write_certificates

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
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


class Rig:
    """An adapter and its provider, for the contract suite."""

    def __init__(self, account: Account, provider: Provider) -> None:
        self.account, self.provider = account, provider
        self.adapter = account.open(provider.url, 1.0)

    def script(self, what: Script) -> bool:
        self.provider.step = {
            "accept": self.account.usual,
            "refuse": self.account.refusal,
            "down": CUT,
            "hang": HANG,
        }[what]
        return True

    def calls(self) -> list[str]:
        return [self.account.touch_id(request) for request in self.provider.requests]

    def waiting(self) -> int:
        return self.provider.waiting

    def release(self) -> None:
        self.provider.release()


class ApiSuite(ChannelSuite):
    """What holds of every adapter that calls an HTTP API, beside what holds of all."""

    account: Account

    @asynccontextmanager
    async def rig(self, folder: Path) -> AsyncIterator[Rig]:  # noqa: ARG002 - nothing is kept on disk
        async with Provider(self.account.usual) as provider:
            yield Rig(self.account, provider)

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
        write_certificates(tmp_path)
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(tmp_path / "broker.both")

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


def reference(name: str) -> Path:
    """A file of the reference material; skips with a word where there is none."""
    folder = os.environ.get("REFERENCE_DATA")
    if not folder:
        pytest.skip("REFERENCE_DATA names no folder")
    return Path(folder) / name


@functools.cache
def spec(name: str) -> tuple[OpenAPI, dict[str, Any]]:
    """A provider's published contract, as published, and its plain data."""
    path = reference(f"contracts/{name}")
    text = path.read_text(encoding="utf-8")
    # response keys of the YAML one are numbers; a round trip makes them text
    loaded = json.loads(
        text if path.suffix == ".json" else json.dumps(yaml.load(text, Loader=yaml.CSafeLoader), default=str)
    )
    return OpenAPI.from_dict(loaded, config=Config(spec_validator_cls=None)), loaded


def check_request(name: str, host: str, request: Request, *, data: bytes | None = None) -> None:
    """Raises where a request that reached the provider is not what its contract asks for."""
    spec(name)[0].validate_request(_mock(host, request, data))


def check_response(name: str, host: str, request: Request, reply: Reply) -> None:
    """Raises where a scripted reply is none that the contract knows: a script must not invent its provider."""
    headers = {key.lower(): value for key, value in reply.headers.items()}
    content_type = headers.get("content-type", "")
    answer = MockResponse(reply.body, status_code=reply.status, headers=headers, content_type=content_type)
    spec(name)[0].validate_response(_mock(host, request, None), answer)


def _mock(host: str, request: Request, data: bytes | None) -> MockRequest:
    return MockRequest(
        host,
        request.method.lower(),
        request.path,
        headers=request.headers,
        data=request.body if data is None else data,
        content_type=request.headers.get("content-type", ""),
    )
