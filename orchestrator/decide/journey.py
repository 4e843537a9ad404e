"""A journey as it decides: compiled, frozen. The YAML behind it is `templates/<journey>/journey.yaml`.

Its steps are one flat row of labelled instructions: what stands inside a branch, an arm or a repetition lies in the
row too, with jumps around it. Who is inside stands at a label, so that a new content revision finds them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import time, timedelta
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import force_setattr

Expression = Callable[[Mapping[str, object]], object]
TriggerKind = Literal["event", "inactivity", "date", "threshold", "enters", "leaves", "schedule", "manual"]


class ReachBy(Struct, frozen=True, kw_only=True):
    """The member must have a message by then."""

    # a day (it must arrive before that local day begins) or an instant; over `event`, `member`, `now` …
    date: Expression
    # and so long before that
    before: timedelta = timedelta(0)
    # channels that are tried too once the deadline is in danger, in this order
    escalate: tuple[str, ...] = ()


class Send(Struct, frozen=True, kw_only=True):
    """Contact the member once."""

    # the label; its name unless the message is sent from several steps
    label: str
    # name of its templates
    name: str
    # those it has words for; ways of the same rank are tried in this order
    channels: tuple[str, ...]
    # from the intent's creation; a deferral may not go beyond
    valid_for: timedelta
    # refusals with these reasons end the intent instead of deferring it
    drop_on: frozenset[str] = frozenset()
    # what becomes of a message whose channel must wait: the next channel is tried, it waits for this one, it is dropped
    on_refusal: Literal["other_channel", "defer", "drop"] = "other_channel"
    # None: there is no deadline
    reach_by: ReachBy | None = None
    # to the contact point that waits for its confirmation, in the place of the member's own
    to_requested: bool = False
    # pool whose code it promises; "": none
    voucher: str = ""


class Wait(Struct, frozen=True, kw_only=True):
    """Let time pass."""

    label: str
    duration: timedelta


class WaitClock(Struct, frozen=True, kw_only=True):
    """Wait until the member's own clock shows a time of day; no wait where it shows it now."""

    label: str
    at: time
    # Monday is 0; none: any day
    weekdays: frozenset[int] = frozenset()


class WaitDate(Struct, frozen=True, kw_only=True):
    """Wait until so long before a date or an instant; planned anew whenever that moves."""

    label: str
    # the date, the instant, or the ISO 8601 text of one; none: not known
    date: Expression
    # as written, for people
    source: str
    # before it; negative: after it
    before: timedelta
    # a date begins at this time on the member's own clock
    at: time
    # what becomes of a run for which that moment has passed when it comes here
    missed: Literal["go", "exit"] = "go"


class WaitEvent(Struct, frozen=True, kw_only=True):
    """Wait until an event comes, for so long at most."""

    label: str
    event: str
    within: timedelta
    where: Expression | None = None
    # where the run goes on when the time is over
    otherwise: str


class Branch(Struct, frozen=True, kw_only=True):
    """Go on if the condition holds, otherwise elsewhere."""

    label: str
    condition: Expression
    # as written, for people
    source: str
    otherwise: str


class Arm(Struct, frozen=True, kw_only=True):
    """One way of a split."""

    name: str
    weight: int
    # where it begins
    to: str


class Split(Struct, frozen=True, kw_only=True):
    """Each member goes one of several ways, always the same one, in proportion to the weights."""

    label: str
    arms: tuple[Arm, ...]
    # sum of the weights
    total: int


class Gather(Struct, frozen=True, kw_only=True):
    """Wait for further occurrences of what started the journey, and go on with all of them."""

    label: str
    duration: timedelta
    # goes on at once when so many are there, the first included
    most: int


class Begin(Struct, frozen=True, kw_only=True):
    """The steps up to `Again` of the same loop are done for the first time."""

    label: str


class Again(Struct, frozen=True, kw_only=True):
    """Back to the steps after `begin`, unless it was the last time."""

    label: str
    begin: str
    times: int
    # ends the repetition early
    unless: Expression | None = None


class Jump(Struct, frozen=True, kw_only=True):
    """Go on elsewhere."""

    label: str
    to: str


class Tag(Struct, frozen=True, kw_only=True):
    """Set a tag on the member, or take it off."""

    label: str
    name: str
    set: bool


class Exit(Struct, frozen=True, kw_only=True):
    """The run is over."""

    label: str


class Here(Struct, frozen=True, kw_only=True):
    """A place to jump to."""

    label: str


Step = (
    Send | Wait | WaitClock | WaitDate | WaitEvent | Branch | Split | Gather | Begin | Again | Jump | Tag | Exit | Here
)


class Yearly(Struct, frozen=True, kw_only=True):
    """A date of the member's, each year or once."""

    # the date, or the ISO 8601 text of one; none: not known
    date: Expression
    # as written, for people
    source: str
    yearly: bool
    # days after it; negative: before it
    days: int
    # on the member's own clock
    at: time
    # (month, day) that stands for 29 February in other years
    leap_day: tuple[int, int]


class Regular(Struct, frozen=True, kw_only=True):
    """Days of the week or of the month, at a time of the member's own clock."""

    at: time
    # Monday is 0
    weekdays: frozenset[int] = frozenset()
    # from 1; -1 is the last day of the month
    days: frozenset[int] = frozenset()


class Threshold(Struct, frozen=True, kw_only=True):
    """A figure of an event type that is reached."""

    of: Literal["count", "sum"]
    # lifetime where 0, else the last so many UTC days
    days: int = 0
    # reached from below …
    reaches: int = 0
    # … or each multiple of this
    each: int = 0


class Trigger(Struct, frozen=True, kw_only=True):
    """What starts a journey."""

    kind: TriggerKind = "event"
    # event type that starts it; for inactivity and thresholds the type that is looked at; "" for all others
    event: str = ""
    # silence of this long after `event`
    inactivity: timedelta | None = None
    date: Yearly | None = None
    schedule: Regular | None = None
    threshold: Threshold | None = None
    # enters, leaves: who is in the audience
    group: Expression | None = None
    # further condition on the event
    where: Expression | None = None
    # an older occasion changes what we know and leaves a silence `stale`
    fresh_for: timedelta = timedelta(days=2)


class Goal(Struct, frozen=True, kw_only=True):
    """An event that a journey is for: the run that it comes to ends as reached."""

    event: str
    where: Expression | None = None


class Holdout(Struct, frozen=True, kw_only=True):
    """Members who are left out for comparison, always the same ones."""

    # of 10,000
    share: int
    salt: str


class Journey(Struct, frozen=True, kw_only=True):
    """What happens, to whom, when, and what ends it."""

    name: str
    purpose: str
    # what kind of journey it is, in the house's own words: caps may count by it
    category: str = ""
    trigger: Trigger
    steps: tuple[Step, ...]
    # who may enter; None: everyone
    audience: Expression | None = None
    reentry: Literal["each", "never", "gap"] = "each"
    # reentry "gap": not before this long after the last entry
    gap: timedelta | None = None
    # field of the event that tells one run from another (one per booking); "": all runs are alike
    key: str = ""
    # runs of a member at a time; 0: as many as a member may have at all
    at_once: int = 0
    # event types that end it; with a key, the run of that key alone
    exit: frozenset[str] = frozenset()
    # event types that bring newer facts for a run that goes on
    updated_by: frozenset[str] = frozenset()
    goal: Goal | None = None
    holdout: Holdout | None = None
    # added to the links of its messages: (name, value)
    link_parameters: tuple[tuple[str, str], ...] = ()
    # label -> place in `steps`
    places: Mapping[str, int] = field(default_factory=dict)
    # event types that runs of it may wait for
    awaits: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """The places are those of the steps."""
        force_setattr(self, "places", {step.label: i for i, step in enumerate(self.steps)})
        force_setattr(self, "awaits", frozenset(step.event for step in self.steps if isinstance(step, WaitEvent)))

    def sends(self) -> Iterator[Send]:
        """Its messages, in the order of the file."""
        return (step for step in self.steps if isinstance(step, Send))


def send_of(journey: Journey | None, label: str) -> Send | None:
    """The step `send` of this label; None where there is none."""
    if journey is None:
        return None
    place = journey.places.get(label)
    step = None if place is None else journey.steps[place]
    return step if isinstance(step, Send) else None


def first_of(journey: Journey) -> Send:
    """The first `send`: every journey has one."""
    return next(journey.sends())
