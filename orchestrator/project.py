"""An opened project: its settings, keys, store and content, for every command."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator import settings as settings_module
from orchestrator.content.load import load_content
from orchestrator.decide.content import Content
from orchestrator.settings import Settings
from orchestrator.stores.contract import Store
from orchestrator.stores.sql.store import SqlStore
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
        """The project's content as it lies on disk, compiled; raises ContentError with all problems."""
        return load_content(self.path, self.settings)

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
    url = settings.store.url
    prefix = "sqlite:///"
    if url.startswith(prefix) and not url.startswith(prefix + "/"):
        url = f"{prefix}{path / url.removeprefix(prefix)}"
    return SqlStore.open(url, settings.store.partitions)
