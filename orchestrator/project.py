"""An opened project: its settings, keys, store and content, for every command."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct

from orchestrator import settings as settings_module
from orchestrator.approvals import Approvals
from orchestrator.content.event_types import load_event_types
from orchestrator.content.load import files_in, load_content
from orchestrator.content.load import revision_of as content_revision
from orchestrator.decide.content import Content
from orchestrator.events.catalogue import EventTypes
from orchestrator.orders import activate
from orchestrator.revisions import Shelf, compiled, files_of, in_force, keep
from orchestrator.settings import Settings
from orchestrator.stores.contract import Store
from orchestrator.stores.sql.migrate import revision_of, upgrade
from orchestrator.stores.sql.store import SqlStore
from orchestrator.times import instant
from orchestrator.vault import KeyFile, Vault


class Project:
    """A project folder with what it holds; keys, store and content are opened when first asked for."""

    def __init__(self, path: Path) -> None:
        """Reads the settings; raises SetupError where there are none."""
        self.path = path.resolve()
        self.settings: Settings = settings_module.load(self.path)

    @cached_property
    def vault(self) -> Vault:
        """The project's keys; raises SetupError with the cure."""
        return Vault(KeyFile.load(self.path / self.settings.keys.file))

    @cached_property
    def store(self) -> Store:
        """The project's store, migrated if it is new."""
        return open_store(self.settings, self.path)

    @cached_property
    def content(self) -> Content:
        """The folder's content, compiled, be it in force or not; raises ContentError with all problems."""
        return load_content(self.path, self.settings)

    @cached_property
    def event_types(self) -> EventTypes:
        """What events may be, for who takes them and does not decide; raises ContentError with all problems."""
        return load_event_types(self.path)

    @cached_property
    def approvals(self) -> Approvals:
        """Which journeys of the content were approved; raises SetupError for settings that can't be read."""
        return self.approvals_of(self.content)

    @cached_property
    def shelf(self) -> Shelf:
        """The revisions that the store keeps."""
        return Shelf(self.store, self.settings)

    @cached_property
    def in_force(self) -> Content:
        """The content that was put in force last, as this version compiles it; the folder's where none ever was.

        Raises ContentError where its files compile no more: putting a folder in force that does is what cures it.
        """
        files = self._files_in_force
        return self.content if files is None else compiled(files, self.settings)

    def approvals_of(self, content: Content) -> Approvals:
        """Which journeys of this content were approved; raises SetupError for settings that can't be read."""
        return Approvals(self.store, self.vault, content, self.settings.approval)

    def keep_content(self) -> None:
        """Puts the folder's files into the store, so that what is decided by them can be decided again."""
        keep(self.store, self.content.revision, files_in(self.path))

    def keep_in_force(self) -> Content:
        """The content in force, its files kept under the name that it has here, as decisions will name it."""
        files = self._files_in_force
        keep(self.store, self.in_force.revision, files_in(self.path) if files is None else files)
        return self.in_force

    def begin(self, actor: str) -> Content:
        """The content in force, for a process that decides: what is in force stays so.

        The folder is put in force where nothing is. Files that another version of the engine put in force, or other
        settings, are in force under the name that they have here.
        """
        content = self.keep_in_force()
        activate(self.store, content.revision, actor, instant(self.store.clock()))
        return content

    def folder_differs(self) -> bool:
        """Whether the folder holds other files than what is in force is made of."""
        files = files_of(self.store, in_force(self.store))
        return files is not None and files != files_in(self.path)

    @cached_property
    def _files_in_force(self) -> dict[str, bytes] | None:
        """What `in_force` is made of, read once; None: it is what lies in the folder, or nothing is in force."""
        name = in_force(self.store)
        return None if name == content_revision(files_in(self.path), self.settings) else files_of(self.store, name)

    def __enter__(self) -> Self:
        """The project itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives back the store's connections, if any were opened."""
        if "store" in self.__dict__:
            self.store.close()


def open_project(path: Path) -> Project:
    """The project in this folder; raises SetupError where there is none."""
    return Project(path)


def open_store(settings: Settings, path: Path) -> Store:
    """The store that the settings name; a relative SQLite path is relative to the project."""
    return SqlStore.open(store_url(settings, path), settings.store.partitions)


def store_url(settings: Settings, path: Path) -> str:
    """The store's address, a SQLite file's path made absolute."""
    url = settings.store.url
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/"):
        url = f"{prefix}{path / url.removeprefix(prefix)}"
    return url


class Migrated(Struct, frozen=True, kw_only=True):
    """What `store migrate` did."""

    # the revision that the store was at; "" where the database was empty
    before: str
    # the revision that it is at now
    revision: str
    # how many partitions it was made for
    partitions: int


def migrate_store(settings: Settings, path: Path) -> Migrated:
    """Makes the store in an empty database, leads an older one to this version's revision; may be repeated.

    Raises SetupError for a database that is no store, one of a newer version, or one of another number of partitions.
    """
    url = store_url(settings, path)
    before = revision_of(url)
    if before:
        upgrade(url)
    SqlStore.open(url, settings.store.partitions).close()
    return Migrated(before=before, revision=revision_of(url), partitions=settings.store.partitions)
