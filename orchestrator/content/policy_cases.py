"""The cases beside the policies: a sentence, what is given, the moment, the expected verdict with its reason code."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from orchestrator.content import tables
from orchestrator.content.files import read_yaml
from orchestrator.content.policies import EVER, HOUSE, load_policies
from orchestrator.content.policy_file import Words
from orchestrator.decide.decision import reason_of, weigh
from orchestrator.decide.facts import preferences_of
from orchestrator.decide.member import (
    NO_PREFERENCES,
    Aggregate,
    Asked,
    Consent,
    ContactPoint,
    Health,
    Kind,
    Member,
    Place,
    Residence,
)
from orchestrator.decide.policies import HousePolicies
from orchestrator.decide.refused import RefusalRule
from orchestrator.decide.result import Tried
from orchestrator.decide.rules import REASONS, Question
from orchestrator.errors import ContentError, Problem
from orchestrator.events.inputs import RefusalKind
from orchestrator.events.types import Attributes, Channel, PreferencesData, Purpose
from orchestrator.located import Located, Steps, convert, nearest
from orchestrator.times import rfc3339

# where no rule is about it, what a provider refused stays refused
NO_RULE = RefusalRule(id="house.refusal", version="engine", elsewhere=False)
Moment = Annotated[datetime, Meta(tz=True)]

# what house rules may answer with; the others come from laws, dispatch and journeys
HOUSE_REASONS = (
    "membership_ended",
    "conversation_closed",
    "no_contact_point",
    "contact_point_unfit",
    "contact_point_unhealthy",
    "dispatch_window_closed",
    "no_consent",
    "consent_pending",
    "consent_withdrawn",
    "consent_expired",
    "consent_basis",
    "reconfirmation_due",
    "zone_unknown",
    "quiet_hours",
    "frequency_cap",
    "minimum_gap",
    "member_limit",
    "member_paused",
    "topic_declined",
    "complaint_open",
    "channel_refused",
)


class TouchGiven(Words, frozen=True, kw_only=True):
    """A touch that has a place in the caps."""

    # left out: still in flight
    at: Moment | None = None
    # left out: those of the case
    channel: Channel | None = None
    purpose: Purpose | None = None
    journey: str | None = None
    # left out: that of the journey
    category: str | None = None


class Given(Words, frozen=True, kw_only=True):
    """What is known of the member, and what is asked; whatever is left out is in good order."""

    channel: Channel | None = None
    purpose: Purpose = "marketing"
    journey: str = "welcome"
    # left out: that of the journey
    category: str | None = None
    # candidate zones; an empty list: unknown
    zones: tuple[str, ...] = ("Europe/Madrid",)
    jurisdictions: tuple[str, ...] = ("ES",)
    # ISO 3166-2
    region: str = ""
    status: Literal["known", "enrolled", "cancelled"] = "enrolled"
    # none: the member has no contact point on the channel
    contact: Health | Literal["none"] = "ok"
    contact_since: Moment | None = None
    # of the contact point, in order
    soft_bounces: tuple[Moment, ...] = ()
    kind: Kind = ""
    # when its owner last wrote to us from it
    heard_at: Moment | None = None
    # the words are not a text that the platform approved beforehand
    free_text: bool = False
    # empty: a record without wording or evidence; pending: a double opt-in that was not confirmed
    consent: Literal["opt_in", "soft_opt_in", "none", "withdrawn", "empty", "pending"] = "opt_in"
    # left out: at the moment asked about
    consent_given: Moment | None = None
    # the consent was taken over from another system
    imported: bool = False
    last_purchase: Moment | None = None
    # exclusive
    consent_until: Moment | None = None
    touches: tuple[TouchGiven, ...] = ()
    # windows that the dispatcher found closed
    closed: tuple[tuple[Moment, Moment], ...] = ()
    attributes: Attributes = field(default_factory=dict)
    # the member's own wishes, as `member.updated` tells them
    preferences: PreferencesData | None = None
    # a message was refused so, by all accounts of the channel: does it go by another channel?
    refused: RefusalKind | None = None
    # complaints that are open
    complaints: Annotated[int, Meta(ge=0, le=20)] = 0


class Expected(Words, frozen=True, kw_only=True):
    """The verdict."""

    says: Literal["pass", "defer", "suppress"]
    # left out only where it passes
    reason: str = ""
    # the rule that gives this reason, where the sentence is about one
    rule: str = ""
    # defer: the first instant at which every rule of the house passes
    until: Moment | None = None


class Case(Words, frozen=True, kw_only=True):
    """One case."""

    # the sentence: what holds, for someone who does not know the files
    case: Annotated[str, Meta(min_length=10)]
    given: Given = Given()
    # the moment asked about
    at: Moment
    expect: Expected


class CaseFile(Words, frozen=True, kw_only=True):
    """A file `<channel>.cases.yaml`."""

    cases: Annotated[tuple[Case, ...], Meta(min_length=1)]


class Failure(Struct, frozen=True):
    """A case that the policies answer otherwise."""

    # file:line
    place: str
    case: str
    expected: str
    got: str


class PolicyTest(Struct, frozen=True, kw_only=True):
    """What running all cases came to."""

    files: int
    cases: int
    failures: tuple[Failure, ...] = ()
    # rules that no case made defer or suppress; of those on refusals, that no case had decided anew
    unreached_rules: tuple[str, ...] = ()
    # reason codes of the house that no case reached
    unreached_reasons: tuple[str, ...] = ()
    # policy files without cases
    without_cases: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every case got its verdict."""
        return not self.failures


def run_cases(folder: Path, journeys: Mapping[str, str] | None = None) -> PolicyTest:
    """Runs every `*.cases.yaml` of a policy folder against the policies in it, without any law.

    `journeys` are those there are, with their categories, where they are known.
    Raises ContentError where a file can't be read. Rules and reasons not reached are told, and are no failure.
    """
    policies = load_policies(folder, journeys)
    problems: list[Problem] = []
    read: list[tuple[Located, str, CaseFile]] = []
    for path in sorted(folder.glob("*.cases.yaml")):
        try:
            located = read_yaml(path, f"{folder.name}/{path.name}")
            file = convert(located, CaseFile)
            channel = path.name.removesuffix(".cases.yaml")
            problems += _unknown_words(located, file, "" if channel == HOUSE else channel, policies)
            read.append((located, channel, file))
        except ContentError as error:
            problems += error.problems
    if problems:
        raise ContentError(problems)
    failures: list[Failure] = []
    reached: set[str] = set()
    decided_anew: set[str] = set()
    for located, channel, file in read:
        for i, case in enumerate(file.cases):
            tried = ask(policies, case, channel)
            reached |= {part for f in tried.findings if f.says != "pass" for part in (f.rule, f.reason)}
            if case.given.refused and tried.says == "pass":
                decided_anew |= {found.rule for found in tried.findings}
            expected, got = _words(case, tried)
            if expected != got:
                place = f"{located.file}:{located.line('cases', i)}"
                failures.append(Failure(place, case.case, expected, got))
    with_cases = {channel for _, channel, _ in read}
    stems = {path.stem for path in folder.glob("*.yaml") if not path.name.endswith(".cases.yaml")}
    return PolicyTest(
        files=len(read),
        cases=sum(len(file.cases) for _, _, file in read),
        failures=tuple(failures),
        unreached_rules=tuple(rule.id for rule in policies.rules if rule.id not in reached)
        + tuple(rule.id for rule in policies.refusals if rule.id not in decided_anew),
        unreached_reasons=tuple(reason for reason in HOUSE_REASONS if reason not in reached),
        without_cases=tuple(sorted(stems - with_cases)),
    )


def ask(policies: HousePolicies, case: Case, channel: str) -> Tried:
    """What the house's rules say of a case."""
    given = case.given
    channel = given.channel or channel
    contact = None
    if given.contact != "none":
        contact = ContactPoint(
            channel=channel,
            address="case",
            fingerprint="case",
            health=given.contact,
            health_since=given.contact_since or (given.soft_bounces[-1] if given.soft_bounces else case.at),
            kind=given.kind,
            soft_bounces=given.soft_bounces,
            heard_at=given.heard_at,
        )
    member = Member(
        id="case",
        ref="case",
        status=given.status,
        attributes=given.attributes,
        region=given.region,
        preferences=NO_PREFERENCES if given.preferences is None else preferences_of(given.preferences),
        complaints=tuple(map(str, range(given.complaints))),
        residence=Residence(jurisdictions=given.jurisdictions, zones=given.zones),
        consents=_consents(given, channel, case.at) if given.consent != "pending" else {},
        asked={
            key: Asked(consent=consent)
            for key, consent in _consents(given, channel, case.at).items()
            if given.consent == "pending"
        },
        aggregates=_aggregates(given.last_purchase),
        contact_points=(contact,) if contact else (),
        places=tuple(_place(i, touch, given, channel, policies) for i, touch in enumerate(given.touches)),
    )
    question = Question(
        at=case.at,
        now=case.at,
        channel=channel,
        purpose=given.purpose,
        journey=given.journey,
        member=member,
        contact=contact,
        zones=tuple(tables.zones()[zone] for zone in given.zones),
        registries={},
        closed=given.closed,
        free_text=given.free_text,
        category=policies.categories.get(given.journey, "") if given.category is None else given.category,
        refused=given.refused or "",
    )
    if given.refused:
        return weigh(policies.refusals_for(channel, given.purpose, given.journey) or (NO_RULE,), question)
    return weigh(policies.rules_for(channel, given.purpose, given.journey), question)


def _place(i: int, touch: TouchGiven, given: Given, channel: str, policies: HousePolicies) -> Place:
    journey = touch.journey or given.journey
    return Place(
        touch_id=str(i),
        channel=touch.channel or channel,
        purpose=touch.purpose or given.purpose,
        journey=journey,
        contact="case",
        at=touch.at,
        category=policies.categories.get(journey, "") if touch.category is None else touch.category,
    )


def _aggregates(last: datetime | None) -> dict[str, Aggregate]:
    return {} if last is None else {"purchase.completed": Aggregate(count=1, sum=1, first=last, last=last)}


def _consents(given: Given, channel: str, at: datetime) -> dict[str, Consent]:
    if given.consent == "none":
        return {}
    proof = "" if given.consent == "empty" else "case"
    consent = Consent(
        channel=channel,
        purpose=given.purpose,
        state="withdrawn" if given.consent == "withdrawn" else "granted",
        at=given.consent_given or at,
        imported_from="elsewhere" if given.imported else "",
        basis="soft_opt_in" if given.consent == "soft_opt_in" else "opt_in",
        wording=proof,
        evidence=proof,
        expires_at=given.consent_until,
        record="case",
    )
    return {f"{channel}/{given.purpose}": consent}


def _words(case: Case, tried: Tried) -> tuple[str, str]:
    """(expected, got) in the same words: only what the case speaks of is compared."""
    expect = case.expect
    expected, got = [expect.says, expect.reason], [tried.says, reason_of(tried)]
    giving = [f.rule for f in tried.findings if f.says == tried.says and f.reason == expect.reason]
    if giving and tried.says != "pass":
        # several rules may hold it back: the expected reason is among theirs
        got[1] = expect.reason
    if expect.rule:
        expected.append(f"by {expect.rule}")
        got.append(f"by {expect.rule if expect.rule in giving else ', '.join(giving) or 'no rule'}")
    if expect.until is not None:
        expected.append(f"until {rfc3339(expect.until)}")
        got.append(f"until {rfc3339(tried.release_at) if tried.release_at else 'never'}")
    return " ".join(filter(None, expected)), " ".join(filter(None, got))


def _unknown_words(located: Located, file: CaseFile, channel: str, policies: HousePolicies) -> list[Problem]:
    """Names in the cases that stand for nothing."""
    problems: list[Problem] = []

    def problem(what: str, cure: str, *at: str | int) -> None:
        steps: Steps = ("cases", *at)
        problems.append(located.problem(what, cure, at=steps))

    zones = tables.zones()
    rules = [rule.id for rule in (*policies.rules, *policies.refusals)]
    for i, case in enumerate(file.cases):
        expect = case.expect
        if not (case.given.channel or channel):
            problem("a case of the house names its channel", "add `channel:` under `given:`", i, "given")
        for zone in case.given.zones:
            if zone not in zones:
                problem(f"there is no zone `{zone}`", nearest(zone, [*zones]).split("?")[0] + "?", i, "given", "zones")
        if expect.rule and expect.rule not in rules:
            problem(f"there is no rule `{expect.rule}`", nearest(expect.rule, rules), i, "expect", "rule")
        if expect.reason and expect.reason not in REASONS:
            problem(f"there is no reason `{expect.reason}`", nearest(expect.reason, REASONS), i, "expect", "reason")
        if (expect.says == "pass") != (not expect.reason):
            problem("`reason` goes with defer and suppress", "name the reason code, or leave it out", i, "expect")
    return problems


class RuleLine(Struct, frozen=True):
    """One version of one rule, as a person reads it."""

    rule: str
    # from 00:00 UTC of this day
    effective: str
    # who is asked it; "all" for everyone
    channels: tuple[str, ...]
    purposes: tuple[str, ...]
    says: str
    why: str
    # file:line
    place: str


def list_rules(folder: Path, journeys: Mapping[str, str] | None = None) -> tuple[RuleLine, ...]:
    """Every version of every house rule, in the order in which they are asked; last those on refused messages."""
    lines = []
    policies = load_policies(folder, journeys)
    for rule in (*policies.rules, *policies.refusals):
        for since, bound in rule.versions:
            effective = since.date().isoformat() if since > EVER else "always"
            if bound is None:
                lines.append(RuleLine(rule.id, effective, (), (), "no longer in force", "", ""))
                continue
            channels = tuple(sorted(bound.channels or ("all",)))
            purposes = tuple(sorted(bound.purposes or ("all",)))
            lines.append(RuleLine(rule.id, effective, channels, purposes, bound.says, bound.why, bound.place))
    return tuple(lines)
