"""Who can be reached, why others can't, and what journeys ask for that members lack: `orchestrator data-quality`.

Each member is asked the rules that a message would be asked, without hours and caps, which pass; do-not-contact lists
are not looked at. One pass over the members' states, a page at a time: neither journal nor log is read. Contact points
that several members share are counted in a file of its own, so that memory stays bounded.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct

from orchestrator.contact_log.sentences import because
from orchestrator.decide.content import Content
from orchestrator.decide.intents import suppression_of
from orchestrator.decide.journey import Journey, Send
from orchestrator.decide.member import SECOND_CHOICE, Member
from orchestrator.decide.points import DEAD, contact_for
from orchestrator.decide.rules import Question, RegistryState
from orchestrator.records import pages
from orchestrator.render.templates import CompiledTemplates
from orchestrator.stores.contract import Store
from orchestrator.vault import Vault

# `progress` is told in these parts: members come in the order of their keyed hash, which is even
PARTS = 256
_ALWAYS_THERE = frozenset({"member.attributes", "member.status"})

# reason code -> what cures it
CURES: dict[str, str] = {
    "no_contact_point": "ask for it: a journey to complete the profile, a form, the till",
    "contact_point_unhealthy": "ask for another address, and tell it by member.updated",
    "contact_point_unfit": "ask for a mobile number, or a mail address of the member's own",
    "no_consent": "ask for consent at the next visit, and tell it by consent.granted with wording and evidence",
    "consent_pending": "remind the member of the confirmation; after `confirm_within` ask anew",
    "consent_withdrawn": "none: the member's word stands until a new consent.granted",
    "consent_expired": "ask for it anew before it ends",
    "consent_basis": "ask for an opt-in, or accept this basis in the channel's policy",
    "consent_condition": "tell what the proof attests in `conditions` of consent.granted, or ask for an opt-in",
    "reconfirmation_due": "ask whether it still holds by a journey of `reconfirm.asked_by`, or at the next visit",
    "membership_ended": "none: former members are left alone",
    "complaint_open": "answer the complaint; complaint.closed ends the silence",
    "member_paused": "none: the member asked for quiet, which ends by itself",
    "suppressed": "see why by `orchestrator member show`; an order is lifted by `orchestrator suppress --lift`",
    "under_age": "none until the birthday; where it is not known, ask for it",
    "platform_block": "none: use another channel",
    "zone_unknown": "ask for country, region or zone",
    "law_hours": "none: the law leaves no hour",
    "quiet_hours": "see the channel's quiet hours: no hour is left open",
}
OTHER_CURE = "see `orchestrator explain MEMBER`"


class Why(Struct, frozen=True, kw_only=True):
    """One reason for which members are not reached."""

    # code from `decide.rules.REASONS`
    reason: str
    because: str
    members: int
    cure: str


class Reach(Struct, frozen=True, kw_only=True):
    """How many members can be reached on a channel for a purpose."""

    channel: str
    purpose: str
    reachable: int
    # each member once, under the first reason that stands against it; most frequent first
    others: tuple[Why, ...]


class Lacking(Struct, frozen=True, kw_only=True):
    """A fact that a journey's texts or conditions read, and that members lack."""

    journey: str
    # as in templates: `member.birthday`, `member.attributes.shop`
    field: str
    members: int
    cure: str


class Points(Struct, frozen=True, kw_only=True):
    """Contact points that share something worth knowing."""

    channel: str
    # a health other than ok, a kind of address, or `shared`
    what: str
    points: int
    # shared: the members that hold them; else as many as points
    members: int
    cure: str


class Quality(Struct, frozen=True, kw_only=True):
    """What one pass over the members found."""

    # all that are known and not erased, each person once
    members: int
    # of them, enrolled
    enrolled: int
    # of them, without a readable state; 0 unless something is broken
    unreadable: int
    reach: tuple[Reach, ...]
    lacking: tuple[Lacking, ...]
    points: tuple[Points, ...]


def data_quality(
    store: Store, vault: Vault, content: Content, now: datetime, progress: Callable[[int], None] = lambda _: None
) -> Quality:
    """The state of the members' data at `now`; `progress` is told how many of PARTS more are done."""
    pass_ = _Pass(content, now)
    done = 0
    with _Shared() as shared:
        for page in pages(store, vault):
            for _, member in page:
                if member is None:
                    pass_.unreadable += 1
                # an alias is counted as whom it stands for
                elif not member.merged_into:
                    pass_.take(member)
                    shared.take(member)
            part = page[-1][0].member[0]
            progress(part - done)
            done = part
        progress(PARTS - done)
        return pass_.result(shared.result())


class _Pass:
    """Counts over the members seen."""

    def __init__(self, content: Content, now: datetime) -> None:
        self.content, self.now = content, now
        self.members = self.enrolled = self.unreadable = 0
        self.ways = sorted(
            {
                (channel, journey.purpose)
                for journey in content.journeys.values()
                for step in journey.steps
                if isinstance(step, Send)
                for channel in step.channels
            }
        )
        self.asked = {name: fields_of(journey, content) for name, journey in content.journeys.items()}
        self.fields = sorted({field for fields in self.asked.values() for field in fields})
        self.reached: Counter[tuple[str, str, str]] = Counter()
        self.lacks: Counter[str] = Counter()
        self.points: Counter[tuple[str, str]] = Counter()

    def take(self, member: Member) -> None:
        self.members += 1
        self.enrolled += member.status == "enrolled"
        for channel, purpose in self.ways:
            self.reached[channel, purpose, barred_by(member, channel, purpose, self.content, self.now)] += 1
        if member.status == "enrolled":
            self.lacks.update(field for field in self.fields if lacks(member, field))
        for point in member.contact_points:
            if point.health != "ok":
                self.points[point.channel, point.health] += 1
            elif point.kind in SECOND_CHOICE and point.channel in ("email", "sms"):
                self.points[point.channel, point.kind] += 1

    def result(self, shared: Mapping[str, tuple[int, int]]) -> Quality:
        lacking = [
            Lacking(journey=journey, field=field, members=self.lacks[field], cure=cure_of(field))
            for journey, fields in self.asked.items()
            for field in sorted(fields)
            if self.lacks[field]
        ]
        points = [
            Points(channel=channel, what=what, points=n, members=n, cure=_cure_of_point(what))
            for (channel, what), n in sorted(self.points.items())
        ]
        points += [
            Points(channel=channel, what="shared", points=n, members=members, cure=_cure_of_point("shared"))
            for channel, (n, members) in sorted(shared.items())
        ]
        return Quality(
            members=self.members,
            enrolled=self.enrolled,
            unreadable=self.unreadable,
            reach=tuple(self._reach(channel, purpose) for channel, purpose in self.ways),
            lacking=tuple(lacking),
            points=tuple(points),
        )

    def _reach(self, channel: str, purpose: str) -> Reach:
        found = {reason: n for (c, p, reason), n in self.reached.items() if (c, p) == (channel, purpose)}
        others = (
            Why(reason=reason, because=because(reason), members=n, cure=CURES.get(reason, OTHER_CURE))
            for reason, n in sorted(found.items(), key=lambda item: (-item[1], item[0]))
            if reason
        )
        return Reach(channel=channel, purpose=purpose, reachable=found.get("", 0), others=tuple(others))


def barred_by(member: Member, channel: str, purpose: str, content: Content, now: datetime) -> str:
    """The reason code that keeps such a message from this member whatever the hour; "": none does."""
    contact = contact_for(member, channel)
    if contact is None:
        return "no_contact_point"
    if suppression_of(member, contact, purpose) is not None:
        if contact.health in DEAD:
            return "contact_point_unhealthy"
        # the member's own word says more than that the outbox refuses the call
        consent = member.consents.get(f"{channel}/{purpose}")
        return "consent_withdrawn" if consent is not None and consent.state == "withdrawn" else "suppressed"
    jurisdictions = member.residence.jurisdictions
    registries = content.laws.registries_for(jurisdictions, channel, purpose)
    question = Question(
        at=now,
        now=now,
        channel=channel,
        purpose=purpose,
        journey="",
        member=member,
        contact=contact,
        zones=tuple(content.zones[name] for name in member.residence.zones),
        registries=dict.fromkeys(registries, RegistryState(listed=False, checked_at=now)),
    )
    asked = content.panel(jurisdictions, channel, purpose, "").ask(question)
    if asked.says == "pass":
        return ""
    findings = [found for found in asked.findings() if not found.advisory]
    for found in findings:
        if found.says == "suppress":
            return found.reason
    # what waits for an hour or a place is reachable; an address that is left alone is not, just now
    return next((found.reason for found in findings if found.reason == "contact_point_unhealthy"), "")


def fields_of(journey: Journey, content: Content) -> frozenset[str]:
    """The facts about the member that the journey's texts and conditions read, as `member.…`."""
    read: set[str] = set()
    for part in (journey, journey.trigger, *journey.steps):
        for name in part.__struct_fields__:
            # a compiled condition knows what it reads
            read |= getattr(getattr(part, name), "fields", frozenset())
    if isinstance(content.templates, CompiledTemplates):
        for name, message, channel, locale in content.templates:
            if name == journey.name:
                for program in content.templates.compiled(name, message, channel, locale).programs():
                    read |= program.fields
    return frozenset(field for field in read if field.startswith("member.")) - _ALWAYS_THERE


def lacks(member: Member, field: str) -> bool:
    """Whether a fact, `member.birthday` or `member.attributes.shop`, is missing, none or empty; zero is a fact."""
    _, name, *rest = field.split(".")
    value = getattr(member, name, None)
    if name == "attributes" and rest:
        value = member.attributes.get(rest[0])
    return value is None or value == ""


def cure_of(field: str) -> str:
    """How a missing fact is got."""
    name = field.removeprefix("member.")
    return f"ask for it, and tell it by member.updated as `{name}`; the texts do without where they say `default`"


def _cure_of_point(what: str) -> str:
    cures = {
        "shared": "ask whose it is: each member is written to by themselves, so its owner gets all their messages",
        "role": "ask for a personal address: whoever sits at the desk reads it",
        "soft_bounced": "none: it is tried again; three times within the policy's window close it for a time",
    }
    if what in ("hard_bounced", "complained", "invalid"):
        return CURES["contact_point_unhealthy"]
    return cures.get(what, CURES["contact_point_unfit"])


class _Shared:
    """Which contact points are held by several members, counted on disk: as many rows as there are points."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="data-quality-")

    def __enter__(self) -> Self:
        self._file = sqlite3.connect(Path(self._folder.name) / "points.db", isolation_level=None)
        self._file.executescript(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN;"
            "CREATE TABLE point (channel TEXT, mark TEXT, n INTEGER, PRIMARY KEY (mark, channel)) WITHOUT ROWID"
        )
        return self

    def take(self, member: Member) -> None:
        """Only keyed fingerprints are written."""
        held = {(point.channel, point.fingerprint) for point in member.contact_points}
        self._file.executemany("INSERT INTO point VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1", sorted(held))

    def result(self) -> dict[str, tuple[int, int]]:
        """channel -> (points held by several members, members that hold them)."""
        rows = self._file.execute("SELECT channel, count(*), sum(n) FROM point WHERE n > 1 GROUP BY channel")
        return {channel: (points, members) for channel, points, members in rows}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._folder.cleanup()
