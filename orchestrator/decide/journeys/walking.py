"""How a member goes on through a journey, from step to step to its end.

A run stands at a label. Where its journey is paused it goes no further, and all that comes due is put off to `HELD`:
whoever lets the journey go on has these timers come due. What is stopped, or stands at a label that the journey does
not have any more, ends as a silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec.structs import replace

from orchestrator.decide import deadlines
from orchestrator.decide.ends import cancel, end
from orchestrator.decide.entry import key_of
from orchestrator.decide.intents import intend, occurrence_of, silence_at
from orchestrator.decide.journey import Journey, Send, WaitEvent, send_of
from orchestrator.decide.journeys.carrying import CARRY_OUT
from orchestrator.decide.member import Instance, Member, Pending
from orchestrator.decide.turn import Turn, Wanted
from orchestrator.render.contract import RenderError

# when the timers of paused journeys are due: after everything else
HELD = datetime(9999, 1, 1, tzinfo=UTC)
# steps that a run may take at one moment; the longest file that is let in stays far below
MAX_WALK = 5_000


def timer_of(instance: Instance) -> str:
    """The name of a run's timer."""
    return f"journey:{instance.journey}:{instance.occurrence}"


def go(turn: Turn, instance: Instance) -> None:
    """Carries out the step the run stands at, and those after it, unless its journey is paused or stopped."""
    journey = turn.content.journeys.get(instance.journey)
    if journey is None or instance.step not in journey.places:
        end_run(turn, instance, "step_gone")
    elif journey.name in turn.shared.stopped:
        end_run(turn, instance, "stopped")
    elif journey.name in turn.shared.paused:
        turn.keep_instance(replace(instance, held=True))
        turn.arm(timer_of(instance), HELD)
    else:
        _walk(turn, journey, replace(instance, held=False) if instance.held else instance)


def woken(turn: Turn, member: Member, name: str) -> None:
    """The timer of the run `<journey>:<occurrence>` is due: what it waited for is over, or its journey goes on."""
    for instance in member.instances:
        if f"{instance.journey}:{instance.occurrence}" == name:
            journey = turn.content.journeys.get(instance.journey)
            place = None if journey is None else journey.places.get(instance.step)
            if journey is None or place is None:
                end_run(turn, instance, "step_gone")
            elif not instance.held:
                at = journey.steps[place]
                _go_on(turn, journey, instance, at.otherwise if isinstance(at, WaitEvent) else "")
            elif place == 0 and instance.entered_at + journey.trigger.fresh_for < turn.now:
                end_run(turn, instance, "stale")
            else:
                go(turn, instance)
            return


def resume(turn: Turn, pending: Pending) -> None:
    """A deferred intent at its time, or one the dispatcher gave back."""
    journey = turn.content.journeys.get(pending.journey)
    send = send_of(journey, pending.step)
    run = run_of(turn.known(), pending)
    if journey is None or send is None:
        end(turn, pending, "step_gone")
        if run is not None and run.step == pending.step:
            turn.drop_instance(run)
        return
    if journey.name in turn.shared.stopped:
        end(turn, pending, "stopped")
        if run is not None:
            turn.drop_instance(run)
        return
    if journey.name in turn.shared.paused:
        turn.arm(f"intent:{pending.intent_id}", HELD)
        return
    if journey.name in turn.shared.unapproved:
        end(turn, pending, "not_approved")
        go_on(turn, journey, send, pending)
    elif pending.valid_until <= turn.now:
        end(turn, pending, "expired")
        go_on(turn, journey, send, pending)
    else:
        turn.wanted.append(Wanted(journey, send, pending, waiting=True))


def go_on(turn: Turn, journey: Journey, send: Send, intent: Pending) -> None:
    """An intent ended as a touch or as a silence: its run goes on, where it stands at that step for that intent."""
    run = run_of(turn.known(), intent)
    if run is not None and run.step == send.label and occurrence_of(run) == intent.occurrence:
        _go_on(turn, journey, run)


def run_of(member: Member, pending: Pending) -> Instance | None:
    """The run that an intent belongs to; None where it is over."""
    return find_run(member, _name_of_run(pending))


def find_run(member: Member, name: tuple[str, str]) -> Instance | None:
    """The run of this (journey, occurrence); None where it is over."""
    return next((run for run in member.instances if (run.journey, run.occurrence) == name), None)


def _name_of_run(pending: Pending) -> tuple[str, str]:
    """(journey, occurrence) of the run that an intent belongs to: without the round of a repetition."""
    return (pending.journey, pending.occurrence.partition("#")[0])


def end_run(turn: Turn, instance: Instance, reason: str, note: str = "") -> None:
    """A run ends as a silence; an intent of its that waits is that silence."""
    if not close_run(turn, instance, reason):
        journey = turn.content.journeys.get(instance.journey)
        silence_at(turn, instance, "" if journey is None else journey.purpose, reason, note)


def close_run(turn: Turn, instance: Instance, reason: str) -> bool:
    """A run is over: what of it waits, or is not called yet, ends as a silence; whether there was any of that."""
    member = turn.known()
    told = False
    for pending in list(member.pending.values()):
        if _name_of_run(pending) != (instance.journey, instance.occurrence):
            continue
        if not pending.touch_id:
            end(turn, pending, reason)
            told = True
        elif turn.uncalled(pending.touch_id):
            cancel(turn, pending, reason)
            told = True
        else:
            turn.keep(replace(pending, over=reason))
    for name, watched in member.watched.items():
        if _name_of_run(watched) == (instance.journey, instance.occurrence):
            deadlines.forget(turn, name)
    turn.drop_instance(instance)
    return told


def _go_on(turn: Turn, journey: Journey, instance: Instance, to: str = "") -> None:
    """From the step that the run stands at to the next one, or to a label."""
    if to:
        go(turn, replace(instance, step=to))
        return
    following = journey.places[instance.step] + 1
    if following >= len(journey.steps):
        turn.drop_instance(instance)
    else:
        go(turn, replace(instance, step=journey.steps[following].label))


def heard(turn: Turn, journey: Journey, instance: Instance, facts: Mapping[str, object]) -> None:
    """What a run waits for has come."""
    _go_on(turn, journey, replace(instance, heard=dict(facts)))


def gathered(turn: Turn, journey: Journey, instance: Instance, facts: Mapping[str, object], most: int) -> None:
    """A further occurrence for a run that collects them."""
    instance = replace(instance, gathered=(*instance.gathered, dict(facts))[-most:])
    if len(instance.gathered) >= most:
        _go_on(turn, journey, instance)
    else:
        turn.keep_instance(instance)


def _walk(turn: Turn, journey: Journey, run: Instance) -> None:
    """Moves a run on until it waits, wants to send, or is through."""
    steps = journey.steps
    place = journey.places[run.step]
    for _ in range(MAX_WALK):
        if place >= len(steps):
            turn.drop_instance(run)
            return
        at = steps[place]
        if run.step != at.label:
            run = replace(run, step=at.label)
        if isinstance(at, Send):
            intend(turn, journey, at, run)
            turn.keep_instance(run)
            return
        try:
            done = CARRY_OUT[type(at)](turn, journey, at, run)
        except RenderError as error:
            end_run(turn, run, "content_error", str(error))
            return
        run = done.run or run
        if done.waits is not None:
            turn.keep_instance(run)
            turn.arm(timer_of(run), done.waits)
            return
        if done.silence:
            end_run(turn, run, done.silence)
            return
        if done.over:
            turn.drop_instance(run)
            return
        place = journey.places[done.to] if done.to else place + 1
    end_run(turn, run, "content_error", f"more than {MAX_WALK} steps at one moment")


def leave(turn: Turn, member: Member, event_type: str, facts: Mapping[str, object]) -> None:
    """Ends the runs, and what waits, of every journey that this event type ends."""
    if not member.instances and not member.pending and not member.watched:
        return
    ended = {name for name, journey in turn.content.journeys.items() if event_type in journey.exit}
    if not ended:
        return
    for pending in list(member.pending.values()):
        if pending.journey not in ended or not _concerns(turn, pending.journey, pending.key, facts):
            continue
        if not pending.touch_id:
            end(turn, pending, "exited")
        elif turn.uncalled(pending.touch_id):
            cancel(turn, pending, "exited")
        else:
            turn.keep(replace(pending, over="exited"))
    for name, watched in member.watched.items():
        if watched.journey in ended and _concerns(turn, watched.journey, watched.key, facts):
            deadlines.forget(turn, name)
    kept = tuple(
        run
        for run in turn.known().instances
        if run.journey not in ended or not _concerns(turn, run.journey, run.key, facts)
    )
    turn.member = replace(turn.known(), instances=kept)


def _concerns(turn: Turn, journey: str, key: str, facts: Mapping[str, object]) -> bool:
    return same_key(turn.content.journeys[journey], key, facts)


def same_key(journey: Journey, key: str, facts: Mapping[str, object]) -> bool:
    """Whether an event is about the run with this key; one that does not have the field is about all of them."""
    return not journey.key or facts.get(journey.key) is None or key_of(journey, facts) == key
