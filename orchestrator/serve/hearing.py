"""What is said from outside becomes rows: the inbox, and the suppression where somebody opted out, in one transaction.

    said ─▶ heard before? dropped ─▶ whose touch, whose contact point ─▶ suppressions, inbox rows ─▶ written together

When a function here has returned, no attempt begins that it forbids, whatever waits in the backlog; the member's own
record catches up in a turn of theirs. A word from a contact point that nobody has stands as a suppression of it.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Literal, get_args

from msgspec import Struct

from orchestrator.channels.webhooks import Inbound, Preference, Report, Said
from orchestrator.counters import RECEIPTS
from orchestrator.decide.points import named
from orchestrator.dispatch.receipts import MARKETING, Told, inbox_row, suppressed_by
from orchestrator.events.envelope import Event, write_event
from orchestrator.events.inputs import Command, Redriven, Withdrawal, write_input
from orchestrator.events.partition import partition_of
from orchestrator.events.types import (
    LONGEST_IDENTIFIER,
    Channel,
    ContactData,
    Identifier,
    Identifiers,
    MemberUpdated,
    MessageReceived,
    Purpose,
)
from orchestrator.links import read_opt_out, read_preferences
from orchestrator.members import stands_for
from orchestrator.orders import NOBODY
from orchestrator.records import opened
from orchestrator.serve.choices import CENTRE
from orchestrator.serve.replies import Replies
from orchestrator.stores.contract import HeardBefore, HeardRow, NewInbox, Store, SuppressionRow
from orchestrator.times import instant
from orchestrator.vault import Vault

# as ledger and outbox name an opt-out
OPTED_OUT = "opted_out"
# where messages come from that members wrote
SOURCE = "inbound"
# channels whose sender can't be made up, so that a message from there is the member's word
_PROVEN = frozenset({"sms", "whatsapp", "telegram"})
_IDENTIFIERS: tuple[Identifier, ...] = get_args(Identifier)
_CHANNELS: tuple[Channel, ...] = get_args(Channel)
_DAY = 86_400 * 1_000_000


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of what was said."""

    # words that were taken in
    taken: int = 0
    # heard before
    repeated: int = 0
    # about no touch of ours, or saying nothing that we keep
    passed_over: int = 0
    # touches that were not called yet and never will be
    cancelled: int = 0
    # the sender of a reply opted out, in this language
    stopped: str = ""


class _Rows:
    """What is to be written together."""

    def __init__(self) -> None:
        self.inbox: list[NewInbox] = []
        self.suppressions: dict[tuple[str, str, str], SuppressionRow] = {}
        self.taken = self.passed_over = 0
        # (channel, state) of what was told of touches
        self.reports: list[tuple[str, str]] = []
        self.stopped = ""

    def suppress(self, row: SuppressionRow) -> None:
        self.suppressions.setdefault(row[:3], row)


class Hearing:
    """Takes in what is said, for one store."""

    def __init__(self, store: Store, vault: Vault, replies: Replies, link_days: int = 30) -> None:
        """`link_days`: how long a link to a member's own page holds, which also names them to a bot."""
        self._store, self._vault, self._replies, self._link_days = store, vault, replies, link_days

    def hear(self, source: str, said: Sequence[Said]) -> Outcome:
        """What a provider's request says; `source` tells its keys from others'."""
        while True:
            heard = self._store.clock()
            keyed = {_key(source, word.key): word for word in said}
            known = self._store.heard(keyed)
            rows = _Rows()
            for key, word in keyed.items():
                if key not in known:
                    self._word(rows, word, heard)
            new = [HeardRow(key, heard // _DAY) for key in keyed if key not in known]
            try:
                cancelled = self._store.suppress(list(rows.suppressions.values()), rows.inbox, new) if new else []
            except HeardBefore:
                # somebody else took some of it in at this moment
                continue
            for channel, state in rows.reports:
                RECEIPTS.labels(channel, state).inc()
            return Outcome(
                taken=rows.taken,
                repeated=len(said) - len(new),
                passed_over=rows.passed_over,
                cancelled=len(cancelled),
                stopped=rows.stopped,
            )

    def withdraw(
        self, member: bytes, channel: Channel | Literal["*"], purposes: Iterable[Purpose], method: str
    ) -> bool:
        """The member wants no more of these purposes on this channel, or on any; False for nobody we know.

        It is written for one who was erased as well, who may join again.
        """
        home = self._store.home(member)
        if home is None:
            return False
        rows, heard = _Rows(), self._store.clock()
        for purpose in purposes:
            self._withdrawal(rows, home, member, channel, purpose, method, heard)
        self._store.suppress(list(rows.suppressions.values()), rows.inbox)
        return True

    def choose(
        self, member_id: str, leaves: Iterable[Channel], events: Sequence[Event], lifted: Sequence[tuple[str, str]]
    ) -> None:
        """What a member chose, all of it or nothing: no marketing on the channels they leave, and events.

        `lifted`: (contact fingerprint, channel) where they said stop before and agreed anew. The events are due at
        once, and applied like any other.
        """
        rows, heard = _Rows(), self._store.clock()
        member = self._vault.member(member_id)
        home = partition_of(member_id, self._store.partitions)
        for channel in leaves:
            self._withdrawal(rows, home, member, channel, MARKETING, CENTRE, heard)
        for event in events:
            rows.inbox.append(self._event(home, member, event, heard))
        for contact, channel_of in lifted:
            rows.inbox.append(self._order("unsuppress", contact, channel_of, MARKETING, CENTRE, heard))
        self._store.suppress(list(rows.suppressions.values()), rows.inbox)

    # --- one word

    def _word(self, rows: _Rows, word: Said, heard: int) -> None:
        match word:
            case Report():
                self._report(rows, word, heard)
            case Inbound() if (language := self._stops(word)) or self._link(word):
                rows.stopped = language or "en"
                self._stop(rows, word, MARKETING, "reply", heard)
            case Inbound(channel="telegram", wants="start") if self._begins(rows, word, heard):
                rows.taken += 1
            case Inbound(channel=channel) if channel in _PROVEN:
                self._wrote(rows, word, heard)
            case Preference(wants="stop"):
                self._stop(rows, word, word.purpose, "provider", heard)
            case _:
                rows.passed_over += 1

    def _report(self, rows: _Rows, report: Report, heard: int) -> None:
        touch = self._store.touch(report.touch_id) if report.touch_id else None
        if touch is None:
            rows.passed_over += 1
            return
        told = Told(touch_id=report.touch_id, state=report.state, at=report.at, code=report.code)
        rows.reports.append((touch.channel, report.state))
        rows.inbox.append(inbox_row(touch, told, heard))
        for row in suppressed_by(touch, told, heard):
            for subject in self._names(touch.member) if row.subject == touch.member.hex() else [row.subject]:
                rows.suppress(row._replace(subject=subject))
        rows.taken += 1

    def _stops(self, word: Inbound) -> str:
        """The language of a word to leave; of a mail its first line counts, what follows is what it answers."""
        text = word.text.strip().partition("\n")[0] if word.channel == "email" else word.text
        return self._replies.stops(text) or ("en" if word.wants == "stop" else "")

    def _link(self, word: Inbound) -> bool:
        """A mail to an address that holds the token of a link to leave, as `mailto:` has it."""
        return word.channel == "email" and read_opt_out(self._vault, word.link) is not None

    def _wrote(self, rows: _Rows, word: Inbound, heard: int) -> None:
        """The owner of a contact point wrote something else than a word to leave: an event of whoever has it."""
        channel: Channel = word.channel  # type: ignore[assignment] # an adapter's channel is one of ours
        told: Identifiers = {
            kind: value
            for kind in _IDENTIFIERS
            if 0 < len(value := word.identifiers.get(kind, "")) <= LONGEST_IDENTIFIER
        }
        names = dict.fromkeys((word.sender, *named(told)))
        contacts = [self._vault.fingerprint(channel, name) for name in names if name]
        found = {member: home for contact in contacts for home, member in self._store.members_at(contact)}
        events = []
        for member, home in sorted(found.items()):
            row = self._store.member(member)
            known = None if row is None else opened(self._store, self._vault, row)
            if known is None:
                continue
            data = MessageReceived(channel=channel, sender=word.sender, identifiers=told)
            at = min(word.at, instant(heard))
            event = Event(
                id=uuid.uuid4().hex, source=SOURCE, type="message.received", subject=known.id, time=at, data=data
            )
            events.append(self._event(home, member, event, heard))
        rows.inbox += events
        rows.taken += bool(events)
        rows.passed_over += not events

    def _begins(self, rows: _Rows, word: Inbound, heard: int) -> bool:
        """A member began the conversation with our bot by the link of their own page: the chat is theirs from now."""
        link = read_preferences(self._vault, word.link)
        if link is None or instant(heard).date() >= link.day + timedelta(days=self._link_days):
            return False
        row = self._store.member(link.member)
        known = None if row is None else opened(self._store, self._vault, row)
        if row is None or known is None:
            return False
        data = MemberUpdated(contact_points=(ContactData(channel="telegram", address=word.sender),))
        at = min(word.at, instant(heard))
        event = Event(id=uuid.uuid4().hex, source=SOURCE, type="member.updated", subject=known.id, time=at, data=data)
        rows.inbox.append(self._event(row.partition, link.member, event, heard))
        return True

    def _event(self, home: int, member: bytes, event: Event, heard: int) -> NewInbox:
        """An event for the member's inbox, due at once."""
        sealed = self._vault.seal_dead(write_event(event), instant(heard))
        return NewInbox(home, heard, member, write_input(Redriven(offset=-1, parked_at=heard, sealed=sealed)))

    def _stop(self, rows: _Rows, word: Inbound | Preference, purpose: str, method: str, heard: int) -> None:
        """The owner of a contact point opts out: it is silent at once, and so is everyone who has it."""
        rows.taken += 1
        covered = "*" if purpose == "any" else purpose
        told: dict[bytes, tuple[int, Channel]] = {}
        channel: Channel = word.channel  # type: ignore[assignment] # an adapter's channel is one of ours
        named = read_opt_out(self._vault, word.link) if isinstance(word, Inbound) else None
        if named is not None and (home := self._store.home(named.member)) is not None:
            told[named.member] = home, named.channel
        contacts = [word.sender, *(value for name, value in word.identifiers.items() if name != "wa_id")]
        for address in filter(None, contacts):
            contact = self._vault.fingerprint(channel, address)
            rows.suppress(SuppressionRow(contact, channel, covered, heard, OPTED_OUT))
            found = self._store.members_at(contact)
            told |= {member: (partition, channel) for partition, member in found}
            if not found:
                # one partition keeps the record, so that the word is not lost
                rows.inbox.append(self._order("suppress", contact, channel, covered, method, heard))
        for member, (partition, its) in told.items():
            self._withdrawal(rows, partition, member, its, MARKETING, method, heard)

    def _order(
        self,
        verb: Literal["suppress", "unsuppress"],
        contact: str,
        channel: str,
        purpose: str,
        actor: str,
        heard: int,
    ) -> NewInbox:
        """What is said of a contact point itself, for the record of one partition."""
        named = {"contact": contact, "channel": channel, "purpose": purpose}
        order = Command(verb=verb, actor=actor, arguments=named, given_at=instant(heard))
        return NewInbox(int(contact, 16) % self._store.partitions, heard, NOBODY, write_input(order))

    def _withdrawal(
        self,
        rows: _Rows,
        partition: int,
        member: bytes,
        channel: Channel | Literal["*"],
        purpose: Purpose | str,
        method: str,
        heard: int,
    ) -> None:
        kept: Purpose = purpose  # type: ignore[assignment] # what calls this names one of ours
        said = Withdrawal(channel=channel, purpose=kept, method=method, occurred_at=instant(heard))
        rows.inbox.append(NewInbox(partition, heard, member, write_input(said)))
        for subject in self._names(member):
            for each in _CHANNELS if channel == "*" else (channel,):
                rows.suppress(SuppressionRow(subject, each, purpose, heard, OPTED_OUT))

    def _names(self, member: bytes) -> list[str]:
        """The member as suppressions name them, and whom they are an alias of: who opts out does so as all of them."""
        return [name.hex() for name in stands_for(self._store, self._vault, member)]


def _key(source: str, key: str) -> bytes:
    return hashlib.blake2b(f"{source}\0{key}".encode("utf-8", "replace"), digest_size=16).digest()
