"""The law book: dated, cited rules of law packs, and which of them a contact is asked.

A jurisdiction's rules are those of its pack and of every pack that it extends; two jurisdictions are both asked, and
the strictest answer wins. What no checked rule on consent covers rests on the default pack: opt-in for marketing. A
rule outside the deployment's profile is asked and logged, and binds nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Literal, get_args

from msgspec import Struct, field
from msgspec.structs import force_setattr, replace

from orchestrator.decide.law_rules import (
    EVER,
    NEVER,
    AgeClause,
    BlockClause,
    CapClause,
    Clause,
    ConsentClause,
    ExemptClause,
    HoursClause,
    RegistryClause,
    excepted,
    for_channel,
)
from orchestrator.decide.rules import Finding, Question, Rule, Version, edges_of, fixed, version_at

Authority = Literal[
    "statute",
    "regulation",
    "case_law",
    "regulator_guidance",
    "self_regulation",
    "carrier",
    "platform",
    "recommended_practice",
]
Confidence = Literal["verified_primary", "verified_secondary", "established", "unverified", "conflicting"]
Status = Literal["draft", "reviewed", "active", "retired"]
Profile = Literal["statute", "compliant", "courteous"]

DEFAULT = "_default"
_AUTHORITIES: tuple[Authority, ...] = get_args(Authority)
# the authorities that bind under each profile
BINDS: dict[Profile, frozenset[Authority]] = {
    "statute": frozenset(_AUTHORITIES[:4]),
    "compliant": frozenset(_AUTHORITIES[:7]),
    "courteous": frozenset(_AUTHORITIES),
}
# suppressions first, then caps, then hours: the first reason of a trail is the one that says most
_ORDER = (ConsentClause, RegistryClause, BlockClause, AgeClause, CapClause, HoursClause, ExemptClause)


class Source(Struct, frozen=True, kw_only=True):
    """A text that rules rest on."""

    id: str
    title: str
    url: str
    kind: Literal["primary", "secondary"]
    # the day it was read; None: not opened
    seen: date | None
    lang: str


class Cite(Struct, frozen=True, kw_only=True):
    """A place in a source."""

    source: str
    at: str


class LawRule(Struct, frozen=True, kw_only=True):
    """One dated version of one rule, as the pack has it."""

    # stable; versions of one rule share it
    id: str
    kind: str
    authority: Authority
    confidence: Confidence
    # empty: all of them
    channels: frozenset[str]
    purposes: frozenset[str]
    # first day in force, and the first day it no longer is, in the law's local time; None: open
    starts: date | None
    ends: date | None
    # adopted, not yet in force when the pack was written
    pending: bool
    # how the pack reads an open text, and the other reading
    reading: str
    alt: str
    cites: tuple[Cite, ...]
    # what else the pack says of it, in the pack's own words
    terms: Mapping[str, str]
    # the parent's rule that this one stands in for, or ""
    overrides: str
    # where it stands in the pack's file
    line: int
    # None: told by the law book, not asked of a contact (opt_out, proof, content)
    clause: Clause | None

    def covers(self, channel: str, purpose: str) -> bool:
        """Whether it speaks of such contacts."""
        return (not self.channels or channel in self.channels) and (not self.purposes or purpose in self.purposes)


class LawPack(Struct, frozen=True, kw_only=True):
    """The rules of one jurisdiction, or the overlay of a sub-division."""

    # ISO 3166-1 or -2, or `_default`
    jurisdiction: str
    # the jurisdiction whose rules it adds to, or ""
    extends: str
    version: str
    status: Status
    reviewed_on: date
    review_due: date
    timezones: tuple[str, ...]
    sources: tuple[Source, ...]
    rules: tuple[LawRule, ...]
    # as shown to people
    file: str

    @property
    def name(self) -> str:
        """`US-NY@2026.11.0`."""
        return f"{self.jurisdiction}@{self.version}"

    def source(self, name: str) -> Source:
        """The source of this id."""
        return next(source for source in self.sources if source.id == name)


class AskedRule(Struct, frozen=True):
    """One rule of law with all its dated versions: the version in force at the instant asked about answers."""

    id: str
    clauses: tuple[Clause, ...]
    # asked where no version is in force: the default pack's consent stands in for a consent rule that is not there yet
    otherwise: Rule | None = None
    # whether any version binds hours; worked out
    has_hours: bool = False

    def __post_init__(self) -> None:
        """Looks at the versions once."""
        force_setattr(self, "has_hours", any(isinstance(clause, HoursClause) for clause in self.clauses))

    def judge(self, question: Question) -> Finding:
        """The answer of the version in force, exceptions considered."""
        return self.version_at(question.at).judge(question)

    @property
    def edges(self) -> tuple[datetime, ...]:
        """When versions begin and cease to answer."""
        own = tuple(edge for clause in self.clauses for edge in (clause.starts, clause.ends))
        return own if self.otherwise is None else own + edges_of(self.otherwise)

    def version_at(self, at: datetime) -> Version:
        """The version in force; where there is none, what is asked otherwise, or a pass."""
        for clause in self.clauses:
            if clause.starts <= at < clause.ends:
                return clause.version_at(at)
        if self.otherwise is not None:
            return version_at(self.otherwise, at)
        return fixed(replace(self.clauses[-1], notes={}).found("pass", {"in_force": False}))

    def open_until(self, question: Question) -> datetime | None:
        """When the permitted hours that hold at `question.at` end; None for other rules, and under an exception."""
        for clause in self.clauses:
            if isinstance(clause, HoursClause) and clause.starts <= question.at < clause.ends:
                if clause.exceptions and excepted(clause.exceptions, question):
                    return None
                return clause.open_until(question)
        return None


class LawBook(Struct, frozen=True):
    """All packs, under one profile."""

    # key: jurisdiction
    packs: Mapping[str, LawPack]
    profile: Profile = "compliant"
    # packs that nobody has reviewed may then only tighten the default pack
    require_reviewed: bool = False
    # what was compiled before: the same arguments have the same answer
    memo: dict[tuple[tuple[str, ...], str, str], tuple[AskedRule, ...]] = field(default_factory=dict)
    listed: dict[tuple[tuple[str, ...], str, str], tuple[str, ...]] = field(default_factory=dict)
    hours: dict[tuple[tuple[str, ...], str, str], tuple[AskedRule, ...]] = field(default_factory=dict)
    named: dict[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)

    def under(self, profile: Profile) -> LawBook:
        """The same packs under another profile."""
        return LawBook(self.packs, profile, self.require_reviewed)

    def rules_for(self, jurisdictions: tuple[str, ...], channel: str, purpose: str) -> tuple[AskedRule, ...]:
        """Every rule of law that such a contact is asked; no jurisdiction, or one without a pack, means the default."""
        key = (jurisdictions, channel, purpose)
        found = self.memo.get(key)
        if found is None:
            found = self.memo[key] = self._compile(jurisdictions, channel, purpose)
        return found

    def hours_for(self, jurisdictions: tuple[str, ...], channel: str, purpose: str) -> tuple[AskedRule, ...]:
        """Those of `rules_for` that may name the end of permitted hours."""
        key = (jurisdictions, channel, purpose)
        found = self.hours.get(key)
        if found is None:
            found = self.hours[key] = tuple(rule for rule in self.rules_for(*key) if rule.has_hours)
        return found

    def registries_for(self, jurisdictions: tuple[str, ...], channel: str, purpose: str) -> tuple[str, ...]:
        """Names of the do-not-contact lists that these rules read, in order."""
        key = (jurisdictions, channel, purpose)
        names = self.listed.get(key)
        if names is None:
            clauses = (clause for rule in self.rules_for(*key) for clause in rule.clauses)
            names = tuple(sorted({clause.name for clause in clauses if isinstance(clause, RegistryClause)}))
            self.listed[key] = names
        return names

    def names(self, jurisdictions: tuple[str, ...]) -> tuple[str, ...]:
        """The packs asked, overlays before the packs they extend: `US-NY@2026.11.0`, `US@2026.11.0`."""
        names = self.named.get(jurisdictions)
        if names is None:
            packs = (pack for each in jurisdictions or (DEFAULT,) for pack in self.chain(each))
            names = self.named[jurisdictions] = tuple(dict.fromkeys(pack.name for pack in packs))
        return names

    def jurisdictions_of(self, country: str, region: str, phone_countries: tuple[str, ...]) -> tuple[str, ...]:
        """Whose packs apply: the residence's, most specific first, then each number's country where it differs."""
        home = country or region.partition("-")[0]
        if region.startswith(f"{home}-") and region in self.packs and self.packs[region].status != "retired":
            first: tuple[str, ...] = (region,)
        else:
            first = (home,) if home else ()
        return first + tuple(sorted({each for each in phone_countries if each and each != home}))

    def binds(self, rule: LawRule) -> bool:
        """Whether a rule of this authority binds under the book's profile; else it is logged as advisory."""
        return rule.authority in BINDS[self.profile]

    def lists(self) -> dict[str, frozenset[str]]:
        """Every do-not-contact list by the name the store keeps it under, with the channels it is asked about."""
        found: dict[str, frozenset[str]] = {}
        for rule in (rule for pack in self.packs.values() for rule in pack.rules):
            for channel in sorted(rule.channels):
                clause = for_channel(rule.clause, channel) if rule.clause is not None else None
                if isinstance(clause, RegistryClause):
                    found[clause.name] = found.get(clause.name, frozenset()) | {channel}
        return found

    @property
    def longest_window(self) -> timedelta:
        """How far back any rule of any pack looks at earlier touches."""
        clauses = (rule.clause for pack in self.packs.values() for rule in pack.rules if rule.clause is not None)
        return max((clause.looks_back for clause in clauses), default=timedelta(0))

    def chain(self, jurisdiction: str) -> tuple[LawPack, ...]:
        """A jurisdiction's pack and those it extends, most specific first; the default pack where there is none."""
        found: list[LawPack] = []
        pack = self.packs.get(jurisdiction)
        while pack is not None and pack.status != "retired":
            found.append(pack)
            pack = self.packs.get(pack.extends)
        return tuple(found) or (self.packs[DEFAULT],)

    def _compile(self, jurisdictions: tuple[str, ...], channel: str, purpose: str) -> tuple[AskedRule, ...]:
        rules: dict[tuple[str, str], AskedRule] = {}
        for jurisdiction in dict.fromkeys(jurisdictions or (DEFAULT,)):
            for rule in self._of(self.chain(jurisdiction), channel, purpose):
                rules[rule.id, rule.clauses[0].version] = rule
        return tuple(sorted(rules.values(), key=lambda rule: _ORDER.index(type(rule.clauses[0]))))

    def _of(self, chain: tuple[LawPack, ...], channel: str, purpose: str) -> Iterator[AskedRule]:
        """One jurisdiction's rules, resting on the default pack for what they don't settle."""
        default = self.packs[DEFAULT]
        own = list(self._asked(chain, channel, purpose))
        if chain[0] is default:
            yield from (rule for rule, _ in own)
            return
        floor = [rule for rule, _ in self._asked((default,), channel, purpose)]
        if self.require_reviewed and any(pack.status == "draft" for pack in chain):
            yield from (rule for rule, _ in own)
            yield from floor
            return
        consents = [rule for rule in floor if isinstance(rule.clauses[0], ConsentClause)]
        settled = False
        for rule, sure in own:
            grounds = sure and isinstance(rule.clauses[0], ConsentClause) and rule.clauses[0].grounds
            settled = settled or grounds
            if grounds and consents and not _always(rule.clauses):
                yield AskedRule(rule.id, rule.clauses, consents[0])
            else:
                yield rule
        if not settled:
            yield from consents

    def _asked(self, chain: Iterable[LawPack], channel: str, purpose: str) -> Iterator[tuple[AskedRule, bool]]:
        """Each rule of these packs that speaks of such contacts, and whether it may be what a contact rests on."""
        overridden: set[str] = set()
        for pack in chain:
            versions: dict[str, list[LawRule]] = {}
            for rule in pack.rules:
                if rule.clause is not None and rule.id not in overridden and rule.covers(channel, purpose):
                    versions.setdefault(rule.id, []).append(rule)
            for name, rules in versions.items():
                clauses = tuple(
                    for_channel(replace(rule.clause, advisory=not self.binds(rule)), channel)
                    for rule in sorted(rules, key=lambda rule: rule.starts or date.min)
                    if rule.clause is not None
                )
                sure = all(rule.confidence != "unverified" and self.binds(rule) for rule in rules)
                yield AskedRule(name, clauses), sure
            overridden |= {rule.overrides for rule in pack.rules if rule.overrides}


def _always(clauses: tuple[Clause, ...]) -> bool:
    """Whether the versions follow each other without a gap, from ever to never."""
    edge: datetime = EVER
    for clause in clauses:
        if clause.starts > edge:
            return False
        edge = clause.ends
    return edge == NEVER
