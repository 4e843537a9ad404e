"""Content revisions in the store: which one is in force, what files it was made of, and what they compile to here.

    folder ─▶ (content activate) ─▶ files kept under the revision's name ─▶ an order in each partition's inbox
                                                        │
                           whoever takes the order compiles them, and decides by them from that turn on

A revision's name is a hash over its files, the settings that decide, and the versions of engine and tables. Another
version of the engine, or other settings, make another revision of the same files: it gets its own name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from orchestrator.clocks import elapsed
from orchestrator.content.load import load_content, read_body, write_body
from orchestrator.decide.content import Content
from orchestrator.errors import ContentError, UsageError
from orchestrator.settings import Settings
from orchestrator.stores.contract import Store

KIND = "revision"
# the document that names the revision in force
ACTIVE = "active"
# how often a process that takes no orders asks which revision is in force, in microseconds
LOOK = 5_000_000
# digits of a revision's name that people may leave it at
SHORTEST = 4

log = structlog.get_logger()


def in_force(store: Store) -> str:
    """The name of the revision that was ordered last; "" where none ever was."""
    return (store.get_document(KIND, ACTIVE) or b"").decode()


def kept(store: Store) -> list[str]:
    """The names of all revisions whose files the store has, in no order that means anything."""
    return [name for name in store.documents(KIND) if name != ACTIVE]


def files_of(store: Store, revision: str) -> dict[str, bytes] | None:
    """A revision's files by their paths; None where the store has none."""
    body = store.get_document(KIND, revision) if revision else None
    return None if body is None else read_body(body)


def keep(store: Store, revision: str, files: dict[str, bytes]) -> None:
    """Has the store keep a revision's files, so that whoever decides finds them, and what they decided can be again."""
    if store.get_document(KIND, revision) is None:
        store.put_document(KIND, revision, write_body(files))


def named(store: Store, prefix: str) -> str:
    """The one revision whose name begins so; raises UsageError where none does, or several do."""
    found = [name for name in kept(store) if len(prefix) >= SHORTEST and name.startswith(prefix)]
    if len(found) != 1:
        what = "several revisions begin" if found else "no revision in the store begins"
        raise UsageError(f"{what} with {prefix!r}; orchestrator content list shows their names")
    return found[0]


def compiled(files: dict[str, bytes], settings: Settings) -> Content:
    """What these files compile to, by this version of the engine and with these settings; raises ContentError."""
    with unfolded(files) as folder:
        return load_content(folder, settings)


@contextmanager
def unfolded(files: Mapping[str, bytes]) -> Iterator[Path]:
    """A folder that holds these files for as long as it is open."""
    with TemporaryDirectory() as folder:
        for path, body in files.items():
            file = Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)
        yield Path(folder)


def former_contents(store: Store, settings: Settings, but: str) -> dict[str, Content]:
    """The content revisions that the store kept, all `but` one, compiled anew.

    Left out are those that another version of the engine or of its tables made, or other settings: they would not
    decide as they did.
    """
    found: dict[str, Content] = {}
    for name in kept(store):
        files = files_of(store, name)
        if name == but or files is None:
            continue
        try:
            content = compiled(files, settings)
        except ContentError:
            continue
        if content.revision == name:
            found[name] = content
    return found


class Shelf:
    """The revisions of one store as this process compiles them."""

    def __init__(self, store: Store, settings: Settings) -> None:
        """Compiles nothing yet."""
        self._store, self._settings = store, settings

    def take(self, revision: str) -> Content | None:
        """A revision's content; None, and a word in the process's log, where there is none to decide by.

        Its name is another one where its files were activated by another version of the engine, or with other settings.
        """
        files = files_of(self._store, revision)
        if files is None:
            log.error("revision not kept: the one before it stays in force here", revision=revision)
            return None
        try:
            content = compiled(files, self._settings)
        except ContentError as error:
            why = error.briefly
            log.error("revision can't be compiled: the one before it stays in force", revision=revision, why=why)
            return None
        log.info("content in force", revision=content.revision, ordered=revision)
        return content


class InForce:
    """The content in force here: what was ordered last, as far as this process asked and could have it."""

    def __init__(self, store: Store, content: Content, take: Callable[[str], Content | None]) -> None:
        """`content` is in force to begin with, under the name that it has here.

        What is ordered under another name, be it by now, is found at the first look. `take` gives it, None where it
        can't be had and the former one stays.
        """
        self._store, self._take = store, take
        self.content = content
        # the revision that was ordered last, as far as is known here
        self.ordered = content.revision
        self._looked = elapsed()

    def follow(self) -> bool:
        """Goes by what is in force; whether that is other content than before."""
        ordered = in_force(self._store)
        if ordered in (self.ordered, ""):
            return False
        self.ordered = ordered
        content = None if ordered == self.content.revision else self._take(ordered)
        if content is None:
            return False
        self.content = content
        return True

    def now(self) -> Content:
        """What is in force, for a process that takes no partition's orders: it asks the store, at most every 5 s."""
        if elapsed() - self._looked >= LOOK:
            self._looked = elapsed()
            self.follow()
        return self.content
