"""One HTTP call to a provider by httpx: an answer, or how it failed. No retries, no redirects, one hard deadline.

What decides between transient and unknown is whether the first byte of the request was written: before that the
provider has nothing, after it only its answer says what became of the message.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

import httpx

from orchestrator import __version__
from orchestrator.channels.contract import Answer

LONGEST_WAIT = timedelta(hours=1)
# longer answers are no answers of the providers we call
ANSWER_LIMIT = 1 << 18


class Reply(NamedTuple):
    """What a provider answered."""

    status: int
    # names in lower case
    headers: Mapping[str, str]
    body: bytes

    @property
    def retry_after(self) -> timedelta | None:
        """For how long the provider asks for patience, an hour at most; None where it does not say in seconds."""
        told = self.headers.get("retry-after", "")
        return min(timedelta(seconds=int(told[:9])), LONGEST_WAIT) if told.isascii() and told.isdigit() else None


def quiet(*names: str) -> None:
    """Loggers of client libraries that write keys, addresses or bodies: warnings only, whatever the root is set to."""
    for name in names:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))


class Http:
    """Pooled connections to one provider."""

    def __init__(self, base: str, slots: int, timeout_s: float, tls: ssl.SSLContext | None = None) -> None:
        """`base` is scheme and host; `slots` calls at once, each within `timeout_s`.

        `tls` trusts the system's roots if None.
        """
        # it logs whole addresses, and Telegram's hold the token
        quiet("httpx", "httpcore")
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(slots)
        self._client = httpx.AsyncClient(
            base_url=base,
            timeout=timeout_s,
            follow_redirects=False,
            verify=True if tls is None else tls,
            limits=httpx.Limits(max_connections=slots, max_keepalive_connections=slots),
            headers={
                "User-Agent": f"orchestrator/{__version__}",
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
        )

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Reply | Answer:
        """The provider's reply to a JSON body; or transient, unknown or rejected_sender where there is none."""
        began = False

        async def trace(event: str, info: object) -> None:  # noqa: ARG001 - the shape that httpx calls
            nonlocal began
            began = began or event.endswith("send_request_headers.started")

        async with self._slots:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._post(path, body, headers, trace)
            except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, ssl.SSLError) as error:
                if began:
                    return Answer(kind="unknown", code="connection")
                if is_untrusted(error):
                    return Answer(kind="rejected_sender", code="tls")
                return Answer(kind="transient", code="connection")

    async def _post(self, path: str, body: bytes, headers: Mapping[str, str], trace: object) -> Reply | Answer:
        request = self._client.stream(
            "POST",
            path,
            content=body,
            headers={"Content-Type": "application/json", **headers},
            extensions={"trace": trace},
        )
        async with request as response:
            read = bytearray()
            async for part in response.aiter_raw():
                read += part
                if len(read) > ANSWER_LIMIT:
                    return Answer(kind="unknown", code=f"{response.status_code} long")
            names = {name.lower(): value for name, value in response.headers.items()}
            return Reply(response.status_code, names, bytes(read))

    async def close(self) -> None:
        """Ends pooled connections."""
        await self._client.aclose()


def is_untrusted(error: BaseException) -> bool:
    """Whether a certificate that does not fit is at the bottom of this: it needs a person, not another try."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return True
        inner = [arg for arg in (*seen.args, getattr(seen, "reason", None)) if isinstance(arg, BaseException)]
        seen = inner[0] if inner else seen.__cause__ or seen.__context__
    return False
