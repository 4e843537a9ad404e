"""POST /events: CloudEvents 1.0 in structured JSON, one or a batch; each is taken or refused by itself.

Taken means for good: applied by the engine of this process, or acknowledged by the topic. The same (source, id) once
more is taken again and applied once. It is what the event says that counts, not how its JSON is laid out: an event is
written anew before it goes on, so that a caller who retries with other white space does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import msgspec
from fastapi import APIRouter, Request, Response
from msgspec import Struct

from orchestrator.counters import EVENTS
from orchestrator.errors import Unreadable
from orchestrator.events.catalogue import EventTypes
from orchestrator.events.envelope import Event, read_event
from orchestrator.serve.description import BATCH, JSON, ONE, describe_events
from orchestrator.serve.intake import Intake, Unavailable
from orchestrator.serve.limits import read_body
from orchestrator.serve.offers import Offer
from orchestrator.serve.problems import Refusal
from orchestrator.settings import ServeSettings

_encode = msgspec.json.Encoder().encode
_batch: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


class Result(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one event, in the order they were sent."""

    status: Literal["accepted", "refused"]
    # refused: a code, and what would cure it; never a value of the event
    reason: str = ""
    cure: str = ""


class Taken(Struct, frozen=True, kw_only=True):
    """What became of a request."""

    accepted: int
    refused: int
    results: list[Result]


def routes(
    intake: Intake, offer: Callable[[], Offer], settings: ServeSettings, allow: Callable[[Request, str], None]
) -> APIRouter:
    """The one route, for events on offer. `allow` raises Refusal unless the caller has a role, and requests left."""

    async def events(request: Request) -> Response:
        allow(request, "events")
        kind = _kind(request)
        raws = _split(kind, await read_body(request, settings.max_body_bytes), settings.max_batch)
        types = offer().types
        found = [_read(raw, types) for raw in raws]
        good = [event for event in found if isinstance(event, Event)]
        try:
            if good:
                await intake.take(good)
        except Unavailable:
            why = "events can't be taken now; send all of these again, none is applied twice"
            raise Refusal(503, "unavailable", why, {"Retry-After": "5"}) from None
        results = [Result(status="accepted") if isinstance(event, Event) else _refused(event) for event in found]
        EVENTS.labels("taken").inc(len(good))
        for result in results:
            if result.status == "refused":
                EVENTS.labels(result.reason).inc()
        taken = Taken(accepted=len(good), refused=len(found) - len(good), results=results)
        return Response(_encode(taken), _status(taken), media_type=JSON)

    router = APIRouter()
    router.add_api_route("/events", events, methods=["POST"], **describe_events(settings))
    return router


def _status(taken: Taken) -> int:
    """202 where all are taken, 422 where none is, 207 where it depends: look at each."""
    if not taken.refused:
        return 202
    return 207 if taken.accepted else 422


def _kind(request: Request) -> str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in {ONE, BATCH, JSON}:
        raise Refusal(415, "unsupported_media_type", f"send {ONE}, {BATCH} or {JSON}")
    return kind


def _split(kind: str, body: bytes, limit: int) -> Sequence[msgspec.Raw | bytes]:
    """The bytes of each event; of `application/json` an array is a batch."""
    if kind == ONE or (kind == JSON and not body.lstrip(b" \t\r\n").startswith(b"[")):
        return [body]
    try:
        raws = _batch.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Refusal(400, "not_json", "send one JSON array of events, in UTF-8") from None
    if not raws:
        raise Refusal(400, "empty_batch", "the array holds no event")
    if len(raws) > limit:
        raise Refusal(413, "too_many_events", f"at most {limit:,} events in one request")
    return raws


def _read(raw: msgspec.Raw | bytes, types: EventTypes) -> Event | Unreadable:
    try:
        return read_event(bytes(raw), types)
    except Unreadable as error:
        return error


def _refused(error: Unreadable) -> Result:
    return Result(status="refused", reason=error.reason, cure=error.cure)
