"""One partition within a batch: how far it is, and what any of its turns may add to the batch's rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from orchestrator.contact_log import chain
from orchestrator.decide.result import Entry
from orchestrator.pipeline.batch import Batch
from orchestrator.pipeline.records import Recorded, TurnFailed
from orchestrator.pipeline.rows import Due, Rows
from orchestrator.stores.contract import DeadRow, JournalRow, NewInbox, ParkedRow, Progress
from orchestrator.times import instant, rfc3339

_DAY = 86_400_000_000
# partitions of one batch may stand at many days
_DAYS = 4_096
_days: dict[int, str] = {}


class Partition:
    """Its clock, its turns, the end of its chain, and the rows of its inbox."""

    def __init__(self, batch: Batch, number: int, due: Due, earliest: int) -> None:
        """`earliest`: where nothing has happened yet, orders that wait stand at the first thing that does; 0: none."""
        before = batch.asked.held[number]
        self.batch, self.number, self.before, self.earliest = batch, number, before, earliest
        self.offset, self.turn, self.clock = before.next_offset, before.turn, before.clock
        self.n, self.head = before.log_n, before.head
        # nothing more is taken in this batch
        self.stopped = False
        self.rows = Rows(due.rows.get(number, ()), due.limit)
        if self.rows.more:
            batch.more_due = True

    def count(self, name: str, n: int = 1) -> None:
        """Adds to one of the partition's totals."""
        self.batch.written.totals[self.number, name] += n

    def put(self, due: int, member: bytes, body: bytes) -> None:
        """A row for this partition's inbox: taken in this batch if it comes due in it, else written."""
        self.rows.put(due, member, body)

    def journal(self, now: int, member: bytes, ref: str, recorded: Sequence[Recorded], bodies: Iterable[bytes]) -> None:
        """Begins the next turn: its inputs, each as it was recorded, sealed or not."""
        self.turn += 1
        self.batch.turns += 1
        rows, number, turn = self.batch.written.journal, self.number, self.turn
        for i, (row, body) in enumerate(zip(recorded, bodies, strict=True)):
            rows.append(JournalRow(number, turn, i, now, row.kind, row.offset, member, ref, body))

    def record(self, now: int, ref: str, entries: tuple[Entry, ...]) -> None:
        """Log rows and daily counts of a turn."""
        if not entries:
            return
        batch = self.batch
        rows, self.n, self.head = chain.append(
            self.number, self.n, self.head, self.turn, now, ref, batch.content.revision, entries
        )
        batch.written.log.extend(rows)
        if any(entry.kind == "alarm" for entry in entries):
            batch.alarms += [row for row in rows if row.kind == "alarm"]
        day, daily = _day(now), batch.written.daily
        for entry in entries:
            if entry.kind == "decision":
                daily[day, entry.journey, entry.channel, entry.verdict, entry.reason] += 1
            elif entry.kind == "journey":
                daily[day, entry.journey, "", entry.state, ""] += 1

    def bury(self, offset: int, now: int, reason: str, cure: str, raw: bytes) -> None:
        """A dead letter."""
        self.count("dead")
        sealed = self.batch.vault.seal_dead(raw, instant(now))
        self.batch.written.dead.append(DeadRow(self.number, offset, now, reason, cure, sealed))

    def park(self, offset: int, member: bytes, now: int, kind: str, raw: bytes) -> None:
        """What waits for the end of a member's quarantine."""
        self.park_sealed(offset, member, now, kind, self.batch.vault.seal_dead(raw, instant(now)))

    def park_sealed(self, offset: int, member: bytes, at: int, kind: str, sealed: bytes) -> None:
        """The same of what was parked before, as it stood."""
        self.count("parked")
        self.batch.written.parked.append(ParkedRow(self.number, offset, member, at, kind, sealed))

    def failed(self, key: int, member: bytes) -> TurnFailed:
        """The error of a turn that raised what no turn should."""
        return TurnFailed(self.number, key, member, self.turn - self.before.turn)

    def close(self) -> None:
        """What was made and not taken goes to the store, and the partition's progress moves."""
        written, before = self.batch.written, self.before
        written.inbox.extend(NewInbox(self.number, row.due, row.member, row.input) for row in self.rows.left())
        after = Progress(self.number, before.epoch, self.offset, self.turn, self.clock, self.n, self.head)
        if after != before:
            written.progress[self.number] = after


def _day(now: int) -> str:
    """The UTC day of an instant, "2026-11-27"."""
    number = now // _DAY
    text = _days.get(number)
    if text is None:
        if len(_days) > _DAYS:
            _days.clear()
        text = _days[number] = rfc3339(instant(now))[:10]
    return text
