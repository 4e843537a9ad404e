"""What a policy file may hold, word for word; `channel_policies/README.md` tells it to marketers."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct

from orchestrator.decide.member import MAX_SOFT_BOUNCES, Kind
from orchestrator.events.inputs import RefusalKind
from orchestrator.events.types import Channel, Purpose

# why the house wants a rule: asked of each, so that nobody has to guess later
Why = Annotated[str, Meta(min_length=10, max_length=500)]
Count = Annotated[int, Meta(ge=0, le=1000)]
Purposes = Annotated[tuple[Purpose, ...], Meta(min_length=1)]
MARKETING: tuple[Purpose, ...] = ("marketing",)


class Words(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Common form: an unknown word is refused with its line and the nearest known one."""


class SenderWords(Words, frozen=True, kw_only=True):
    """Who messages come from."""

    # from-name; "" is the programme's name
    name: str = ""
    # e-mail address, E.164 number, short code or sender id
    address: Annotated[str, Meta(min_length=1)]
    reply_to: str = ""


class MembershipWords(Words, frozen=True, kw_only=True):
    """What ends with a membership."""

    # purposes that a former member is no longer contacted for
    stops: Purposes = MARKETING
    why: Why


class ReconfirmWords(Words, frozen=True, kw_only=True):
    """When a consent must be given anew, and who may ask for it."""

    # so many months after
    months: Annotated[int, Meta(ge=1, le=120)]
    since: Literal["given", "last_dealing"] = "given"
    # journeys that may still write: they ask for it
    asked_by: tuple[str, ...] = ()


class ConsentWords(Words, frozen=True, kw_only=True):
    """Which consent the house asks for, whatever the law allows."""

    purposes: Purposes = MARKETING
    required: bool
    accept: Annotated[tuple[Literal["opt_in", "soft_opt_in"], ...], Meta(min_length=1)] = ("opt_in", "soft_opt_in")
    # whether a consent that was taken over from another system does
    imported: Literal["accept", "refuse"] = "accept"
    # ISO 8601 duration: how long a double opt-in may take
    confirm_within: str = "P7D"
    reconfirm: ReconfirmWords | None = None
    # whose touches are bound; left out: those of all journeys
    journeys: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    why: Why


class BlockWords(Words, frozen=True, kw_only=True):
    """So many soft bounces within so long close a contact point for so long."""

    soft_bounces: Annotated[int, Meta(ge=2, le=MAX_SOFT_BOUNCES)]
    # ISO 8601 durations
    within: str
    pause: str


class ContactPointWords(Words, frozen=True, kw_only=True):
    """How contact points in bad health are spared, and which kinds of address do not do."""

    # after each soft bounce: ISO 8601 duration, or none
    soft_bounced_pause: str
    block: BlockWords | None = None
    # channel -> kinds of address that do not do on it …
    unfit: dict[Channel, tuple[Kind, ...]] = {}
    # … or not for marketing
    unfit_for_marketing: dict[Channel, tuple[Kind, ...]] = {}
    why: Why


class QuietHoursWords(Words, frozen=True, kw_only=True):
    """When the recipient is left in peace, by the recipient's own clock."""

    purposes: Purposes = MARKETING
    # days (mon, mon-fri, holiday) -> closed windows "21:00-08:00"; one that crosses midnight belongs to the day it
    # starts on; none: no quiet hours from this entry on
    closed: dict[str, list[str]] | Literal["none"]
    why: Why


class ReservedWords(Words, frozen=True, kw_only=True):
    """Places of a cap that are kept for some journeys."""

    places: Annotated[int, Meta(ge=1, le=1000)]
    journeys: Annotated[tuple[str, ...], Meta(min_length=1)]


class ExemptWords(Words, frozen=True, kw_only=True):
    """Whom a rule that counts does not stop."""

    journeys: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    # whether they use it up all the same: asked, since both are meant at times
    count: bool


class ConversationWords(Words, frozen=True, kw_only=True):
    """The platform takes free texts only for a while after the member's own message, and approved ones at any time."""

    # ISO 8601 duration
    lasts: str
    why: Why


class CountingWords(Words, frozen=True, kw_only=True):
    """What a rule that counts touches binds and counts."""

    # which channels are bound and counted together: a list, the name of a group, all; left out: this file's
    over: Annotated[tuple[Channel, ...], Meta(min_length=1)] | str | None = None
    # whose touches are bound
    purposes: Purposes = MARKETING
    # whose touches use it up; left out: those that are bound
    counts: Purposes | None = None
    # any: together; each: every journey by itself; or these journeys together
    journeys: Annotated[tuple[str, ...], Meta(min_length=1)] | Literal["any", "each"] = "any"
    # only journeys of these categories, together; left out: all
    categories: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    exempt: ExemptWords | None = None
    why: Why


class CapWords(CountingWords, frozen=True, kw_only=True):
    """At most so many touches in a window."""

    # touches; 0: none at all; unlimited: no cap from this entry on
    max: Count | Literal["unlimited"]
    # "rolling P7D", "calendar day", "calendar week" (ISO), "calendar month"
    window: str = ""
    reserved: ReservedWords | None = None


class GapWords(CountingWords, frozen=True, kw_only=True):
    """At least so much time between two touches."""

    # ISO 8601 duration, or none
    at_least: str


class PreferenceWords(Words, frozen=True, kw_only=True):
    """Which wishes of the member's own are honoured."""

    honours: Literal["limit", "pause", "topics"]
    purposes: Purposes = MARKETING
    why: Why


class ComplaintWords(Words, frozen=True, kw_only=True):
    """What rests while a complaint is open."""

    # purposes that a member is not contacted for meanwhile
    stops: Purposes = MARKETING
    why: Why


class RefusedWords(Words, frozen=True, kw_only=True):
    """What becomes of a message that a provider refused for good, on all its accounts."""

    purposes: Annotated[tuple[Purpose, ...], Meta(min_length=1)]
    # other_channel: it is decided anew on the channels that are left; none: the refusal stands
    then: Literal["other_channel", "none"]
    # refusals after which it goes by another channel; left out: any
    after: Annotated[tuple[RefusalKind, ...], Meta(min_length=1)] | None = None
    # left out: those of all journeys
    journeys: Annotated[tuple[str, ...], Meta(min_length=1)] | None = None
    why: Why


class ProfileWords(Words, frozen=True, kw_only=True):
    """What the house would like to know of its members, and who asks for it."""

    # the most wanted first: given_name, birthday …; a channel, for a contact point on it; attributes.<name>
    ask: Annotated[tuple[str, ...], Meta(min_length=1, max_length=20)]
    # ISO 8601 duration: after any of them was asked for, none is for so long
    again_after: str
    # journeys whose messages ask
    journeys: Annotated[tuple[str, ...], Meta(min_length=1)]
    why: Why


class EntryWords(Words, frozen=True, kw_only=True):
    """What holds from a day on. Rules and settings that an entry does not name stay as they were."""

    # from 00:00 UTC of this day
    effective: date
    why: Why
    sender: SenderWords | None = None
    # ISO 8601 duration: a call is made no later than this before quiet hours begin
    latency_margin: str | None = None
    # ISO 8601 duration: releases at the opening of hours are spread over this, by member
    release_spread: str | None = None
    # priority at dispatch, lower is sooner
    rank: dict[Purpose, Count] | None = None
    # from the least intrusive to the most
    channel_order: tuple[Channel, ...] | None = None
    profile: ProfileWords | None = None
    # journeys that go first where several want a member at the same moment, the first before the second
    priority: tuple[str, ...] | None = None
    # names of channels that are capped together: `over` may name them
    groups: dict[str, Annotated[tuple[Channel, ...], Meta(min_length=1)]] = {}
    membership: dict[str, MembershipWords] = {}
    complaints: dict[str, ComplaintWords] = {}
    preferences: dict[str, PreferenceWords] = {}
    contact_points: dict[str, ContactPointWords] = {}
    consent: dict[str, ConsentWords] = {}
    conversation: dict[str, ConversationWords] = {}
    quiet_hours: dict[str, QuietHoursWords] = {}
    caps: dict[str, CapWords] = {}
    gaps: dict[str, GapWords] = {}
    refused: dict[str, RefusedWords] = {}


class PolicyWords(Words, frozen=True, kw_only=True):
    """One policy file."""

    channel: Channel | Literal["house"]
    # what the numbers are counted in, in words
    units: Annotated[str, Meta(min_length=10)]
    entries: Annotated[tuple[EntryWords, ...], Meta(min_length=1)]
