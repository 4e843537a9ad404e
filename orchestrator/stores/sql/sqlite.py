"""The store in a SQLite file: partitions and batches. Writers take turns."""

# ruff: noqa: D102 - what each method promises stands once, in stores/contract

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from sqlite3 import Connection

from sqlalchemy import Engine

from orchestrator.stores.contract import CursorMove, Progress
from orchestrator.stores.partitions import in_range, same_source
from orchestrator.stores.sql.batch import SqliteBatch
from orchestrator.stores.sql.outbox import SqlOutbox
from orchestrator.stores.sql.statements import Words
from orchestrator.stores.sql.store import SqlStore


class SqliteStore(SqlOutbox, SqlStore):
    """`stores.contract.Store` in one file, for one machine."""

    def __init__(self, engine: Engine, partitions: int) -> None:
        super().__init__(engine)
        self.partitions = partitions

    def take(self, partitions: Sequence[int], source: str = "") -> dict[int, Progress]:
        in_range(partitions, self.partitions)
        with self._writing() as connection:
            taken: dict[int, Progress] = {}
            for partition in partitions:
                row = connection.execute(self._words.take, (partition, source)).fetchone()
                (kept,) = connection.execute(self._words.source, (partition,)).fetchone()
                # raised here, it takes back every epoch of this call
                same_source(partition, kept if source else "", source)
                taken[partition] = Progress._make(row)
            return taken

    def move_cursors(self, moves: Sequence[CursorMove]) -> list[bool]:
        with self._writing() as connection:
            return [_moved(connection, self._words, move) for move in moves]

    @contextmanager
    def batch(self, held: Sequence[Progress]) -> Iterator[SqliteBatch]:
        with self._writing() as connection:
            batch = SqliteBatch(connection, self._words)
            batch.guard(held)
            yield batch
            if not batch.written:
                connection.rollback()


def _moved(connection: Connection, words: Words, move: CursorMove) -> bool:
    at = (move.partition, move.topic)
    moved = connection.execute(words.move_cursor, (move.after, *at, move.before)).rowcount
    if not moved and move.before == 0:
        moved = connection.execute(words.first_cursor, (*at, move.after)).rowcount
    return moved == 1
