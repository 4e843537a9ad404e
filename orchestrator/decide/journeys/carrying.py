"""What each kind of step does to a run, one function a kind. Sends are weighed elsewhere: see `intents.py`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.decide import context, ids
from orchestrator.decide.journey import (
    Again,
    Begin,
    Branch,
    Exit,
    Gather,
    Here,
    Journey,
    Jump,
    Split,
    Tag,
    Wait,
    WaitClock,
    WaitDate,
    WaitEvent,
)
from orchestrator.decide.journeys import calendar
from orchestrator.decide.member import Instance
from orchestrator.decide.turn import Turn

MAX_TAGS = 60


class Done(Struct, frozen=True, kw_only=True):
    """What became of a step."""

    # the run, where the step altered it
    run: Instance | None = None
    # it waits there until then
    waits: datetime | None = None
    # label to go on at; "" for the step after it
    to: str = ""
    # the run is over
    over: bool = False
    # the run ends as a silence with this reason
    silence: str = ""


ON = Done()
OVER = Done(over=True)


def planned(turn: Turn, at: WaitDate, instance: Instance) -> datetime | None:
    """Until when a run waits for its date; None where the date is not known. Raises RenderError."""
    moment = calendar.as_moment(at.date(view_of(turn, instance)))
    if moment is None:
        return None
    try:
        if isinstance(moment, datetime):
            return moment.astimezone(UTC) - at.before
        # whole days are days of the calendar; what is left over is elapsed time
        whole = at.before // calendar.DAY * calendar.DAY
        return calendar.begins(context.clock_of(turn.content, turn.known()), moment - whole, at.at) - (
            at.before - whole
        )
    except OverflowError:
        return None


def view_of(turn: Turn, instance: Instance) -> dict[str, object]:
    """What the expressions of a run see."""
    return turn.views.of(turn.known(), instance.trigger, instance.gathered, instance.heard)


def arm_of(key: bytes, member: str, journey: str, split: Split) -> str:
    """Where a member goes on at a split: the same way each time."""
    left = ids.draw(key, split.total, "split", journey, split.label, member)
    for arm in split.arms:
        left -= arm.weight
        if left < 0:
            return arm.to
    raise ValueError("the weights of a split add up to its total")


def _wait(turn: Turn, _journey: Journey, at: Wait, _run: Instance) -> Done:
    return Done(waits=turn.now + at.duration)


def _clock(turn: Turn, _journey: Journey, at: WaitClock, _run: Instance) -> Done:
    due = calendar.next_clock(context.clock_of(turn.content, turn.known()), turn.now, at.at, at.weekdays)
    return Done(waits=due) if due > turn.now else ON


def _date(turn: Turn, _journey: Journey, at: WaitDate, run: Instance) -> Done:
    due = planned(turn, at, run)
    if due is None:
        return Done(silence="date_missing")
    if due > turn.now:
        return Done(waits=due)
    return ON if at.missed == "go" else OVER


def _event(turn: Turn, _journey: Journey, at: WaitEvent, _run: Instance) -> Done:
    return Done(waits=turn.now + at.within)


def _gather(turn: Turn, _journey: Journey, at: Gather, run: Instance) -> Done:
    return Done(waits=turn.now + at.duration, run=replace(run, gathered=(run.trigger,)))


def _branch(turn: Turn, _journey: Journey, at: Branch, run: Instance) -> Done:
    return ON if at.condition(view_of(turn, run)) else Done(to=at.otherwise)


def _split(turn: Turn, journey: Journey, at: Split, _run: Instance) -> Done:
    return Done(to=arm_of(turn.shared.key, turn.known().id, journey.name, at))


def _begin(_turn: Turn, _journey: Journey, at: Begin, run: Instance) -> Done:
    return Done(run=replace(run, counters={**run.counters, at.label: 1}))


def _again(turn: Turn, journey: Journey, at: Again, run: Instance) -> Done:
    count = run.counters.get(at.begin, at.times)
    over = count >= at.times or (at.unless is not None and bool(at.unless(view_of(turn, run))))
    counters = {label: n for label, n in run.counters.items() if label != at.begin}
    if over:
        return Done(run=replace(run, counters=counters))
    first = journey.steps[journey.places[at.begin] + 1].label
    return Done(run=replace(run, counters={**counters, at.begin: count + 1}), to=first)


def _jump(_turn: Turn, _journey: Journey, at: Jump, _run: Instance) -> Done:
    return Done(to=at.to)


def _tag(turn: Turn, _journey: Journey, at: Tag, _run: Instance) -> Done:
    member = turn.known()
    if at.set != (at.name in member.tags):
        kept = tuple(name for name in member.tags if name != at.name)
        turn.member = replace(member, tags=(*kept, at.name)[-MAX_TAGS:] if at.set else kept)
    return ON


def _exit(_turn: Turn, _journey: Journey, _at: Exit, _run: Instance) -> Done:
    return OVER


def _here(_turn: Turn, _journey: Journey, _at: Here, _run: Instance) -> Done:
    return ON


# what a step does, by its kind; raises RenderError where an expression can't be read
CARRY_OUT: dict[type, Callable[[Turn, Journey, Any, Instance], Done]] = {
    Wait: _wait,
    WaitClock: _clock,
    WaitDate: _date,
    WaitEvent: _event,
    Gather: _gather,
    Branch: _branch,
    Split: _split,
    Begin: _begin,
    Again: _again,
    Jump: _jump,
    Tag: _tag,
    Exit: _exit,
    Here: _here,
}
