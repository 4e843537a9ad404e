"""The house's own demand for consent, whatever the law may allow, and the end of a membership."""

from __future__ import annotations

from orchestrator.decide.findings import Answering, Saw, keep
from orchestrator.decide.member import Consent
from orchestrator.decide.rules import Finding, Question


def is_proven(consent: Consent) -> bool:
    """Whether the record says what was agreed to and where the proof lies; an empty consent is not a consent."""
    return bool(consent.wording.strip() and consent.evidence.strip())


class ConsentRule(Answering, frozen=True, kw_only=True):
    """A granted, proven, unexpired consent for this channel and purpose; withdrawn marketing is never contacted."""

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
            known = self.answers.get(reason)
            return known if known is not None else keep(self.answers, reason, self._found(consent, reason))
        if reason:
            return self._found(consent, reason)
        key = (consent.state, consent.record, consent.basis)
        known = self.answers.get(key)
        return known if known is not None else keep(self.answers, key, self._found(consent, ""))

    def _found(self, consent: Consent | None, reason: str) -> Finding:
        if consent is None:
            saw: Saw = {"consent": None, "required": self.required}
        else:
            saw = {"consent": consent.state, "record": consent.record, "basis": consent.basis}
        if not reason:
            return Finding(rule=self.id, version=self.version, says="pass", saw=saw)
        if consent is not None:
            expires = consent.expires_at
            saw |= {"proven": is_proven(consent), "expires_at": None if expires is None else expires.isoformat()}
        return Finding(rule=self.id, version=self.version, says="suppress", reason=reason, saw=saw)

    def _reason(self, consent: Consent | None, question: Question) -> str:
        if consent is not None and consent.state == "withdrawn" and (self.required or question.purpose == "marketing"):
            return "consent_withdrawn"
        if not self.required:
            return ""
        if consent is None or not is_proven(consent):
            return "no_consent"
        if consent.expires_at is not None and consent.expires_at <= question.at:
            return "consent_expired"
        return "" if consent.basis in self.accept else "consent_basis"


class MembershipRule(Answering, frozen=True, kw_only=True):
    """Who left the programme is not contacted for the purposes that this rule is asked about."""

    id: str
    version: str

    def judge(self, question: Question) -> Finding:
        """Suppress with membership_ended once the membership is cancelled."""
        status = question.member.status
        return self.answers.get(status) or keep(self.answers, status, self._found(status))

    def _found(self, status: str) -> Finding:
        saw: Saw = {"status": status}
        if status == "cancelled":
            return Finding(rule=self.id, version=self.version, says="suppress", reason="membership_ended", saw=saw)
        return Finding(rule=self.id, version=self.version, says="pass", saw=saw)
