"""What starts a journey for a member."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from orchestrator.decide import context, ids
from orchestrator.decide.entry import barred, facts_of_silence
from orchestrator.decide.intents import silence
from orchestrator.decide.journey import Journey, first_of
from orchestrator.decide.journeys.walking import advance
from orchestrator.decide.member import Instance, Member
from orchestrator.decide.turn import Turn
from orchestrator.events.envelope import Event
from orchestrator.render.contract import RenderError

MAX_INSTANCES = 40


def trigger(turn: Turn, journey: Journey, event: Event) -> None:
    """An event that may start the journey."""
    member = turn.known()
    facts = context.plain(event.data)
    occurrence = ids.occurrence_of(turn.shared.key, event.source, event.id)
    _enter(turn, member, journey, facts, occurrence, event.time)


def watch_silence(turn: Turn, member: Member, journey: Journey, event: Event) -> None:
    """An event after which silence may start the journey."""
    name = f"inactive:{journey.name}"
    if journey.trigger.inactivity is None or name in member.timers:
        return
    due = event.time + journey.trigger.inactivity
    if event.history and due < turn.now:
        return
    turn.arm(name, max(due, turn.now))


def silence_over(turn: Turn, member: Member, journey: Journey, inactivity: timedelta) -> None:
    """It has been silent for so long, unless something came since."""
    last = member.aggregates[journey.trigger.event].last
    due = last + inactivity
    if due > turn.now:
        turn.arm(f"inactive:{journey.name}", due)
        return
    facts = facts_of_silence(last, turn.now)
    _enter(turn, member, journey, facts, last.strftime("%Y%m%dT%H%M%SZ"), due)


def _enter(
    turn: Turn, member: Member, journey: Journey, facts: dict[str, object], occurrence: str, occasion: datetime
) -> None:
    """Starts a journey if its conditions hold; a condition that can't be read is a silence `content_error`."""
    try:
        if barred(member, journey, facts, turn.content, turn.now):
            return
    except RenderError as error:
        silence(turn, journey, first_of(journey), occurrence, "content_error", str(error))
        return
    if occasion + journey.trigger.fresh_for < turn.now:
        silence(turn, journey, first_of(journey), occurrence, "stale")
        return
    if len(member.instances) >= MAX_INSTANCES:
        silence(turn, journey, first_of(journey), occurrence, "journey_limit")
        return
    if journey.reentry != "each":
        turn.member = replace(member, entered={**member.entered, journey.name: turn.now})
    advance(turn, Instance(journey=journey.name, occurrence=occurrence, step=0, entered_at=turn.now, trigger=facts))
