"""When the member last dealt with the programme, and how far back months reach."""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestrator.decide.member import Member

# what counts as the member having dealt with the programme
INTERACTIONS = ("purchase.completed", "points.earned", "survey.answered", "complaint.opened", "social.mentioned")
_MONTHS_A_YEAR = 12
_LAST_SURE_DAY = 28


def last_dealing(member: Member, since: datetime) -> datetime:
    """The latest of the member's own doings, or `since` if that is later."""
    seen = (member.aggregates.get(kind) for kind in INTERACTIONS)
    return max([since, *(aggregate.last for aggregate in seen if aggregate is not None)])


def months_after(at: datetime, months: int) -> datetime:
    """The same day and time so many months later; a day the month lacks becomes the first of the next one."""
    year, month = divmod(at.year * _MONTHS_A_YEAR + at.month - 1 + months, _MONTHS_A_YEAR)
    first = at.replace(year=year, month=month + 1, day=1)
    if at.day <= _LAST_SURE_DAY:
        return first.replace(day=at.day)
    later = first + timedelta(days=at.day - 1)
    return later if later.month == first.month else later.replace(day=1)
