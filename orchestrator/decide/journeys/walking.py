"""How a member goes on through a journey, from step to step to its end."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.decide.ends import cancel, end
from orchestrator.decide.intents import intend
from orchestrator.decide.journey import Journey, Send, Wait, send_of
from orchestrator.decide.member import Instance, Member, Pending
from orchestrator.decide.turn import Turn, Wanted


def advance(turn: Turn, instance: Instance) -> None:
    """Moves an instance on until it waits, is deferred, or is through."""
    journey = turn.content.journeys.get(instance.journey)
    steps = journey.steps if journey is not None else ()
    if journey is not None and instance.step < len(steps):
        at = steps[instance.step]
        if isinstance(at, Wait):
            turn.keep_instance(instance)
            turn.arm(f"journey:{instance.journey}:{instance.occurrence}", turn.now + at.duration)
            return
        intend(turn, journey, at, instance)
        turn.keep_instance(instance)
        return
    turn.drop_instance(instance)


def woken(turn: Turn, member: Member, name: str) -> None:
    """The wait of the instance `<journey>:<occurrence>` is over."""
    for instance in member.instances:
        if f"{instance.journey}:{instance.occurrence}" == name:
            advance(turn, replace(instance, step=instance.step + 1))
            return


def resume(turn: Turn, pending: Pending) -> None:
    """A deferred intent at its time, or one the dispatcher gave back."""
    journey = turn.content.journeys.get(pending.journey)
    send = send_of(journey, pending.step)
    if journey is None or send is None:
        end(turn, pending, "exited")
        return
    turn.wanted.append(Wanted(journey, send, pending, waiting=True))


def go_on(turn: Turn, journey: Journey, send: Send, intent: Pending) -> None:
    """An intent ended as a touch or as a silence: its run goes on, where it stands at that step."""
    for instance in turn.known().instances:
        if (instance.journey, instance.occurrence) == (intent.journey, intent.occurrence) and (
            journey.steps[instance.step] is send
        ):
            advance(turn, replace(instance, step=instance.step + 1))
            return


def leave(turn: Turn, member: Member, event_type: str) -> None:
    """Ends the instances, and what waits, of every journey that this event type ends."""
    if not member.instances and not member.pending:
        return
    ended = {name for name, journey in turn.content.journeys.items() if event_type in journey.exit}
    if not ended:
        return
    for pending in list(member.pending.values()):
        if pending.journey in ended and not pending.touch_id:
            end(turn, pending, "exited")
        elif pending.journey in ended and turn.uncalled(pending.touch_id):
            cancel(turn, pending, "exited")
    turn.member = replace(turn.known(), instances=tuple(i for i in turn.known().instances if i.journey not in ended))
