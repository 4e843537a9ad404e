"""The store on PostgreSQL: partitions and batches."""

# ruff: noqa: D102 - what each method promises stands once, in stores/contract

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine

from orchestrator.stores.contract import Burial, CursorMove, DeadRow, LogRow, Progress
from orchestrator.stores.partitions import in_range
from orchestrator.stores.sql.postgres import statements as words
from orchestrator.stores.sql.postgres.batch import PostgresBatch
from orchestrator.stores.sql.postgres.connecting import named
from orchestrator.stores.sql.postgres.outbox import PostgresOutbox, asking
from orchestrator.stores.sql.postgres.patience import log
from orchestrator.stores.sql.postgres.sessions import driver
from orchestrator.stores.sql.postgres.taking import TRIES, held_by_another, take
from orchestrator.stores.sql.postgres.writer import Backend
from orchestrator.stores.sql.store import SqlStore


class PostgresStore(PostgresOutbox, SqlStore):
    """`stores.contract.Store` for as many workers as there are partitions.

    While the database is away every call waits, as `patience` says. A batch that was under way raises Interrupted.
    """

    def __init__(self, engine: Engine, partitions: int) -> None:
        super().__init__(engine)
        self.partitions = partitions

    def take(self, partitions: Sequence[int], source: str = "") -> dict[int, Progress]:
        in_range(partitions, self.partitions)
        if not partitions:
            return {}
        # inside, the batch before it has ended
        with self._turnstile.held():
            self.patience.until_done(self._make_months)
            for _ in range(TRIES):
                mine = self.patience.until_done(self._writer.backend)
                rows = self._read(partial(_take, partitions, source, mine))
                if rows is not None:
                    self._writer.stands_beside(rows)
                    taken = {row.partition: row for row in rows}
                    return {partition: taken[partition] for partition in partitions}
        raise held_by_another(partitions)

    def _make_months(self) -> None:
        """Room for the log of the months ahead; where it can't be made now, what has no month goes beside them."""
        try:
            self._alone(lambda connection: asking(connection)(words.MORE_MONTHS, ()))
        except psycopg.Error as error:
            if error.sqlstate != "55P03":
                raise
            log.warning("months of the log could not be made: %s", named(error))

    def _one_loads(self, connection: Connection) -> None:
        asking(connection)(words.ONE_LOADS, ())

    def news(self, after: Mapping[int, int], limit: int) -> list[LogRow]:
        return sorted(map(LogRow._make, self._following(words.NEWS, after, limit)))

    def burials(self, after: Mapping[int, int], limit: int) -> list[Burial]:
        rows = (Burial(row[0], DeadRow._make(row[1:])) for row in self._following(words.BURIALS, after, limit))
        return sorted(rows, key=lambda row: (row.letter.partition, row.n))

    def _following(self, statement: str, after: Mapping[int, int], limit: int) -> list[Any]:
        """The rows of each partition that follow a number, at most `limit` of each."""
        if not after:
            return []
        columns = list(after.keys()), list(after.values()), limit
        return self._read(lambda connection: driver(connection).execute(statement, columns, binary=True).fetchall())

    def move_cursors(self, moves: Sequence[CursorMove]) -> list[bool]:
        if not moves:
            return []
        columns = [list(column) for column in zip(*moves, strict=True)]

        def work(connection: Connection) -> set[tuple[int, str]]:
            ask = asking(connection)
            moved = {(row[0], row[1]) for row in ask(words.MOVE_CURSORS, columns)}
            if len(moved) < len(moves):
                moved |= {(row[0], row[1]) for row in ask(words.FIRST_CURSORS, columns)}
            return moved

        moved = self._write(work)
        return [(move.partition, move.topic) in moved for move in moves]

    @contextmanager
    def batch(self, held: Sequence[Progress]) -> Iterator[PostgresBatch]:
        with self._turnstile.held():
            session, number = self._writer.begin(held)
            batch = PostgresBatch(session)
            try:
                yield batch
            except BaseException:
                self._writer.rollback()
                raise
            if batch.failed or not batch.written:
                self._writer.rollback()
                return
            self._writer.commit(number)
        self._look_again(batch.suppressed)


def _take(partitions: Sequence[int], source: str, mine: Backend, connection: Connection) -> list[Progress] | None:
    return take(asking(connection), partitions, source, mine)
