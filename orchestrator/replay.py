"""Past turns on today's core: whether `step`, given what it was given then, still comes to what is on record.

    journal ─▶ step, from nothing ─▶ entries ─▶ chain ─▶ the same rows?  ◀─ contact log

Every input and every shared fact of a turn is in the journal, so nothing else is read: no clock, no outbox, no source.
The rows are chained anew behind the entry that stands before them, so that equal rows have equal hashes; and at the end
each member's state must be the one in the store.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from orchestrator.contact_log import chain
from orchestrator.decide.content import Content
from orchestrator.decide.member import Member
from orchestrator.decide.result import Entry
from orchestrator.decide.step import step
from orchestrator.errors import Tampered
from orchestrator.pipeline import house_entries
from orchestrator.stores.contract import JournalRow, LogRow, Progress, Store
from orchestrator.turns import about_nobody, opened
from orchestrator.vault import Sealer, Vault

# differences kept in a report; all are counted
KEPT = 100

_encode = msgspec.json.Encoder().encode
_read_member = msgspec.json.Decoder(Member).decode
_by_turn = attrgetter("turn")


class Difference(Struct, frozen=True, kw_only=True):
    """One turn that does not come to what is on record; names columns, never what they hold."""

    partition: int
    turn: int
    what: str


class ReplayReport(Struct, frozen=True, kw_only=True):
    """What a replay came to. Every turn is counted once: turns = same + found + outside + elsewhere."""

    # whether nothing is different
    ok: bool
    # turns in the journal
    turns: int
    # turns that came to the rows on record
    same: int
    # how many turns are different; the first hundred are in `different`
    found: int
    different: tuple[Difference, ...]
    # turns of erased members: their key is destroyed, nobody can read what was given
    outside: int
    # turns under a content revision that is not at hand, and what the same members did after them
    elsewhere: int
    # members whose state came out as it is in the store
    members: int


def replay(
    store: Store,
    vault: Vault,
    content: Content,
    partition: int | None = None,
    *,
    former: Mapping[str, Content] | None = None,
) -> ReplayReport:
    """Runs the journal's turns again, of one partition or of all, and compares them with the contact log.

    `former` holds earlier content revisions by their names; turns of a revision that is neither there nor `content`'s
    are counted apart. May run beside a working engine: turns after the beginning are left out. Memory grows with the
    members of the largest partition.
    """
    contents = {**(former or {}), content.revision: content}
    tally = _Tally()
    for progress in store.progress():
        if partition is None or progress.partition == partition:
            _Partition(store, vault, contents, progress, tally, content.revision).run()
    return tally.report()


class _Tally:
    """The counts so far."""

    def __init__(self) -> None:
        self.turns = self.same = self.outside = self.elsewhere = self.members = 0
        self.different: list[Difference] = []
        self.bad: set[tuple[int, int]] = set()

    def differs(self, partition: int, turn: int, what: str) -> None:
        if (partition, turn) in self.bad:
            return
        self.bad.add((partition, turn))
        if len(self.different) < KEPT:
            self.different.append(Difference(partition=partition, turn=turn, what=what))

    def report(self) -> ReplayReport:
        return ReplayReport(
            ok=not self.bad,
            turns=self.turns,
            same=self.turns - len(self.bad) - self.outside - self.elsewhere,
            found=len(self.bad),
            different=tuple(self.different),
            outside=self.outside,
            elsewhere=self.elsewhere,
            members=self.members,
        )


class _Life(Struct):
    """One member as replayed so far."""

    sealer: Sealer | None
    member: Member | None = None
    # the last turn replayed, and whose row it is
    turn: int = 0
    key: bytes = b""
    # a turn could not be replayed: what comes after it has no ground to stand on
    lost: bool = False


class _Partition:
    """The turns of one partition, in order."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        contents: Mapping[str, Content],
        progress: Progress,
        tally: _Tally,
        revision: str,
    ) -> None:
        self.store, self.vault, self.contents, self.tally = store, vault, contents, tally
        self.partition, self.last_turn, self.last_n = progress.partition, progress.turn, progress.log_n
        self.lives: dict[str, _Life] = {}
        # the revision that the last row named: what a turn without rows was decided under
        self.revision = next((row.revision for row in store.log(partition=self.partition)), revision)
        self.n, self.head = 0, chain.GENESIS

    def run(self) -> None:
        log = _turns(row for row in self.store.log(partition=self.partition) if row.n <= self.last_n)
        turn, rows = next(log, (0, []))
        journal = self.store.journal(self.partition)
        for number, group in groupby(journal, key=_by_turn):
            if number > self.last_turn:
                break
            while rows and turn < number:
                self.tally.differs(self.partition, turn, "it is in the log and not in the journal")
                self._pass(rows)
                turn, rows = next(log, (0, []))
            mine: list[LogRow] = []
            if rows and turn == number:
                mine = rows
                turn, rows = next(log, (0, []))
            self.tally.turns += 1
            if mine:
                self.revision = mine[0].revision
            self._turn(list(group), mine)
            self._pass(mine)
        if rows:
            self.tally.differs(self.partition, turn, "it is in the log and not in the journal")
        if any(row.partition == self.partition and row.turn == self.last_turn for row in self.store.progress()):
            self._states()

    def _pass(self, rows: list[LogRow]) -> None:
        if rows:
            self.n, self.head = rows[-1].n, rows[-1].hash

    def _turn(self, journal: list[JournalRow], rows: list[LogRow]) -> None:
        first = journal[0]
        if not first.member:
            self._compare(first, rows, house_entries(about_nobody(journal)))
            return
        life = self._life(first)
        if life.sealer is None:
            self.tally.outside += 1
            return
        content = self.contents.get(self.revision)
        if life.lost or content is None:
            life.lost = True
            self.tally.elsewhere += 1
            return
        try:
            turn = opened(journal, life.sealer, self.vault, content.events)
            result = step(life.member, turn.shared, turn.inputs, content, turn.now)
        except Tampered:
            self.tally.differs(self.partition, first.turn, "its input was altered: it can't be opened")
            life.lost = True
            return
        except Exception as error:  # noqa: BLE001 - whatever it raises, it did not raise it then
            self.tally.differs(self.partition, first.turn, f"it raises {type(error).__name__}")
            life.lost = True
            return
        life.member, life.turn, life.key = result.member, first.turn, first.member
        self._compare(first, rows, result.entries)

    def _life(self, row: JournalRow) -> _Life:
        life = self.lives.get(row.ref)
        if life is None:
            wrapped = self.store.key(row.ref)
            life = _Life(None if wrapped is None else self.vault.sealer(row.ref, wrapped))
            self.lives[row.ref] = life
        return life

    def _compare(self, turn: JournalRow, rows: list[LogRow], entries: tuple[Entry, ...]) -> None:
        """The entries, chained behind the row before, against the rows on record."""
        if len(rows) != len(entries):
            what = f"{len(rows)} entries on record, {len(entries)} now"
            self.tally.differs(self.partition, turn.turn, what)
            return
        made, _, _ = chain.append(
            self.partition, self.n, self.head, turn.turn, turn.at, turn.ref, self.revision, entries
        )
        for now, then in zip(made, rows, strict=True):
            if now != then:
                names = [name for name, a, b in zip(LogRow._fields, now, then, strict=True) if a != b]
                plain = [name for name in names if name not in ("prev_hash", "hash")]
                what = f"entry {then.n}: {', '.join(plain or names)}"
                self.tally.differs(self.partition, turn.turn, what)
                return

    def _states(self) -> None:
        """The members as they came out against those in the store."""
        for ref, life in self.lives.items():
            if life.sealer is None or life.lost or life.member is None:
                continue
            row = self.store.member(life.key)
            if row is None or row.ref != ref or row.erased:
                self.tally.differs(self.partition, life.turn, "the member is not in the store")
                continue
            try:
                stored = _read_member(life.sealer.open(row.state))
            except Tampered:
                self.tally.differs(self.partition, life.turn, "the member's state was altered: it can't be opened")
                continue
            names = [name for name in Member.__struct_fields__ if _part(life.member, name) != _part(stored, name)]
            if names:
                self.tally.differs(self.partition, life.turn, f"the member's state: {', '.join(names)}")
            else:
                self.tally.members += 1


def _turns(rows: Iterable[LogRow]) -> Iterator[tuple[int, list[LogRow]]]:
    for turn, group in groupby(rows, key=_by_turn):
        yield turn, list(group)


def _part(member: Member, name: str) -> bytes:
    """One field as it is stored: a state that was never stored holds tuples where a stored one holds lists.

    Sets have no order of their own: two that are equal may be written in two.
    """
    value: Any = getattr(member, name)
    return _encode(sorted(value) if isinstance(value, frozenset) else value)
