"""The form of a `pack.yaml`: one class each for the pack and for each kind of rule, refused by name where wrong."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from orchestrator.decide.law import Authority, Confidence, Source, Status
from orchestrator.decide.law_rules import Model
from orchestrator.events.types import Channel, Purpose

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=80,
        pattern=r"^[a-z0-9][a-z0-9_.-]*$",
        description="small letters, digits, points, hyphens and underscores",
    ),
]
Words = Annotated[str, Meta(min_length=1, max_length=600)]


class Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Common form: unknown keys are refused by name."""


class Applies(Form, frozen=True, kw_only=True):
    """Which contacts a rule binds; a list left out means all."""

    channels: tuple[Channel, ...] = ()
    purposes: tuple[Purpose, ...] = ()
    # live or automated calls: told by the law book, our contacts are all automated
    modes: tuple[Literal["live", "automated"], ...] = ()
    unless: str | tuple[str, ...] = ()


class CiteForm(Form, frozen=True, kw_only=True):
    """A place in one of the pack's sources."""

    source: str
    at: Words


class Effective(Form, frozen=True, kw_only=True):
    """Half-open dates in the law's local time."""

    from_: date | None = field(default=None, name="from")
    to: date | None = None


class Override(Form, frozen=True, kw_only=True):
    """The parent's rule that this one stands in for, and why that is lawful; needs a primary source."""

    rule: Name
    why: Words
    cites: Annotated[tuple[CiteForm, ...], Meta(min_length=1)]


class RuleForm(Form, frozen=True, kw_only=True):
    """What every rule has."""

    id: Name
    authority: Authority
    applies: Applies = field(default_factory=Applies)
    cites: Annotated[tuple[CiteForm, ...], Meta(min_length=1)]
    confidence: Confidence
    effective: Effective
    reading: str = ""
    alt: str = ""
    pending: bool = False
    override: Override | None = None


class Lapse(Form, frozen=True, kw_only=True):
    """When a soft opt-in of somebody who is no member any more ends: so many months after the last dealing."""

    months: Annotated[int, Meta(ge=1, le=120)]
    since: Literal["last_dealing"] = "last_dealing"


class Renew(Form, frozen=True, kw_only=True):
    """After how many months any consent must be given anew."""

    months: Annotated[int, Meta(ge=1, le=120)]


class ConsentForm(RuleForm, frozen=True, kw_only=True, tag_field="kind", tag="consent"):
    """Which word of the member is needed."""

    model: Model
    conditions: tuple[str, ...] = ()
    lapse: Lapse | None = None
    renew: Renew | None = None
    # an objection reaches beyond its own channel (`applies.channels`) and, for all_topics, beyond its purpose
    scope: Literal["", "same_topic", "all_topics"] = ""


class HoursForm(RuleForm, frozen=True, kw_only=True, tag_field="kind", tag="hours"):
    """Windows by weekday or range of weekdays (`mon-fri`), and by `holiday`; an empty list is closed."""

    week: dict[str, tuple[str, ...]]


class CapForm(RuleForm, frozen=True, kw_only=True, tag_field="kind", tag="cap"):
    """How much a stretch of time may hold: `max` touches, or `max_distinct_channels`."""

    max: Annotated[int, Meta(ge=1)] | None = None
    max_distinct_channels: Annotated[int, Meta(ge=1)] | None = None
    # calendar_day | week | calendar_month | rolling_24h | rolling_7d | 7_consecutive_days
    per: str
    count_by: str | tuple[str, ...] = "member"
    # delivered (every message that went out, and what is in flight) | attribute:<name of a member's attribute>
    counts: str = "delivered"
    # what gives a place back
    clears: str = ""


class RegistryForm(RuleForm, frozen=True, kw_only=True, tag_field="kind", tag="registry"):
    """A do-not-contact list that must be asked."""

    name: Annotated[str, Meta(min_length=1, max_length=60)]
    max_age: str
    unless: tuple[str, ...] = ()
    # the list names a number for each channel apart
    per_channel: bool = False


class ContentForm(RuleForm, frozen=True, kw_only=True, tag_field="kind", tag="content"):
    """What a message must hold; checked by template lint, told here."""

    require: str | tuple[str, ...] = ()
    label: str = ""
    position: str = ""


class OptOutForm(RuleForm, frozen=True, kw_only=True, tag_field="kind", tag="opt_out"):
    """How fast, and how far, an objection works; ours works at once."""

    deadline: str = ""
    scope: str = ""
    require: str | tuple[str, ...] = ()


class ProofForm(RuleForm, frozen=True, kw_only=True, tag_field="kind", tag="proof"):
    """How long the proof of consent is kept."""

    keep_for: str
    from_: str = field(default="", name="from")


class AgeForm(RuleForm, frozen=True, kw_only=True, tag_field="kind", tag="age"):
    """From which age."""

    min: Annotated[int, Meta(ge=1, le=30)]
    unknown: Literal["pass", "suppress"] = "pass"


class ExemptForm(RuleForm, frozen=True, kw_only=True, tag_field="kind", tag="exempt"):
    """What the law leaves free."""

    what: Annotated[tuple[str, ...], Meta(min_length=1)]


class BlockForm(RuleForm, frozen=True, kw_only=True, tag_field="kind", tag="block"):
    """What is barred altogether."""


AnyRule = (
    ConsentForm
    | HoursForm
    | CapForm
    | RegistryForm
    | ContentForm
    | OptOutForm
    | ProofForm
    | AgeForm
    | ExemptForm
    | BlockForm
)


class HolidaysForm(Form, frozen=True, kw_only=True):
    """Public holidays: a calendar of the `holidays` library, put right where it is not."""

    # ISO 3166-1 code of the calendar; left out: the dates of `add` alone
    calendar: str = ""
    # the law that moves them, in words
    observed: str = ""
    # the member's region (ISO 3166-2) -> the calendar's sub-division, where the two differ
    regions: dict[str, str] = field(default_factory=dict)
    add: tuple[date, ...] = ()
    remove: tuple[date, ...] = ()


class SourceForm(Source, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text that rules rest on."""


class PackForm(Form, frozen=True, kw_only=True):
    """One `pack.yaml`."""

    jurisdiction: Annotated[
        str,
        Meta(pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,3})?|_default)$", description="a country or part of one, as ES or US-NY"),
    ]
    extends: str = ""
    version: Annotated[str, Meta(pattern=r"^\d{4}\.\d{2}\.\d+$", description="year, month and number, as 2026.11.0")]
    status: Status
    reviewed_on: date
    review_due: date
    timezones: tuple[str, ...] = ()
    zone_policy: Literal["all_candidates"] = "all_candidates"
    interval: Literal["[start,end)"] = "[start,end)"
    latency_margin: str = "PT0S"
    week: Literal["iso", "rolling_7d"] = "iso"
    holidays: HolidaysForm | None = None
    sources: Annotated[tuple[SourceForm, ...], Meta(min_length=1)]
    rules: Annotated[tuple[AnyRule, ...], Meta(min_length=1)]
