"""A project's content, compiled into one frozen `Content` under one revision."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from orchestrator import __version__
from orchestrator.content import locate, tables
from orchestrator.content.journeys import categories_of, load_holdout, load_journeys
from orchestrator.content.laws import load_laws
from orchestrator.content.policies import load_policies
from orchestrator.content.templates import load_templates
from orchestrator.decide.content import Content, Identity
from orchestrator.decide.journey import Holdout, Journey
from orchestrator.errors import ContentError, Problem
from orchestrator.settings import Settings


def load_content(project: Path, settings: Settings) -> Content:
    """The content of a project folder; raises ContentError with every problem of every file."""
    templates_folder = locate.folder("templates", project)
    policies_folder = locate.folder("channel_policies", project)
    problems: list[Problem] = []
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
    if templates is not None:
        try:
            journeys = load_journeys(templates_folder, templates)
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
        revision=revision_of([templates_folder, policies_folder], settings),
        journeys=journeys,
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
        keep_places=max(laws.longest_window, policies.longest_window),
    )


def identity_of(settings: Settings) -> Identity:
    """Who writes, by the settings."""
    return Identity(
        programme=settings.programme, site=settings.site.rstrip("/"), postal_address=settings.postal_address
    )


def revision_of(folders: list[Path], settings: Settings) -> str:
    """16 hex digits over every content file, the settings that decide, and the versions of engine and tables."""
    digest = hashlib.sha256(f"{__version__} {sorted(tables.versions().items())}\n".encode())
    digest.update(repr((identity_of(settings), settings.locale, settings.public_url, settings.laws)).encode())
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"):
            body = path.read_bytes()
            digest.update(f"{path.relative_to(folder.parent).as_posix()} {len(body)}\n".encode())
            digest.update(body)
    return digest.hexdigest()[:16]


def revision_body(project: Path) -> bytes:
    """JSON of every content file by its path: what a bundle carries so that a decision can be judged elsewhere."""
    files: dict[str, str] = {}
    for name in ("templates", "channel_policies"):
        folder = locate.folder(name, project)
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".md"):
            files[path.relative_to(folder.parent).as_posix()] = path.read_text(encoding="utf-8", errors="replace")
    return msgspec.json.encode(files)
