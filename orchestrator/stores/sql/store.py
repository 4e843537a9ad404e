"""The SQL store: opening, and what is written alike in every dialect: tries, documents, cursors."""

# ruff: noqa: D102 - what each method promises stands once, in stores/contract

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Engine, delete, func, insert, literal_column, select, update

from orchestrator.stores.contract import NewInbox, NewVoucher, Store
from orchestrator.stores.outbox import told_now
from orchestrator.stores.sql import schema
from orchestrator.stores.sql.engine import connect
from orchestrator.stores.sql.migrate import prepare
from orchestrator.stores.sql.reading import SqlReading


class SqlStore(SqlReading, Store):
    """`stores.contract.Store` in a database. Any thread may call it."""

    @classmethod
    def open(cls, url: str, partitions: int) -> SqlStore:
        """The store at `url`, made there if the database is empty.

        Raises SetupError for an address that can't be opened, a store of another revision (the text names the command
        that leads it here), and one made for another number of partitions.
        """
        engine = connect(url)
        try:
            prepare(engine, partitions)
            return kept_in(engine, partitions)
        except BaseException:
            engine.dispose()
            raise

    def count_try(self, partition: int, offset: int) -> int:
        return self._write(
            lambda connection: int(connection.exec_driver_sql(self._words.count_try, (partition, offset)).scalar_one())
        )

    # --- documents
    def put_document(self, kind: str, name: str, body: bytes) -> None:
        row = (kind, name, body)
        self._write(lambda connection: connection.exec_driver_sql(self._words.put_document, row))

    def replace_document(
        self, kind: str, name: str, before: bytes | None, after: bytes, inbox: Sequence[NewInbox]
    ) -> bool:
        table = schema.documents
        stands = (table.c.kind == kind, table.c.name == name, table.c.body == before)

        def work(connection: Connection) -> bool:
            if before is None:
                done = connection.exec_driver_sql(self._words.first_document, (kind, name, after)).rowcount
            else:
                done = connection.execute(update(table).where(*stands).values(body=after)).rowcount
            if done and inbox:
                connection.execute(insert(schema.inbox), [row._asdict() for row in inbox])
            return done == 1

        return self._write(work)

    def load_registry(self, name: str, fingerprints: Iterable[str], checked_at: int) -> int:
        # read before the lock is taken: the list may come from a slow file
        contacts = [{"name": name, "contact": contact} for contact in sorted(set(fingerprints))]

        def work(connection: Connection) -> None:
            connection.exec_driver_sql(self._words.put_registry, (name, checked_at))
            connection.execute(delete(schema.listed).where(schema.listed.c.name == name))
            if contacts:
                connection.execute(insert(schema.listed), contacts)

        self._write(work)
        return len(contacts)

    # --- voucher codes
    def load_vouchers(self, rows: Sequence[NewVoucher]) -> dict[str, str]:
        table = schema.vouchers
        wanted = [row.fingerprint for row in rows]

        def work(connection: Connection) -> dict[str, str]:
            self._one_loads(connection)
            known = select(table.c.fingerprint, table.c.pool).where(table.c.fingerprint.in_(wanted))
            there = {row[0]: row[1] for row in connection.execute(known)}
            new = [{**row._asdict(), "touch_id": "", "ref": ""} for row in rows if row.fingerprint not in there]
            if new:
                connection.execute(insert(table), new)
            return there

        return self._write(work) if rows else {}

    def _one_loads(self, connection: Connection) -> None:
        """Two that load the same codes at once take turns; in a file all writers do."""

    def filled(self, pool: str, enough: int) -> None:
        table, pools = schema.vouchers, schema.pools

        def work(connection: Connection) -> None:
            self._one_loads(connection)
            told = connection.execute(select(pools.c.told).where(pools.c.pool == pool)).scalar_one_or_none() or 0
            left = select(table.c.seq).where(table.c.pool == pool, table.c.touch_id == literal_column("''"))
            counted = select(func.count()).select_from(left.limit(max(enough, 1)).subquery())
            some = connection.execute(counted).scalar_one()
            now = told_now(some, enough, told)
            connection.exec_driver_sql(self._words.put_pool, (pool, now))

        self._write(work)


def kept_in(engine: Engine, partitions: int) -> SqlStore:
    """The store of the engine's dialect; each is loaded only where it is used."""
    if engine.dialect.name == "postgresql":
        from orchestrator.stores.sql.postgres.store import PostgresStore

        return PostgresStore(engine, partitions)
    from orchestrator.stores.sql.sqlite import SqliteStore

    return SqliteStore(engine, partitions)
