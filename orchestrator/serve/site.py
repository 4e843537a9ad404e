"""What the members' pages stand on, and what all of them do alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import Request, Response
from msgspec import Struct

from orchestrator.decide.member import Member
from orchestrator.members import stands_for
from orchestrator.records import opened
from orchestrator.serve.hearing import Hearing
from orchestrator.serve.language import SPOKEN, asked_for
from orchestrator.serve.offers import Offer
from orchestrator.serve.pages import page
from orchestrator.settings import Settings
from orchestrator.stores.contract import Store
from orchestrator.vault import Vault


class Site(Struct, frozen=True, kw_only=True):
    """One programme's pages."""

    settings: Settings
    store: Store
    vault: Vault
    hearing: Hearing
    # counts tokens that are none, so that nobody tries them by the million; raises Refusal where it is too often
    stranger: Callable[[Request], None]
    # what members may switch off
    offer: Callable[[], Offer] = Offer

    def language(self, request: Request, member: Member | None = None) -> str:
        """The member's language where we speak it, else the best of those that the browser asks for."""
        theirs = "" if member is None else member.locale[:2].lower()
        return (
            theirs if theirs in SPOKEN else asked_for(request.headers.get("accept-language", ""), self.settings.locale)
        )

    def member(self, member: bytes) -> Member | None:
        """What is known of a member, or of whom they are an alias of; None for nobody, and for one who was erased."""
        row = self.store.member(stands_for(self.store, self.vault, member)[-1])
        return None if row is None else opened(self.store, self.vault, row)

    def page(self, name: str, language: str, view: Mapping[str, object], status: int = 200) -> Response:
        """A page in the house's frame."""
        house = {"programme": self.settings.programme, "postal_address": self.settings.postal_address}
        return page(name, status, {**house, "language": language, **view})

    def told(self, language: str, title: str, text: str, *, status: int = 200, well: bool = False) -> Response:
        """A page that says one thing; `well`: it went as asked."""
        return self.page("told", language, {"title": title, "text": text, "well": well}, status)
