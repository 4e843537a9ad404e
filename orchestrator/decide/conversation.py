"""Channels whose platform lets a business write freely only while the member's own last message is fresh.

Outside of that time it takes texts that it approved beforehand, and no others: a rule of the platform, told by policy.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar

from msgspec import Struct

from orchestrator.decide.rules import Finding, Question, Reading, Saw
from orchestrator.times import in_words, rfc3339

CLOSED = "conversation_closed"


def free_text(question: Question) -> bool:
    """A reading: whether the words are not approved beforehand."""
    return question.free_text


class ConversationRule(Struct, frozen=True, kw_only=True):
    """A text that was not approved beforehand goes out only for a while after the member wrote to us."""

    reads: ClassVar[tuple[Reading, ...]] = (free_text,)

    id: str
    version: str
    # how long after the member's last message
    lasts: timedelta

    def judge(self, question: Question) -> Finding:
        """Pass for approved texts, and while the conversation is open (its end is exclusive); else suppress."""
        if not question.free_text:
            return Finding(rule=self.id, version=self.version, says="pass", saw={"approved": True})
        contact = question.contact
        heard_at = None if contact is None else contact.heard_at
        saw: Saw = {"approved": False, "heard": None if heard_at is None else rfc3339(heard_at)}
        if heard_at is None or heard_at + self.lasts <= question.at:
            saw["lasts"] = in_words(self.lasts)
            return Finding(rule=self.id, version=self.version, says="suppress", reason=CLOSED, saw=saw)
        saw["open_until"] = rfc3339(heard_at + self.lasts)
        return Finding(rule=self.id, version=self.version, says="pass", saw=saw)

    def open_until(self, question: Question) -> datetime | None:
        """When the conversation ends that lets this text pass; None for an approved one."""
        contact = question.contact
        if not question.free_text or contact is None or contact.heard_at is None:
            return None
        return contact.heard_at + self.lasts

    def keeps(self, question: Question) -> bool:
        """For approved texts: others hang on the moment."""
        return not question.free_text
