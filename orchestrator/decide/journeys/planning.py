"""What starts by the calendar, and what starts as a member comes to belong to an audience or leaves it.

Each journey of the calendar has one timer a member: the next of its moments. It is planned as the member becomes known,
whenever their profile changes, and after each of its moments. `Member.planned` keeps the local day of the last one, so
that a member who moves to another zone does not live it twice.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from orchestrator.decide import context
from orchestrator.decide.intents import silence
from orchestrator.decide.journey import Expression, Journey, first_of
from orchestrator.decide.journeys import calendar
from orchestrator.decide.journeys.triggers import enter
from orchestrator.decide.member import Member
from orchestrator.decide.turn import Turn
from orchestrator.render.contract import RenderError


def plan(turn: Turn) -> None:
    """Arms the next moment of every journey of the calendar, and forgets those that are not to come."""
    for journey in turn.content.planned:
        _plan(turn, journey, turn.now)


def came(turn: Turn, journey: Journey, due: datetime) -> None:
    """A moment of the calendar: the journey may start, and its next moment is planned."""
    member = turn.known()
    day = due.astimezone(context.clock_of(turn.content, member)).date().isoformat()
    if day > member.planned.get(journey.name, ""):
        turn.member = replace(member, planned={**member.planned, journey.name: day})
        enter(turn, journey, {"day": day}, day, due)
    _plan(turn, journey, due)


def _plan(turn: Turn, journey: Journey, after: datetime) -> None:
    name = f"date:{journey.name}"
    try:
        due = next_moment(turn, journey, after)
    except RenderError:
        # told by `content check`; there is no day on which it might be told of this member
        due = None
    armed = turn.known().timers.get(name)
    if due is not None and due != armed:
        turn.arm(name, due)
    elif due is None and armed is not None:
        turn.disarm(name)


def next_moment(turn: Turn, journey: Journey, after: datetime) -> datetime | None:
    """The first moment of a journey of the calendar after an instant; None where none is to come."""
    member = turn.known()
    zone = context.clock_of(turn.content, member)
    trigger = journey.trigger
    if trigger.schedule is not None:
        return calendar.next_regular(zone, after, trigger.schedule)
    if trigger.date is None:
        return None
    given = calendar.as_date(trigger.date.date(context.view(member, {}, turn.content, after)))
    if given is None:
        return None
    try:
        return calendar.next_date(zone, after, given, trigger.date)
    except OverflowError:
        return None


def watch_groups(turn: Turn, before: Member | None, occurrence: str) -> None:
    """Starts the journeys of audiences that the member has come to belong to, or left, since they were as `before`.

    Each crossing starts a journey once.
    """
    former = None if before is None else turn.views.of(before, {})
    view = turn.views.of(turn.known(), {})
    for journey in turn.content.grouped:
        group = journey.trigger.group
        if group is not None:
            _crossing(turn, journey, group, former, view, occurrence)


def _crossing(
    turn: Turn,
    journey: Journey,
    group: Expression,
    former: dict[str, object] | None,
    view: dict[str, object],
    occurrence: str,
) -> None:
    was = False if former is None else _belongs(group, former)
    belongs = _belongs(group, view)
    if isinstance(belongs, str):
        if not isinstance(was, str):
            silence(turn, journey, first_of(journey), occurrence, "content_error", belongs)
    elif (was is True) != belongs and belongs == (journey.trigger.kind == "enters"):
        enter(turn, journey, {}, occurrence, turn.now)


def _belongs(group: Expression, view: dict[str, object]) -> bool | str:
    """Whether somebody belongs to an audience; the error where that can't be told."""
    try:
        return bool(group(view))
    except RenderError as error:
        return str(error)
