"""The contact point itself: is there one, is it well, and has the dispatcher found its window closed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import ClassVar

from msgspec import Struct

from orchestrator.decide.rules import Finding, Question, Reading, Saw, standing
from orchestrator.times import in_words, rfc3339


class ContactPointRule(Struct, frozen=True, kw_only=True):
    """A member without a contact point, or with one that is dead, is not contacted; after soft bounces we pause."""

    reads: ClassVar[tuple[Reading, ...]] = (standing,)

    id: str
    version: str
    # how long a contact point is left alone after each soft bounce; zero: not at all
    soft_bounced_pause: timedelta
    # so many soft bounces …
    block_after: int = 0
    # … of which the first is less than so long before the last …
    block_within: timedelta = timedelta(0)
    # … close it for so long from the last; 0 bounces: never
    block_pause: timedelta = timedelta(0)
    # channel -> kinds of address that do not do on it …
    unfit: Mapping[str, frozenset[str]] = {}
    # … or not for marketing
    unfit_for_marketing: Mapping[str, frozenset[str]] = {}

    def judge(self, question: Question) -> Finding:
        """Suppress with no_contact_point, contact_point_unfit or contact_point_unhealthy.

        After soft bounces defer to the pause's end, when it is tried again.
        """
        contact = question.contact
        if contact is None:
            return self._suppress("no_contact_point", {"contact": None})
        if contact.kind and self._is_unfit(question, contact.kind):
            return self._suppress("contact_point_unfit", {"health": contact.health, "kind": contact.kind})
        if contact.health == "ok":
            return Finding(rule=self.id, version=self.version, says="pass", saw={"health": "ok"})
        since = contact.health_since or question.now
        saw: Saw = {"health": contact.health, "since": rfc3339(since)}
        if contact.health != "soft_bounced":
            return self._suppress("contact_point_unhealthy", saw)
        until = since + self.soft_bounced_pause
        if (closed := self._closed(contact.soft_bounces)) is not None:
            until = max(until, closed)
            saw["soft_bounces"], saw["within"] = self.block_after, in_words(self.block_within)
        if until <= question.at:
            return Finding(rule=self.id, version=self.version, says="pass", saw=saw)
        reason = "contact_point_unhealthy"
        return Finding(rule=self.id, version=self.version, says="defer", reason=reason, until=until, saw=saw)

    def keeps(self, question: Question) -> bool:
        """Unless something is wrong with the contact point: then it tells since when."""
        return question.contact is None or question.contact.health == "ok"

    def _suppress(self, reason: str, saw: Saw) -> Finding:
        return Finding(rule=self.id, version=self.version, says="suppress", reason=reason, saw=saw)

    def _is_unfit(self, question: Question, kind: str) -> bool:
        return kind in self.unfit.get(question.channel, ()) or (
            question.purpose == "marketing" and kind in self.unfit_for_marketing.get(question.channel, ())
        )

    def _closed(self, bounces: tuple[datetime, ...]) -> datetime | None:
        """Until when the last bounces close the contact point; None where there were too few of them in too long."""
        n = self.block_after
        if not n or len(bounces) < n or bounces[-1] - bounces[-n] >= self.block_within:
            return None
        return bounces[-1] + self.block_pause


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
