"""Providers' own requests: read raw, verified before anything is parsed, kept in one transaction, then answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from xml.sax.saxutils import escape

import structlog
from fastapi import APIRouter, Request, Response

from orchestrator.channels.twilio_api.webhooks import INBOUND
from orchestrator.channels.webhooks import Forged, Heard, Hook, Inbound, Malformed, Receiver
from orchestrator.counters import WORDS
from orchestrator.serve.hearing import Hearing, Outcome
from orchestrator.serve.limits import read_body
from orchestrator.serve.problems import Refusal
from orchestrator.serve.replies import Replies
from orchestrator.settings import Settings

log = structlog.get_logger()

_XML = "text/xml"


def routes(
    receivers: Mapping[str, Receiver],
    hearing: Hearing,
    replies: Replies,
    settings: Settings,
    clock: Callable[[], datetime],
    stranger: Callable[[Request], None],
) -> APIRouter:
    """A route for each receiver. `clock` is what signed times are held against; `stranger` counts what is forged."""
    router = APIRouter()
    for path, receiver in receivers.items():
        hook = _hook(path, receiver, hearing, replies, settings, clock, stranger)
        router.add_api_route(path, hook, methods=["GET", "POST"], include_in_schema=False)
    return router


def _hook(
    path: str,
    receiver: Receiver,
    hearing: Hearing,
    replies: Replies,
    settings: Settings,
    clock: Callable[[], datetime],
    stranger: Callable[[Request], None],
) -> Callable[[Request], Awaitable[Response]]:
    async def hook(request: Request) -> Response:
        given = Hook(
            url=_url(settings.public_url, request),
            headers=dict(request.headers),
            body=await read_body(request, receiver.limit),
            method="GET" if request.method == "GET" else "POST",
        )
        try:
            # large bodies and signatures take their time
            heard = await asyncio.to_thread(receiver.read, given, clock())
        except Forged as why:
            log.warning("a request was not the provider's", path=path, why=why.code)
            WORDS.labels(path, "forged").inc()
            stranger(request)
            raise Refusal(401, "unauthorized", "not signed, wrongly signed, or too old") from None
        except Malformed as why:
            log.warning("a provider's request could not be read", path=path, why=why.code)
            WORDS.labels(path, "malformed").inc()
            raise Refusal(400, "bad_request", "not what this provider sends") from None
        outcome = await asyncio.to_thread(hearing.hear, path, heard.said)
        words = {
            "taken": outcome.taken,
            "repeated": outcome.repeated,
            "passed_over": outcome.passed_over + heard.passed_over,
        }
        for result, n in words.items():
            WORDS.labels(path, result).inc(n)
        log.info("heard", path=path, **words, cancelled=outcome.cancelled)
        return _answer(path, heard, outcome, replies, settings.programme)

    return hook


def _url(public_url: str, request: Request) -> str:
    """As the provider called it: a proxy may change scheme, host and port."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{public_url.rstrip('/')}{request.url.path}{query}"


def _answer(path: str, heard: Heard, outcome: Outcome, replies: Replies, programme: str) -> Response:
    word = heard.said[0] if heard.said else None
    # where the provider read the word itself, it also answers it
    if path == INBOUND and outcome.stopped and isinstance(word, Inbound) and word.channel == "sms" and not word.wants:
        told = replies.confirmation(word.sender, outcome.stopped, programme)
        if told:
            return Response(
                f'<?xml version="1.0" encoding="UTF-8"?><Response><Message>{escape(told)}</Message></Response>',
                media_type=_XML,
            )
    return Response(heard.answer, media_type=heard.content_type)
