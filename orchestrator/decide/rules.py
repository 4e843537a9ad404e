"""The one protocol that every rule speaks, whether it comes from a law pack or from a house policy.

A rule is asked about one contact at one instant and answers with a `Finding`. All rules are asked, always; the
strictest answer wins: suppress over defer over pass. An advisory finding is kept in the trail and binds nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from msgspec import Struct, field

from orchestrator.decide.member import ContactPoint, Member, Place

Says = Literal["pass", "defer", "suppress"]
# the numbers of a finding, while they are gathered
Saw = dict[str, str | int | bool | None]

# why a contact is not made now: closed list, each explained for people in `contact_log/sentences.py`
REASONS = (
    "no_consent",
    "consent_pending",
    "consent_withdrawn",
    "consent_expired",
    "consent_basis",
    "consent_condition",
    "reconfirmation_due",
    "registry_listed",
    "registry_unknown",
    "platform_block",
    "under_age",
    "quiet_hours",
    "law_hours",
    "frequency_cap",
    "law_cap",
    "minimum_gap",
    "member_limit",
    "member_paused",
    "topic_declined",
    "complaint_open",
    "conversation_closed",
    "no_contact_point",
    "contact_point_unfit",
    "contact_point_unhealthy",
    "channel_refused",
    "zone_unknown",
    "dispatch_window_closed",
    "suppressed",
    "membership_ended",
    "stale",
    "expired",
    "provider_unavailable",
    "content_error",
    "exited",
    "goal_reached",
    "holdout",
    "stopped",
    "not_approved",
    "step_gone",
    "date_missing",
    "journey_limit",
    "voucher_none_left",
    "erased",
    "merged",
)


class RegistryState(Struct, frozen=True):
    """What a do-not-contact list says of one contact point."""

    listed: bool
    # when the list was last obtained; None: never
    checked_at: datetime | None


class Finding(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule's answer, as it stands in the trail."""

    rule: str
    # version of the file or pack that holds the rule
    version: str
    says: Says
    # reason code from REASONS where it does not pass
    reason: str = ""
    # defer: the first instant (inclusive) at which this rule alone would pass; a lower bound while `in_flight`
    until: datetime | None = None
    # the numbers it saw: {"n": 2, "max": 3, "window": "P7D"}, zone, consent record, registry date; no personal data
    saw: Mapping[str, str | int | bool | None] = {}
    # article, for rules of law; its link is in the pack of this version
    cite: str = ""
    # outside the deployment's profile: logged, does not bind
    advisory: bool = False


class Question(Struct, frozen=True, kw_only=True):
    """What the rules are asked: may this member be contacted so, at `at`?"""

    # the instant asked about: now, or a candidate release time
    at: datetime
    # the turn's now: what is in flight counts as this
    now: datetime
    channel: str
    purpose: str
    journey: str
    member: Member
    # None: the member has none for this channel
    contact: ContactPoint | None
    # candidate zones of the member, loaded; empty when unknown
    zones: tuple[ZoneInfo, ...]
    # registry name -> state for this contact point
    registries: Mapping[str, RegistryState]
    # windows (half-open) that the dispatcher found closed for this intent
    closed: tuple[tuple[datetime, datetime], ...] = ()
    # its words are the house's own, and not a text that the channel's platform approved beforehand
    free_text: bool = False
    # of the journey; "" has none
    category: str = ""
    # touches to this contact point of others who share it: they count like the member's own
    others: tuple[Place, ...] = ()
    # why the channel's provider refused it, for the rules that say what becomes of a refused message alone
    refused: str = ""
    # what the rules worked out of this question and share: the wall clock of a zone, the places that a scope counts;
    # a question about another instant may share it too, so what hangs on `at` is kept under it
    memo: dict[object, Any] = field(default_factory=dict)

    @property
    def places(self) -> tuple[Place, ...]:
        """All touches that caps count: the member's, and those to the contact point of others who share it."""
        return self.member.places + self.others if self.others else self.member.places


class Rule(Protocol):
    """A compiled rule. Frozen; holds no state; the same question gets the same answer."""

    @property
    def id(self) -> str:
        """Stable name, such as `co.hours` or `house.email.week`."""

    def judge(self, question: Question) -> Finding:
        """The rule's answer at `question.at`."""


# something small that rules read off a question: how many touches a window holds, what the consent record is called
Reading = Callable[[Question], Hashable]


class Version(NamedTuple):
    """Who answers for a rule over a stretch of time."""

    judge: Callable[[Question], Finding]
    # where it keeps its answer, the answer rests on these and on the kind of contact: read the same, it is the same
    reads: tuple[Reading, ...]
    # whether it keeps the answer to such a question, by what it reads; as long as the version answers, a pass that is
    # kept is a pass at any later instant too
    keeps: Callable[[Question], bool]


def version_at(rule: Rule, at: datetime) -> Version:
    """Who answers at an instant.

    A rule whose answers can be kept has `reads` and `keeps`; one with dated versions has a method `version_at`, and
    `edges` where another version begins to answer.
    """
    dated: Callable[[datetime], Version] | None = getattr(rule, "version_at", None)
    return (
        Version(rule.judge, getattr(rule, "reads", ()), getattr(rule, "keeps", never)) if dated is None else dated(at)
    )


def edges_of(rule: Rule) -> tuple[datetime, ...]:
    """The instants at which another version of a rule begins to answer, in any order."""
    edges: tuple[datetime, ...] = getattr(rule, "edges", ())
    return edges


def fixed(finding: Finding) -> Version:
    """A version that says the same whatever it is asked."""
    return Version(lambda _: finding, (), always)


def always(_: Question) -> bool:
    """The answer is always kept."""
    return True


def never(_: Question) -> bool:
    """The answer is never kept."""
    return False


def standing(question: Question) -> Hashable:
    """A reading: all that stays for weeks, and that many rules look at.

    Status of the membership; complaints that are open; health and kind of the contact point; whether windows were found
    closed, whether a zone is known; of the consent to this channel and purpose: state, record, basis, whence it was
    taken over, whether it is proven, whether it ends by itself; whether a double opt-in is on its way.
    """
    member, contact = question.member, question.contact
    key = f"{question.channel}/{question.purpose}"
    consent = member.consents.get(key)
    return (
        member.status,
        len(member.complaints),
        "none" if contact is None else (contact.health, contact.kind),
        bool(question.closed),
        bool(question.zones),
        bool(member.asked) and key in member.asked,
        None
        if consent is None
        else (
            *(consent.state, consent.record, consent.basis, consent.imported_from),
            *(consent.is_proven(), consent.expires_at is not None),
        ),
    )


def strictest(findings: list[Finding]) -> Says:
    """What the binding findings come to together; `pass` when there are none."""
    says: Says = "pass"
    for finding in findings:
        if finding.advisory:
            continue
        if finding.says == "suppress":
            return "suppress"
        if finding.says == "defer":
            says = "defer"
    return says
