"""/u/TOKEN: the way out of a kind of message (RFC 8058). A GET shows a page with a button and does nothing by itself,
since mail scanners follow links; a POST takes the consent back, whoever sends it: a mail provider's one click, or the
page's own form. It answers 200 and never redirects, as often as it is asked.
"""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response

from orchestrator.links import OptOut, read_opt_out
from orchestrator.serve.limits import read_body
from orchestrator.serve.site import Site
from orchestrator.serve.words import CHANNELS, LEAVING, PURPOSES

# a form of ours, or a mail provider's, which may be multipart
_LIMIT = 8 << 10


def routes(site: Site) -> APIRouter:
    """Both routes."""
    pages = _Pages(site)
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/u/{token}", pages.ask, methods=["GET"])
    router.add_api_route("/u/{token}", pages.leave, methods=["POST"])
    return router


class _Pages:
    def __init__(self, site: Site) -> None:
        self._site = site

    async def ask(self, request: Request, token: str) -> Response:
        found, language = self._named(request, token), self._site.language(request)
        if found is None:
            return self._unknown(language)
        return self._site.page("leave", language, {"words": _words(found, language)})

    async def leave(self, request: Request, token: str) -> Response:
        found, language = self._named(request, token), self._site.language(request)
        if found is None:
            return self._unknown(language)
        form = _form((await read_body(request, _LIMIT)).decode("utf-8", "replace"))
        everything = form.get("scope") == ["all"]
        method = "link" if "scope" in form else "one_click"
        channel = "*" if everything else found.channel
        await asyncio.to_thread(self._site.hearing.withdraw, found.member, channel, (found.purpose,), method)
        words = _words(found, language)
        text = words["done_all" if everything else "done"]
        return self._site.told(language, words["done_title"], text, well=True)

    def _named(self, request: Request, token: str) -> OptOut | None:
        found = read_opt_out(self._site.vault, token)
        if found is None:
            self._site.stranger(request)
        return found

    def _unknown(self, language: str) -> Response:
        words = LEAVING[language]
        return self._site.told(language, words["unknown_title"], words["unknown"], status=404)


def _form(body: str) -> dict[str, list[str]]:
    """The fields; none where there are too many: whoever sent that named the stream by the token all the same."""
    try:
        return parse_qs(body, max_num_fields=20)
    except ValueError:
        return {}


def _words(link: OptOut, language: str) -> dict[str, str]:
    named = {"channel": CHANNELS[language][link.channel], "purpose": PURPOSES[language][link.purpose]}
    return {name: text.format(**named) for name, text in LEAVING[language].items()}
