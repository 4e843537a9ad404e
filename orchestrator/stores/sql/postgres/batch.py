"""One batch on PostgreSQL: what it reads, and everything it writes, in the session that holds the guarded rows."""

# ruff: noqa: D102 - what each method promises stands once, in stores/contract.py

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import psycopg

from orchestrator.errors import Interrupted
from orchestrator.stores.contract import (
    Changes,
    HolderRow,
    InboxRow,
    MemberRow,
    ParkedRow,
    Progress,
    Reached,
    SuppressionRow,
    SwitchRow,
    VoucherGiven,
    VoucherRow,
)
from orchestrator.stores.sql.batch import by_contact, given_before
from orchestrator.stores.sql.postgres import statements as words
from orchestrator.stores.sql.postgres.connecting import may_go_through, plain
from orchestrator.stores.sql.postgres.covering import not_reserved, suppress
from orchestrator.stores.sql.postgres.statements import Columns
from orchestrator.stores.sql.postgres.writer import Session, refused

Row = Sequence[Any]
K = TypeVar("K")
R = TypeVar("R", bound=tuple[Any, ...])


class PostgresBatch:
    """An open transaction; the store commits it when the block is left."""

    def __init__(self, session: Session) -> None:
        self._cursor = session.cursor(binary=True)
        self.written = False
        # registry -> when it was loaded; None: it never was
        self._registries: dict[str, int | None] = {}
        # nothing of it may be committed any more
        self.failed = False
        # what was suppressed, to be looked after once it is committed
        self.suppressed: Sequence[SuppressionRow] = ()

    def members(self, keys: Iterable[tuple[int, bytes]]) -> dict[bytes, MemberRow]:
        wanted = {member: partition for partition, member in keys}
        rows = map(MemberRow._make, self._asked(words.MEMBERS_OF, list(wanted)))
        return {row.member: row for row in rows if wanted[row.member] == row.partition}

    def keys(self, refs: Iterable[str]) -> dict[str, bytes]:
        return dict(self._asked(words.KEYS_OF, list(dict.fromkeys(refs))))

    def seen(self, buckets: Sequence[int], identities: Iterable[bytes]) -> dict[bytes, bytes]:
        return dict(self._asked(words.SEEN_OF, list(buckets), list(dict.fromkeys(identities))))

    def due(self, until: Mapping[int, int], limit: int) -> list[InboxRow]:
        rows = map(InboxRow._make, self._rows(words.DUE, (list(until), list(until.values()), limit)) if until else ())
        return sorted(rows, key=lambda row: (row.due, row.member, row.seq))

    def held(self, partition: int, due: int, after: int, limit: int) -> list[InboxRow]:
        return [InboxRow._make(row) for row in self._rows(words.HELD, (partition, due, after, limit))]

    def members_after(self, partition: int, after: bytes, limit: int) -> list[bytes]:
        return [row[0] for row in self._rows(words.MEMBERS_AFTER, (after, partition, limit))]

    def switches(self) -> list[SwitchRow]:
        return [SwitchRow._make(row) for row in self._rows(words.SWITCHES)]

    def registry(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[bool, int]]:
        wanted = list(dict.fromkeys(keys))
        # a batch sees one state of each registry; most programmes have loaded few of those that the laws name
        if unknown := list({name for name, _ in wanted} - self._registries.keys()):
            self._registries |= dict.fromkeys(unknown) | dict(self._asked(words.REGISTRIES_OF, unknown))
        loaded = [key for key in wanted if self._registries[key[0]] is not None]
        names, contacts = [name for name, _ in loaded], [contact for _, contact in loaded]
        found = set(self._asked(words.LISTED_OF, names, contacts))
        return {key: (key in found, checked) for key in loaded if (checked := self._registries[key[0]]) is not None}

    def touch_states(self, touch_ids: Iterable[str]) -> dict[str, str]:
        return dict(self._asked(words.TOUCH_STATES, list(dict.fromkeys(touch_ids))))

    def suppressions(self, subjects: Iterable[str]) -> list[SuppressionRow]:
        return sorted(map(SuppressionRow._make, self._asked(words.SUPPRESSIONS_OF, list(dict.fromkeys(subjects)))))

    def hold(self, joined: Iterable[HolderRow], contacts: Iterable[str]) -> dict[str, list[HolderRow]]:
        # one who is just becoming the first holder is waited for here, and whoever holds a first row in the second
        # statement; the third sees what those that were waited for have left
        first = {row.contact: row for row in joined}
        asked = list({**first, **dict.fromkeys(contacts)})
        self._put(words.FIRST_HOLDERS, list(first.values()))
        self._asked(words.LOCK_CONTACTS, asked)
        return by_contact(self._asked(words.HOLDERS_OF, asked))

    def reached(self, contacts: Iterable[str], since: int) -> list[Reached]:
        asked = list(dict.fromkeys(contacts))
        rows = map(Reached._make, self._rows(words.REACHED, (since, asked)) if asked else ())
        return sorted(rows, key=lambda row: (row.contact, row.touch_id))

    def vouchers(self, pool: str, limit: int, held: Collection[int]) -> list[VoucherRow]:
        found = self._rows(words.VOUCHERS_AFTER, (pool, max(held, default=0), limit))
        if held and len(found) < limit:
            # one of those before them may have come back, or be free again
            mine = [*held, *(row[0] for row in found)]
            found += self._rows(words.VOUCHERS_LEFT, (pool, mine, limit - len(found)))
        return sorted(map(VoucherRow._make, found))

    def pool(self, pool: str, most: int) -> tuple[int, int]:
        ((left, told),) = self._rows(words.POOL, (pool, most, pool))
        return left, told

    def quarantined(self, members: Iterable[bytes]) -> set[bytes]:
        if not self._rows(words.ANY_QUARANTINED):
            return set()
        return {row[0] for row in self._asked(words.QUARANTINED_OF, list(dict.fromkeys(members)))}

    def parked(self, member: bytes) -> list[ParkedRow]:
        return [ParkedRow._make(row) for row in self._rows(words.PARKED_OF, (member,))]

    def write(self, changes: Changes) -> None:
        if self.written:
            self.failed = True
            raise RuntimeError("a batch is written once")
        self.written = True
        try:
            self._write(changes)
        except BaseException:
            # a caller that swallows this must still leave nothing
            self.failed = True
            raise

    def _write(self, changes: Changes) -> None:
        self._advance(changes.progress)
        self._put(words.PUT_MEMBERS, _last(changes.members, lambda row: row.member))
        self._put(words.PUT_KEYS, _last(changes.keys, lambda row: row.ref))
        self._put(words.DESTROY_KEYS, [(ref,) for ref in changes.destroyed])
        self._copy(words.JOURNAL, changes.journal)
        self._copy(words.SEEN, changes.seen)
        self._copy(words.LOG, changes.log)
        self._put(words.CONSUME, changes.consumed)
        self._copy(words.INBOX, changes.inbox)
        self._put(words.CANCEL, [(touch_id,) for touch_id in changes.cancelled])
        self._put(words.CODES_BACK, [(touch_id,) for touch_id in changes.codes_back])
        # of a touch that stands there twice the first is kept, as the second would find it reserved
        self._put(words.RESERVE, _last(reversed(changes.reserved), lambda row: row.touch_id))
        self._give(changes.vouchers)
        self._put(words.END_SUPPRESSIONS, _last(changes.unsuppressed, lambda row: row[:3]))
        suppress(self._rows, changes.suppressions)
        not_reserved(self._rows, [row.touch_id for row in changes.reserved])
        self.suppressed = changes.suppressions
        self._put(words.LEAVE_CONTACTS, changes.left)
        self._put(words.PUT_CONTACTS, changes.contacts)
        self._copy(words.HOLDERS, changes.holders)
        self._copy(words.DEAD, changes.dead)
        self._put(words.END_QUARANTINE, [(member,) for member in changes.redriven])
        self._put(words.UNPARK, [(member,) for member in changes.redriven])
        self._put(words.PUT_QUARANTINE, _last(changes.quarantined, lambda row: row.member))
        self._copy(words.PARKED, changes.parked)
        self._put(words.PUT_POSITIONS, _last(changes.positions, lambda row: (row.content, row.partition)))
        # kept apart by a partition that this batch has locked: batches of other workers add to rows of their own
        home = min((before.partition for before, _ in changes.progress), default=-1)
        self._put(words.ADD_TOTALS, [(*key, addition) for key, addition in changes.totals.items()])
        self._put(words.ADD_DAILY, [(home, *key, addition) for key, addition in changes.daily.items()])
        self._put(words.EMPTY_VOUCHERS, [(ref,) for ref in changes.destroyed])
        # last: pools are what batches of other workers wait for, and who holds them waits for nothing more
        self._put(words.TELL_POOLS, list(dict(sorted(changes.told)).items()))

    def _give(self, vouchers: Sequence[VoucherGiven]) -> None:
        if vouchers and len(self._rows(words.GIVE_VOUCHERS, _turned(vouchers))) != len(vouchers):
            raise given_before()

    def _advance(self, progress: Sequence[tuple[Progress, Progress]]) -> None:
        rows = [(*after[2:], before.partition, *before[1:4]) for before, after in progress]
        if not rows:
            return
        moved = {row[0] for row in self._rows(words.ADVANCE, _turned(rows))}
        for before, _ in progress:
            if before.partition not in moved:
                raise refused(before.partition)

    def _asked(self, statement: str, *columns: list[Any]) -> list[Any]:
        """The rows asked for by one or more lists, none of them empty."""
        return self._rows(statement, columns) if all(columns) else []

    def _put(self, statement: str, rows: Sequence[Row]) -> None:
        if rows:
            self._rows(statement, _turned(rows))

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        def work() -> list[Any]:
            cursor = self._cursor.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

        return self._told(work)

    def _copy(self, columns: Columns, rows: Sequence[Row]) -> None:
        def work() -> None:
            with self._cursor.copy(columns.copy) as copy:
                copy.set_types(columns.types)
                for row in rows:
                    copy.write_row(row)

        if rows:
            self._told(work)

    def _told(self, work: Callable[[], K]) -> K:
        """What `work` returns; the driver's errors as ours, without the values that they quote."""
        try:
            return work()
        except psycopg.Error as error:
            self.failed = True
            if may_go_through(error):
                raise Interrupted("nothing of the batch was written; read progress again, then do it anew") from None
            raise plain(error) from None


def _turned(rows: Sequence[Row]) -> list[list[Any]]:
    """One list a column."""
    return [list(column) for column in zip(*rows, strict=True)]


def _last(rows: Iterable[R], key: Callable[[R], object]) -> list[R]:
    """Of rows with the same key the last: one statement changes a row once."""
    return list({key(row): row for row in rows}.values())
