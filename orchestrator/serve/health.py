"""GET /health/live and /health/ready: for whoever restarts this process, and whoever sends it requests."""

from __future__ import annotations

import asyncio

import msgspec
from fastapi import APIRouter, Request, Response

from orchestrator.serve.description import describe_health
from orchestrator.serve.intake import Intake
from orchestrator.stores.contract import Store

# seconds that the store may take to say what time it is
STORE_S = 3.0


def routes(store: Store, intake: Intake) -> APIRouter:
    """Both routes; they tell nothing but well or not, and need no key."""

    async def live(_request: Request) -> Response:
        return _said({"status": "live"}, 200)

    async def ready(_request: Request) -> Response:
        parts = {"store": await _answers(store), "events": intake.well()}
        well = all(parts.values())
        told: dict[str, object] = {
            "status": "ready" if well else "not_ready",
            "parts": {n: "ok" if p else "down" for n, p in parts.items()},
        }
        return _said(told, 200 if well else 503)

    router = APIRouter()
    router.add_api_route("/health/live", live, methods=["GET"], **describe_health("It runs.", {200}))
    router.add_api_route("/health/ready", ready, methods=["GET"], **describe_health("It takes events.", {200, 503}))
    return router


async def _answers(store: Store) -> bool:
    try:
        async with asyncio.timeout(STORE_S):
            await asyncio.to_thread(store.switches)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is not ready
        return False
    return True


def _said(what: dict[str, object], status: int) -> Response:
    return Response(msgspec.json.encode(what), status, {"Cache-Control": "no-store"}, "application/json")
