"""/p/TOKEN: a member's own page. A GET shows it and changes nothing; a POST says what the member wants from now on.

Who holds the link may see and change what the page has, so it ends after `[serve] link_days`, and shows addresses
masked. A change is kept, and what it forbids is not begun any more, before it is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.decide.member import Member
from orchestrator.dispatch.receipts import MARKETING
from orchestrator.links import Own, read_preferences
from orchestrator.members import opened
from orchestrator.serve import choices, own
from orchestrator.serve.hearing import OPTED_OUT, Hearing
from orchestrator.serve.language import SPOKEN, asked_for
from orchestrator.serve.limits import read_body
from orchestrator.serve.own_words import OWN
from orchestrator.serve.pages import page
from orchestrator.serve.words import LEAVING
from orchestrator.settings import Settings
from orchestrator.stores.contract import Store, SuppressionRow
from orchestrator.times import instant
from orchestrator.vault import Vault

_LIMIT = 8 << 10


class _Known(Struct, frozen=True):
    """What is known of whoever holds the link."""

    member: Member
    suppressions: tuple[SuppressionRow, ...]
    # channels that marketing goes to
    on: frozenset[str]
    language: str
    now: datetime


def routes(
    store: Store, vault: Vault, hearing: Hearing, settings: Settings, stranger: Callable[[Request], None]
) -> APIRouter:
    """Both routes; `stranger` counts tokens that are none, so that nobody tries them by the million."""
    pages = _Pages(store, vault, hearing, settings, stranger)
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/p/{token}", pages.show, methods=["GET"])
    router.add_api_route("/p/{token}", pages.choose, methods=["POST"])
    return router


class _Pages:
    def __init__(
        self, store: Store, vault: Vault, hearing: Hearing, settings: Settings, stranger: Callable[[Request], None]
    ) -> None:
        self._store, self._vault, self._hearing = store, vault, hearing
        self._settings, self._stranger = settings, stranger

    async def show(self, request: Request, token: str) -> Response:
        found = await self._whose(request, token)
        return found if isinstance(found, Response) else self._see(found)

    async def choose(self, request: Request, token: str) -> Response:
        found = await self._whose(request, token)
        if isinstance(found, Response):
            return found
        body = (await read_body(request, _LIMIT)).decode("utf-8", "replace")
        try:
            form = parse_qs(body, keep_blank_values=True, max_num_fields=40)
            if form.get("do") == ["leave"]:
                await asyncio.to_thread(self._leave, found.member)
                return self._see(replace(found, on=frozenset()), "gone")
            asked = choices.read(form, found.member, found.language, found.now)
        except (choices.BadForm, ValueError):
            return self._told(request, 400, "refused")
        await asyncio.to_thread(self._keep, found, asked)
        # as it will be once the member's own turn has taken in what was asked: that may be a moment away
        on = (found.on - set(asked.leaves)) | set(asked.joins)
        return self._see(replace(found, on=on, member=replace(found.member, preferences=asked.wishes)), "saved")

    async def _whose(self, request: Request, token: str) -> _Known | Response:
        link = read_preferences(self._vault, token)
        if link is None:
            self._stranger(request)
            return self._told(request, 404, "unknown")
        if datetime.now(UTC).date() >= link.day + timedelta(days=self._settings.serve.link_days):
            return self._told(request, 410, "ended")
        return await asyncio.to_thread(self._know, link, request) or self._told(request, 404, "unknown")

    def _know(self, link: Own, request: Request) -> _Known | None:
        row = self._store.member(link.member)
        member = None if row is None else opened(self._store, self._vault, row)
        if member is None:
            return None
        subjects = {link.member.hex(), *(point.fingerprint for point in member.contact_points)}
        language = member.locale[:2].lower()
        if language not in SPOKEN:
            language = asked_for(request.headers.get("accept-language", ""), self._settings.locale)
        stand, now = tuple(self._store.suppressions_of(subjects)), instant(self._store.clock())
        return _Known(member, stand, own.reached(member, stand, now), language, now)

    def _leave(self, member: Member) -> None:
        self._hearing.withdraw(self._vault.member(member.id), "*", ("marketing",), choices.CENTRE)

    def _keep(self, known: _Known, asked: choices.Choices) -> None:
        points = {point.fingerprint: point.channel for point in known.member.contact_points}
        # who said stop in a reply silenced the contact point itself; what was ordered ends by an order alone
        lifted = [
            (row.subject, row.channel)
            for row in known.suppressions
            if points.get(row.subject) in asked.joins and row.purpose == MARKETING and row.reason == OPTED_OUT
        ]
        self._hearing.choose(known.member.id, asked.leaves, asked.events, lifted)

    def _see(self, known: _Known, saved: str = "") -> Response:
        words = OWN[known.language]
        view = own.view(known.member, known.on, known.language, self._settings.locale, known.now)
        return self._page("preferences", known.language, view | {"words": words, "saved": words.get(saved, "")})

    def _told(self, request: Request, status: int, what: str) -> Response:
        language = asked_for(request.headers.get("accept-language", ""), self._settings.locale)
        words = {**LEAVING[language], **OWN[language]}
        view = {"title": words[f"{what}_title"], "text": words[what], "well": False}
        return self._page("told", language, view, status)

    def _page(self, name: str, language: str, view: Mapping[str, object], status: int = 200) -> Response:
        house = {"programme": self._settings.programme, "postal_address": self._settings.postal_address}
        return page(name, status, {**house, "language": language, **view})
