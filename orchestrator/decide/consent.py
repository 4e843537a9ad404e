"""The house's own demand for consent, whatever the law may allow; the end of a membership; an open complaint."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import ClassVar, Literal

from msgspec import Struct

from orchestrator.decide.dealings import last_dealing, months_after
from orchestrator.decide.member import Consent
from orchestrator.decide.rules import Finding, Question, Reading, Saw, standing

# how long a double opt-in may take where no policy says
CONFIRM_WITHIN = timedelta(days=7)
COMPLAINT = "complaint_open"


class ConsentRule(Struct, frozen=True, kw_only=True):
    """A granted, proven, unexpired consent for this channel and purpose; withdrawn marketing is never contacted."""

    reads: ClassVar[tuple[Reading, ...]] = (standing,)

    id: str
    version: str
    # False: contact without a consent is the law's affair; a withdrawal still ends marketing
    required: bool = True
    # bases that the house accepts
    accept: frozenset[str] = frozenset(("opt_in", "soft_opt_in"))
    # False: a consent taken over from another system does not do
    accept_imported: bool = True
    # a double opt-in that is confirmed so long after it was asked for, or later, is confirmed too late
    confirm_within: timedelta = CONFIRM_WITHIN
    # a consent must be given anew so many months after it was given, or after the last dealing; 0: never
    reconfirm_months: int = 0
    reconfirm_since: Literal["given", "last_dealing"] = "given"
    # the journeys that ask for it
    reconfirmed_by: frozenset[str] = frozenset()

    def judge(self, question: Question) -> Finding:
        """Suppress with no_consent, consent_withdrawn, consent_expired, consent_basis or reconfirmation_due.

        The end of a consent is exclusive. While a double opt-in waits for its confirmation, whatever else there is that
        does not do is told as consent_pending.
        """
        key = f"{question.channel}/{question.purpose}"
        consent = question.member.consents.get(key)
        due = None if consent is None else self._due(consent, question)
        reason = self._reason(consent, question, due)
        if consent is None:
            saw: Saw = {"consent": None, "required": self.required}
        else:
            saw = {"consent": consent.state, "record": consent.record, "basis": consent.basis}
        if due is not None and due <= question.at:
            saw["reconfirm_from"] = due.isoformat(timespec="minutes")
        if not reason:
            return Finding(rule=self.id, version=self.version, says="pass", saw=saw)
        if consent is not None:
            expires = consent.expires_at
            saw |= {"proven": consent.is_proven(), "expires_at": None if expires is None else expires.isoformat()}
            if consent.imported_from:
                saw["imported_from"] = consent.imported_from
        if (asked := question.member.unconfirmed(key)) is not None:
            reason = "consent_pending"
            saw["asked"] = asked.at.isoformat(timespec="minutes")
            saw["confirm_before"] = (asked.at + self.confirm_within).isoformat(timespec="minutes")
        return Finding(rule=self.id, version=self.version, says="suppress", reason=reason, saw=saw)

    def keeps(self, question: Question) -> bool:
        """Unless the consent ends by itself, must be given anew, or is being asked for."""
        key = f"{question.channel}/{question.purpose}"
        consent = question.member.consents.get(key)
        if question.member.asked and key in question.member.asked:
            return False
        return consent is None or (
            consent.expires_at is None and (not self.reconfirm_months or consent.state == "withdrawn")
        )

    def _reason(self, consent: Consent | None, question: Question, due: datetime | None) -> str:
        if consent is not None and consent.state == "withdrawn" and (self.required or question.purpose == "marketing"):
            return "consent_withdrawn"
        if not self.required:
            return ""
        if consent is None or not consent.is_proven():
            return "no_consent"
        if consent.expires_at is not None and consent.expires_at <= question.at:
            return "consent_expired"
        if consent.basis not in self.accept or (consent.imported_from and not self.accept_imported):
            return "consent_basis"
        asks = question.journey in self.reconfirmed_by
        return "reconfirmation_due" if due is not None and due <= question.at and not asks else ""

    def _due(self, consent: Consent, question: Question) -> datetime | None:
        """From when on the consent must be given anew; None: never, or it is no consent."""
        if not self.reconfirm_months or not self.required or consent.state == "withdrawn":
            return None
        since = consent.at
        if self.reconfirm_since == "last_dealing":
            since = last_dealing(question.member, since)
        return months_after(since, self.reconfirm_months)


class MembershipRule(Struct, frozen=True, kw_only=True):
    """Who left the programme is not contacted for the purposes that this rule is asked about."""

    reads: ClassVar[tuple[Reading, ...]] = (standing,)

    id: str
    version: str

    def judge(self, question: Question) -> Finding:
        """Suppress with membership_ended once the membership is cancelled."""
        status = question.member.status
        saw: Saw = {"status": status}
        if status == "cancelled":
            return Finding(rule=self.id, version=self.version, says="suppress", reason="membership_ended", saw=saw)
        return Finding(rule=self.id, version=self.version, says="pass", saw=saw)

    def keeps(self, _: Question) -> bool:
        """Always."""
        return True


class ComplaintRule(Struct, frozen=True, kw_only=True):
    """Who waits for an answer to a complaint is not contacted for the purposes that this rule is asked about."""

    reads: ClassVar[tuple[Reading, ...]] = (standing,)

    id: str
    version: str

    def judge(self, question: Question) -> Finding:
        """Suppress with complaint_open while one is: nobody knows when it will be closed."""
        saw: Saw = {"complaints": len(question.member.complaints)}
        if question.member.complaints:
            return Finding(rule=self.id, version=self.version, says="suppress", reason=COMPLAINT, saw=saw)
        return Finding(rule=self.id, version=self.version, says="pass", saw=saw)

    def keeps(self, _: Question) -> bool:
        """Always."""
        return True
