"""May a member enter a journey now? What keeps them out leaves no record; whoever wants to know asks again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from orchestrator.decide.context import Views
from orchestrator.decide.journey import Journey
from orchestrator.decide.member import Member

# the condition of the trigger, the audience, an earlier entry, a run that goes on; "": nothing
Bar = Literal["", "where", "audience", "reentry", "running"]


def barred(member: Member, journey: Journey, facts: Mapping[str, object], views: Views) -> Bar:
    """The first thing that keeps the member out of the journey; `facts` are those of what would start it.

    Raises RenderError for a condition that can't be read.
    """
    where, audience = journey.trigger.where, journey.audience
    if where is not None or audience is not None:
        view = views.of(member, facts)
        if where is not None and not where(view):
            return "where"
        if audience is not None and not audience(view):
            return "audience"
    return barred_by_others(member, journey, key_of(journey, facts), views.now)


def barred_by_others(member: Member, journey: Journey, key: str, now: datetime) -> Bar:
    """Which other run keeps the member from one of this key: one that was, or one that goes on; "": none."""
    entered = member.entered.get(mark_of(journey, key))
    if entered is not None and (
        journey.reentry == "never" or (journey.gap is not None and now - entered < journey.gap)
    ):
        return "reentry"
    if key or journey.at_once:
        running = [run.key for run in member.instances if run.journey == journey.name]
        if (key and key in running) or 0 < journey.at_once <= len(running):
            return "running"
    return ""


def key_of(journey: Journey, facts: Mapping[str, object]) -> str:
    """What tells the run that these facts are about from others; "" where the journey does not keep them apart."""
    value = facts.get(journey.key) if journey.key else None
    return "" if value is None else str(value)


def mark_of(journey: Journey, key: str) -> str:
    """The name under which a member's last entry is kept: each key has its own."""
    return f"{journey.name}/{key}" if key else journey.name


def facts_of_silence(last: datetime, now: datetime) -> dict[str, object]:
    """What a journey that starts by silence knows of its start: `event.last`, `event.days`."""
    return {"last": last.isoformat(), "days": (now - last).days}
