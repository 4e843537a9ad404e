"""Histories by chance: some dozen members to whom everything happens that can happen, told as badly as can be.

Every type of event, consents given and taken back, orders of an operator; told late, ahead of time, twice, under a used
id, unreadably, in another member's partition, in both modes of the CloudEvents binding. The same seed gives the same
history. Addresses are each member's own: who shares one is bound to others of other partitions, and partitions have no
order among them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from orchestrator.events.envelope import Event, write_event
from orchestrator.events.inputs import Command, write_input
from orchestrator.events.partition import partition_of
from orchestrator.stores.contract import NewInbox
from orchestrator.testing.builders import event
from orchestrator.times import micros
from orchestrator.vault import Vault
from tests.parity.recording import HOUR, SECOND, Record

START = datetime(2034, 3, 6, tzinfo=UTC)
DAYS = 24
HALF = micros(START + timedelta(days=DAYS // 2))

HOMES: tuple[dict[str, str], ...] = (
    {"country": "US", "region": "US-NY", "zone": "America/New_York"},
    {"country": "US", "region": "US-CA", "zone": "America/Los_Angeles"},
    {"country": "ES", "region": "ES-MD", "zone": "Europe/Madrid"},
    {"country": "CO", "region": "CO-DC", "zone": "America/Bogota"},
    # one of several zones, no country, nothing at all
    {"country": "US"},
    {"zone": "Asia/Tokyo"},
    {},
)
LANGUAGES: tuple[dict[str, str], ...] = ({"locale": "en"}, {"locale": "es"}, {"locale": "pt-BR"}, {})
# a hundred numbers of fiction each, none of them the grocer's
AREAS = (201, 202, 203, 205, 206, 207, 208, 209)
# hours from what happened to its arrival, each as likely as the other: mostly none
LATE = (*[0.0] * 12, 0.3, 5, 40, 300, 40 * 24, -0.02)
# well formed, and of a type that nobody knows
OTHER = (
    b'{"specversion":"1.0","id":"x","source":"parity","type":"weather.changed","subject":"x",'
    b'"time":"2034-03-07T00:00:00Z","data":{}}'
)
SPOILT = (b"\xff\xfe", b"{}", b"", None, OTHER)
Data = dict[str, object]


class History(NamedTuple):
    """What is told of some members, in the order of arrival, and what an operator orders."""

    members: tuple[str, ...]
    # the first half, at the end of which every partition has the same time
    first: tuple[Record, ...]
    # events in partitions that are not their members': sent on from there, they arrive when all of the first half has
    astray: tuple[Record, ...]
    second: tuple[Record, ...]
    orders: tuple[NewInbox, ...]


def generate(seed: int, members: int, partitions: int, vault: Vault) -> History:
    """The history of a seed."""
    return _Generator(seed, members, partitions, vault).history()


def marks(partitions: int, at: int) -> tuple[Record, ...]:
    """Bytes that are no event, in each partition: whoever reads them knows how late it is, and nothing else."""
    return tuple(Record(partition, at, None, b"no event") for partition in range(partitions))


class _Generator:
    def __init__(self, seed: int, members: int, partitions: int, vault: Vault) -> None:
        self.seed, self.chance = seed, random.Random(seed)
        self.members = [f"m{seed}-{i}" for i in range(members)]
        self.partitions, self.vault = partitions, vault
        self.records: list[Record] = []
        self.spoilt: list[Record] = []
        self.n = 0
        # ids that members were merged into
        self.cards: list[str] = []

    def history(self) -> History:
        orders: list[NewInbox] = []
        for i, member in enumerate(self.members):
            joined = START + timedelta(minutes=self.chance.randrange(5 * 24 * 60))
            # one in twelve is never told to have joined
            if i % 12 != 11:
                self._tell(self._event("member.enrolled", member, joined, self.profile(member)))
            for _ in range(self.chance.randrange(8, 28)):
                self._happens(member, joined)
            orders += self._orders(i, member)
        for member in self.members[::5]:
            self._writes_and_moves(member)
        self.records.sort(key=lambda record: record.at)
        astray = self._astray()
        self.records = sorted([*self.records, *self.spoilt], key=lambda record: record.at)
        first = [record for record in self.records if record.at < HALF]
        second = [self._stepping_back(record) for record in self.records if record.at >= HALF]
        mark = marks(self.partitions, HALF)
        return History((*self.members, *self.cards), (*first, *mark), tuple(astray), tuple(second), tuple(orders))

    # --- what happens

    def _happens(self, member: str, joined: datetime) -> None:
        kind = self.chance.choice([*KINDS, *OFTEN])
        at = joined + self.chance.random() * (START + timedelta(days=DAYS) - joined)
        self._tell(self._event(kind, member, at.replace(microsecond=0), KINDS[kind](self, member)))

    def _writes_and_moves(self, member: str) -> None:
        """A message from the member's number; another address, which most confirm."""
        at = START + timedelta(days=self.chance.randrange(5, DAYS - 3), minutes=self.chance.randrange(24 * 60))
        sender = next(point["address"] for point in self._points(member) if point["channel"] == "sms")
        self._tell(self._event("message.received", member, at, {"channel": "sms", "sender": sender}))
        address = f"{member}@example.org"
        self._tell(self._event("contact.requested", member, at, {"channel": "email", "address": address}))
        if self.chance.random() < 0.7:
            later = at + timedelta(days=self.chance.choice((1, 2)))
            said = {"channel": "email", "method": "link", "evidence": "click 2"}
            self._tell(self._event("contact.confirmed", member, later, said))

    def _event(self, kind: str, member: str, at: datetime, data: Data) -> Event:
        self.n += 1
        history = self.chance.random() < 0.03
        return event(kind, member, at, data, id=str(self.n), source=f"parity-{self.seed}", history=history)

    def beside(self, member: str) -> str:
        """An id of the same partition."""
        ids = (f"{member}-card-{self.n}-{i}" for i in count())
        home = partition_of(member, self.partitions)
        self.cards.append(next(each for each in ids if partition_of(each, self.partitions) == home))
        return self.cards[-1]

    def profile(self, member: str) -> Data:
        """A home, a language, ways to be reached and consents; some say a thing or two of themselves."""
        chance = self.chance
        channels = chance.choice((("email",), ("email", "sms"), ("email", "sms"), ("sms",), ()))
        more: tuple[Data, ...] = (
            {"given_name": "Ana"},
            {"birthday": "1990-03-15"},
            {"preferences": {"limit": {"max": 1, "per": "week"}}},
            {},
        )
        return {
            **chance.choice(HOMES),
            **chance.choice(LANGUAGES),
            **chance.choice(more),
            "contact_points": [point for point in self._points(member) if point["channel"] in channels],
            "consents": [self.consent(channel) for channel in ("email", "sms") if chance.random() < 0.8],
        }

    def _points(self, member: str) -> list[dict[str, str]]:
        number = int(member.rpartition("-")[2])
        addresses = {"email": f"{member}@example.com", "sms": f"+1{AREAS[number // 100]}55501{number % 100:02d}"}
        return [{"channel": channel, "address": address} for channel, address in addresses.items()]

    def consent(self, channel: str = "") -> Data:
        """A proven consent, some with an end, some of a sale."""
        chance = self.chance
        given: Data = {"wording": "w1", "method": "form", "evidence": "form 1"}
        given["channel"] = channel or chance.choice(("email", "sms"))
        if chance.random() < 0.15:
            given["expires_at"] = START + timedelta(days=chance.randrange(3, 40))
        if chance.random() < 0.15:
            given["basis"] = "soft_opt_in"
        if chance.random() < 0.15:
            given["double_opt_in"] = True
        return given

    def confirmation(self) -> Data:
        """The second half of a double opt-in, also of one that nobody asked for."""
        return {"channel": self.chance.choice(("email", "sms")), "method": "link", "evidence": "click 1"}

    def _orders(self, i: int, member: str) -> list[NewInbox]:
        """An operator suppresses one member in ten and erases one in fifteen, some of whom join again."""
        chance = self.chance
        at = START + timedelta(days=chance.randrange(4, DAYS), seconds=chance.randrange(86_400))
        if i % 15 == 7:
            if chance.random() < 0.7:
                again = at + timedelta(days=1)
                self._tell(self._event("member.enrolled", member, again, self.profile(member)))
            return [self._order(member, at, Command(verb="erase", actor="operator"))]
        if i % 10 == 3:
            channel = chance.choice(("*", "email", "sms"))
            return [self._order(member, at, Command(verb="suppress", actor="operator", arguments={"channel": channel}))]
        return []

    def _order(self, member: str, at: datetime, order: Command) -> NewInbox:
        home = partition_of(member, self.partitions)
        return NewInbox(home, micros(at), self.vault.member(member), write_input(order))

    # --- how it is told

    def _tell(self, given: Event) -> None:
        """Records of an event: some late, some ahead of their time, some twice, some with a spoilt one behind them."""
        chance = self.chance
        late = timedelta(hours=chance.choice(LATE), milliseconds=chance.randrange(1_000))
        told = self._record(given, micros(given.time + late))
        self.records.append(told)
        if chance.random() < 0.08:
            again = told._replace(at=told.at + chance.randrange(3 * 86_400) * SECOND)
            self.records.append(again)
            if chance.random() < 0.5:
                self.records.append(self._record(replace(given, history=not given.history), again.at + SECOND))
        if chance.random() < 0.08:
            cut = None if told.value is None else told.value[:-9]
            self.spoilt.append(told._replace(at=told.at + 2 * SECOND, value=chance.choice((*SPOILT, cut))))

    def _record(self, given: Event, at: int) -> Record:
        """An event as a record: one in five in binary mode."""
        subject, home = given.subject.encode(), partition_of(given.subject, self.partitions)
        if self.chance.random() < 0.8:
            return Record(home, at, subject, write_event(given))
        attributes = {
            "ce_specversion": "1.0",
            "ce_id": given.id,
            "ce_source": given.source,
            "ce_type": given.type,
            "ce_time": given.time.isoformat(),
            "ce_history": "true" if given.history else "false",
            "content-type": "application/json",
        }
        headers = tuple((name, value.encode()) for name, value in attributes.items())
        return Record(home, at, subject, msgspec.json.encode(given.data), headers)

    def _astray(self) -> list[Record]:
        """The last event before half time of each third member, taken out and put into another partition."""
        last: dict[bytes, Record] = {}
        for record in self.records:
            if record.key and record.at < HALF and int(record.key.rpartition(b"-")[2]) % 3 == 0:
                last[record.key] = record
        self.records = [record for record in self.records if record.key is None or last.get(record.key) is not record]
        return [
            record._replace(
                at=HALF, partition=(record.partition + self.chance.randrange(1, self.partitions)) % self.partitions
            )
            for record in last.values()
        ]

    def _stepping_back(self, record: Record) -> Record:
        """Once in a while a record has an earlier instant than the one before it, as under another broker's clock."""
        back = self.chance.randrange(8 * HOUR // SECOND) * SECOND if self.chance.random() < 0.03 else 0
        return record._replace(at=record.at - back)


OFTEN = (*["purchase.completed"] * 6, "tier.changed", "points.expiring", "reward.delivered", "consent.granted")
_Maker = Callable[[_Generator, str], Data]
KINDS: dict[str, _Maker] = {
    "member.enrolled": lambda made, member: made.profile(member),
    "member.updated": lambda made, member: made.profile(member),
    "member.cancelled": lambda _made, _: {"reason": "moved"},
    # in the member's own partition: elsewhere it counts from when that partition comes to it
    "member.merged": lambda made, member: {"into": made.beside(member)},
    "consent.granted": lambda made, _: made.consent(),
    "consent.confirmed": lambda made, _: made.confirmation(),
    "consent.withdrawn": lambda made, _: (
        {"method": "link"} | made.chance.choice([{"channel": "email"}, {"channel": "sms"}, {}])
    ),
    "purchase.completed": lambda made, _: {
        "purchase_id": f"p{made.n}",
        "amount": made.chance.choice((400, 499, 500, 2_500)),
        "currency": "USD",
    },
    "points.earned": lambda made, _: {"points": made.chance.randrange(500)},
    "points.expiring": lambda _made, _: {"points": 100, "expires_on": "2034-03-30"},
    "reward.delivered": lambda _made, _: {"reward_id": "mug", "points": 50},
    "tier.changed": lambda made, _: {"tier": made.chance.choice(("silver", "gold"))},
    "survey.answered": lambda made, _: {"survey_id": "s", "score": made.chance.randrange(11)},
    "complaint.opened": lambda made, _: {"complaint_id": f"c{made.n}"},
    "complaint.closed": lambda made, _: {"complaint_id": f"c{made.n}", "outcome": "refunded"},
    "social.mentioned": lambda _made, _: {"network": "mastodon", "sentiment": "negative"},
}
