"""Law rules that ask for a word of the member."""

from __future__ import annotations

from typing import Literal

from orchestrator.decide.dealings import last_dealing, months_after
from orchestrator.decide.law_rules.clause import EVER, Clause
from orchestrator.decide.member import Consent, Member
from orchestrator.decide.rules import Finding, Question, Reading, Saw, standing
from orchestrator.decide.soft_opt_in import CONDITIONS

Model = Literal["none", "opt_out", "soft_opt_in", "opt_in", "opt_in_separate"]


class ConsentClause(Clause, frozen=True, kw_only=True):
    """Which word of the member the law asks for.

    none: no word at all. opt_out: no objection. soft_opt_in: agreed, or a customer who was offered to object.
    opt_in: agreed. opt_in_separate: agreed in a wording that stands for nothing else.
    """

    model: Model
    # of a soft opt-in: names from `soft_opt_in.CONDITIONS`, all of which must be met
    conditions: tuple[str, ...] = ()
    # an objection counts beyond its own channel: to the same purpose, or to any purpose, on these channels
    scope: Literal["", "same_topic", "all_topics"] = ""
    scope_channels: frozenset[str] = frozenset()
    # a soft opt-in of somebody who is no member any more ends so many months after the last dealing; 0: never
    lapse_months: int = 0
    # any consent must be given anew after so many months; 0: never
    renew_months: int = 0

    @property
    def grounds(self) -> bool:
        """Whether it may be what a contact rests on; a rule on the reach of an objection only tightens."""
        return not self.scope and not self.renew_months

    def answer(self, question: Question) -> Finding:
        """Passes where the member's latest word is enough at `question.at`; every condition stands in the trail."""
        key = question.channel + "/" + question.purpose
        record = question.member.consents.get(key)
        if self.scope:
            return self._objections(question, record)
        saw: Saw = {"model": self.model}
        if record is None:
            reason = "" if self.model in ("none", "opt_out") else "no_consent"
        else:
            saw |= {"state": record.state, "basis": record.basis, "consent": record.record}
            reason = self._refusal(question, record, saw)
        if not reason:
            return self.found("pass", saw)
        if (asked := question.member.unconfirmed(key)) is not None:
            reason = "consent_pending"
            saw["asked"] = asked.at.isoformat(timespec="minutes")
        return self.found("suppress", saw, reason)

    @property
    def reads(self) -> tuple[Reading, ...]:
        """The record on this channel and purpose; or whether there is any objection."""
        return (_objected,) if self.scope else (standing,)

    def keeps(self, question: Question) -> bool:
        """Where nothing but the record counts, and no date."""
        if self.scope:
            return not _objected(question)
        key = question.channel + "/" + question.purpose
        if question.member.asked and key in question.member.asked:
            return False
        record = question.member.consents.get(key)
        if record is None:
            return True
        if record.basis == "soft_opt_in" and (self.lapse_months or self.conditions):
            return False
        return record.expires_at is None and not self.renew_months and self.model != "opt_in_separate"

    def _refusal(self, question: Question, record: Consent, saw: Saw) -> str:
        if self.model == "none":
            return ""
        if record.state == "withdrawn":
            return "consent_withdrawn"
        if self.model == "opt_out":
            return ""
        if not record.is_proven():
            return "no_consent"
        if record.expires_at is not None and question.at >= record.expires_at:
            saw["ended"] = record.expires_at.isoformat(timespec="minutes")
            return "consent_expired"
        if self.renew_months and question.at >= months_after(record.at, self.renew_months):
            saw["ended"] = months_after(record.at, self.renew_months).isoformat(timespec="minutes")
            return "consent_expired"
        if record.basis == "soft_opt_in":
            if self.model != "soft_opt_in":
                return "consent_basis"
            if self.lapse_months and question.member.status != "enrolled":
                end = months_after(last_dealing(question.member, record.at), self.lapse_months)
                saw["ended"] = end.isoformat(timespec="minutes")
                if question.at >= end:
                    return "consent_expired"
            return self._condition_missing(question, record, saw)
        if self.model == "opt_in_separate" and not _separate(question.member, record):
            return "consent_basis"
        return ""

    def _condition_missing(self, question: Question, record: Consent, saw: Saw) -> str:
        """What each condition of a soft opt-in rests on goes into `saw`; false where it is not met."""
        reason = ""
        for name in self.conditions:
            ground = CONDITIONS[name](question.member, record)
            saw[f"if {name}"] = ground or False
            if not ground:
                reason = "consent_condition"
        return reason

    def _objections(self, question: Question, record: Consent | None) -> Finding:
        """A word taken back on another channel, or about another topic, stops this contact; a later grant lifts it."""
        granted = record.at if record is not None and record.state == "granted" else EVER
        saw: Saw = {"model": self.model, "scope": self.scope}
        for other in question.member.consents.values():
            if (
                other.state == "withdrawn"
                and other.at >= granted
                and other.channel in self.scope_channels
                and (self.scope == "all_topics" or other.purpose == question.purpose)
            ):
                saw["state"], saw["channel"], saw["purpose"] = other.state, other.channel, other.purpose
                saw["consent"] = other.record
                return self.found("suppress", saw, "consent_withdrawn")
        return self.found("pass", saw)


def _objected(question: Question) -> bool:
    """A reading: whether the member took back any word."""
    return any(record.state == "withdrawn" for record in question.member.consents.values())


def _separate(member: Member, record: Consent) -> bool:
    """Whether the wording agreed to stands for this channel and purpose alone."""
    if not record.wording:
        return False
    return not any(
        other is not record and other.state == "granted" and other.wording == record.wording
        for other in member.consents.values()
    )
