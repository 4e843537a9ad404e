"""One batch on PostgreSQL: what it reads, and everything it writes, in the session that holds the guarded rows."""

# ruff: noqa: D102 - what each method promises stands once, in stores/contract

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import psycopg

from orchestrator.errors import Interrupted
from orchestrator.stores.contract import (
    Changes,
    Expected,
    HolderRow,
    InboxRow,
    MemberRow,
    ParkedRow,
    Reached,
    SuppressionRow,
    SwitchRow,
    VoucherRow,
)
from orchestrator.stores.sql.batch import by_contact, given_before
from orchestrator.stores.sql.postgres import statements as words
from orchestrator.stores.sql.postgres.connecting import may_go_through, plain
from orchestrator.stores.sql.postgres.covering import not_reserved, suppress
from orchestrator.stores.sql.postgres.trips import Asked, Rows, Trips
from orchestrator.stores.sql.postgres.writer import refused

Row = Sequence[Any]
R = TypeVar("R", bound=tuple[Any, ...])


class PostgresBatch:
    """An open transaction; the store commits it when the block is left."""

    def __init__(self, trips: Trips) -> None:
        self._trips = trips
        self.written = False
        # registry -> when it was loaded; None: it never was
        self._registries: dict[str, int | None] = {}
        # whether every registry stands there that was ever loaded
        self._all_registries = False
        # nothing of it may be committed any more
        self.failed = False
        # what was suppressed, to be looked after once it is committed
        self.suppressed: Sequence[SuppressionRow] = ()
        # what was expected. statement -> values and rows: of whoever asks the same
        self._asked_before: dict[str, tuple[Sequence[Any], Rows]] = {}
        # member -> row, ref -> key; None: there is none
        self._members: dict[bytes, MemberRow | None] = {}
        self._keys: dict[str, bytes | None] = {}

    def expect(self, coming: Expected) -> None:
        members = list(dict.fromkeys(member for _, member in coming.members))
        asked = [
            *_due(coming.until, coming.limit),
            Asked(words.SWITCHES),
            *_seen(coming.buckets, coming.identities),
            Asked(words.ANY_QUARANTINED),
            Asked(words.REGISTRIES),
            *_of(words.MEMBERS_OF, members),
            *_of(words.KEYS_OF_MEMBERS, members),
        ]
        answers = self._go(asked)
        self._asked_before = {each.statement: (each.values, rows) for each, rows in zip(asked, answers, strict=True)}
        self._registries = dict(self._rows(words.REGISTRIES))
        self._all_registries = True
        rows = [MemberRow._make(row) for row in self._look(_of(words.MEMBERS_OF, members))]
        self._members = {**dict.fromkeys(members), **{row.member: row for row in rows}}
        wrapped = dict(self._look(_of(words.KEYS_OF_MEMBERS, members)))
        self._keys = {row.ref: wrapped.get(row.ref) for row in rows if not row.erased}

    def members(self, keys: Iterable[tuple[int, bytes]]) -> dict[bytes, MemberRow]:
        wanted = {member: partition for partition, member in keys}
        known = [row for member in wanted if (row := self._members.get(member)) is not None]
        asked = _of(words.MEMBERS_OF, [member for member in wanted if member not in self._members])
        rows = [*known, *map(MemberRow._make, self._look(asked))]
        return {row.member: row for row in rows if wanted[row.member] == row.partition}

    def keys(self, refs: Iterable[str]) -> dict[str, bytes]:
        wanted = list(dict.fromkeys(refs))
        known = {ref: key for ref in wanted if (key := self._keys.get(ref)) is not None}
        return known | dict(self._look(_of(words.KEYS_OF, [ref for ref in wanted if ref not in self._keys])))

    def seen(self, buckets: Sequence[int], identities: Iterable[bytes]) -> dict[bytes, bytes]:
        return dict(self._look(_seen(buckets, identities)))

    def due(self, until: Mapping[int, int], limit: int) -> list[InboxRow]:
        rows = map(InboxRow._make, self._look(_due(until, limit)))
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
        unknown = [] if self._all_registries else list({name for name, _ in wanted} - self._registries.keys())
        if unknown:
            self._registries |= dict.fromkeys(unknown) | dict(self._look(_of(words.REGISTRIES_OF, unknown)))
        loaded = {key: at for key in wanted if (at := self._registries.get(key[0])) is not None}
        found = set(self._look(_put(words.LISTED_OF, list(loaded))))
        return {key: (key in found, at) for key, at in loaded.items()}

    def touch_states(self, touch_ids: Iterable[str]) -> dict[str, str]:
        return dict(self._look(_of(words.TOUCH_STATES, touch_ids)))

    def suppressions(self, subjects: Iterable[str]) -> list[SuppressionRow]:
        return sorted(map(SuppressionRow._make, self._look(_of(words.SUPPRESSIONS_OF, subjects))))

    def hold(self, joined: Iterable[HolderRow], contacts: Iterable[str]) -> dict[str, list[HolderRow]]:
        # one who is just becoming the first holder is waited for here, and whoever holds a first row in the second
        # statement; the third sees what those that were waited for have left
        first = {row.contact: row for row in joined}
        asked = list({**first, **dict.fromkeys(contacts)})
        if not asked:
            return {}
        of_these = [Asked(words.LOCK_CONTACTS, [asked]), Asked(words.HOLDERS_OF, [asked])]
        return by_contact(self._go([*_put(words.FIRST_HOLDERS, list(first.values())), *of_these])[-1])

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
        return {row[0] for row in self._look(_of(words.QUARANTINED_OF, members))}

    def parked(self, member: bytes) -> list[ParkedRow]:
        return [ParkedRow._make(row) for row in self._rows(words.PARKED_OF, (member,))]

    def write(self, changes: Changes) -> None:
        if self.written:
            self.failed = True
            raise RuntimeError("a batch is written once")
        self.written = True
        self._asked_before, self._members, self._keys = {}, {}, {}
        try:
            self._write(changes)
        except BaseException:
            # a caller that swallows this must still leave nothing
            self.failed = True
            raise

    def _write(self, changes: Changes) -> None:
        asked = list(_first(changes))
        if changes.suppressions:
            # each looks at what it finds
            self._sent(asked, changes)
            suppress(self._rows, changes.suppressions)
            asked = []
        self.suppressed = changes.suppressions
        reserved = [row.touch_id for row in changes.reserved]
        under = Asked(words.RESERVED_UNDER, [reserved]) if reserved else None
        found = self._sent([*asked, *([under] if under else ()), *_then(changes)], changes)
        # the rows that this cancels are held already: nothing is waited for after the last of `_then`
        not_reserved(self._rows, found.get(words.RESERVED_UNDER, ()))

    def _sent(self, asked: Sequence[Asked], changes: Changes) -> dict[str, Rows]:
        """Writes; what each statement gave. Raises what is wrong with the first that did not what it should."""
        answers, error = self._trips.go(asked)
        found = {each.statement: rows for each, rows in zip(asked, answers, strict=False)}
        if words.ADVANCE in found:
            moved = {row[0] for row in found[words.ADVANCE]}
            for before, _ in changes.progress:
                if before.partition not in moved:
                    raise refused(before.partition)
        if words.GIVE_VOUCHERS in found and len(found[words.GIVE_VOUCHERS]) != len(changes.vouchers):
            raise given_before()
        if error is not None:
            raise self._told(error)
        return found

    def _look(self, asked: Iterable[Asked]) -> Rows:
        """The rows of a statement that may have been left out, as there is nothing to look for."""
        return [row for each in asked for row in self._rows(each.statement, each.values)]

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        known = self._asked_before.pop(statement, None)
        if known is not None and known[0] == values:
            return known[1]
        return self._go([Asked(statement, values)])[0]

    def _go(self, asked: Sequence[Asked]) -> list[Rows]:
        """The rows of each of these, asked together."""
        answers, error = self._trips.go(asked)
        if error is not None:
            raise self._told(error)
        return answers

    def _told(self, error: psycopg.Error) -> Exception:
        """The driver's errors as ours, without the values that they quote."""
        self.failed = True
        if may_go_through(error):
            return Interrupted("nothing of the batch was written; read progress again, then do it anew")
        return plain(error)


def _due(until: Mapping[int, int], limit: int) -> Iterator[Asked]:
    if until:
        yield Asked(words.DUE, [list(until), list(until.values()), limit])


def _seen(buckets: Sequence[int], identities: Iterable[bytes]) -> Iterator[Asked]:
    asked = list(dict.fromkeys(identities))
    if buckets and asked:
        yield Asked(words.SEEN_OF, [list(buckets), asked])


def _of(statement: str, values: Iterable[Any]) -> Iterator[Asked]:
    """The statement about each of these; nothing where there is none."""
    asked = list(dict.fromkeys(values))
    if asked:
        yield Asked(statement, [asked])


def _first(changes: Changes) -> Iterator[Asked]:
    """What is written up to the suppressions, in order."""
    yield from _put(words.ADVANCE, [(*after[2:], before.partition, *before[1:4]) for before, after in changes.progress])
    yield from _put(words.PUT_MEMBERS, _last(changes.members, lambda row: row.member))
    yield from _put(words.PUT_KEYS, _last(changes.keys, lambda row: row.ref))
    yield from _put(words.DESTROY_KEYS, [(ref,) for ref in changes.destroyed])
    yield from _put(words.ADD_JOURNAL, changes.journal)
    yield from _put(words.ADD_SEEN, changes.seen)
    yield from _put(words.ADD_LOG, changes.log)
    yield from _put(words.CONSUME, changes.consumed)
    yield from _put(words.ADD_INBOX, changes.inbox)
    yield from _put(words.CANCEL, [(touch_id,) for touch_id in changes.cancelled])
    yield from _put(words.CODES_BACK, [(touch_id,) for touch_id in changes.codes_back])
    # of a touch that stands there twice the first is kept, as the second would find it reserved
    yield from _put(words.RESERVE, _last(reversed(changes.reserved), lambda row: row.touch_id))
    yield from _put(words.GIVE_VOUCHERS, changes.vouchers)
    yield from _put(words.END_SUPPRESSIONS, _last(changes.unsuppressed, lambda row: row[:3]))


def _then(changes: Changes) -> Iterator[Asked]:
    """What is written after them."""
    yield from _put(words.LEAVE_CONTACTS, changes.left)
    yield from _put(words.PUT_CONTACTS, changes.contacts)
    yield from _put(words.ADD_HOLDERS, changes.holders)
    yield from _put(words.ADD_DEAD, changes.dead)
    yield from _put(words.END_QUARANTINE, [(member,) for member in changes.redriven])
    yield from _put(words.UNPARK, [(member,) for member in changes.redriven])
    yield from _put(words.PUT_QUARANTINE, _last(changes.quarantined, lambda row: row.member))
    yield from _put(words.PARK, changes.parked)
    yield from _put(words.PUT_POSITIONS, _last(changes.positions, lambda row: (row.content, row.partition)))
    # kept apart by a partition that this batch has locked: batches of other workers add to rows of their own
    home = min((before.partition for before, _ in changes.progress), default=-1)
    yield from _put(words.ADD_TOTALS, [(*key, addition) for key, addition in changes.totals.items()])
    yield from _put(words.ADD_DAILY, [(home, *key, addition) for key, addition in changes.daily.items()])
    yield from _put(words.EMPTY_VOUCHERS, [(ref,) for ref in changes.destroyed])
    # last: pools are what batches of other workers wait for, and who holds them waits for nothing more
    yield from _put(words.TELL_POOLS, list(dict(sorted(changes.told)).items()))


def _put(statement: str, rows: Sequence[Row]) -> Iterator[Asked]:
    """The statement with one array a column; nothing where there are no rows."""
    if rows:
        yield Asked(statement, list(zip(*rows, strict=True)))


def _last(rows: Iterable[R], key: Callable[[R], object]) -> list[R]:
    """Of rows with the same key the last: one statement changes a row once."""
    return list({key(row): row for row in rows}.values())
