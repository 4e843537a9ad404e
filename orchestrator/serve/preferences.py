"""/p/TOKEN: a member's own page. A GET shows it and changes nothing; a POST says what the member wants from now on.

Who holds the link may see and change what the page has, so it ends after `[serve] link_days`, and shows addresses
masked. A change is kept, and what it forbids is not begun any more, before it is answered.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.decide.member import Member
from orchestrator.dispatch.receipts import MARKETING
from orchestrator.links import Own, preferences_token, read_preferences
from orchestrator.serve import choices, contacts, own
from orchestrator.serve.hearing import OPTED_OUT
from orchestrator.serve.limits import read_body
from orchestrator.serve.own_words import OWN
from orchestrator.serve.site import Site
from orchestrator.serve.words import LEAVING
from orchestrator.stores.contract import SuppressionRow
from orchestrator.times import instant

_LIMIT = 8 << 10


class _Known(Struct, frozen=True):
    """What is known of whoever holds the link."""

    member: Member
    suppressions: tuple[SuppressionRow, ...]
    # channels that marketing goes to
    on: frozenset[str]
    language: str
    now: datetime


def routes(site: Site) -> APIRouter:
    """Both routes."""
    pages = _Pages(site)
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/p/{token}", pages.show, methods=["GET"])
    router.add_api_route("/p/{token}", pages.choose, methods=["POST"])
    return router


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    async def show(self, request: Request, token: str) -> Response:
        found = await self._whose(request, token)
        return found if isinstance(found, Response) else self._see(found)

    async def choose(self, request: Request, token: str) -> Response:
        found = await self._whose(request, token)
        if isinstance(found, Response):
            return found
        body = (await read_body(request, _LIMIT)).decode("utf-8", "replace")
        try:
            form = parse_qs(body, keep_blank_values=True, max_num_fields=60)
            if form.get("do") == ["leave"]:
                await asyncio.to_thread(self._leave, found.member)
                return self._see(replace(found, on=frozenset()), "gone")
            if form.get("do") == ["contact"]:
                return await self._reach(found, contacts.read(form, found.member, found.now))
            asked = choices.read(form, found.member, found.language, found.now, self._site.offer().topics)
        except (choices.BadForm, ValueError):
            return self._told(request, 400, "refused")
        await asyncio.to_thread(self._keep, found, asked)
        # as it will be once the member's own turn has taken in what was asked: that may be a moment away
        on = (found.on - set(asked.leaves)) | set(asked.joins)
        return self._see(replace(found, on=on, member=replace(found.member, preferences=asked.wishes)), "saved")

    async def _reach(self, known: _Known, given: contacts.Contacts) -> Response:
        """New contact data: kept, or shown again with what is wrong."""
        words = OWN[known.language]
        if given.wrong:
            return self._see(known, "not_saved", given)
        await asyncio.to_thread(self._site.hearing.choose, known.member.id, (), given.events, ())
        told = [
            words["email_asked"].format(address=own.masked("email", given.asked)) if given.asked else "",
            words["phone_kept"].format(address=own.masked("sms", given.kept)) if given.kept else "",
        ]
        return self._see(known, " ".join(filter(None, told)))

    async def _whose(self, request: Request, token: str) -> _Known | Response:
        link = read_preferences(self._site.vault, token)
        if link is None:
            self._site.stranger(request)
            return self._told(request, 404, "unknown")
        if datetime.now(UTC).date() >= link.day + timedelta(days=self._site.settings.serve.link_days):
            return self._told(request, 410, "ended")
        return await asyncio.to_thread(self._know, link, request) or self._told(request, 404, "unknown")

    def _know(self, link: Own, request: Request) -> _Known | None:
        site = self._site
        # a link that was sent to an alias shows whom it stands for
        member = site.member(link.member)
        if member is None:
            return None
        subjects = {site.vault.member(member.id).hex(), *(point.fingerprint for point in member.contact_points)}
        stand, now = tuple(site.store.suppressions_of(subjects)), instant(site.store.clock())
        return _Known(member, stand, own.reached(member, stand, now), site.language(request, member), now)

    def _leave(self, member: Member) -> None:
        site = self._site
        site.hearing.withdraw(site.vault.member(member.id), "*", ("marketing",), choices.CENTRE)

    def _keep(self, known: _Known, asked: choices.Choices) -> None:
        points = {point.fingerprint: point.channel for point in known.member.contact_points}
        # who said stop in a reply silenced the contact point itself; what was ordered ends by an order alone
        lifted = [
            (row.subject, row.channel)
            for row in known.suppressions
            if points.get(row.subject) in asked.joins and row.purpose == MARKETING and row.reason == OPTED_OUT
        ]
        self._site.hearing.choose(known.member.id, asked.leaves, asked.events, lifted)

    def _see(self, known: _Known, said: str = "", given: contacts.Contacts = contacts.NOTHING) -> Response:
        """The page; `said` names what it says first, or is what it says."""
        site, words = self._site, OWN[known.language]
        view = own.view(known.member, known.on, known.language, site.settings.locale, known.now, site.offer().topics)
        wrong = {field: words[what] for field, what in given.wrong.items()}
        bot, points = site.settings.dispatch.telegram.name, known.member.contact_points
        offered = bot and "telegram" in site.settings.dispatch.adapters and all(p.channel != "telegram" for p in points)
        chat = (
            f"https://t.me/{bot}?start={preferences_token(site.vault, known.member.id, known.now)}" if offered else ""
        )
        view |= {"chat": chat, "words": words, "saved": words.get(said, said), "entered": given.entered, "wrong": wrong}
        return site.page("preferences", known.language, view, 422 if wrong else 200)

    def _told(self, request: Request, status: int, what: str) -> Response:
        language = self._site.language(request)
        words = {**LEAVING[language], **OWN[language]}
        return self._site.told(language, words[f"{what}_title"], words[what], status=status)
