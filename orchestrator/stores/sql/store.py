"""The SQL store: opening, partitions, batches, documents."""

# ruff: noqa: D102 - what each method promises stands once, in stores/contract.py

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Engine, delete, insert, select

from orchestrator.stores.contract import ParkedRow, Progress
from orchestrator.stores.partitions import in_range, same_source
from orchestrator.stores.sql import schema
from orchestrator.stores.sql.batch import SqlBatch
from orchestrator.stores.sql.engine import connect
from orchestrator.stores.sql.migrate import prepare
from orchestrator.stores.sql.reading import SqlReading


class SqlStore(SqlReading):
    """`stores.contract.Store` in a database. Any thread may call it; writers take turns."""

    def __init__(self, engine: Engine, partitions: int) -> None:
        super().__init__(engine)
        self.partitions = partitions

    @classmethod
    def open(cls, url: str, partitions: int) -> SqlStore:
        """The store at `url`, made there if the database is empty.

        Raises SetupError for an address that can't be opened, a store of another revision (the text names the command
        that leads it here), and one made for another number of partitions.
        """
        engine = connect(url)
        prepare(engine, partitions)
        return cls(engine, partitions)

    def take(self, partitions: Sequence[int], source: str = "") -> dict[int, Progress]:
        in_range(partitions, self.partitions)
        with self._writing() as connection:
            taken: dict[int, Progress] = {}
            for partition in partitions:
                row = connection.exec_driver_sql(self._words.take, (partition, source)).one()
                kept = connection.exec_driver_sql(self._words.source, (partition,)).scalar_one()
                # raised here, it takes back every epoch of this call
                same_source(partition, kept if source else "", source)
                taken[partition] = Progress._make(row)
            return taken

    @contextmanager
    def batch(self, held: Sequence[Progress]) -> Iterator[SqlBatch]:
        with self._turnstile.held(), self._writer.begin() as transaction:
            batch = SqlBatch(self._writer, self._words)
            batch.guard(held)
            yield batch
            if transaction.is_active and not batch.written:
                transaction.rollback()

    # --- quarantine
    def count_try(self, partition: int, offset: int) -> int:
        with self._writing() as connection:
            return int(connection.exec_driver_sql(self._words.count_try, (partition, offset)).scalar_one())

    def quarantine(self, partition: int, member: bytes, reason: str) -> None:
        with self._writing() as connection:
            connection.exec_driver_sql(self._words.put_quarantine, (member, partition, reason))

    def redrive(self, member: bytes) -> list[ParkedRow]:
        parked = schema.parked
        with self._writing() as connection:
            connection.execute(delete(schema.quarantine).where(schema.quarantine.c.member == member))
            columns = [parked.c[name] for name in ParkedRow._fields]
            rows = connection.execute(select(*columns).where(parked.c.member == member).order_by(parked.c.seq)).all()
            connection.execute(delete(parked).where(parked.c.member == member))
            return [ParkedRow._make(row) for row in rows]

    # --- documents
    def put_document(self, kind: str, name: str, body: bytes) -> None:
        with self._writing() as connection:
            connection.exec_driver_sql(self._words.put_document, (kind, name, body))

    def load_registry(self, name: str, fingerprints: Iterable[str], checked_at: int) -> int:
        # read before the lock is taken: the list may come from a slow file
        contacts = [{"name": name, "contact": contact} for contact in sorted(set(fingerprints))]
        with self._writing() as connection:
            connection.exec_driver_sql(self._words.put_registry, (name, checked_at))
            connection.execute(delete(schema.listed).where(schema.listed.c.name == name))
            if contacts:
                connection.execute(insert(schema.listed), contacts)
        return len(contacts)

    # --- the relay
    def cursor(self, partition: int, topic: str) -> int:
        table = schema.cursors
        rows = self._rows(select(table.c.n).where(table.c.partition == partition, table.c.topic == topic))
        return int(rows[0][0]) if rows else 0

    def move_cursor(self, partition: int, topic: str, before: int, after: int) -> bool:
        with self._writing() as connection:
            moved = connection.exec_driver_sql(self._words.move_cursor, (after, partition, topic, before)).rowcount
            if not moved and before == 0:
                moved = connection.exec_driver_sql(self._words.first_cursor, (partition, topic, after)).rowcount
            return moved == 1
