"""Reading in SQL, beside any writer.

Long results come page by page, each page a snapshot of its own: a slow reader must not keep SQLite from working its
write-ahead log into the file.
"""

# ruff: noqa: D102 - what each method promises stands once, in stores/contract

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, case, func, literal_column, select, tuple_

from orchestrator.stores.contract import (
    MEMBERS_AT,
    Backlog,
    Burial,
    DeadRow,
    FilePosition,
    JournalRow,
    LogRow,
    MemberRow,
    ParkedRow,
    PoolRow,
    Progress,
    QuarantineRow,
    Queue,
    SuppressionRow,
    SwitchRow,
    TouchRow,
)
from orchestrator.stores.outbox import IN_FLIGHT, WAITING, known, queues_of
from orchestrator.stores.sql import schema
from orchestrator.stores.sql.engine import Sessions

_PAGE_ROWS = 1000


class SqlReading(Sessions):
    """What is on record."""

    partitions: int

    def progress(self) -> list[Progress]:
        columns = [schema.progress.c[name] for name in Progress._fields]
        return [Progress._make(row) for row in self._rows(select(*columns).order_by(schema.progress.c.partition))]

    def log(self, *, partition: int | None = None, ref: str | None = None, after: int = 0) -> Iterable[LogRow]:
        chains = self._chains() if partition is None else [partition]
        if ref is not None:
            return self._log_of(ref, chains, after)
        of_chain = (self._pages(schema.log, ("n",), (after,), schema.log.c.partition == chain) for chain in chains)
        return (LogRow._make(row) for rows in of_chain for row in rows)

    def news(self, after: Mapping[int, int], limit: int) -> list[LogRow]:
        table = schema.log
        rows: list[LogRow] = []
        for partition, n in sorted(after.items()):
            query = select(table).where(table.c.partition == partition, table.c.n > n).order_by(table.c.n).limit(limit)
            rows += map(LogRow._make, self._rows(query))
        return rows

    def cursors(self) -> dict[tuple[int, str], int]:
        return {(row[0], row[1]): row[2] for row in self._rows(select(schema.cursors))}

    def _chains(self) -> list[int]:
        """The partitions of the log, those that should not exist included: what was put in must come to light."""
        number = schema.log.c.partition
        strange = self._rows(select(number).where((number < 0) | (number >= self.partitions)).distinct())
        return sorted({*range(self.partitions), *(row[0] for row in strange)})

    def _log_of(self, ref: str, chains: Iterable[int], after: int) -> list[LogRow]:
        found = self._read(lambda connection: connection.exec_driver_sql(self._words.log_of, (ref,)).all())
        rows = map(LogRow._make, found)
        return sorted(row for row in rows if row.n > after and row.partition in chains)

    def journal(self, partition: int) -> Iterable[JournalRow]:
        rows = self._pages(schema.journal, ("turn", "i"), (-1, -1), schema.journal.c.partition == partition)
        return (JournalRow._make(row) for row in rows)

    def member(self, member: bytes) -> MemberRow | None:
        rows = self._rows(select(schema.members).where(schema.members.c.member == member))
        return MemberRow._make(rows[0]) if rows else None

    def members(self) -> Iterable[MemberRow]:
        table = schema.members
        return (MemberRow._make(row) for row in self._pages(table, ("member",), (b"",), table.c.erased.is_(False)))

    def knows(self, member: bytes) -> bool:
        table = schema.members
        return self._rows(select(table.c.erased).where(table.c.member == member)) == [(False,)]

    def keys(self, refs: Collection[str]) -> dict[str, bytes]:
        query = select(schema.keys).where(schema.keys.c.ref.in_(sorted(set(refs))))
        return {row[0]: row[1] for row in self._rows(query)}

    def key(self, ref: str) -> bytes | None:
        return self._value(select(schema.keys.c.wrapped).where(schema.keys.c.ref == ref))

    def home(self, member: bytes) -> int | None:
        rows = self._rows(select(schema.members.c.partition).where(schema.members.c.member == member))
        return rows[0][0] if rows else None

    def members_at(self, contact: str) -> list[tuple[int, bytes]]:
        members, contacts = schema.members, schema.contacts
        query = (
            select(members.c.partition, members.c.member)
            .join(contacts, contacts.c.member == members.c.member)
            .where(contacts.c.contact == contact, members.c.erased.is_(False))
            .order_by(members.c.member)
            .limit(MEMBERS_AT)
        )
        return [(row[0], row[1]) for row in self._rows(query)]

    def heard(self, keys: Collection[bytes]) -> set[bytes]:
        query = select(schema.heard.c.key).where(schema.heard.c.key.in_(sorted(set(keys))))
        return {row[0] for row in self._rows(query)}

    def touch(self, touch_id: str) -> TouchRow | None:
        rows = self._rows(select(schema.touches).where(schema.touches.c.touch_id == touch_id))
        return TouchRow._make(rows[0]) if rows else None

    def touches(self, *, state: str | None = None, member: bytes | None = None) -> Iterable[TouchRow]:
        touches = schema.touches
        conditions: list[ColumnElement[bool]] = []
        if state is not None:
            # written out, so that the indexes over live states serve; it is a word of ours
            conditions.append(touches.c.state == literal_column(f"'{known(state)}'"))
        if member is not None:
            conditions.append(touches.c.member == member)
        if member is not None or state in WAITING | IN_FLIGHT:
            return sorted(map(TouchRow._make, self._rows(select(touches).where(*conditions))))
        return (TouchRow._make(row) for row in self._pages(touches, ("touch_id",), ("",), *conditions))

    def next_due(self) -> int | None:
        asked = (self.partitions,)
        found: int | None = self._read(
            lambda connection: connection.exec_driver_sql(self._words.next_due, asked).scalar()
        )
        return found

    def backlog(self, now: int) -> dict[int, Backlog]:
        inbox, touches = schema.inbox, schema.touches
        counts: Counter[tuple[int, str]] = Counter()
        for name, condition in (("due", inbox.c.due <= now), ("later", inbox.c.due > now)):
            query = select(inbox.c.partition, func.count()).where(condition).group_by(inbox.c.partition)
            counts.update({(partition, name): n for partition, n in self._rows(query)})
        for state in sorted(WAITING | IN_FLIGHT):
            # written out, so that the indexes over live states serve
            condition = touches.c.state == literal_column(f"'{state}'")
            query = select(touches.c.partition, func.count()).where(condition).group_by(touches.c.partition)
            name = "reserved" if state == "reserved" else "in_flight"
            counts.update({(partition, name): n for partition, n in self._rows(query)})
        return {p: Backlog(*(counts[p, name] for name in Backlog._fields)) for p in sorted({p for p, _ in counts})}

    def queues(self, now: int) -> list[Queue]:
        table, counts = schema.touches, Counter[tuple[str, str, str]]()
        for state, account, named in (
            ("reserved", literal_column("''"), case((table.c.due > now, "later"), else_="waiting")),
            ("claimed", literal_column("''"), literal_column("'claimed'")),
            ("attempting", table.c.account, literal_column("'calling'")),
        ):
            # written out, so that the indexes over live states serve
            condition = table.c.state == literal_column(f"'{state}'")
            counted = select(table.c.channel, account.label("at"), named.label("named")).where(condition).subquery()
            columns = [counted.c.channel, counted.c.at, counted.c.named]
            for *key, n in self._rows(select(*columns, func.count()).group_by(*columns)):
                counts[key[0], key[1], key[2]] += n
        return queues_of(counts)

    def totals(self) -> dict[tuple[int, str], int]:
        return {(row[0], row[1]): row[2] for row in self._rows(select(schema.totals))}

    def daily(self) -> dict[tuple[str, str, str, str, str], int]:
        table = schema.daily
        key = [table.c[name] for name in ("day", "journey", "channel", "verdict", "reason")]
        rows = self._rows(select(*key, func.sum(table.c["count"])).group_by(*key))
        return {(row[0], row[1], row[2], row[3], row[4]): int(row[5]) for row in rows}

    def dead(self) -> Iterable[DeadRow]:
        pages = self._pages(schema.dead, ("partition", "seq"), (-1, -1))
        return (DeadRow._make(row[1:]) for row in pages)

    def burials(self, after: Mapping[int, int], limit: int) -> list[Burial]:
        table = schema.dead
        found: list[Burial] = []
        for partition, n in sorted(after.items()):
            query = select(table).where(table.c.partition == partition, table.c.seq > n)
            rows = self._rows(query.order_by(table.c.seq).limit(limit))
            found += [Burial(row[0], DeadRow._make(row[1:])) for row in rows]
        return found

    def parked(self, member: bytes) -> list[ParkedRow]:
        table = schema.parked
        columns = [table.c[name] for name in ParkedRow._fields]
        rows = self._rows(select(*columns).where(table.c.member == member).order_by(table.c.seq))
        return [ParkedRow._make(row) for row in rows]

    def quarantine(self) -> list[QuarantineRow]:
        return [QuarantineRow._make(row) for row in self._rows(_by(schema.quarantine, "partition", "member"))]

    def positions(self) -> list[FilePosition]:
        return [FilePosition._make(row) for row in self._rows(_by(schema.positions, "content", "partition"))]

    def suppressions_of(self, subjects: Collection[str]) -> list[SuppressionRow]:
        table = schema.suppressions
        wanted = _by(table, "subject", "channel", "purpose").where(table.c.subject.in_(sorted(set(subjects))))
        return [SuppressionRow._make(row) for row in self._rows(wanted)]

    def suppressions(self) -> list[SuppressionRow]:
        rows = self._rows(_by(schema.suppressions, "subject", "channel", "purpose"))
        return [SuppressionRow._make(row) for row in rows]

    def switches(self) -> list[SwitchRow]:
        return [SwitchRow._make(row) for row in self._rows(_by(schema.switches, "scope"))]

    def pools(self) -> list[PoolRow]:
        table = schema.vouchers
        left = func.sum(case((table.c.touch_id == "", 1), else_=0))
        counts = select(table.c.pool, left, func.count()).group_by(table.c.pool).order_by(table.c.pool)
        told = {row[0]: row[1] for row in self._rows(select(schema.pools))}
        return [PoolRow(row[0], int(row[1]), row[2] - int(row[1]), told.get(row[0], 0)) for row in self._rows(counts)]

    def get_document(self, kind: str, name: str) -> bytes | None:
        table = schema.documents
        return self._value(select(table.c.body).where(table.c.kind == kind, table.c.name == name))

    def documents(self, kind: str) -> list[str]:
        table = schema.documents
        return [row[0] for row in self._rows(select(table.c.name).where(table.c.kind == kind).order_by(table.c.name))]

    def _rows(self, query: Select[Any]) -> list[Sequence[Any]]:
        return self._read(lambda connection: list(connection.execute(query).all()))

    def _value(self, query: Select[Any]) -> bytes | None:
        found: bytes | None = self._read(lambda connection: connection.execute(query).scalar_one_or_none())
        return found

    def _pages(
        self, table: Table, order: tuple[str, ...], after: tuple[Any, ...], *where: ColumnElement[bool]
    ) -> Iterator[Sequence[Any]]:
        """All rows after a place in an order that no two rows share."""
        columns = [table.c[name] for name in order]
        places = [table.c.keys().index(name) for name in order]
        query = select(table).where(*where).order_by(*columns).limit(_PAGE_ROWS)
        while rows := self._rows(query.where(tuple_(*columns) > tuple_(*after))):
            yield from rows
            if len(rows) < _PAGE_ROWS:
                return
            after = tuple(rows[-1][place] for place in places)


def _by(table: Table, *order: str) -> Select[Any]:
    return select(table).order_by(*(table.c[name] for name in order))
