"""What both engines are given: records with their arrival instants, and what reaches the inbox from outside.

A recording is made once, by a run with providers that answer, and then told to each engine with dispatch off. So what a
provider said, and when it was heard, is an input like any other; timers, expiries and cancellations are not in it: each
engine must come to them by itself.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from aiokafka.structs import ConsumerRecord

from orchestrator.channels.contract import Answer, Message
from orchestrator.decide.content import Content
from orchestrator.events.inputs import AnswerKind, Receipt, ReceiptState, write_input
from orchestrator.pipeline import Arrival, Pipeline
from orchestrator.runtimes.embedded.runner import Runner
from orchestrator.runtimes.embedded.sources import Delivery
from orchestrator.runtimes.kafka import records
from orchestrator.settings import Settings
from orchestrator.stores.contract import Clock, NewInbox, OutcomeRow, SuppressionRow
from orchestrator.stores.memory import MemoryStore
from orchestrator.testing.world import CHANNELS, Ledger
from orchestrator.times import instant
from orchestrator.vault import Vault

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR

# what providers answer, by weight
ANSWERS: dict[AnswerKind, int] = {
    "accepted": 12,
    "unknown": 2,
    "throttled": 2,
    "transient": 2,
    "rejected_recipient": 1,
    "rejected_message": 1,
    "rejected_sender": 1,
}
# what they say later of a message that they took, or may have taken
LATER: tuple[tuple[ReceiptState, ...], ...] = (
    ("delivered",),
    ("delivered", "opened", "clicked"),
    # late, and twice
    ("opened", "delivered", "delivered"),
    ("soft_bounced",),
    ("delivered", "replied"),
    ("bounced",),
    ("delivered", "complained"),
    ("delivered", "opened", "opted_out"),
)


class Record(NamedTuple):
    """One record of the topic of events."""

    partition: int
    # microseconds, whole milliseconds: when it arrived
    at: int
    key: bytes | None
    # None: it has no value
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Recording(NamedTuple):
    """All that is told from outside."""

    # in the order in which they arrive at each partition
    records: tuple[Record, ...]
    # inbox rows, each to be there before it is due: orders, outcomes, receipts, touches that were handed back
    heard: tuple[NewInbox, ...]


def arrival(pipeline: Pipeline, record: Record) -> Arrival:
    """What a record says, as the workers read it; numbered by whoever takes it."""
    partition, at, key, value, headers = record
    given = ConsumerRecord("", partition, 0, at // 1_000, 0, key, value, None, 0, 0, headers)
    return records.arrival(pipeline, given)._replace(at=at, offset=-1)


def delivery(pipeline: Pipeline, record: Record, partitions: int) -> Delivery:
    """A record as the embedded engine takes it; one in another member's partition was sent on from there."""
    given = arrival(pipeline, record)
    forwarded = records.home_of(given, record.partition, partitions) != record.partition
    return Delivery(record.partition, given._replace(forwarded=forwarded))


def make(
    told: Sequence[Record], orders: Sequence[NewInbox], vault: Vault, content: Content, partitions: int, seed: int
) -> Recording:
    """Lives these records with providers that answer by chance, and notes what is heard of them; orders included."""
    store = _Noting(partitions, seed)
    with _Recorder(store, vault, content, seed) as runner:
        store.suppress([], orders)
        pipeline = runner.engine.pipeline
        given = [(record.partition, arrival(pipeline, record)) for record in told]
        at_home = [Delivery(records.home_of(each, partition, partitions), each) for partition, each in given]
        runner.engine.run_virtual(iter(at_home), None, runner.drain)
    return Recording(tuple(told), tuple(row for row in store.heard if row.member))


class _Noting(MemoryStore):
    """A store that notes the inbox rows that come from elsewhere than the partitions' own turns.

    On the virtual clock an answer comes at the instant of the turn that reserved the touch, where it might as well have
    come before it; here it takes up to a minute.
    """

    def __init__(self, partitions: int, seed: int) -> None:
        super().__init__(partitions)
        self._chance = random.Random(seed)
        self.heard: list[NewInbox] = []

    def suppress(self, rows: Sequence[SuppressionRow], inbox: Sequence[NewInbox]) -> list[str]:
        self.heard += inbox
        return super().suppress(rows, inbox)

    def outcomes(self, rows: Sequence[OutcomeRow], *, lasting: bool = True) -> list[bool]:
        late = [row._replace(inbox=self._late(row.inbox)) for row in rows]
        held = super().outcomes(late, lasting=lasting)
        self.heard += [row.inbox for row, holds in zip(late, held, strict=True) if holds]
        return held

    def release(self, touch_id: str, token: str, state: str, due: int, inbox: NewInbox | None) -> bool:
        late = None if inbox is None else self._late(inbox)
        held = super().release(touch_id, token, state, due, late)
        if held and late is not None:
            self.heard.append(late)
        return held

    def _late(self, row: NewInbox) -> NewInbox:
        return row._replace(due=row.due + self._chance.randrange(1, 60) * SECOND)


class _Recorder(Runner):
    """A runner whose dispatcher is behind at times, and whose providers answer by chance, the same for each seed."""

    def __init__(self, store: _Noting, vault: Vault, content: Content, seed: int) -> None:
        self.chance = random.Random(seed)
        # touches whose provider has more to say
        self.taken: list[str] = []
        ledgers = {channel: Ledger(channel) for channel in CHANNELS}
        for ledger in ledgers.values():
            ledger.answer = self._answer
        super().__init__(store, vault, content, Settings(), ledgers)

    def _answer(self, message: Message) -> Answer:
        (kind,) = self.chance.choices(list(ANSWERS), list(ANSWERS.values()))
        if kind in ("accepted", "unknown"):
            self.taken.append(message.touch_id)
        return Answer(kind=kind, provider_id=message.touch_id[:8], code=f"said-{kind}")

    def _drain(self, now: Clock) -> int:
        """As always, or not now; then what providers say later of what they took, each word hours after the last."""
        if self.chance.random() < 1 / 3:
            return 0
        called = super()._drain(now)
        rows: list[NewInbox] = []
        for touch_id in self.taken:
            touch = self.store.touch(touch_id)
            assert touch is not None
            at = touch.attempted_at
            for state in self.chance.choice(LATER):
                at += self.chance.randrange(60 * SECOND, 9 * HOUR)
                said = instant(at) - timedelta(seconds=self.chance.randrange(60))
                word = Receipt(touch_id=touch_id, state=state, occurred_at=said, code=self.chance.choice(("", "5.1.1")))
                rows.append(NewInbox(touch.partition, at, touch.member, write_input(word)))
        self.taken.clear()
        if rows:
            self.store.suppress([], rows)
        return called
