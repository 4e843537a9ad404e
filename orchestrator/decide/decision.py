"""One contact weighed: every rule asked, and, where it must wait, the instant at which all of them agree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from zlib import crc32

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.decide.panel import Asked, Panel
from orchestrator.decide.result import Tried
from orchestrator.decide.rules import Finding, Question, Rule

# a release time that is not found in this many rounds is no release time: rules that push each other on for ever
ROUNDS = 64
# everybody's hours open at once
HOURS = frozenset({"quiet_hours", "law_hours", "dispatch_window_closed"})
_TICK = timedelta(microseconds=1)
# Where no channel lets a message pass, the decision names the reason of the one that came closest to it. From the
# closest: channels that were only to wait; what is about the member as a whole; consent; lists and platforms; contact
# data. So "the weekly limit was reached" is told before "there is no e-mail address". A reason that is not here: last.
TELLING = (
    *("frequency_cap", "law_cap", "minimum_gap", "member_limit", "member_paused"),
    *("quiet_hours", "law_hours", "dispatch_window_closed"),
    *("topic_declined", "complaint_open", "membership_ended", "under_age", "suppressed"),
    *("consent_withdrawn", "consent_expired", "reconfirmation_due", "consent_pending", "consent_basis"),
    *("consent_condition", "no_consent"),
    *("registry_listed", "registry_unknown", "platform_block"),
    *("conversation_closed", "zone_unknown", "channel_refused"),
    *("contact_point_unhealthy", "contact_point_unfit", "no_contact_point"),
)
_PLACE = {reason: place for place, reason in enumerate(TELLING)}


class Weighed(Struct, frozen=True):
    """A contact weighed by a panel."""

    asked: Asked
    # ready for the log: in the place of a finding may stand its JSON
    tried: Tried
    # of `drop_on`: why it is not worth waiting
    dropped: str = ""

    @property
    def reason(self) -> str:
        """Why it was dropped, else as `reason_of`."""
        return self.dropped or _first_reason(self.asked.findings())


def weigh(rules: tuple[Rule, ...], question: Question, drop_on: frozenset[str] = frozenset()) -> Tried:
    """All rules asked at `question.at`, with the earliest instant at which they pass together.

    `release_at` is the fixed point of "ask all; move to the latest `until`", so caps, hours and law hold at once; it is
    a lower bound while something is in flight. A deferral without such an instant is a suppression, and so is one for
    a reason in `drop_on`: the contact is not worth waiting for.
    """
    weighed = weigh_by(Panel(rules), question, drop_on)
    return replace(weighed.tried, findings=weighed.asked.findings())


def weigh_by(panel: Panel, question: Question, drop_on: frozenset[str]) -> Weighed:
    """As `weigh`, by rules that are prepared."""
    asked = panel.ask(question)
    says = asked.says
    release: datetime | None = None
    dropped = ""
    if says == "defer":
        dropped = next((found.reason for found in asked.waits if found.reason in drop_on), "") if drop_on else ""
        if not dropped:
            release = _release_at(panel, question, asked)
        if release is None:
            says = "suppress"
    contact = question.contact
    tried = Tried(
        channel=question.channel,
        says=says,
        contact="" if contact is None else contact.fingerprint,
        shared=len(question.others),
        release_at=release,
        findings=asked.written(),
    )
    return Weighed(asked, tried, dropped)


class Spread(Struct, frozen=True):
    """How much later than the opening of hours a member is released."""

    by: timedelta
    # of the channel: a call is made no later than this before hours end
    margin: timedelta
    # exclusive: what would be released later goes at the opening
    latest: datetime


def spread_out(panel: Panel, question: Question, weighed: Weighed, spread: Spread) -> Weighed:
    """A deferral to the opening of hours, moved by the member's part of the spread; others are as they were.

    It is moved only where every rule still passes then, and until the margin is over: a short window is never missed.
    """
    release = weighed.tried.release_at
    if release is None or not spread.by:
        return weighed
    before = panel.ask(replace(question, at=release - _TICK))
    if not any(found.reason in HOURS for found in before.waits):
        return weighed
    at = release + spread.by
    if at >= spread.latest or any(
        panel.ask(replace(question, at=moment)).says != "pass" for moment in (at, at + spread.margin)
    ):
        return weighed
    seconds = int(spread.by.total_seconds())
    return replace(weighed, tried=replace(weighed.tried, release_at=at, spread_s=seconds))


def spread_of(member: str, over: timedelta) -> timedelta:
    """A member's part of a spread, in whole seconds: by the member alone, so that what waits together goes together."""
    return timedelta(seconds=crc32(member.encode()) * int(over.total_seconds()) >> 32)


def most_telling(weighed: Sequence[Weighed]) -> Weighed:
    """The one that came closest to being sent, by `TELLING`; of several the first."""
    return min(weighed, key=lambda each: _PLACE.get(each.reason, len(TELLING)))


def barred_by(suppression: Finding, weighed: Weighed) -> Weighed:
    """The same contact, with one more finding that suppresses it."""
    tried = weighed.tried
    tried = replace(tried, says="suppress", release_at=None, findings=(*tried.findings, suppression))
    return Weighed(weighed.asked.and_also(suppression), tried)


def _release_at(panel: Panel, question: Question, asked: Asked) -> datetime | None:
    """The earliest instant after `question.at` at which every binding rule passes; None when there is none to find."""
    at = question.at
    for _round in range(ROUNDS):
        until = _latest(asked.waits)
        if until is None or until <= at:
            return None
        at = until
        asked = panel.ask_again(asked, replace(question, at=at))
        if asked.says == "pass":
            return at
        if asked.says == "suppress":
            return None
    return None


def _latest(waits: list[Finding]) -> datetime | None:
    """The latest `until` of the binding deferrals; None if one of them knows no end."""
    latest: datetime | None = None
    for finding in waits:
        if finding.until is None:
            return None
        if latest is None or finding.until > latest:
            latest = finding.until
    return latest


def reason_of(tried: Tried) -> str:
    """The reason code of the strictest binding finding, first in order; "" when all pass."""
    return _first_reason(tried.findings)


def _first_reason(findings: Sequence[Finding]) -> str:
    reason = ""
    for finding in findings:
        if finding.says == "pass" or finding.advisory:
            continue
        if finding.says == "suppress":
            return finding.reason
        reason = reason or finding.reason
    return reason
