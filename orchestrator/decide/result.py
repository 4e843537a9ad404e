"""What one call of `step` comes to: the new member, and all that follows from the turn."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from orchestrator.channels.contract import Message
from orchestrator.decide.member import Member
from orchestrator.decide.rules import Finding, Says
from orchestrator.events.inputs import InternalInput
from orchestrator.masked import hiding

Kind = Literal["decision", "touch", "consent", "contact_point", "operator", "tick", "member", "journey", "alarm"]


class Tried(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One channel that an intent was weighed on, with every rule asked."""

    channel: str
    says: Says
    # fingerprint of the contact point, "" when there is none
    contact: str = ""
    # touches to it of others who share it, as far back as any rule looks: caps count them too
    shared: int = 0
    # the earliest instant at which all binding rules pass together; a lower bound while something is in flight
    release_at: datetime | None = None
    # seconds in it that are there only so that not everybody is released at once
    spread_s: int = 0
    findings: tuple[Finding, ...] = ()


class Winner(Struct, frozen=True, kw_only=True):
    """Another intent of the same member and moment, that goes first and took the place."""

    journey: str
    step: str
    intent_id: str


class Promised(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The voucher code that a message promises, as the log may say it."""

    pool: str
    # keyed fingerprint of the code; "": there was none
    code: str = ""


class Trail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The whole ground of a decision, as the log keeps it."""

    # candidate zones and what they were taken from (profile, address, phone_prefix, country, nothing)
    zones: tuple[str, ...] = ()
    zone_from: str = "nothing"
    # law packs that were asked, "US-NY@2026.11.0"
    packs: tuple[str, ...] = ()
    # in the order of trial
    tried: tuple[Tried, ...] = ()
    # without whose place this one had been sent
    outranked_by: Winner | None = None
    # the touch that was refused, or bounced, and in whose place this one is decided
    instead_of: str = ""
    # what became of that touch: an outcome, or a provider's later word
    instead_because: str = ""
    # (rule, version) of the policies that have it decided again; none: it must reach the member by a date
    instead_by: tuple[tuple[str, str], ...] = ()
    # the member must have it by then
    reach_by: datetime | None = None
    # None: it promises no code
    voucher: Promised | None = None
    # one plain sentence's worth of detail for content errors and the like: template, line, field; no personal data
    note: str = ""


class Entry(Struct, frozen=True, kw_only=True):
    """One line for the contact log, before it has a number and a place in the chain."""

    kind: Kind
    journey: str = ""
    step: str = ""
    occurrence: str = ""
    intent_id: str = ""
    touch_id: str = ""
    channel: str = ""
    purpose: str = ""
    # decision: send | defer | suppress
    verdict: str = ""
    # suppress and defer: code from decide.rules.REASONS; touch: why cancelled; operator: the verb
    reason: str = ""
    release_at: datetime | None = None
    # touch: reserved | cancelled | attempting | accepted | rejected | unknown | delivered | bounced ...
    state: str = ""
    # attempt, outcome, suppression: the database's clock; None: the turn's now
    occurred_at: datetime | None = None
    # when a reserved touch may no longer be called (exclusive)
    valid_until: datetime | None = None
    # JSON text of a Trail, or of a small object of facts; "" when there is nothing to add
    trail: str = ""


class Reservation(Struct, frozen=True, kw_only=True):
    """A touch to put into the outbox."""

    touch_id: str
    intent_id: str
    journey: str
    channel: str
    purpose: str
    contact: str
    # lower is sooner: service before marketing
    rank: int
    due: datetime
    valid_until: datetime
    # end of the permitted hours seen at the decision, latency margin taken off; None: no hours bind
    call_by: datetime | None
    call_rule: str
    message: Message
    # the pool and the voucher code that goes with it; "": none
    pool: str = ""
    code: str = ""

    __repr__ = hiding("message", "code")


class Result(Struct, frozen=True, kw_only=True):
    """All that a turn comes to. `totals` are additions: intents, touched, silent."""

    member: Member | None
    entries: tuple[Entry, ...] = ()
    reservations: tuple[Reservation, ...] = ()
    # touch ids to cancel where not yet attempting
    cancels: tuple[str, ...] = ()
    # (due, input) to put into the member's inbox
    timers: tuple[tuple[datetime, InternalInput], ...] = ()
    # (subject, channel, purpose, reason, since); subject "member" stands for the member, anything else is a
    # fingerprint; since None: the turn's now
    suppressions: tuple[tuple[str, str, str, str, datetime | None], ...] = ()
    # (subject, channel, purpose, until): by a later proven grant or by an order end those that began by then; until
    # None: by the turn's now
    unsuppressed: tuple[tuple[str, str, str, datetime | None], ...] = ()
    totals: tuple[tuple[str, int], ...] = ()
    # (pool, codes beyond those it was given that the turn had a use for)
    lacked: tuple[tuple[str, int], ...] = ()
    # touches that were cancelled: their codes go back to the pool unless an attempt is on record
    codes_back: tuple[str, ...] = ()
    # (pool, what an operator now heard of it): as `shared.Stock.told`
    told: tuple[tuple[str, int], ...] = ()
    # (id, input) to put into the inboxes of other members
    sent: tuple[tuple[str, InternalInput], ...] = ()
    # the member asked to be forgotten: destroy the key, leave a tombstone
    erase: bool = False
