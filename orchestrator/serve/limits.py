"""How large, how slow and how often: what a request may cost before anything of it is looked at."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from math import ceil

from starlette.requests import ClientDisconnect, Request

from orchestrator.serve.problems import Refusal

# seconds that a body may take
BODY_S = 15.0
# callers remembered at once; who was idle longest is forgotten first, and was let through anyway
_CALLERS = 50_000


async def read_body(request: Request, limit: int) -> bytes:
    """The body; raises Refusal 413 beyond `limit` bytes, before more of it is read, and 408 where it does not come."""
    told = request.headers.get("content-length", "")
    if told.isdecimal() and int(told) > limit:
        raise Refusal(413, "too_large", f"at most {limit:,} bytes")
    parts: list[bytes] = []
    read = 0
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.stream():
                read += len(part)
                if read > limit:
                    raise Refusal(413, "too_large", f"at most {limit:,} bytes")
                parts.append(part)
    except TimeoutError:
        raise Refusal(408, "too_slow", f"the body must come within {BODY_S:g} seconds") from None
    except ClientDisconnect:
        raise Refusal(400, "cut_off", "the request ended before its body did") from None
    return b"".join(parts)


class Rate:
    """A bucket for each caller: so many requests a minute, a tenth of them (at least 10) at once."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        """`clock` gives seconds that pass evenly."""
        self._per_second, self._room = per_minute / 60, max(10.0, per_minute / 10)
        self._clock = clock
        # caller -> (requests left, when that was so)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> None:
        """Counts a request; raises Refusal 429, with how long to wait, where the caller has none left."""
        now = self._clock()
        left, since = self._left.pop(caller, (self._room, now))
        left = min(self._room, left + (now - since) * self._per_second)
        self._left[caller] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > _CALLERS:
            self._left.popitem(last=False)
        if left < 1:
            wait = ceil((1 - left) / self._per_second)
            raise Refusal(429, "too_many_requests", f"wait {wait} s", {"Retry-After": str(wait)})
