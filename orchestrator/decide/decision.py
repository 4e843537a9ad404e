"""One contact weighed: every rule asked, and, where it must wait, the instant at which all of them agree."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from orchestrator.decide.result import Tried
from orchestrator.decide.rules import Finding, Question, Rule, strictest

# a release time that is not found in this many rounds is no release time: rules that push each other on for ever
ROUNDS = 64


def weigh(rules: tuple[Rule, ...], question: Question, drop_on: frozenset[str] = frozenset()) -> Tried:
    """All rules asked at `question.at`, with the earliest instant at which they pass together.

    `release_at` is the fixed point of "ask all; move to the latest `until`", so caps, hours and law hold at once; it is
    a lower bound while something is in flight. A deferral without such an instant is a suppression, and so is one for
    a reason in `drop_on`: the contact is not worth waiting for.
    """
    findings = [rule.judge(question) for rule in rules]
    says = strictest(findings)
    release: datetime | None = None
    if says == "defer":
        if not any(found.says == "defer" and not found.advisory and found.reason in drop_on for found in findings):
            release = release_at(rules, question, findings)
        if release is None:
            says = "suppress"
    return Tried(
        channel=question.channel,
        says=says,
        contact=question.contact.fingerprint if question.contact is not None else "",
        release_at=release,
        findings=tuple(findings),
    )


def release_at(rules: tuple[Rule, ...], question: Question, findings: list[Finding]) -> datetime | None:
    """The earliest instant after `question.at` at which every binding rule passes; None when there is none to find."""
    at = question.at
    for _ in range(ROUNDS):
        until = _latest(findings)
        if until is None or until <= at:
            return None
        at = until
        later = replace(question, at=at)
        findings = [rule.judge(later) for rule in rules]
        says = strictest(findings)
        if says == "pass":
            return at
        if says == "suppress":
            return None
    return None


def _latest(findings: list[Finding]) -> datetime | None:
    """The latest `until` of the binding deferrals; None if one of them knows no end."""
    latest: datetime | None = None
    for finding in findings:
        if finding.says != "defer" or finding.advisory:
            continue
        if finding.until is None:
            return None
        if latest is None or finding.until > latest:
            latest = finding.until
    return latest


def reason_of(tried: Tried) -> str:
    """The reason code of the strictest binding finding, first in order; "" when all pass."""
    for says in ("suppress", "defer"):
        for finding in tried.findings:
            if finding.says == says and not finding.advisory:
                return finding.reason
    return ""
