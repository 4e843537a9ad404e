"""/c/TOKEN: the second half of a double opt-in. A GET shows a page with a button and confirms nothing, since mail
scanners follow links; a POST does, as often as it is sent. What was asked for anew meanwhile, or taken back, is
confirmed by no older link; whether it came in time the ledger judges by the same rule.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Literal

from fastapi import APIRouter, Request, Response

from orchestrator.decide.member import Member
from orchestrator.events.envelope import Event
from orchestrator.events.types import ConsentConfirmed
from orchestrator.links import Confirming, read_confirming
from orchestrator.members import opened
from orchestrator.serve.hearing import Hearing
from orchestrator.serve.language import SPOKEN, asked_for
from orchestrator.serve.pages import page
from orchestrator.serve.words import CHANNELS, CONFIRMING, LEAVING, PURPOSES
from orchestrator.settings import Settings
from orchestrator.stores.contract import Store
from orchestrator.times import instant
from orchestrator.vault import Vault

SOURCE = "confirmation-link"
# open: it waits; done: it was confirmed before; over: too late, taken back, asked for anew, or nobody's
Stands = Literal["open", "done", "over"]


def routes(
    store: Store, vault: Vault, hearing: Hearing, settings: Settings, stranger: Callable[[Request], None]
) -> APIRouter:
    """Both routes; `stranger` counts tokens that are none, so that nobody tries them by the million."""
    pages = _Pages(store, vault, hearing, settings, stranger)
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/c/{token}", pages.ask, methods=["GET"])
    router.add_api_route("/c/{token}", pages.confirm, methods=["POST"])
    return router


def stands(member: Member, link: Confirming, now_us: int) -> Stands:
    """What a link to confirm comes to at this moment (microseconds since 1970)."""
    key, asked_at = f"{link.channel}/{link.purpose}", int(link.asked_at.timestamp())
    waiting, consent = member.unconfirmed(key), member.consents.get(key)
    if waiting is not None and int(waiting.at.timestamp()) == asked_at:
        return "open" if instant(now_us) < link.until else "over"
    if consent is None or consent.state != "granted" or consent.asked_at is None:
        return "over"
    return "done" if int(consent.asked_at.timestamp()) == asked_at else "over"


class _Pages:
    def __init__(
        self, store: Store, vault: Vault, hearing: Hearing, settings: Settings, stranger: Callable[[Request], None]
    ) -> None:
        self._store, self._vault, self._hearing = store, vault, hearing
        self._settings, self._stranger = settings, stranger

    async def ask(self, request: Request, token: str) -> Response:
        return await self._answer(request, token, confirms=False)

    async def confirm(self, request: Request, token: str) -> Response:
        return await self._answer(request, token, confirms=True)

    async def _answer(self, request: Request, token: str, *, confirms: bool) -> Response:
        language = asked_for(request.headers.get("accept-language", ""), self._settings.locale)
        link = read_confirming(self._vault, token)
        if link is None:
            self._stranger(request)
            words = LEAVING[language]
            return self._page("told", language, _told(words, "unknown"), 404)
        state, theirs = await asyncio.to_thread(self._take if confirms else self._look, link)
        language = theirs if theirs in SPOKEN else language
        named = {"channel": CHANNELS[language][link.channel], "purpose": PURPOSES[language][link.purpose]}
        words = {name: text.format(**named) for name, text in CONFIRMING[language].items()}
        if state == "open" and not confirms:
            return self._page("confirm", language, {"words": words})
        if state == "over":
            return self._page("told", language, _told(words, "over"), 410)
        return self._page("told", language, _told(words, "done"))

    def _look(self, link: Confirming) -> tuple[Stands, str]:
        """How it stands, and the member's language."""
        member = self._member(link)
        if member is None:
            return "over", ""
        return stands(member, link, self._store.clock()), member.locale[:2].lower()

    def _take(self, link: Confirming) -> tuple[Stands, str]:
        """The same, and what waits is confirmed."""
        member, now = self._member(link), self._store.clock()
        if member is None:
            return "over", ""
        state = stands(member, link, now)
        if state == "open":
            id = uuid.uuid4().hex
            data = ConsentConfirmed(channel=link.channel, purpose=link.purpose, method="link", evidence=f"click {id}")
            event = Event(
                id=id, source=SOURCE, type="consent.confirmed", subject=member.id, time=instant(now), data=data
            )
            self._hearing.choose(member.id, (), [event], ())
        return state, member.locale[:2].lower()

    def _member(self, link: Confirming) -> Member | None:
        row = self._store.member(link.member)
        return None if row is None else opened(self._store, self._vault, row)

    def _page(self, name: str, language: str, view: Mapping[str, object], status: int = 200) -> Response:
        house = {"programme": self._settings.programme, "postal_address": self._settings.postal_address}
        return page(name, status, {**house, "language": language, **view})


def _told(words: Mapping[str, str], what: str) -> dict[str, object]:
    return {"title": words[f"{what}_title"], "text": words[what], "well": what == "done"}
