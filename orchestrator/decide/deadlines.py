"""Messages that must reach the member by a date: what endangers that, who hears of it, and what is tried instead."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from msgspec.structs import replace

from orchestrator.decide import context
from orchestrator.decide.decision import Weighed
from orchestrator.decide.journey import ReachBy
from orchestrator.decide.member import Member, Pending
from orchestrator.decide.turn import Turn
from orchestrator.render.contract import RenderError

# accepted ones that are watched for a bounce; the oldest are forgotten first
MAX_WATCHED = 20


def given(turn: Turn, by: ReachBy, intent: Pending) -> Pending:
    """The intent with its deadline; it is of use at least until then. Raises RenderError where no date can be read."""
    member = turn.known()
    moment = _moment(by.date(turn.views.of(member, intent.trigger)), turn, member) - by.before
    if moment > turn.now:
        turn.arm(timer_of(intent), moment)
    return replace(intent, reach_by=moment, valid_until=max(intent.valid_until, moment))


def timer_of(intent: Pending) -> str:
    """The name of the timer of a deadline."""
    return f"deadline:{intent.intent_id}"


def endangered(intent: Pending, weighed: Sequence[Weighed]) -> bool:
    """Whether none of these channels will do in time."""
    by = intent.reach_by
    if by is None:
        return False
    releases = [each.tried.release_at for each in weighed if each.tried.says == "defer"]
    return not any(release is not None and release <= by for release in releases)


def alarm(turn: Turn, intent: Pending, because: str, reason: str = "deadline_endangered") -> None:
    """An operator hears that a deadline is in danger, or was missed."""
    journey = turn.content.journeys.get(intent.journey)
    told = {"reach_by": intent.reach_by, "because": because}
    turn.alarm(intent, reason, told, touch=intent.instead_of, purpose=journey.purpose if journey else "")


def came(turn: Turn, name: str) -> None:
    """A deadline is there: what has not been accepted by then has missed it; the others are watched no longer."""
    member = turn.known()
    intent = member.pending.get(name)
    if intent is not None:
        alarm(turn, intent, "waiting" if not intent.touch_id else "not_called", "deadline_missed")
    forget(turn, name)


def accepted(turn: Turn, intent: Pending, state: str) -> None:
    """A touch was accepted, or left in doubt: it is watched until its deadline, or until it is delivered."""
    if not to_come(intent, turn.now):
        return
    member = turn.known()
    watched = {**member.watched, intent.intent_id: intent}
    turn.member = replace(member, watched=dict(list(watched.items())[-MAX_WATCHED:]))
    if state == "unknown":
        # a second message might be one too many: a person has to look
        alarm(turn, intent, "unknown")


def delivered(turn: Turn, touch: str) -> None:
    """The member has it."""
    for name, intent in turn.known().watched.items():
        if intent.touch_id == touch:
            forget(turn, name)
            return


def watched_of(member: Member, touch: str) -> Pending | None:
    """The intent with a deadline that an accepted touch is for."""
    return next((intent for intent in member.watched.values() if intent.touch_id == touch), None)


def to_come(intent: Pending, now: datetime) -> bool:
    """Whether there is still time until a deadline."""
    return intent.reach_by is not None and now < intent.reach_by


def endangered_by(turn: Turn, intent: Pending, because: str) -> Pending:
    """A touch was refused, or bounced, before the deadline: an operator hears of it."""
    alarm(turn, replace(intent, instead_of=intent.touch_id), because)
    return replace(intent, alarmed=True)


def forget(turn: Turn, name: str) -> None:
    """The deadline of this intent is watched no longer."""
    member = turn.known()
    if name in member.watched:
        turn.member = replace(member, watched={key: kept for key, kept in member.watched.items() if key != name})


def _moment(value: object, turn: Turn, member: Member) -> datetime:
    """An instant as it is; a day as its first moment wherever the member may be."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value) if "T" in value else date.fromisoformat(value)
        except ValueError:
            raise RenderError("reach_by: a date such as 2026-11-22 is needed") from None
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if not isinstance(value, date) or isinstance(value, datetime):
        raise RenderError("reach_by: a day, or an instant with an offset, is needed")
    zones = context.zones_of(turn.content, member)
    days = [datetime.combine(value, time(), zone).astimezone(UTC) for zone in zones]
    # nowhere does a day begin sooner
    return min(days, default=datetime.combine(value, time(), UTC) - timedelta(hours=14))
