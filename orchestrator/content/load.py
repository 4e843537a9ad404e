"""A project's content, compiled into one frozen `Content` under one revision."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from orchestrator import __version__
from orchestrator.content import locate, tables
from orchestrator.content.event_types import own_files, read_event_types
from orchestrator.content.journeys import categories_of, load_holdout, load_journeys, load_pools
from orchestrator.content.laws import load_laws
from orchestrator.content.policies import load_policies
from orchestrator.content.templates import LAYOUT, load_templates
from orchestrator.content.topics import load_topics
from orchestrator.decide.content import Content, Identity, Pool
from orchestrator.decide.journey import Holdout, Journey
from orchestrator.errors import ContentError
from orchestrator.settings import Settings


def load_content(project: Path, settings: Settings) -> Content:
    """The content of a project folder; raises ContentError with every problem of every file."""
    templates_folder = locate.folder("templates", project)
    policies_folder = locate.folder("channel_policies", project)
    events, problems = read_event_types(locate.folder("schemas", project))
    try:
        templates = load_templates(templates_folder, settings.locale)
    except ContentError as error:
        problems.extend(error.problems)
        templates = None
    try:
        laws = load_laws(policies_folder / "laws", settings.laws.profile, settings.laws.require_reviewed)
    except ContentError as error:
        problems.extend(error.problems)
        laws = None
    journeys: dict[str, Journey] = {}
    holdout: Holdout | None = None
    try:
        holdout = load_holdout(templates_folder)
    except ContentError as error:
        problems.extend(error.problems)
    pools: dict[str, Pool] | None = None
    try:
        pools = load_pools(templates_folder)
    except ContentError as error:
        problems.extend(error.problems)
    if templates is not None:
        try:
            journeys = load_journeys(templates_folder, templates, events, pools)
        except ContentError as error:
            problems.extend(error.problems)
    try:
        load_topics(templates_folder, frozenset(categories_of(templates_folder).values()))
    except ContentError as error:
        problems.extend(error.problems)
    try:
        policies = load_policies(policies_folder, categories_of(templates_folder))
    except ContentError as error:
        problems.extend(error.problems)
        policies = None
    if problems or templates is None or policies is None or laws is None:
        raise ContentError(problems)
    return Content(
        revision=revision_of(project, settings),
        events=events,
        journeys=journeys,
        versions=versions_of(project, journeys),
        policies=policies,
        laws=laws,
        templates=templates,
        disposable=tables.disposable(),
        zones=tables.zones(),
        country_zones=tables.country_zones(),
        identity=identity_of(settings),
        locale=settings.locale,
        public_url=settings.public_url,
        holdout=holdout,
        pools=pools or {},
        keep_places=max(laws.longest_window, policies.longest_window),
    )


def identity_of(settings: Settings) -> Identity:
    """Who writes, by the settings."""
    return Identity(
        programme=settings.programme, site=settings.site.rstrip("/"), postal_address=settings.postal_address
    )


def revision_of(project: Path, settings: Settings) -> str:
    """16 hex digits over every content file, the settings that decide, and the versions of engine and tables."""
    digest = hashlib.sha256(f"{__version__} {sorted(tables.versions().items())}\n".encode())
    digest.update(repr((identity_of(settings), settings.locale, settings.public_url, settings.laws)).encode())
    for name, path in _files(project):
        digest.update(_stamp(name, path))
    return digest.hexdigest()[:16]


def versions_of(project: Path, journeys: Iterable[str]) -> dict[str, str]:
    """Journey -> 16 hex digits over what makes it what it is: its own files but its cases, layouts, own event types."""
    common = hashlib.sha256()
    own: dict[str, list[bytes]] = {name: [] for name in journeys}
    for name, path in _files(project):
        top, folder, *rest = name.split("/")
        if top == "schemas" or (top == "templates" and folder == LAYOUT):
            common.update(_stamp(name, path))
        elif top == "templates" and folder in own and rest != ["cases.yaml"]:
            own[folder].append(_stamp(name, path))
    return {name: hashlib.sha256(b"".join([common.digest(), *stamps])).hexdigest()[:16] for name, stamps in own.items()}


def _stamp(name: str, path: Path) -> bytes:
    body = path.read_bytes()
    return f"{name} {len(body)}\n".encode() + body


def revision_body(project: Path) -> bytes:
    """JSON of every content file by its path: what a bundle carries so that a decision can be judged elsewhere."""
    return msgspec.json.encode(
        {name: path.read_text(encoding="utf-8", errors="replace") for name, path in _files(project)}
    )


def _files(project: Path) -> Iterator[tuple[str, Path]]:
    """Each file that decides, with its path in a project: of the schemas, those that the project wrote itself."""
    for name in ("templates", "channel_policies"):
        folder = locate.folder(name, project)
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"):
            yield path.relative_to(folder.parent).as_posix(), path
    folder = locate.folder("schemas", project)
    for path in own_files(folder):
        yield path.relative_to(folder.parent).as_posix(), path
