"""The event types a programme sends, one frozen class each; the JSON Schemas in `schemas/events/` are made from these.

Money is in minor units (cents), instants are aware, phone numbers are E.164 after intake, countries are ISO 3166-1
alpha-2, regions ISO 3166-2, locales BCP 47, zones IANA names.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct, field

from orchestrator.masked import hiding

Channel = Literal["email", "sms", "whatsapp", "telegram", "push", "phone"]
Purpose = Literal["marketing", "service", "collections"]

Text = Annotated[str, Meta(min_length=1, max_length=500)]
Code = Annotated[str, Meta(min_length=1, max_length=100)]
Minor = Annotated[int, Meta(ge=0, le=10**15)]
Country = Annotated[str, Meta(pattern="^[A-Z]{2}$", description="ISO 3166-1: two capital letters, as ES")]
Region = Annotated[str, Meta(pattern="^[A-Z]{2}-[A-Z0-9]{1,3}$", description="ISO 3166-2, as US-NY")]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", description="ISO 4217: three capital letters, as EUR")]
# naive ones are refused
Instant = Annotated[datetime, Meta(tz=True)]
Attributes = dict[str, str | int | float | bool | None]
# by what a platform names a contact point beside its address: `wa_id`, the number as WhatsApp last wrote it; `user_id`,
# WhatsApp's business-scoped id, which a member without a visible number has alone
Identifier = Literal["wa_id", "user_id"]
LONGEST_IDENTIFIER = 80
Identifiers = dict[Identifier, Annotated[str, Meta(min_length=1, max_length=LONGEST_IDENTIFIER)]]
# what the record of a soft opt-in may attest; law packs name those that they ask for
Condition = Literal[
    "prior_contract",
    "existing_customer",
    "address_lawfully_obtained",
    "own_similar_products",
    "objection_offered",
    "not_a_random_number",
]


class Data(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Common form of all event data: unknown fields are refused by name."""

    # the whole number that a member's sums add up; "": none
    summed: ClassVar[str] = ""


class ContactData(Data, frozen=True, kw_only=True):
    """One way to reach a member."""

    channel: Channel
    # e-mail address or phone number; a national number is read with the member's country; on WhatsApp also a
    # business-scoped user id, on Telegram the number of the chat
    address: Annotated[str, Meta(min_length=3, max_length=320)]
    # preferred among several points of the same channel
    preferred: bool = False
    # what the platform calls it beside that; those left out stay as they were
    identifiers: Identifiers = field(default_factory=dict)

    __repr__ = hiding("address", "identifiers")


class ConsentData(Data, frozen=True, kw_only=True):
    """Proof that a member agreed; an empty one is no consent."""

    channel: Channel
    purpose: Purpose = "marketing"
    # which wording was shown, and how it was agreed to
    wording: Code
    method: Code
    # where the proof lies (form id, call id, document)
    evidence: Text
    # when it was given; the event's time where left out
    at: Instant | None = None
    # it ends here by itself (exclusive)
    expires_at: Instant | None = None
    # soft opt-in: a customer who was offered to object, where the law lets that do
    basis: Literal["opt_in", "soft_opt_in"] = "opt_in"
    # soft opt-in: what of the law's conditions the proof attests
    conditions: Annotated[tuple[Condition, ...], Meta(max_length=6)] = ()
    # double opt-in: it counts once a `consent.confirmed` says so, in time
    double_opt_in: bool = False
    # taken over from this other system; `at` then says when it was given
    imported_from: Code | None = None

    def __post_init__(self) -> None:
        """An imported consent without its own date is none: nobody could tell when it was given."""
        if self.imported_from is not None and self.at is None:
            raise ValueError("a consent with `imported_from` needs `at`, when it was given")


class LimitData(Data, frozen=True, kw_only=True):
    """No more messages than this."""

    # 0: none at all
    max: Annotated[int, Meta(ge=0, le=1000)]
    # day, week from Monday, or month, on the member's own clock
    per: Literal["day", "week", "month"]


class PauseData(Data, frozen=True, kw_only=True):
    """No messages for a while."""

    # exclusive; left out: until further notice
    until: Instant | None = None


# categories of journeys that a member may do without
MOST_TOPICS = 40


class PreferencesData(Data, frozen=True, kw_only=True):
    """What the member wishes for; which purposes it binds is the programme's policy."""

    # where to be written to, first choice first; left out: wherever the programme likes
    channels: Annotated[tuple[Channel, ...], Meta(max_length=6)] = ()
    limit: LimitData | None = None
    pause: PauseData | None = None
    # categories of journeys that the member does without
    topics_off: Annotated[tuple[Code, ...], Meta(max_length=MOST_TOPICS)] = ()


class ProfileData(Data, frozen=True, kw_only=True):
    """What is known of a member; a field left out is left as it was."""

    given_name: Text | None = None
    family_name: Text | None = None
    birthday: date | None = None
    locale: Code | None = None
    zone: Code | None = None
    country: Country | None = None
    region: Region | None = None
    tier: Code | None = None
    # any further facts for audiences and templates, at most 40
    attributes: Annotated[Attributes, Meta(max_length=40)] = field(default_factory=dict)
    # given ones replace all former ones: empty ones lift limit and pause
    preferences: PreferencesData | None = None

    __repr__ = hiding("given_name", "family_name", "birthday")


class MemberEnrolled(ProfileData, frozen=True, kw_only=True):
    """A person joined the programme."""

    contact_points: Annotated[tuple[ContactData, ...], Meta(max_length=12)] = ()
    consents: Annotated[tuple[ConsentData, ...], Meta(max_length=24)] = ()


class MemberUpdated(MemberEnrolled, frozen=True, kw_only=True):
    """Facts about a member changed; contact points given replace those of their channel."""


class ContactRequested(Data, frozen=True, kw_only=True):
    """A member asked to be reached at another address from now on; it counts once a `contact.confirmed` says so."""

    channel: Channel
    address: Annotated[str, Meta(min_length=3, max_length=320)]

    __repr__ = hiding("address")


class ContactConfirmed(Data, frozen=True, kw_only=True):
    """Who reads the address that was asked for last confirmed that it is theirs: it replaces those of its channel."""

    channel: Channel
    # how it was confirmed
    method: Code
    # where the proof of it lies (click id, message id)
    evidence: Text


class MemberCancelled(Data, frozen=True, kw_only=True):
    """The membership ended."""

    reason: Code | None = None


class MemberMerged(Data, frozen=True, kw_only=True):
    """The member is the same person as another: the subject is an alias of `into` from now on."""

    into: Code


class ConsentGranted(ConsentData, frozen=True, kw_only=True):
    """A member agreed to be contacted."""


class ConsentConfirmed(Data, frozen=True, kw_only=True):
    """A member confirmed what they were asked to: the second half of a double opt-in."""

    channel: Channel
    purpose: Purpose = "marketing"
    # how it was confirmed
    method: Code
    # where the proof of it lies (click id, message id)
    evidence: Text
    # when it was confirmed; the event's time where left out
    at: Instant | None = None


class ConsentWithdrawn(Data, frozen=True, kw_only=True):
    """A member took consent back; a channel left out means all of them."""

    channel: Channel | None = None
    purpose: Purpose = "marketing"
    method: Code


class PurchaseCompleted(Data, frozen=True, kw_only=True):
    """A purchase was paid."""

    summed: ClassVar[str] = "amount"
    purchase_id: Code
    amount: Minor
    currency: Currency
    lines: Annotated[int, Meta(ge=0)] = 0
    store: Code | None = None
    category: Code | None = None


class PointsEarned(Data, frozen=True, kw_only=True):
    """Points were credited."""

    summed: ClassVar[str] = "points"
    points: Annotated[int, Meta(ge=0)]
    balance: int | None = None
    activity: Code | None = None


class PointsExpiring(Data, frozen=True, kw_only=True):
    """Points will be lost on a local day."""

    summed: ClassVar[str] = "points"
    points: Annotated[int, Meta(ge=1)]
    expires_on: date


class RewardDelivered(Data, frozen=True, kw_only=True):
    """A reward reached the member."""

    summed: ClassVar[str] = "points"
    reward_id: Code
    name: Text | None = None
    points: Annotated[int, Meta(ge=0)] = 0
    value: Minor = 0
    currency: Currency | None = None


class TierChanged(Data, frozen=True, kw_only=True):
    """The member's tier changed."""

    tier: Code
    former: Code | None = None


class SurveyAnswered(Data, frozen=True, kw_only=True):
    """A survey was answered."""

    survey_id: Code
    score: Annotated[int, Meta(ge=0, le=10)] | None = None
    answers: Annotated[Attributes, Meta(max_length=40)] = field(default_factory=dict)


class ComplaintOpened(Data, frozen=True, kw_only=True):
    """A complaint was opened."""

    complaint_id: Code
    topic: Code | None = None


class ComplaintClosed(Data, frozen=True, kw_only=True):
    """A complaint was closed."""

    complaint_id: Code
    outcome: Code | None = None


class SocialMentioned(Data, frozen=True, kw_only=True):
    """The member spoke of the programme in public."""

    network: Code
    url: Text | None = None
    sentiment: Literal["positive", "neutral", "negative", "unknown"] = "unknown"


class MessageReceived(Data, frozen=True, kw_only=True):
    """The member wrote to us; it opens the conversation on channels that have one. What was written is not kept."""

    channel: Channel
    # the contact point it came from, as an address or by another identifier
    sender: Annotated[str, Meta(min_length=1, max_length=320)]
    identifiers: Identifiers = field(default_factory=dict)

    __repr__ = hiding("sender", "identifiers")


EVENT_TYPES: dict[str, type[Data]] = {
    "member.enrolled": MemberEnrolled,
    "member.updated": MemberUpdated,
    "member.cancelled": MemberCancelled,
    "contact.requested": ContactRequested,
    "contact.confirmed": ContactConfirmed,
    "member.merged": MemberMerged,
    "consent.granted": ConsentGranted,
    "consent.confirmed": ConsentConfirmed,
    "consent.withdrawn": ConsentWithdrawn,
    "purchase.completed": PurchaseCompleted,
    "points.earned": PointsEarned,
    "points.expiring": PointsExpiring,
    "reward.delivered": RewardDelivered,
    "tier.changed": TierChanged,
    "survey.answered": SurveyAnswered,
    "complaint.opened": ComplaintOpened,
    "complaint.closed": ComplaintClosed,
    "social.mentioned": SocialMentioned,
    "message.received": MessageReceived,
}
