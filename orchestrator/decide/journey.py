"""A journey as it decides: compiled, frozen. The YAML behind it is `templates/<journey>/journey.yaml`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Literal

from msgspec import Struct

Expression = Callable[[Mapping[str, object]], object]


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

    # name of the step and of its templates
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


class Wait(Struct, frozen=True, kw_only=True):
    """Let time pass."""

    duration: timedelta


Step = Send | Wait


class Trigger(Struct, frozen=True, kw_only=True):
    """What starts a journey: an event, or silence after one."""

    # event type that starts it; for inactivity the type that was last seen
    event: str
    # silence of this long after `event`; None: the event itself
    inactivity: timedelta | None = None
    # further condition on the event
    where: Expression | None = None
    # an older occasion changes what we know and leaves a silence `stale`
    fresh_for: timedelta = timedelta(days=2)


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
    # event types that end it
    exit: frozenset[str] = frozenset()


def send_of(journey: Journey | None, name: str) -> Send | None:
    """The step `send` of this name; None where there is none."""
    if journey is None:
        return None
    return next((given for given in journey.steps if isinstance(given, Send) and given.name == name), None)


def first_of(journey: Journey) -> Send:
    """The first `send`: every journey has one."""
    return next(given for given in journey.steps if isinstance(given, Send))
