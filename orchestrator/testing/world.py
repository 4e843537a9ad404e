"""A programme in small, to live through in tests: real content, real engine, a ledger in the place of the providers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import msgspec

from orchestrator.channels.contract import Answer, Capabilities, Message
from orchestrator.contact_log.reconcile import reconcile
from orchestrator.contact_log.verify import verify
from orchestrator.content import locate
from orchestrator.content.load import load_content
from orchestrator.decide.content import Content
from orchestrator.decide.member import Member
from orchestrator.events.envelope import Event, write_event
from orchestrator.events.inputs import InternalInput, write_input
from orchestrator.events.partition import partition_of
from orchestrator.pipeline import Arrival, all_approved
from orchestrator.replay import replay
from orchestrator.runtimes.embedded.engine import Totals
from orchestrator.runtimes.embedded.runner import Runner
from orchestrator.runtimes.embedded.sources import Delivery, partition_for
from orchestrator.settings import Settings
from orchestrator.stores.contract import LogRow, NewInbox, Store, TouchRow
from orchestrator.times import instant, micros
from orchestrator.vault import Vault

CHANNELS = ("email", "sms", "whatsapp", "telegram", "push")
_read_member = msgspec.json.Decoder(Member).decode


@cache
def shipped_content() -> Content:
    """The journeys, templates, policies and laws that come with the orchestrator."""
    return load_content(locate.shipped("templates").parent, Settings())


class Ledger:
    """An adapter that notes each call and answers as it is told: accepted, unless `answer` says otherwise."""

    slots = 8
    capabilities = Capabilities(media=True)

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.calls: list[Message] = []
        self.answer: Callable[[Message], Answer] = lambda message: Answer(kind="accepted", provider_id=message.touch_id)

    async def send(self, message: Message) -> Answer:
        """Notes the call, then answers."""
        self.calls.append(message)
        return self.answer(message)

    async def close(self) -> None:
        """Nothing to end."""


class World:
    """One store, lived through step by step; each step is a run of the embedded engine on the virtual clock."""

    def __init__(self, store: Store, vault: Vault, content: Content) -> None:
        self.store, self.vault, self.content = store, vault, content
        self.settings = Settings()
        # which journeys wait for approval
        self.unapproved: Callable[[Content], frozenset[str]] = all_approved
        # revisions that others may put in force
        self.revisions: dict[str, Content] = {}
        self.ledgers = {channel: Ledger(channel) for channel in CHANNELS}

    def runner(self, *, dispatch: bool = True) -> Runner:
        """An engine that has taken all partitions, with its outbox; a context manager."""
        accounts = self.ledgers if dispatch else None
        return Runner(
            self.store,
            self.vault,
            self.content,
            self.settings,
            accounts,
            unapproved=self.unapproved,
            revisions=self.revisions.get,
        )

    def live(self, *events: Event | bytes, until: str | None = None, dispatch: bool = True) -> Totals:
        """These events in this order, then what is due up to `until` (inclusive)."""
        with self.runner(dispatch=dispatch) as runner:
            source = iter([self.delivery(runner, given) for given in events])
            return runner.engine.run_virtual(source, None if until is None else us(until), runner.drain)

    def run_files(self, *paths: Path, until: str | None = None, dispatch: bool = True) -> Totals:
        """These files of events, as `orchestrator run --clock events` does it."""
        with self.runner(dispatch=dispatch) as runner:
            return runner.run(list(paths), until=None if until is None else us(until))

    def delivery(self, runner: Runner, given: Event | bytes) -> Delivery:
        """An event, or any bytes, as a source would hand it over."""
        raw = given if isinstance(given, bytes) else write_event(given)
        arrival: Arrival = runner.engine.pipeline.arrival(raw)
        return Delivery(partition_for(arrival, self.store.partitions), arrival)

    def tell(self, member: str, at: str, what: InternalInput) -> None:
        """Puts an internal input into a member's inbox, as `serve` and the dispatcher do."""
        row = NewInbox(
            partition_of(member, self.store.partitions), us(at), self.vault.member(member), write_input(what)
        )
        self.store.suppress([], [row])

    # --- what came of it

    def ref(self, member: str) -> str:
        """The reference of a member, as it is now; "" for nobody."""
        row = self.store.member(self.vault.member(member))
        return "" if row is None else row.ref

    def log(self, member: str | None = None, kind: str | None = None) -> list[LogRow]:
        """The entries of one member (of all), of one kind (of all)."""
        ref = None if member is None else self.ref(member)
        if ref == "":
            return []
        return [row for row in self.store.log(ref=ref) if kind in (None, row.kind)]

    def decisions(self, member: str, journey: str | None = None) -> list[tuple[str, str, str]]:
        """(step, verdict, reason) of a member's decisions, in order."""
        rows = self.log(member, "decision")
        return [(row.step, row.verdict, row.reason) for row in rows if journey in (None, row.journey)]

    def states(self, member: str) -> list[str]:
        """The states of a member's touches, in order, with the reason of a cancellation."""
        return [f"{row.state} {row.reason}".strip() for row in self.log(member, "touch")]

    def member(self, member: str) -> Member | None:
        """What is known of a member; None for nobody, and for an erased one."""
        row = self.store.member(self.vault.member(member))
        wrapped = None if row is None else self.store.key(row.ref)
        if row is None or wrapped is None:
            return None
        return _read_member(self.vault.sealer(row.ref, wrapped).open(row.state))

    def touches(self, member: str) -> list[TouchRow]:
        """A member's rows of the outbox."""
        return list(self.store.touches(member=self.vault.member(member)))

    def calls(self, member: str | None = None) -> list[Message]:
        """The calls made, channel by channel, to one member (to all)."""
        ids = None if member is None else {touch.touch_id for touch in self.touches(member)}
        made = [message for ledger in self.ledgers.values() for message in ledger.calls]
        return [message for message in made if ids is None or message.touch_id in ids]

    def total(self, name: str) -> int:
        """One of the running totals, over all partitions."""
        return sum(n for (_, total), n in self.store.totals().items() if total == name)

    def check(self) -> None:
        """What holds at rest after anything: the books balance, the chains hold, replay agrees, no call was hidden."""
        books = reconcile(self.store)
        assert books.holds, (books.broken, books.differences)
        verified = verify(self.store)
        assert verified.ok, verified.faults
        replayed = replay(self.store, self.vault, self.content)
        assert replayed.ok, replayed.different
        called = [message.touch_id for message in self.calls()]
        on_record = {touch.touch_id: touch.attempts for touch in self.store.touches()}
        assert {touch: called.count(touch) for touch in set(called)} == {
            touch: n for touch, n in on_record.items() if n
        }, "calls made and attempts on record"


def us(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 time; UTC where it has no offset."""
    at = datetime.fromisoformat(text)
    return micros(at if at.tzinfo is not None else at.replace(tzinfo=UTC))


def when(row: LogRow) -> str:
    """The moment of an entry, to the second."""
    return instant(row.at).strftime("%Y-%m-%dT%H:%M:%SZ")


def lines(path: Path, events: Iterable[Event | bytes], *, append: bool = False) -> Path:
    """Writes events as a file of lines; with `append`, behind what is there."""
    with path.open("ab" if append else "wb") as file:
        for given in events:
            file.write((given if isinstance(given, bytes) else write_event(given)) + b"\n")
    return path
