"""Adapters on a scripted provider: rigs for the contract suite, single calls, and the providers' own specs."""

from __future__ import annotations

import asyncio
import functools
import json
import os
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
from orchestrator.testing.channel_suite import Script
from orchestrator.testing.provider import CUT, DRIP, GARBAGE, HALF, HANG, Provider, Reply, Request, Step

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


@asynccontextmanager
async def rig(account: Account) -> AsyncIterator[Rig]:
    async with Provider(account.usual) as provider:
        yield Rig(account, provider)


def on_provider(account: Account, work: Callable[[Adapter, Provider], Awaitable[None]], timeout_s: float = 5.0) -> None:
    """Runs `work` with a fresh adapter and provider."""

    async def run() -> None:
        async with Provider(account.usual) as provider:
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
