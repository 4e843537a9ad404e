"""Is who writes still the example of the starter? Nobody real may be written to before that is put right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from orchestrator.content import locate
from orchestrator.content.disclosures import Disclosure
from orchestrator.decide.content import Content
from orchestrator.errors import Problem
from orchestrator.settings import FILE, Settings

# names that nobody can own (RFC 2606, RFC 6761)
EXAMPLE_HOSTS = ("example.com", "example.org", "example.net", "example", "invalid", "test")


def examples(project: Path, settings: Settings, content: Content, asked: tuple[Disclosure, ...]) -> list[Problem]:
    """Each setting and each sender in force that is still an example, or empty where messages must show it."""
    return [*_of_settings(project, settings, asked), *_of_policies(project, settings, content)]


def _of_settings(project: Path, settings: Settings, asked: tuple[Disclosure, ...]) -> Iterator[Problem]:
    text = (project / FILE).read_text(encoding="utf-8")
    asked_by = {disclosure.name: disclosure.asked_by for disclosure in asked}
    example = Settings()
    for name, shown_as in (("programme", ""), ("postal_address", "postal_address")):
        if getattr(settings, name) == getattr(example, name):
            yield _problem(FILE, text, name, f"`{name}` is still the example", "write your own")
        elif not getattr(settings, name) and shown_as in asked_by:
            yield _problem(FILE, text, name, f"`{name}` is empty, and {asked_by[shown_as]} asks for it", "write it")
    for name, shown_as in (("site", ""), ("public_url", "unsubscribe_url")):
        url = getattr(settings, name)
        if _is_example(urlsplit(url).hostname or ""):
            yield _problem(FILE, text, name, f"`{name}` is still the example", "write your own, https://…")
        elif not url and shown_as in asked_by:
            what = f"`{name}` is empty, so no message can be answered by leaving; {asked_by[shown_as]} asks for that"
            yield _problem(FILE, text, name, what, "write the address of your opt-out page")


def _of_policies(project: Path, settings: Settings, content: Content) -> Iterator[Problem]:
    for channel in settings.dispatch.adapters:
        sender = content.policies.sender(channel, datetime.max.replace(tzinfo=UTC))
        for address in (sender.address, sender.reply_to):
            if _is_example(address.rpartition("@")[2]):
                path = locate.folder("channel_policies", project) / f"{channel}.yaml"
                text = path.read_text(encoding="utf-8") if path.is_file() else ""
                shown = f"channel_policies/{channel}.yaml"
                what = f"sender {address} is still the example"
                yield _problem(shown, text, address, what, "add a dated entry with yours")


def _problem(file: str, text: str, word: str, what: str, cure: str) -> Problem:
    """A problem at the first line that has the word, or begins with it."""
    lines = text.splitlines()
    at = next((n for n, line in enumerate(lines, 1) if word in line and not line.lstrip().startswith("#")), 1)
    return Problem(file, at, what, cure)


def _is_example(host: str) -> bool:
    return any(host == name or host.endswith(f".{name}") for name in EXAMPLE_HOSTS)
