"""What this run has seen before, in bounded memory: beyond `in_memory` entries the index moves to a file on disk."""

from __future__ import annotations

import hashlib
import sqlite3
from types import TracebackType
from typing import Self

IN_MEMORY = 250_000


def digest(kind: bytes, raw: bytes) -> bytes:
    """16 bytes that stand for something of a kind."""
    return hashlib.blake2b(raw, digest_size=16, person=kind).digest()


class Seen:
    """An index of 16-byte keys with a short note each; a context, so that its file is gone afterwards."""

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._limit = in_memory
        self._recent: dict[bytes, bytes] = {}
        self._disk: sqlite3.Connection | None = None

    def get(self, key: bytes) -> bytes | None:
        """The note kept under a key, or None."""
        note = self._recent.get(key)
        if note is None and self._disk is not None:
            row = self._disk.execute("SELECT note FROM seen WHERE key = ?", (key,)).fetchone()
            note = row[0] if row else None
        return note

    def add(self, key: bytes, note: bytes) -> None:
        """Keeps a note under a key that was not there."""
        self._recent[key] = note
        if len(self._recent) >= self._limit:
            self._spill()

    def _spill(self) -> None:
        if self._disk is None:
            # a nameless database is a temporary file that SQLite deletes on close
            self._disk = sqlite3.connect("", isolation_level=None)
            self._disk.execute("PRAGMA journal_mode = OFF")
            self._disk.execute("CREATE TABLE seen (key BLOB PRIMARY KEY, note BLOB NOT NULL) WITHOUT ROWID")
        self._disk.execute("BEGIN")
        # in key order, so that the tree is written page after page
        self._disk.executemany("INSERT INTO seen VALUES (?, ?)", sorted(self._recent.items()))
        self._disk.execute("COMMIT")
        self._recent.clear()

    def __enter__(self) -> Self:
        """The index itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Deletes the file, if there is one."""
        if self._disk is not None:
            self._disk.close()
