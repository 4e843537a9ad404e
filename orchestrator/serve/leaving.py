"""/u/TOKEN: the way out of a kind of message (RFC 8058). A GET shows a page with a button and does nothing by itself,
since mail scanners follow links; a POST takes the consent back, whoever sends it: a mail provider's one click, or the
page's own form. It answers 200 and never redirects, as often as it is asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response

from orchestrator.links import OptOut, read_opt_out
from orchestrator.serve.hearing import Hearing
from orchestrator.serve.language import asked_for
from orchestrator.serve.limits import read_body
from orchestrator.serve.pages import page
from orchestrator.serve.words import CHANNELS, LEAVING, PURPOSES
from orchestrator.settings import Settings
from orchestrator.vault import Vault

# a form of ours, or a mail provider's, which may be multipart
_LIMIT = 8 << 10


def routes(vault: Vault, hearing: Hearing, settings: Settings, stranger: Callable[[Request], None]) -> APIRouter:
    """Both routes; `stranger` counts tokens that are none, so that nobody tries them by the million."""

    def shown(request: Request, name: str, status: int = 200, **view: object) -> Response:
        language = asked_for(request.headers.get("accept-language", ""), settings.locale)
        house = {"programme": settings.programme, "postal_address": settings.postal_address, "language": language}
        return page(name, status, {**house, **view})

    def said(request: Request) -> dict[str, str]:
        return LEAVING[asked_for(request.headers.get("accept-language", ""), settings.locale)]

    def unknown(request: Request) -> Response:
        words = said(request)
        return shown(request, "told", 404, title=words["unknown_title"], text=words["unknown"], well=False)

    def token_of(request: Request, token: str) -> OptOut | None:
        found = read_opt_out(vault, token)
        if found is None:
            stranger(request)
        return found

    async def ask(request: Request, token: str) -> Response:
        found = token_of(request, token)
        if found is None:
            return unknown(request)
        language = asked_for(request.headers.get("accept-language", ""), settings.locale)
        named = {"channel": CHANNELS[language][found.channel], "purpose": PURPOSES[language][found.purpose]}
        words = {name: text.format(**named) for name, text in said(request).items()}
        return shown(request, "leave", words=words)

    async def leave(request: Request, token: str) -> Response:
        found = token_of(request, token)
        if found is None:
            return unknown(request)
        form = parse_qs((await read_body(request, _LIMIT)).decode("utf-8", "replace"), max_num_fields=20)
        everything = form.get("scope") == ["all"]
        method = "link" if "scope" in form else "one_click"
        channel = "*" if everything else found.channel
        await asyncio.to_thread(hearing.withdraw, found.member, channel, (found.purpose,), method)
        language = asked_for(request.headers.get("accept-language", ""), settings.locale)
        named = {"channel": CHANNELS[language][found.channel], "purpose": PURPOSES[language][found.purpose]}
        words = said(request)
        text = words["done_all" if everything else "done"].format(**named)
        return shown(request, "told", title=words["done_title"], text=text, well=True)

    router = APIRouter(include_in_schema=False)
    router.add_api_route("/u/{token}", ask, methods=["GET"])
    router.add_api_route("/u/{token}", leave, methods=["POST"])
    return router
