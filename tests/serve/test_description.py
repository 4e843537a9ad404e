"""The API against its own description: whatever is sent, the answer is one that is described, and never a fault."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import InvalidArgument, Unsatisfiable
from openapi_core import OpenAPI
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from orchestrator.events.types import EVENT_TYPES
from tests.serve.serving import Serving, project, serving

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder, key = project(tmp_path_factory.mktemp("described") / "club", serve_key_requests_per_minute="10000000")
    with serving(folder, key) as running:
        yield running


def attacked(server: Serving, mode: GenerationMode) -> int:
    """Sends each operation what the description allows, or what it does not; how many requests."""
    described = schemathesis.openapi.from_dict(server.http.get("/openapi.json").json())
    sent = 0
    for found in described.get_all_operations():
        operation = found.ok()

        @settings(suppress_health_check=list(HealthCheck), database=None)
        @given(case=operation.as_strategy(generation_mode=mode))
        def one(case: Any) -> None:
            nonlocal sent
            sent += 1
            case.call_and_validate(
                base_url=server.address, headers={"Authorization": f"Bearer {server.key}"}, checks=CHECKS, timeout=30
            )

        try:
            one()
        except (Unsatisfiable, InvalidArgument):
            # nothing can be said wrongly to an operation that is told nothing
            assert mode is GenerationMode.NEGATIVE
            assert "/health" in operation.path
    return sent


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_is_one_that_is_described(server: Serving, mode: GenerationMode) -> None:
    assert attacked(server, mode) >= 60


@pytest.mark.soak
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_every_answer_is_one_that_is_described_for_long(server: Serving, mode: GenerationMode) -> None:
    assert attacked(server, mode) >= 3_000


def test_the_server_still_runs_after_all_that(server: Serving) -> None:
    assert 200 == server.http.get("/health/ready").status_code
    assert '"level": "error"' not in server.said()


def test_the_description_is_a_sound_one_and_knows_every_type(server: Serving) -> None:
    told = server.http.get("/openapi.json").json()
    OpenAPI.from_dict(told)
    assert told["openapi"].startswith("3.1")
    assert {"event", "taken", "problem", "health", *EVENT_TYPES} == set(told["components"]["schemas"])
    assert {"202", "207", "400", "401", "403", "408", "413", "415", "422", "429", "503"} == set(
        told["paths"]["/events"]["post"]["responses"]
    )
