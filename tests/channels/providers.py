"""The reference material of providers: samples, and their own specs, against which requests and replies are checked."""

from __future__ import annotations

import functools
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from openapi_core import Config, OpenAPI
from openapi_core.testing import MockRequest, MockResponse

from orchestrator.testing.provider import Reply, Request

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


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
