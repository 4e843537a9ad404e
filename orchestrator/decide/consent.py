"""The house's own demand for consent, whatever the law may allow, and the end of a membership."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct

from orchestrator.decide.member import Consent
from orchestrator.decide.rules import Finding, Question, Reading, Saw, standing


class ConsentRule(Struct, frozen=True, kw_only=True):
    """A granted, proven, unexpired consent for this channel and purpose; withdrawn marketing is never contacted."""

    reads: ClassVar[tuple[Reading, ...]] = (standing,)

    id: str
    version: str
    # False: contact without a consent is the law's affair; a withdrawal still ends marketing
    required: bool = True
    # bases that the house accepts
    accept: frozenset[str] = frozenset(("opt_in", "soft_opt_in"))

    def judge(self, question: Question) -> Finding:
        """Suppress with no_consent, consent_withdrawn, consent_expired (its end is exclusive) or consent_basis."""
        consent = question.member.consents.get(f"{question.channel}/{question.purpose}")
        reason = self._reason(consent, question)
        if consent is None:
            saw: Saw = {"consent": None, "required": self.required}
        else:
            saw = {"consent": consent.state, "record": consent.record, "basis": consent.basis}
        if not reason:
            return Finding(rule=self.id, version=self.version, says="pass", saw=saw)
        if consent is not None:
            expires = consent.expires_at
            saw |= {"proven": consent.is_proven(), "expires_at": None if expires is None else expires.isoformat()}
        return Finding(rule=self.id, version=self.version, says="suppress", reason=reason, saw=saw)

    def keeps(self, question: Question) -> bool:
        """Unless the consent ends by itself."""
        consent = question.member.consents.get(f"{question.channel}/{question.purpose}")
        return consent is None or consent.expires_at is None

    def _reason(self, consent: Consent | None, question: Question) -> str:
        if consent is not None and consent.state == "withdrawn" and (self.required or question.purpose == "marketing"):
            return "consent_withdrawn"
        if not self.required:
            return ""
        if consent is None or not consent.is_proven():
            return "no_consent"
        if consent.expires_at is not None and consent.expires_at <= question.at:
            return "consent_expired"
        return "" if consent.basis in self.accept else "consent_basis"


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
