"""/c/TOKEN: the second half of a double opt-in, to messages or to a contact point.

A GET shows a page with a button and confirms nothing, since mail scanners follow links; a POST does, as often as it is
sent. What was asked for anew meanwhile, or taken back, is confirmed by no older link; whether it came in time is judged
by the same rule in the member's turn.
"""

from __future__ import annotations

import asyncio
import uuid
from typing import Literal

from fastapi import APIRouter, Request, Response

from orchestrator.decide.member import Member
from orchestrator.events.envelope import Event
from orchestrator.events.types import ConsentConfirmed, ContactConfirmed, Data
from orchestrator.links import Confirming, read_confirming
from orchestrator.serve.site import Site
from orchestrator.serve.words import CHANNELS, CONFIRMING, CONFIRMING_CONTACT, LEAVING, PURPOSES
from orchestrator.times import instant

SOURCE = "confirmation-link"
# open: it waits; done: it was confirmed before; over: too late, taken back, asked for anew, or nobody's
Stands = Literal["open", "done", "over"]


def routes(site: Site) -> APIRouter:
    """Both routes."""
    pages = _Pages(site)
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/c/{token}", pages.ask, methods=["GET"])
    router.add_api_route("/c/{token}", pages.confirm, methods=["POST"])
    return router


def stands(member: Member, link: Confirming, now_us: int) -> Stands:
    """What a link to confirm comes to at this moment (microseconds since 1970)."""
    if link.what == "contact":
        return _stands_contact(member, link, now_us)
    key, asked_at = f"{link.channel}/{link.purpose}", int(link.asked_at.timestamp())
    waiting, consent = member.unconfirmed(key), member.consents.get(key)
    if waiting is not None and int(waiting.at.timestamp()) == asked_at:
        return "open" if instant(now_us) < link.until else "over"
    if consent is None or consent.state != "granted" or consent.asked_at is None:
        return "over"
    return "done" if int(consent.asked_at.timestamp()) == asked_at else "over"


def _stands_contact(member: Member, link: Confirming, now_us: int) -> Stands:
    requested, asked_at = member.requested.get(link.channel), int(link.asked_at.timestamp())
    if requested is not None and int(requested.at.timestamp()) == asked_at:
        return "open" if instant(now_us) < link.until else "over"
    points = [point for point in member.contact_points if point.channel == link.channel]
    was = any(point.asked_at is not None and int(point.asked_at.timestamp()) == asked_at for point in points)
    return "done" if was else "over"


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    async def ask(self, request: Request, token: str) -> Response:
        return await self._answer(request, token, confirms=False)

    async def confirm(self, request: Request, token: str) -> Response:
        return await self._answer(request, token, confirms=True)

    async def _answer(self, request: Request, token: str, *, confirms: bool) -> Response:
        site = self._site
        link = read_confirming(site.vault, token)
        if link is None:
            site.stranger(request)
            language = site.language(request)
            words = LEAVING[language]
            return site.told(language, words["unknown_title"], words["unknown"], status=404)
        state, member = await asyncio.to_thread(self._take if confirms else self._look, link)
        language = site.language(request, member)
        named = {"channel": CHANNELS[language][link.channel], "purpose": PURPOSES[language][link.purpose]}
        said = CONFIRMING if link.what == "consent" else CONFIRMING_CONTACT
        words = {name: text.format(**named) for name, text in said[language].items()}
        if state == "open" and not confirms:
            return site.page("confirm", language, {"words": words})
        if state == "over":
            return site.told(language, words["over_title"], words["over"], status=410)
        return site.told(language, words["done_title"], words["done"], well=True)

    def _look(self, link: Confirming) -> tuple[Stands, Member | None]:
        """How it stands, and with whom."""
        member = self._site.member(link.member)
        return ("over" if member is None else stands(member, link, self._site.store.clock())), member

    def _take(self, link: Confirming) -> tuple[Stands, Member | None]:
        """The same, and what waits is confirmed."""
        state, member = self._look(link)
        if state == "open" and member is not None:
            id = uuid.uuid4().hex
            channel, proof = link.channel, f"click {id}"
            if link.what == "contact":
                type_: str = "contact.confirmed"
                data: Data = ContactConfirmed(channel=channel, method="link", evidence=proof)
            else:
                type_ = "consent.confirmed"
                data = ConsentConfirmed(channel=channel, purpose=link.purpose, method="link", evidence=proof)
            time = instant(self._site.store.clock())
            event = Event(id=id, source=SOURCE, type=type_, subject=member.id, time=time, data=data)
            self._site.hearing.choose(member.id, (), [event], ())
        return state, member
