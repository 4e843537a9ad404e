"""One batch in a SQLite file: what it reads, and everything it writes, on the connection that has the write lock."""

# ruff: noqa: D102 - what each method promises stands once, in stores/contract

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from sqlite3 import Connection
from typing import Any

from orchestrator.errors import Refused
from orchestrator.stores.contract import (
    Changes,
    Expected,
    HolderRow,
    InboxRow,
    MemberRow,
    ParkedRow,
    Progress,
    Reached,
    SuppressionRow,
    SwitchRow,
    TouchRow,
    VoucherRow,
)
from orchestrator.stores.outbox import told, told_late
from orchestrator.stores.sql.statements import Words, marks

# values of one look-up at most
_LOOKUP = 512

# queues looked into by one statement
_QUEUES = 64

Row = Sequence[Any]


class SqliteBatch:
    """An open transaction; the store commits it when the block is left."""

    def __init__(self, connection: Connection, words: Words) -> None:
        self._connection = connection
        self._words = words
        self.written = False

    def guard(self, held: Sequence[Progress]) -> None:
        """Locks the rows; raises Refused unless each still has the epoch, offset and turn that the worker took."""
        rows = self._among(self._words.lock, (row.partition for row in held))
        stand = {row[0]: tuple(row[1:4]) for row in rows}
        for mine in held:
            if stand.get(mine.partition) != mine[1:4]:
                raise _refused(mine.partition)

    def expect(self, coming: Expected) -> None:
        """A file is near."""

    def members(self, keys: Iterable[tuple[int, bytes]]) -> dict[bytes, MemberRow]:
        wanted = {member: partition for partition, member in keys}
        rows = self._among(self._words.members, wanted)
        return {
            row[1]: MemberRow(row[0], row[1], row[2], row[3], bool(row[4])) for row in rows if wanted[row[1]] == row[0]
        }

    def keys(self, refs: Iterable[str]) -> dict[str, bytes]:
        return {row[0]: row[1] for row in self._among(self._words.keys, refs)}

    def seen(self, buckets: Sequence[int], identities: Iterable[bytes]) -> dict[bytes, bytes]:
        if not buckets:
            return {}
        words = self._words.seen.replace("{buckets}", marks(len(buckets)))
        return {row[0]: row[1] for row in self._among(words, identities, tuple(buckets))}

    def due(self, until: Mapping[int, int], limit: int) -> list[InboxRow]:
        rows: list[InboxRow] = []
        queues = list(until.items())
        for start in range(0, len(queues), _QUEUES):
            some = queues[start : start + _QUEUES]
            values = [value for queue in some for value in (*queue, limit)]
            found = self._connection.execute(_union(self._words.due, len(some)), values)
            rows += map(InboxRow._make, found)
        return sorted(rows, key=lambda row: (row.due, row.member, row.seq))

    def held(self, partition: int, due: int, after: int, limit: int) -> list[InboxRow]:
        rows = self._connection.execute(self._words.held, (partition, due, after, limit))
        return [InboxRow._make(row) for row in rows]

    def members_after(self, partition: int, after: bytes, limit: int) -> list[bytes]:
        return [row[0] for row in self._connection.execute(self._words.members_after, (partition, after, limit))]

    def switches(self) -> list[SwitchRow]:
        return [SwitchRow._make(row) for row in self._connection.execute(self._words.switches)]

    def registry(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[bool, int]]:
        wanted = list(keys)
        loaded = {row[0]: row[1] for row in self._among(self._words.registries, (name for name, _ in wanted))}
        found: set[tuple[str, str]] = set()
        for name in loaded:
            contacts = (contact for among, contact in wanted if among == name)
            found.update((name, row[0]) for row in self._among(self._words.listed, contacts, (name,)))
        return {key: (key in found, loaded[key[0]]) for key in wanted if key[0] in loaded}

    def touch_states(self, touch_ids: Iterable[str]) -> dict[str, str]:
        return {row[0]: row[1] for row in self._among(self._words.touch_states, touch_ids)}

    def suppressions(self, subjects: Iterable[str]) -> list[SuppressionRow]:
        return sorted(map(SuppressionRow._make, self._among(self._words.suppressions_of, subjects)))

    def hold(self, joined: Iterable[HolderRow], contacts: Iterable[str]) -> dict[str, list[HolderRow]]:
        first = list(joined)
        self._many(self._words.first_holder, first)
        return by_contact(self._among(self._words.holders_of, (*(row.contact for row in first), *contacts)))

    def reached(self, contacts: Iterable[str], since: int) -> list[Reached]:
        rows = map(Reached._make, self._among(self._words.reached, contacts, (since,)))
        return sorted(rows, key=lambda row: (row.contact, row.touch_id))

    def vouchers(self, pool: str, limit: int, held: Collection[int]) -> list[VoucherRow]:
        found = self._connection.execute(self._words.vouchers_after, (pool, max(held, default=0), limit)).fetchall()
        if held and len(found) < limit:
            # one of those before them may have come back
            found = self._connection.execute(self._words.vouchers_left, (pool, limit + len(held))).fetchall()
        return [row for row in map(VoucherRow._make, found) if row.seq not in held][:limit]

    def pool(self, pool: str, most: int) -> tuple[int, int]:
        ((left,),) = self._connection.execute(self._words.count_left, (pool, most))
        told = self._connection.execute(self._words.pool_told, (pool,)).fetchone()
        return left, told[0] if told else 0

    def quarantined(self, members: Iterable[bytes]) -> set[bytes]:
        if not self._connection.execute(self._words.any_quarantined).fetchone():
            return set()
        return {row[0] for row in self._among(self._words.quarantined, members)}

    def parked(self, member: bytes) -> list[ParkedRow]:
        return [ParkedRow._make(row) for row in self._connection.execute(self._words.parked, (member,))]

    def write(self, changes: Changes) -> None:
        if self.written:
            raise RuntimeError("a batch is written once")
        self.written = True
        try:
            self._write(changes)
        except BaseException:
            # a caller that swallows this must still leave nothing
            self._connection.rollback()
            raise

    def _write(self, changes: Changes) -> None:
        words = self._words
        for before, after in changes.progress:
            row = (after.next_offset, after.turn, after.clock, after.log_n, after.head, before.partition, *before[1:4])
            if self._connection.execute(words.advance, row).rowcount != 1:
                raise _refused(before.partition)
        self._many(words.put_member, changes.members)
        self._many(words.put_key, changes.keys)
        self._many(words.destroy_key, [(ref,) for ref in changes.destroyed])
        self._many(words.add_journal, changes.journal)
        self._many(words.add_seen, changes.seen)
        self._many(words.add_log, changes.log)
        self._many(words.consume, changes.consumed)
        self._many(words.add_inbox, changes.inbox)
        self._many(words.cancel, [(touch_id,) for touch_id in changes.cancelled])
        self._many(words.code_back, [(touch_id,) for touch_id in changes.codes_back])
        self._many(words.reserve, changes.reserved)
        if changes.vouchers:
            given = [(row.touch_id, row.ref, row.seq) for row in changes.vouchers]
            if self._connection.executemany(words.give_voucher, given).rowcount != len(given):
                raise given_before()
        self._many(words.end_suppression, changes.unsuppressed)
        suppress(self._connection, words, changes.suppressions)
        self._not_reserved([row.touch_id for row in changes.reserved])
        self._many(words.leave_contact, changes.left)
        self._many(words.put_contact, changes.contacts)
        self._many(words.add_holder, changes.holders)
        self._many(words.add_dead, changes.dead)
        self._many(words.end_quarantine, [(member,) for member in changes.redriven])
        self._many(words.unpark, [(member,) for member in changes.redriven])
        self._many(words.put_quarantine, changes.quarantined)
        self._many(words.park, changes.parked)
        self._many(words.add_total, [(*key, addition) for key, addition in changes.totals.items()])
        home = min((before.partition for before, _ in changes.progress), default=-1)
        self._many(words.add_daily, [(home, *key, addition) for key, addition in changes.daily.items()])
        self._many(words.put_position, changes.positions)
        self._many(words.empty_vouchers, [(ref,) for ref in changes.destroyed])
        self._many(words.tell_pool, sorted(changes.told))

    def _not_reserved(self, touch_ids: Sequence[str]) -> None:
        """Cancels those of these reservations that a suppression covers, and tells their members."""
        covering: dict[TouchRow, list[SuppressionRow]] = {}
        for row in self._among(self._words.reserved_under, touch_ids):
            covering.setdefault(TouchRow._make(row[: len(TouchRow._fields)]), []).append(
                SuppressionRow._make(row[len(TouchRow._fields) :])
            )
        self._many(self._words.cancel, [(touch.touch_id,) for touch in covering])
        self._many(self._words.add_inbox, [told_late(touch, rows) for touch, rows in sorted(covering.items())])

    def _many(self, statement: str, rows: Sequence[Row]) -> None:
        # plain tuples: the driver asks a subclass for its items one by one, which costs more than copying it
        if rows:
            self._connection.executemany(statement, map(tuple, rows))

    def _among(self, statement: str, values: Iterable[Any], first: tuple[Any, ...] = ()) -> Iterator[Row]:
        """The rows for which a column is one of `values`, looked up in few round trips."""
        unique = list(dict.fromkeys(values))
        for start in range(0, len(unique), _LOOKUP):
            chunk = unique[start : start + _LOOKUP]
            # padded with the last, so that there are few texts and the driver finds them prepared
            size = 1 << (len(chunk) - 1).bit_length()
            chunk += chunk[-1:] * (size - len(chunk))
            yield from self._connection.execute(_sized(statement, size), (*first, *chunk)).fetchall()


def by_contact(rows: Iterable[Row]) -> dict[str, list[HolderRow]]:
    """Who holds each contact point, in their order."""
    held: dict[str, list[HolderRow]] = {}
    for row in sorted(map(HolderRow._make, rows)):
        held.setdefault(row.contact, []).append(row)
    return held


def given_before() -> ValueError:
    """What a batch raises that gives a code that it did not take."""
    return ValueError("a voucher code is given that is not left")


def suppress(connection: Connection, words: Words, rows: Sequence[SuppressionRow]) -> list[str]:
    """Writes suppressions and cancels the waiting touches they cover, each told by an inbox row; the touch ids."""
    cancelled: list[str] = []
    for row in rows:
        connection.execute(words.put_suppression, row)
        touches = covered(connection, words, row)
        if touches:
            connection.executemany(words.cancel, [(touch.touch_id,) for touch in touches])
            connection.executemany(words.add_inbox, [told(touch, row) for touch in touches])
            cancelled += [touch.touch_id for touch in touches]
    return sorted(cancelled)


def covered(connection: Connection, words: Words, row: SuppressionRow) -> list[TouchRow]:
    """The reserved and claimed touches that a suppression covers, by touch_id."""
    also = (row.channel, row.channel, row.purpose, row.purpose)
    found = connection.execute(words.covered_contact, (row.subject, *also)).fetchall()
    try:
        member = bytes.fromhex(row.subject)
    except ValueError:
        pass
    else:
        found += connection.execute(words.covered_member, (member, *also))
    by_id = {touch.touch_id: touch for touch in map(TouchRow._make, found)}
    return [touch for _, touch in sorted(by_id.items())]


@cache
def _sized(statement: str, size: int) -> str:
    return statement.replace("{marks}", marks(size))


@cache
def _union(statement: str, count: int) -> str:
    return " UNION ALL ".join([f"SELECT * FROM ({statement})"] * count)  # noqa: S608 - our own statement, repeated


def _refused(partition: int) -> Refused:
    return Refused(f"partition {partition} is no longer at the epoch, offset and turn of this worker")
