"""The application: who may call what, and the routes put together."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestrator import __version__
from orchestrator.channels.load import load_receivers
from orchestrator.events.catalogue import EventTypes
from orchestrator.metrics import Standing
from orchestrator.serve import confirming, events, figures, health, hooks, leaving, preferences
from orchestrator.serve.description import describe
from orchestrator.serve.hearing import Hearing
from orchestrator.serve.intake import Intake
from orchestrator.serve.keys import Keys
from orchestrator.serve.limits import Rate
from orchestrator.serve.offers import Offer
from orchestrator.serve.problems import Refusal, answer, problem
from orchestrator.serve.replies import Replies
from orchestrator.serve.site import Site
from orchestrator.settings import ServeSettings, Settings
from orchestrator.stores.contract import Store
from orchestrator.vault import Vault

log = logging.getLogger(__name__)

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]


class Doorkeeper:
    """Lets in callers whose key has the role, as often as they may come."""

    def __init__(self, settings: ServeSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises SetupError for a key that is none."""
        self._keys = Keys(settings.api_keys)
        self._rate = Rate(settings.key_requests_per_minute, clock)
        # nobody's keys are tried faster than that, from one address
        self._strangers = Rate(60, clock)

    def stranger(self, request: Request) -> None:
        """Counts a caller who shows nothing of ours; raises Refusal 429 where it does so too often."""
        self._strangers.take(address_of(request))

    def allow(self, request: Request, role: str) -> None:
        """Raises Refusal 401 without a key of ours, 403 where it has not the role, 429 where it comes too often."""
        caller = self._keys.caller(request.headers.get("authorization", ""))
        if caller is None:
            self.stranger(request)
            raise Refusal(401, "unauthorized", "send Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"})
        if role not in caller.roles:
            raise Refusal(403, "forbidden", f"this key has not the role {role}")
        self._rate.take(caller.name)


def address_of(request: Request) -> str:
    """The caller's address, as the trusted proxy tells it."""
    return request.client.host if request.client is not None else ""


def build(
    settings: Settings,
    store: Store,
    vault: Vault,
    intake: Intake,
    offer: Callable[[], Offer] = Offer,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    standing: Standing | None = None,
) -> ASGIApp:
    """The application of these parts.

    `offer` says which events are known, and what members may switch off on their own page; `clock` is what providers'
    signed times are held against; `standing` tells of the store, where this process is one that does. Raises SetupError
    for a key that is none.
    """
    app = FastAPI(
        title="Orchestrator",
        version=__version__,
        description="Events that come in. Members' pages and providers' webhooks are not described here.",
        docs_url=None,
        redoc_url=None,
        exception_handlers={Refusal: answer, HTTPException: _as_problem, Exception: _fault},
    )
    door = Doorkeeper(settings.serve)
    replies = Replies(settings.serve.stop_words)
    hearing = Hearing(store, vault, replies, settings.serve.link_days)
    receivers = load_receivers(settings)
    site = Site(settings=settings, store=store, vault=vault, hearing=hearing, stranger=door.stranger, offer=offer)
    for router in (
        events.routes(intake, offer, settings.serve, door.allow),
        health.routes(store, intake),
        figures.routes(standing, door.allow),
        hooks.routes(receivers, hearing, replies, settings, clock, door.stranger),
        leaving.routes(site),
        confirming.routes(site),
        preferences.routes(site),
    ):
        app.include_router(router)

    @lru_cache(maxsize=1)
    def described(types: EventTypes) -> dict[str, object]:
        return describe(app, types)

    def openapi() -> dict[str, object]:
        return described(offer().types)

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's own way to describe more than it knows
    return Careful(app)


class Careful:
    """Adds the headers that every answer has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def careful(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message.get("headers", ())}
                message = {
                    **message,
                    "headers": [*message.get("headers", ()), *[pair for pair in _HEADERS if pair[0] not in given]],
                }
            await send(message)

        await self._app(scope, receive, careful if scope["type"] == "http" else send)


async def _as_problem(_request: Request, error: Exception) -> Response:
    """Starlette's own refusals (no such path, no such method), in the same form."""
    if not isinstance(error, HTTPException):
        raise error
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
    return problem(Refusal(error.status_code, code, code.replace("_", " "), error.headers))


async def _fault(_request: Request, error: Exception) -> Response:
    """A fault of ours: its text might quote a member, so that neither log nor answer has it."""
    log.error("a request failed: %s", type(error).__name__)
    return problem(Refusal(500, "fault", "a fault of ours; it is on record by its kind"))
