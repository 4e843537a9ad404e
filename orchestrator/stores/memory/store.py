"""The memory store: partitions, batches, reading, documents."""

# ruff: noqa: D102 - what each method promises stands once, in stores/contract

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

from orchestrator.stores.contract import (
    MEMBERS_AT,
    Backlog,
    Burial,
    CursorMove,
    DeadRow,
    FilePosition,
    JournalRow,
    LogRow,
    MemberRow,
    NewInbox,
    NewVoucher,
    ParkedRow,
    PoolRow,
    Progress,
    QuarantineRow,
    Queue,
    SuppressionRow,
    SwitchRow,
    TouchRow,
)
from orchestrator.stores.memory import vouchers
from orchestrator.stores.memory.batch import MemoryBatch, guard
from orchestrator.stores.memory.outbox import MemoryOutbox
from orchestrator.stores.outbox import IN_FLIGHT, WAITING, known, queues_of
from orchestrator.stores.partitions import in_range, same_source


class MemoryStore(MemoryOutbox):
    """`stores.contract.Store` in dictionaries."""

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self.partitions = partitions

    def take(self, partitions: Sequence[int], source: str = "") -> dict[int, Progress]:
        in_range(partitions, self.partitions)
        with self._writing() as tables:
            if source:
                for partition in partitions:
                    same_source(partition, tables.sources.get(partition, ""), source)
                tables.sources.update(dict.fromkeys(partitions, source))
            taken = {}
            for partition in partitions:
                old = tables.progress.get(partition) or Progress(partition, 0, 0, 0, 0, 0, bytes(32))
                taken[partition] = tables.progress[partition] = old._replace(epoch=old.epoch + 1)
            return taken

    @contextmanager
    def batch(self, held: Sequence[Progress]) -> Iterator[MemoryBatch]:
        with self._turnstile.held():
            guard(self._tables, held)
            batch = MemoryBatch(self._tables)
            yield batch
            with self._looking:
                batch.commit()

    def count_try(self, partition: int, offset: int) -> int:
        with self._writing() as tables:
            tables.tries[partition, offset] += 1
            return tables.tries[partition, offset]

    # --- reading: a copy, so that nobody waits for a slow reader
    def progress(self) -> list[Progress]:
        with self._looking:
            return [row for _, row in sorted(self._tables.progress.items())]

    def log(self, *, partition: int | None = None, ref: str | None = None, after: int = 0) -> Iterable[LogRow]:
        with self._looking:
            chains = sorted(self._tables.log) if partition is None else [partition]
            return [
                row
                for chain in chains
                for n, row in sorted(self._tables.log.get(chain, {}).items())
                if n > after and ref in {None, row.ref}
            ]

    def journal(self, partition: int) -> Iterable[JournalRow]:
        with self._looking:
            return [row for _, row in sorted(self._tables.journal.get(partition, {}).items())]

    def member(self, member: bytes) -> MemberRow | None:
        return self._tables.members.get(member)

    def members(self) -> Iterable[MemberRow]:
        with self._looking:
            return [row for _, row in sorted(self._tables.members.items()) if not row.erased]

    def knows(self, member: bytes) -> bool:
        row = self._tables.members.get(member)
        return row is not None and not row.erased

    def home(self, member: bytes) -> int | None:
        row = self._tables.members.get(member)
        return None if row is None else row.partition

    def members_at(self, contact: str) -> list[tuple[int, bytes]]:
        with self._looking:
            members = sorted(member for known, member in self._tables.contacts if known == contact)
            rows = [self._tables.members[member] for member in members[:MEMBERS_AT]]
            return [(row.partition, row.member) for row in rows if not row.erased]

    def heard(self, keys: Collection[bytes]) -> set[bytes]:
        with self._looking:
            return {key for key in keys if key in self._tables.heard}

    def keys(self, refs: Collection[str]) -> dict[str, bytes]:
        with self._looking:
            return {ref: self._tables.keys[ref] for ref in refs if ref in self._tables.keys}

    def key(self, ref: str) -> bytes | None:
        return self._tables.keys.get(ref)

    def touch(self, touch_id: str) -> TouchRow | None:
        with self._looking:
            return self._tables.outbox.rows.get(touch_id)

    def touches(self, *, state: str | None = None, member: bytes | None = None) -> Iterable[TouchRow]:
        if state is not None:
            known(state)
        with self._looking:
            outbox = self._tables.outbox
            rows = [row for _, row in sorted(outbox.rows.items())] if member is None else outbox.of_member(member)
            return [row for row in rows if state in {None, row.state}]

    def next_due(self) -> int | None:
        with self._looking:
            return self._tables.inbox.next_due()

    def backlog(self, now: int) -> dict[int, Backlog]:
        with self._looking:
            inbox, touches = self._tables.inbox.rows(), self._tables.outbox.rows.values()
            counts = Counter((row.partition, "due" if row.due <= now else "later") for row in inbox)
            live = (row for row in touches if row.state in WAITING | IN_FLIGHT)
            counts.update((row.partition, "reserved" if row.state == "reserved" else "in_flight") for row in live)
        return {p: Backlog(*(counts[p, name] for name in Backlog._fields)) for p in sorted({p for p, _ in counts})}

    def queues(self, now: int) -> list[Queue]:
        counts: Counter[tuple[str, str, str]] = Counter()
        with self._looking:
            for row in self._tables.outbox.rows.values():
                if row.state == "attempting":
                    counts[row.channel, row.account, "calling"] += 1
                elif row.state in WAITING:
                    later = "later" if row.due > now else "waiting"
                    counts[row.channel, "", "claimed" if row.state == "claimed" else later] += 1
        return queues_of(counts)

    def totals(self) -> dict[tuple[int, str], int]:
        with self._looking:
            return dict(self._tables.totals)

    def daily(self) -> dict[tuple[str, str, str, str, str], int]:
        with self._looking:
            return dict(self._tables.daily)

    def dead(self) -> Iterable[DeadRow]:
        with self._looking:
            return sorted(self._tables.dead, key=lambda row: row.partition)

    def parked(self, member: bytes) -> list[ParkedRow]:
        with self._looking:
            return list(self._tables.parked.get(member, ()))

    def quarantine(self) -> list[QuarantineRow]:
        with self._looking:
            return sorted(self._tables.quarantine.values(), key=lambda row: (row.partition, row.member))

    def positions(self) -> list[FilePosition]:
        with self._looking:
            return [row for _, row in sorted(self._tables.positions.items())]

    def suppressions_of(self, subjects: Collection[str]) -> list[SuppressionRow]:
        return [row for row in self.suppressions() if row.subject in subjects]

    def suppressions(self) -> list[SuppressionRow]:
        with self._looking:
            return [row for _, row in sorted(self._tables.suppressions.items())]

    def switches(self) -> list[SwitchRow]:
        with self._looking:
            return [row for _, row in sorted(self._tables.switches.items())]

    # --- documents
    def put_document(self, kind: str, name: str, body: bytes) -> None:
        with self._writing() as tables:
            tables.documents[kind, name] = body

    def replace_document(
        self, kind: str, name: str, before: bytes | None, after: bytes, inbox: Sequence[NewInbox]
    ) -> bool:
        with self._writing() as tables:
            if tables.documents.get((kind, name)) != before:
                return False
            tables.documents[kind, name] = after
            for row in inbox:
                tables.inbox.add(row)
            return True

    def get_document(self, kind: str, name: str) -> bytes | None:
        return self._tables.documents.get((kind, name))

    def documents(self, kind: str) -> list[str]:
        with self._looking:
            return sorted(name for among, name in self._tables.documents if among == kind)

    def load_registry(self, name: str, fingerprints: Iterable[str], checked_at: int) -> int:
        listed = frozenset(fingerprints)
        with self._writing() as tables:
            tables.registries[name] = listed, checked_at
        return len(listed)

    # --- voucher codes
    def load_vouchers(self, rows: Sequence[NewVoucher]) -> dict[str, str]:
        with self._writing() as tables:
            return vouchers.load(tables, rows)

    def filled(self, pool: str, enough: int) -> None:
        with self._writing() as tables:
            vouchers.filled(tables, pool, enough)

    def pools(self) -> list[PoolRow]:
        with self._looking:
            return vouchers.pools(self._tables)

    # --- the relay
    def burials(self, after: Mapping[int, int], limit: int) -> list[Burial]:
        with self._looking:
            numbered = [Burial(n, row) for n, row in enumerate(self._tables.dead, 1)]
        of_each = (
            islice((row for row in numbered if row.letter.partition == partition and row.n > n), limit)
            for partition, n in sorted(after.items())
        )
        return [row for rows in of_each for row in rows]

    def news(self, after: Mapping[int, int], limit: int) -> list[LogRow]:
        chains = sorted(after.items())
        return [row for partition, n in chains for row in islice(self.log(partition=partition, after=n), limit)]

    def cursors(self) -> dict[tuple[int, str], int]:
        with self._looking:
            return dict(self._tables.cursors)

    def move_cursors(self, moves: Sequence[CursorMove]) -> list[bool]:
        with self._writing() as tables:
            held = [tables.cursors.get((move.partition, move.topic), 0) == move.before for move in moves]
            moved = [move for move, holds in zip(moves, held, strict=True) if holds]
            tables.cursors.update({(move.partition, move.topic): move.after for move in moved})
            return held

    def close(self) -> None:
        """Nothing to give back."""
