"""What an event means to the runs that go on: newer facts, what they waited for, the goal, the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from orchestrator.decide.journey import Expression, Journey, WaitDate, WaitEvent
from orchestrator.decide.journeys.carrying import planned
from orchestrator.decide.journeys.walking import (
    HELD,
    close_run,
    end_run,
    find_run,
    go,
    heard,
    same_key,
    timer_of,
)
from orchestrator.decide.member import Instance
from orchestrator.decide.result import Entry
from orchestrator.decide.turn import Turn
from orchestrator.render.contract import RenderError


def update(turn: Turn, event_type: str, facts: Mapping[str, object]) -> None:
    """Newer facts take the place of those that a run began with; what the event leaves out stays."""
    for run, journey in _runs(turn, facts):
        if event_type in journey.updated_by:
            known = {name: value for name, value in facts.items() if value is not None}
            _in_place(turn, run, replace(run, trigger={**run.trigger, **known}))


def reach(turn: Turn, event_type: str, facts: Mapping[str, object]) -> None:
    """Ends the runs whose goal this event is, and puts that on record."""
    for run, journey in _runs(turn, facts):
        goal = journey.goal
        if goal is None or goal.event != event_type or not _holds(turn, run, goal.where, facts):
            continue
        close_run(turn, run, "goal_reached")
        turn.entries.append(
            Entry(
                kind="journey",
                journey=run.journey,
                step=run.step,
                occurrence=run.occurrence,
                purpose=journey.purpose,
                state="goal_reached",
            )
        )


def hear(turn: Turn, event_type: str, facts: Mapping[str, object]) -> None:
    """Has the runs go on that wait for such an event."""
    for run, journey in _runs(turn, facts):
        place = journey.places.get(run.step)
        step = None if place is None else journey.steps[place]
        if (
            isinstance(step, WaitEvent)
            and step.event == event_type
            and not run.held
            and _holds(turn, run, step.where, facts)
        ):
            heard(turn, journey, run, facts)


def plan_again(turn: Turn) -> None:
    """Runs that wait for a date wait for the date as it is now; one that has passed by now is no wait."""
    for run in turn.known().instances:
        journey = turn.content.journeys.get(run.journey)
        place = None if journey is None else journey.places.get(run.step)
        if journey is None or place is None or run.held:
            continue
        step, name = journey.steps[place], timer_of(run)
        armed = turn.known().timers.get(name)
        if not isinstance(step, WaitDate) or armed is None or armed == HELD:
            continue
        try:
            due = planned(turn, step, run)
        except RenderError as error:
            end_run(turn, run, "content_error", str(error))
            continue
        if due is None:
            end_run(turn, run, "date_missing")
        elif due > turn.now:
            if due != armed:
                turn.arm(name, due)
        else:
            # carried out anew, it finds its moment passed
            go(turn, run)


def end_stopped(turn: Turn) -> None:
    """Ends the runs of journeys that are stopped."""
    for run in turn.known().instances:
        if run.journey in turn.shared.stopped:
            end_run(turn, run, "stopped")


def _runs(turn: Turn, facts: Mapping[str, object]) -> Iterator[tuple[Instance, Journey]]:
    """The runs that go on and that facts may be about, each as it is when its turn comes."""
    for name in [(run.journey, run.occurrence) for run in turn.known().instances]:
        run = find_run(turn.known(), name)
        journey = None if run is None else turn.content.journeys.get(run.journey)
        if run is not None and journey is not None and same_key(journey, run.key, facts):
            yield run, journey


def _holds(turn: Turn, run: Instance, where: Expression | None, facts: Mapping[str, object]) -> bool:
    """Whether a condition on an event holds for a run; `start` are the facts that the run began with."""
    if where is None:
        return True
    view = turn.views.of(turn.known(), facts, run.gathered, run.heard)
    view["start"] = run.trigger
    try:
        return bool(where(view))
    except RenderError as error:
        end_run(turn, run, "content_error", str(error))
        return False


def _in_place(turn: Turn, run: Instance, renewed: Instance) -> None:
    member = turn.known()
    turn.member = replace(member, instances=tuple(renewed if each is run else each for each in member.instances))
