"""`journey.yaml` as it is written: the types that its text is read into, and that `schemas/content/` is made from."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from orchestrator.events.types import Purpose

SENT_ON = ("email", "sms", "whatsapp", "telegram", "push")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Duration = Annotated[str, Meta(pattern="^P", description="a duration such as P3D (days), PT12H (hours) or P1DT30M")]
Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{0,60}$", description="small letters, digits and hyphens")]
Clock = Annotated[
    str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", description="a time of day such as 09:00 (24 hours)")
]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MonthDay = Annotated[
    int, Meta(ge=-28, le=31, description="a day of the month from 1, or from its end: -1 is the last one")
]
Share = Annotated[float, Meta(gt=0, le=50, description="a share of the members in percent, such as 10; at most 50")]
Field = Annotated[
    str, Meta(pattern="^[A-Za-z][A-Za-z0-9_]{0,60}$", description="a field of the event, such as booking_id")
]


class TriggerFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`trigger:` of a journey file: one of the ways to start, with what belongs to it."""

    # an event of this type
    event: str = ""
    # silence of this long …
    inactivity: Duration = ""
    # … after this event type
    after: str = ""
    # a date: `member.birthday`, `member.attributes.renewal`; with yearly, before_days or after_days, at, leap_day
    date: str = ""
    # each year on that day; once where left out
    yearly: bool = False
    # so many days before the date, or after it
    before_days: Annotated[int, Meta(ge=0, le=366)] = 0
    after_days: Annotated[int, Meta(ge=0, le=3660)] = 0
    # what stands for 29 February in other years
    leap_day: Literal["02-28", "03-01"] = "02-28"
    # a figure of this event type …
    figure: str = ""
    # … its number of events, or the sum of its amounts or points …
    of: Literal["count", "sum"] = "count"
    # … over all time, or over the last so many days …
    days: Annotated[int, Meta(ge=0, le=90)] = 0
    # … reaches this from below …
    reaches: Annotated[int, Meta(ge=0)] = 0
    # … or each multiple of this
    each: Annotated[int, Meta(ge=0)] = 0
    # the member comes to belong to those for whom this holds …
    enters: str = ""
    # … or belongs to them no more
    leaves: str = ""
    # days of the week …
    weekly: tuple[Weekday, ...] = ()
    # … or of the month
    monthly: tuple[MonthDay, ...] = ()
    # time of day on the member's clock, for dates and schedules
    at: Clock = "09:00"
    # by hand alone: orchestrator journey start
    manual: bool = False
    # condition on `event`, `member`, `aggregates`
    where: str = ""
    # older occasions are silences `stale`
    fresh_for: Duration = "P2D"


class WaitFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`wait:` that is no mere duration: until a time of day, or until a date."""

    # the next time that the member's clock shows this …
    clock: Clock = ""
    # … on one of these days
    on: tuple[Weekday, ...] = ()
    # a date or an instant: `event.check_in`, `member.birthday`
    date: str = ""
    # so long before it, or after it
    before: Duration = ""
    after: Duration = ""
    # when a date begins, on the member's clock
    at: Clock = "09:00"
    # what becomes of a run that comes too late for it
    missed: Literal["go", "exit"] = "go"


class UntilFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`until:` an event comes, for so long at most."""

    event: str
    within: Duration
    # condition on `event` (the one waited for), `start` (what started the run), `member`, `aggregates`
    where: str = ""


class ArmFile(Struct, frozen=True, forbid_unknown_fields=True):
    """One way of a split."""

    share: Annotated[int, Meta(ge=1, le=10_000, description="a weight: a whole number from 1")]
    steps: tuple[StepFile, ...] = ()


class GatherFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`gather:` further occurrences of what started the journey."""

    within: Duration
    # goes on at once when so many are there, the first included
    most: Annotated[int, Meta(ge=2, le=50)] = 20


class RepeatFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`repeat:` some steps."""

    times: Annotated[int, Meta(ge=1, le=50, description="how often at most, from 1 to 50")]
    steps: Annotated[tuple[StepFile, ...], Meta(min_length=1, max_length=40)]
    # not again once this holds
    unless: str = ""


class ReachByFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`reach_by:` of a send step."""

    # an expression for a day or an instant: event.expires_on
    date: Annotated[str, Meta(min_length=1)]
    # so long before it
    before: Duration = "PT0S"
    # channels that are tried too once the deadline is in danger
    escalate: tuple[Literal["email", "sms", "whatsapp", "telegram", "push"], ...] = ()


class StepFile(Struct, frozen=True, forbid_unknown_fields=True):
    """One step: one of send, wait, until, branch, split, gather, repeat, tag, untag, exit, with what belongs to it."""

    # its label, if its own is not to be made from where it stands: see templates/README.md
    id: Name = ""
    send: Name = ""
    channels: tuple[Literal["email", "sms", "whatsapp", "telegram", "push"], ...] = ()
    valid_for: Duration = "P3D"
    # reasons that end the intent instead of deferring it
    drop_on: tuple[str, ...] = ()
    # what becomes of a message whose channel must wait
    on_refusal: Literal["other_channel", "defer", "drop"] = "other_channel"
    # the member must have it by then
    reach_by: ReachByFile | None = None
    # to the member's own contact point, or to the one that waits for its confirmation (`contact.requested`)
    to: Literal["own", "requested"] = "own"
    # pool of `templates/vouchers.yaml`: the message promises one of its codes, and is not sent without
    voucher: Name = ""
    wait: Duration | WaitFile = ""
    until: UntilFile | None = None
    # a condition
    branch: str = ""
    # after `until`: it came, time ran out; after `branch`: it holds, it does not
    then: Annotated[tuple[StepFile, ...], Meta(max_length=40)] = ()
    otherwise: Annotated[tuple[StepFile, ...], Meta(max_length=40)] = field(default=(), name="else")
    split: dict[Name, ArmFile] = field(default_factory=dict)
    gather: GatherFile | None = None
    repeat: RepeatFile | None = None
    tag: Name = ""
    untag: Name = ""
    # the run is over
    exit: bool = False


class GoalFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`goal:` the event that the journey is for."""

    event: str
    where: str = ""


class HoldoutFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`holdout:` members who are left out for comparison."""

    # percent
    share: Share
    # who is left out stays so as long as this stays; the journey's name where left out
    salt: Name = ""


class JourneyFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`journey.yaml`."""

    journey: Name
    purpose: Purpose
    trigger: TriggerFile
    steps: Annotated[tuple[StepFile, ...], Meta(min_length=1, max_length=40)]
    # who may enter; everyone where left out
    audience: str = ""
    # each | never | a gap such as P30D
    reentry: str = "each"
    # field of the event that tells runs apart: one per booking
    key: Field | Literal[""] = ""
    # runs of a member at a time
    at_once: Annotated[int, Meta(ge=0, le=40)] = 0
    # event types that end it; with a key, the run of that key
    exit: tuple[str, ...] = ()
    # event types that bring newer facts for a run
    updated_by: tuple[str, ...] = ()
    goal: GoalFile | None = None
    holdout: HoldoutFile | None = None
    # added to the links of its messages: {source: club, campaign: welcome}
    utm: dict[Literal["source", "medium", "campaign", "term", "content"], str] = field(default_factory=dict)
    # what kind of journey it is (acquisition, retention …): caps may count by it
    category: Name = ""
    # for people: what this journey is for
    why: str = field(default="")


class PoolFile(Struct, frozen=True, forbid_unknown_fields=True):
    """One pool of voucher codes."""

    # an operator hears of it when fewer codes are left
    low_water: Annotated[int, Meta(ge=0, le=10_000_000, description="a number of codes, such as 200")]
    # the last day on which the codes are good; for ever where left out
    last_day: date | None = None
    # a member has so many days left for it at least, the last one included
    days_left: Annotated[int, Meta(ge=1, le=366, description="a number of days, from 1 to 366")] = 1
    # for people: what the codes are good for, and who hands them out
    why: str = ""


class VouchersFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`templates/vouchers.yaml`: the pools that messages may promise codes of; the codes are loaded into the store."""

    pools: dict[Name, PoolFile]


class HouseHoldoutFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`templates/holdout.yaml`: members whom all marketing leaves out, to see what it brings altogether."""

    share: Share
    salt: Name
    # for people
    why: str = ""
