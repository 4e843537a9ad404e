"""A project's content, compiled into one frozen `Content` under one revision."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

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
    files = files_in(project)
    return Content(
        revision=revision_of(files, settings),
        events=events,
        journeys=journeys,
        versions=versions_in(files, journeys),
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


def revision_of(files: Mapping[str, bytes], settings: Settings) -> str:
    """16 hex digits over every content file, the settings that decide, and the versions of engine and tables."""
    digest = hashlib.sha256(f"{__version__} {sorted(tables.versions().items())}\n".encode())
    digest.update(repr((identity_of(settings), settings.locale, settings.public_url, settings.laws)).encode())
    for name, body in files.items():
        digest.update(_stamp(name, body))
    return digest.hexdigest()[:16]


def versions_in(files: Mapping[str, bytes], journeys: Iterable[str]) -> dict[str, str]:
    """Journey -> 16 hex digits over what makes it what it is: its own files but its cases, layouts, own event types."""
    common = hashlib.sha256()
    own: dict[str, list[bytes]] = {name: [] for name in journeys}
    for name, body in files.items():
        top, folder, *rest = name.split("/")
        if top == "schemas" or (top == "templates" and folder == LAYOUT):
            common.update(_stamp(name, body))
        elif top == "templates" and folder in own and rest != ["cases.yaml"]:
            own[folder].append(_stamp(name, body))
    return {name: hashlib.sha256(b"".join([common.digest(), *stamps])).hexdigest()[:16] for name, stamps in own.items()}


def _stamp(name: str, body: bytes) -> bytes:
    return f"{name} {len(body)}\n".encode() + body


def files_in(project: Path) -> dict[str, bytes]:
    """Each content file of a project by its path: what `revision_of` is over, beside settings and engine."""
    return {name: path.read_bytes() for name, path in _files(project)}


class _Binary(Struct, frozen=True):
    """A file that is no text."""

    base64: bytes


def write_body(files: Mapping[str, bytes]) -> bytes:
    """JSON of content files by their paths: what the store keeps of a revision, and a bundle carries."""
    return msgspec.json.encode({name: _readable(body) for name, body in files.items()})


def read_body(body: bytes) -> dict[str, bytes]:
    """The files in a body that `write_body` made."""
    kept = msgspec.json.decode(body, type=dict[str, str | _Binary])
    return {name: file.encode() if isinstance(file, str) else file.base64 for name, file in kept.items()}


def _readable(body: bytes) -> str | _Binary:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return _Binary(body)


def _files(project: Path) -> Iterator[tuple[str, Path]]:
    """Each file that decides, with its path in a project: of the schemas, those that the project wrote itself."""
    for name in ("templates", "channel_policies"):
        folder = locate.folder(name, project)
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"):
            # what an editor or a file manager leaves beside the files decides nothing
            if not path.name.startswith("."):
                yield path.relative_to(folder.parent).as_posix(), path
    folder = locate.folder("schemas", project)
    for path in own_files(folder):
        yield path.relative_to(folder.parent).as_posix(), path
