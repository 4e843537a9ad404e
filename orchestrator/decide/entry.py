"""May a member enter a journey now? What keeps them out leaves no record; whoever wants to know asks again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from orchestrator.decide import context
from orchestrator.decide.content import Content
from orchestrator.decide.journey import Journey
from orchestrator.decide.member import Member

# the condition of the trigger, the audience, an earlier entry; "": nothing
Bar = Literal["", "where", "audience", "reentry"]


def barred(member: Member, journey: Journey, facts: Mapping[str, object], content: Content, now: datetime) -> Bar:
    """The first thing that keeps the member out of the journey; `facts` are those of what would start it.

    Raises RenderError for a condition that can't be read.
    """
    where, audience = journey.trigger.where, journey.audience
    if where is not None or audience is not None:
        view = context.view(member, facts, content, now)
        if where is not None and not where(view):
            return "where"
        if audience is not None and not audience(view):
            return "audience"
    entered = member.entered.get(journey.name)
    if entered is not None and (
        journey.reentry == "never" or (journey.gap is not None and now - entered < journey.gap)
    ):
        return "reentry"
    return ""


def facts_of_silence(last: datetime, now: datetime) -> dict[str, object]:
    """What a journey that starts by silence knows of its start: `event.last`, `event.days`."""
    return {"last": last.isoformat(), "days": (now - last).days}
