"""GET /metrics: figures for Prometheus, for API keys with the role `status`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import APIRouter, Request, Response

from orchestrator.metrics import CONTENT_TYPE, Standing, exposition


def routes(standing: Standing | None, allow: Callable[[Request, str], None]) -> APIRouter:
    """The one route; `standing` where this process is one that tells of the store."""

    async def metrics(request: Request) -> Response:
        allow(request, "status")
        return Response(await asyncio.to_thread(exposition, standing), headers={"Content-Type": CONTENT_TYPE})

    router = APIRouter(include_in_schema=False)
    router.add_api_route("/metrics", metrics, methods=["GET"])
    return router
