"""What a caller is told of a request that is not carried out: RFC 9457 problem details, never a value of theirs."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class Refusal(Exception):
    """A request that is not carried out: its status, a code for programs, a sentence with the cure."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        self.status, self.code, self.detail, self.headers = status, code, detail, dict(headers or {})
        super().__init__(code)


def problem(refusal: Refusal) -> Response:
    """The answer to it."""
    body = {"title": refusal.code, "status": refusal.status, "detail": refusal.detail}
    return Response(msgspec.json.encode(body), refusal.status, refusal.headers, MEDIA_TYPE)


async def answer(_request: Request, error: Exception) -> Response:
    """Starlette's handler for a Refusal."""
    if not isinstance(error, Refusal):
        raise error
    return problem(error)
