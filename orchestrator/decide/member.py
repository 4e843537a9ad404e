"""What is known of one member: the state that `step` takes and gives. Bounded in size; never mutated, only replaced."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from msgspec import Struct, field

from orchestrator.events.types import Attributes, Identifiers
from orchestrator.masked import hiding

Health = Literal["ok", "soft_bounced", "hard_bounced", "complained", "invalid"]
# what an address is: the line of a telephone number, or whose a mail address is; "": nothing of note
Kind = Literal[
    "",
    "mobile",
    "fixed_line",
    "fixed_line_or_mobile",
    "voip",
    "personal_number",
    "premium_rate",
    "shared_cost",
    "toll_free",
    "uan",
    "pager",
    "voicemail",
    "unknown",
    "role",
    "disposable",
]
# kinds of address that are taken where the member has no other
SECOND_CHOICE = frozenset(
    {
        *("fixed_line", "personal_number", "premium_rate", "shared_cost", "toll_free", "uan", "pager", "voicemail"),
        *("role", "disposable"),
    }
)
# soft bounces kept of one contact point, the latest
MAX_SOFT_BOUNCES = 10


class ContactPoint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One way to reach the member."""

    channel: str
    # normalised: e-mail address, or E.164 number
    address: str
    # keyed fingerprint: stands for the address outside the member's state
    fingerprint: str
    health: Health = "ok"
    # since when the health is what it is
    health_since: datetime | None = None
    preferred: bool = False
    # alpha-2 country of a phone number's prefix
    country: str = ""
    kind: Kind = ""
    # instants of the soft bounces since it last worked, in order
    soft_bounces: tuple[datetime, ...] = ()
    # when the member's points of this channel were told as they are
    told_at: datetime | None = None
    # where the member asked for it, and confirmed that: when it was asked for
    asked_at: datetime | None = None
    # what the platform calls it beside the address
    identifiers: Identifiers = field(default_factory=dict)
    # when its owner last wrote to us from it
    heard_at: datetime | None = None

    __repr__ = hiding("address", "identifiers")


class Requested(Struct, frozen=True, kw_only=True):
    """A contact point that the member wants, and that nobody confirmed yet."""

    point: ContactPoint
    at: datetime


class Consent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The latest word on one channel and purpose."""

    channel: str
    purpose: str
    state: Literal["granted", "withdrawn"]
    # when it was given or taken back
    at: datetime
    basis: Literal["opt_in", "soft_opt_in"] = "opt_in"
    wording: str = ""
    method: str = ""
    evidence: str = ""
    # exclusive end
    expires_at: datetime | None = None
    # soft opt-in: which conditions the proof attests (events.types.Condition)
    conditions: tuple[str, ...] = ()
    # double opt-in: when confirmation was asked for; `at` is when it was given
    asked_at: datetime | None = None
    # the system it was taken over from; "" where it was given to this one
    imported_from: str = ""
    # event that said so (source and id): the consent record's name in trails
    record: str = ""

    def is_proven(self) -> bool:
        """Whether it says what was agreed to and where the proof lies; an empty consent is not a consent."""
        return bool(self.wording.strip() and self.evidence.strip())


class Asked(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Half of a double opt-in: what waits for its confirmation, or a confirmation that was told before it."""

    # its `at` is when it was asked for; None: not told yet
    consent: Consent | None = None
    # where the request is not told yet
    confirmed_at: datetime | None = None


class Aggregate(Struct, frozen=True, kw_only=True):
    """Running figures over one event type."""

    # lifetime
    count: int
    # lifetime sum of the type's number: minor units, points; 0 where it has none
    sum: int
    first: datetime
    last: datetime
    # (days since 1970 in UTC, count, sum) of the last 90 days, oldest first: rolling figures are read from it
    days: tuple[tuple[int, int, int], ...] = ()


class Place(Struct, frozen=True, kw_only=True, array_like=True):
    """A touch's place in the caps, kept for as long as the longest window that any rule looks back."""

    touch_id: str
    channel: str
    purpose: str
    journey: str
    contact: str
    # the attempt's instant; None while reserved, claimed or unknown without an instant: counts as now
    at: datetime | None
    # of the journey, as it stood when the place was taken
    category: str = ""


class Limit(Struct, frozen=True, array_like=True):
    """A cap of the member's own."""

    # touches; 0: none at all
    max: int
    # calendar window on the member's clock
    per: Literal["day", "week", "month"]


class Pause(Struct, frozen=True):
    """The member wants to hear nothing for a while."""

    # exclusive; None: until further notice
    until: datetime | None = None


class Preferences(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the member wishes for, in their own words; which purposes it binds is the house's to say."""

    # first choice first
    channels: tuple[str, ...] = ()
    limit: Limit | None = None
    pause: Pause | None = None
    # categories of journeys that the member does without, in order
    topics_off: tuple[str, ...] = ()


NO_PREFERENCES = Preferences()


class Residence(Struct, frozen=True, kw_only=True):
    """Which law and which clock a member lives under, with the grounds for it; worked out when the profile changes."""

    # jurisdictions whose packs apply, most specific of each country: ("US-NY",), ("CO", "US") when the number differs
    jurisdictions: tuple[str, ...] = ()
    # candidate IANA zones; an instant must be permitted in all of them
    zones: tuple[str, ...] = ()
    # what the zones were taken from
    zone_from: Literal["profile", "address", "phone_prefix", "country", "nothing"] = "nothing"


class Instance(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One run of a journey for this member."""

    journey: str
    occurrence: str
    # label of the step it stands at
    step: str
    entered_at: datetime
    # what the templates see of the trigger: JSON object of the event's data
    trigger: dict[str, object] = field(default_factory=dict)
    # what tells it from other runs of the journey: one per booking
    key: str = ""
    # the step it stands at is yet to be carried out, as the journey is paused
    held: bool = False
    # label of a repetition -> how often its steps were begun
    counters: dict[str, int] = field(default_factory=dict)
    # facts of the occurrences that a `gather` collected, the first included
    gathered: tuple[dict[str, object], ...] = ()
    # facts of the event that it waited for last
    heard: dict[str, object] = field(default_factory=dict)


class Pending(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An intent that has not ended as a silence, nor as a touch with a final outcome."""

    intent_id: str
    journey: str
    # name of the step
    step: str
    occurrence: str
    created_at: datetime
    # a deferral may not go beyond this (exclusive)
    valid_until: datetime
    trigger: dict[str, object] = field(default_factory=dict)
    # as of the run it belongs to
    key: str = ""
    gathered: tuple[dict[str, object], ...] = ()
    heard: dict[str, object] = field(default_factory=dict)
    # set while a touch is reserved or later for it
    touch_id: str = ""
    # the touch is an alias's: it was being called when that id was merged, and how it ends is in the alias's books
    of_alias: bool = False
    # the member must have it by then, where the step says so; the last instant that is in time
    reach_by: datetime | None = None
    # channels that refused it for good, or on which it bounced, and the last of these touches
    refused: tuple[str, ...] = ()
    instead_of: str = ""
    # what became of that touch (outcome, or a provider's later word), and (rule, version) of the policies that have it
    # decided again; none: it must reach the member by a date
    because: str = ""
    by: tuple[tuple[str, str], ...] = ()
    # its run ended while its touch was being called, for this reason: whatever becomes of that, it is not decided again
    over: str = ""
    # the pool whose code its touch carries
    voucher: str = ""
    # an operator heard that the deadline is in danger
    alarmed: bool = False
    # windows that the dispatcher found closed, half-open
    closed: tuple[tuple[datetime, datetime], ...] = ()


class Member(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All we know of one member."""

    id: str
    # random; stands for the member in the log, in topics and at providers
    ref: str
    status: Literal["known", "enrolled", "cancelled"] = "known"
    since: datetime | None = None
    given_name: str = ""
    family_name: str = ""
    birthday: date | None = None
    locale: str = ""
    zone: str = ""
    country: str = ""
    region: str = ""
    tier: str = ""
    attributes: Attributes = field(default_factory=dict)
    preferences: Preferences = NO_PREFERENCES
    # when the profile was first told; "zone", "attributes.shop", "preferences" -> when that was, where it differs
    told_at: datetime | None = None
    told: dict[str, datetime] = field(default_factory=dict)
    contact_points: tuple[ContactPoint, ...] = ()
    # contact points that wait for their confirmation, by channel
    requested: dict[str, Requested] = field(default_factory=dict)
    # fingerprints of those among them that others have too, or had
    shared: frozenset[str] = frozenset()
    residence: Residence = field(default_factory=Residence)
    # key: "<channel>/<purpose>"
    consents: dict[str, Consent] = field(default_factory=dict)
    # double opt-ins on their way, by the same key
    asked: dict[str, Asked] = field(default_factory=dict)
    # facts of the profile that messages asked for -> when the last one did
    asked_for: dict[str, datetime] = field(default_factory=dict)
    # key: event type
    aggregates: dict[str, Aggregate] = field(default_factory=dict)
    places: tuple[Place, ...] = ()
    instances: tuple[Instance, ...] = ()
    # entered before: journey, or "<journey>/<key>" -> last entered at (re-entry)
    entered: dict[str, datetime] = field(default_factory=dict)
    # journeys of the calendar -> local day (ISO 8601) of the last moment
    planned: dict[str, str] = field(default_factory=dict)
    # key: intent_id
    pending: dict[str, Pending] = field(default_factory=dict)
    # intents with a deadline, whose touch was accepted and may still bounce; key: intent_id
    watched: dict[str, Pending] = field(default_factory=dict)
    # armed timers: name -> due; an inbox row whose due differs is void
    timers: dict[str, datetime] = field(default_factory=dict)
    # set by journeys, oldest first
    tags: tuple[str, ...] = ()
    # open complaints
    complaints: tuple[str, ...] = ()
    # what is not called any more, as the outbox has it: "<member | contact fingerprint>/<channel>/<purpose>" -> why
    suppressed: dict[str, str] = field(default_factory=dict)
    # who this id is an alias of; "": it is none
    merged_into: str = ""
    # ids that are aliases of this one
    absorbed: frozenset[str] = frozenset()

    __repr__ = hiding("given_name", "family_name", "birthday")

    def unconfirmed(self, key: str) -> Consent | None:
        """The consent to "<channel>/<purpose>" that was asked for and waits for its confirmation."""
        asked = self.asked.get(key) if self.asked else None
        return None if asked is None else asked.consent
