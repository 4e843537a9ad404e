"""One batch: everything that could fail is asked in `write`, so that applying it can't stop half way."""

# ruff: noqa: D102 - what each method promises stands once, in stores/contract

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence

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
    VoucherRow,
)
from orchestrator.stores.memory.tables import Tables
from orchestrator.stores.memory.vouchers import apply_codes_back, apply_vouchers, left_in
from orchestrator.stores.outbox import COUNTED, SETTLED, WAITING, covering, known, told, told_late


def guard(tables: Tables, held: Iterable[Progress]) -> None:
    """Raises Refused unless each row still has the epoch, offset and turn that the worker took."""
    for mine in held:
        stands = tables.progress.get(mine.partition)
        if stands is None or stands[1:4] != mine[1:4]:
            raise Refused(f"partition {mine.partition} is no longer at the epoch, offset and turn of this worker")


class MemoryBatch:
    """An open transaction; `changes` are applied when the block is left."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._changes: Changes | None = None
        # contact point -> who is the first to hold it, if the batch is written
        self._first: dict[str, HolderRow] = {}

    def members(self, keys: Iterable[tuple[int, bytes]]) -> dict[bytes, MemberRow]:
        rows = ((partition, self._tables.members.get(member)) for partition, member in keys)
        return {row.member: row for partition, row in rows if row and row.partition == partition}

    def keys(self, refs: Iterable[str]) -> dict[str, bytes]:
        return {ref: self._tables.keys[ref] for ref in refs if ref in self._tables.keys}

    def seen(self, buckets: Sequence[int], identities: Iterable[bytes]) -> dict[bytes, bytes]:
        seen = self._tables.seen
        return {
            identity: seen[bucket, identity].content
            for identity in identities
            for bucket in buckets
            if (bucket, identity) in seen
        }

    def due(self, until: Mapping[int, int], limit: int) -> list[InboxRow]:
        inbox = self._tables.inbox
        rows = (row for partition, last in until.items() for row in inbox.due(partition, last, limit))
        return sorted(rows, key=lambda row: (row.due, row.member, row.seq))

    def held(self, partition: int, due: int, after: int, limit: int) -> list[InboxRow]:
        rows = (row for row in self._tables.inbox.rows() if row.partition == partition and row.due == due)
        return sorted((row for row in rows if row.seq > after), key=lambda row: row.seq)[:limit]

    def members_after(self, partition: int, after: bytes, limit: int) -> list[bytes]:
        mine = (row for row in self._tables.members.values() if row.partition == partition and not row.erased)
        return sorted(row.member for row in mine if row.member > after)[:limit]

    def expect(self, coming: Expected) -> None:
        """Everything is here."""

    def switches(self) -> list[SwitchRow]:
        return [row for _, row in sorted(self._tables.switches.items())]

    def registry(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[bool, int]]:
        loaded = self._tables.registries
        return {
            (name, contact): (contact in loaded[name][0], loaded[name][1]) for name, contact in keys if name in loaded
        }

    def touch_states(self, touch_ids: Iterable[str]) -> dict[str, str]:
        rows = self._tables.outbox.rows
        return {touch_id: rows[touch_id].state for touch_id in touch_ids if touch_id in rows}

    def suppressions(self, subjects: Iterable[str]) -> list[SuppressionRow]:
        wanted = set(subjects)
        return [row for key, row in sorted(self._tables.suppressions.items()) if key[0] in wanted]

    def hold(self, joined: Iterable[HolderRow], contacts: Iterable[str]) -> dict[str, list[HolderRow]]:
        held = self._tables.holders
        joined = list(joined)
        for row in joined:
            if row.contact not in held:
                self._first.setdefault(row.contact, row)
        asked = {*contacts, *(row.contact for row in joined)}
        firsts = {contact: [row] for contact, row in self._first.items()}
        return {contact: rows for contact in sorted(asked) if (rows := [*held.get(contact, firsts.get(contact, []))])}

    def reached(self, contacts: Iterable[str], since: int) -> list[Reached]:
        outbox, holders = self._tables.outbox, self._tables.holders
        rows = [
            Reached(contact, touch.member, touch.touch_id, touch.channel, touch.purpose, touch.journey, at)
            for contact in sorted(set(contacts))
            for holder in holders.get(contact, ())
            for touch in outbox.of_member(holder.member)
            if touch.contact == contact and touch.state in COUNTED
            if not (at := touch.attempted_at if touch.state in SETTLED else 0) or at >= since
        ]
        return sorted(rows, key=lambda row: (row.contact, row.touch_id))

    def vouchers(self, pool: str, limit: int, held: Collection[int]) -> list[VoucherRow]:
        return left_in(self._tables, pool, limit, frozenset(held))

    def pool(self, pool: str, most: int) -> tuple[int, int]:
        return min(len(self._tables.left[pool]), most), self._tables.told.get(pool, 0)

    def quarantined(self, members: Iterable[bytes]) -> set[bytes]:
        return {member for member in members if member in self._tables.quarantine}

    def parked(self, member: bytes) -> list[ParkedRow]:
        return list(self._tables.parked.get(member, ()))

    def write(self, changes: Changes) -> None:
        if self._changes is not None:
            raise RuntimeError("a batch is written once")
        # a caller that swallows what is raised below must still leave nothing
        self._changes = Changes(())
        guard(self._tables, (before for before, _ in changes.progress))
        tables = self._tables
        _unique((row.partition, row.turn, row.i) for row in changes.journal)
        _unique((row.bucket, row.identity) for row in changes.seen)
        _unique((row.partition, row.n) for row in changes.log)
        if (
            any((row.turn, row.i) in tables.journal.get(row.partition, {}) for row in changes.journal)
            or any((row.bucket, row.identity) in tables.seen for row in changes.seen)
            or any(row.n in tables.log.get(row.partition, {}) for row in changes.log)
        ):
            raise ValueError("a row of journal, seen or log is there already")
        for touch in changes.reserved:
            known(touch.state)
        if any(self._tables.vouchers[row.seq][1] is not None for row in changes.vouchers):
            raise ValueError("a voucher code is given that is not left")
        self._changes = changes

    def commit(self) -> None:
        """Applies what `write` was given."""
        if self._changes is not None:
            _apply(self._tables, self._changes._replace(holders=[*self._first.values(), *self._changes.holders]))


def _unique(keys: Iterable[Hashable]) -> None:
    listed = list(keys)
    if len(set(listed)) != len(listed):
        raise ValueError("a row of journal, seen or log is given twice")


def _apply(tables: Tables, changes: Changes) -> None:
    for before, after in changes.progress:
        tables.progress[before.partition] = after._replace(partition=before.partition, epoch=before.epoch)
    tables.members.update((row.member, row) for row in changes.members)
    tables.keys.update(changes.keys)
    for ref in changes.destroyed:
        tables.keys.pop(ref, None)
    for turned in changes.journal:
        tables.journal[turned.partition][turned.turn, turned.i] = turned
    tables.seen.update(((row.bucket, row.identity), row) for row in changes.seen)
    for entry in changes.log:
        tables.log[entry.partition][entry.n] = entry
    for partition, seq in changes.consumed:
        tables.inbox.remove(partition, seq)
    for new in changes.inbox:
        tables.inbox.add(new)
    _apply_touches(tables, changes)
    _apply_contacts(tables, changes)
    tables.dead.extend(changes.dead)
    for member in changes.redriven:
        tables.quarantine.pop(member, None)
        tables.parked.pop(member, None)
    tables.quarantine.update((row.member, row) for row in changes.quarantined)
    for parked in changes.parked:
        tables.parked[parked.member].append(parked)
    for total, addition in changes.totals.items():
        tables.totals[total] += addition
    for day, addition in changes.daily.items():
        tables.daily[day] += addition
    apply_vouchers(tables, changes)
    tables.positions.update(((position.content, position.partition), position) for position in changes.positions)


def _apply_contacts(tables: Tables, changes: Changes) -> None:
    for gone in changes.left:
        tables.contacts.pop(gone, None)
    tables.contacts.update(dict.fromkeys(changes.contacts))
    for holder in changes.holders:
        tables.holders.setdefault(holder.contact, []).append(holder)


def _apply_touches(tables: Tables, changes: Changes) -> None:
    outbox = tables.outbox
    for touch_id in changes.cancelled:
        touch = outbox.rows.get(touch_id)
        if touch and touch.state in WAITING:
            outbox.put(touch._replace(state="cancelled", token="", lease_until=0))
    apply_codes_back(tables, changes.codes_back)
    for new in changes.reserved:
        old = outbox.rows.get(new.touch_id)
        if old is None:
            outbox.put(new)
        elif old.state == "cancelled":
            outbox.put(new._replace(attempts=old.attempts, attempted_at=old.attempted_at))
    for subject, channel, purpose, until in changes.unsuppressed:
        ended = tables.suppressions.get((subject, channel, purpose))
        if ended is not None and ended.since <= until:
            del tables.suppressions[subject, channel, purpose]
    for row in changes.suppressions:
        tables.suppress(row)
        for touch in outbox.covered(row):
            outbox.put(touch._replace(state="cancelled", token="", lease_until=0))
            tables.inbox.add(told(touch, row))
    for touch_id in sorted({row.touch_id for row in changes.reserved}):
        touch = outbox.rows[touch_id]
        standing = [tables.suppressions[key] for key in covering(touch) if key in tables.suppressions]
        if standing and touch.state == "reserved":
            outbox.put(touch._replace(state="cancelled"))
            tables.inbox.add(told_late(touch, standing))
