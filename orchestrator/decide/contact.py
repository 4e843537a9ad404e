"""The contact point itself: is there one, is it well, and has the dispatcher found its window closed."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from msgspec import Struct

from orchestrator.decide.rules import Finding, Question, Reading, Saw, standing
from orchestrator.times import rfc3339


class ContactPointRule(Struct, frozen=True, kw_only=True):
    """A member without a contact point, or with one that is dead, is not contacted; after a soft bounce we pause."""

    reads: ClassVar[tuple[Reading, ...]] = (standing,)

    id: str
    version: str
    # how long a soft-bounced contact point is left alone, from when it bounced; zero: not at all
    soft_bounced_pause: timedelta

    def judge(self, question: Question) -> Finding:
        """Suppress with no_contact_point or contact_point_unhealthy; after a soft bounce defer to the pause's end."""
        contact = question.contact
        if contact is None:
            saw: Saw = {"contact": None}
            return Finding(rule=self.id, version=self.version, says="suppress", reason="no_contact_point", saw=saw)
        if contact.health == "ok":
            return Finding(rule=self.id, version=self.version, says="pass", saw={"health": "ok"})
        since = contact.health_since or question.now
        saw = {"health": contact.health, "since": rfc3339(since)}
        reason = "contact_point_unhealthy"
        if contact.health != "soft_bounced":
            return Finding(rule=self.id, version=self.version, says="suppress", reason=reason, saw=saw)
        until = since + self.soft_bounced_pause
        if until <= question.at:
            return Finding(rule=self.id, version=self.version, says="pass", saw=saw)
        return Finding(rule=self.id, version=self.version, says="defer", reason=reason, until=until, saw=saw)

    def keeps(self, question: Question) -> bool:
        """Unless something is wrong with the contact point: then it tells since when."""
        return question.contact is None or question.contact.health == "ok"


class ClosedWindowRule(Struct, frozen=True, kw_only=True):
    """Windows that the dispatcher found closed for this intent stay closed to their end."""

    reads: ClassVar[tuple[Reading, ...]] = (standing,)

    id: str
    version: str

    def judge(self, question: Question) -> Finding:
        """Defer with dispatch_window_closed to the end of the closed windows, which may touch or overlap."""
        if not question.closed:
            return Finding(rule=self.id, version=self.version, says="pass", saw={"windows": 0})
        until = question.at
        for start, end in sorted(question.closed):
            if start <= until < end:
                until = end
        saw: Saw = {"windows": len(question.closed)}
        if until == question.at:
            return Finding(rule=self.id, version=self.version, says="pass", saw=saw)
        reason = "dispatch_window_closed"
        return Finding(rule=self.id, version=self.version, says="defer", reason=reason, until=until, saw=saw)

    def keeps(self, question: Question) -> bool:
        """While there are none."""
        return not question.closed
