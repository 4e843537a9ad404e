"""What people ask of the law book: which packs there are, what stands in one, what changed, and whether cases agree."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from msgspec import Struct

from orchestrator.content.law_cases import CASES, Outcome, judge, local, moment, read_cases, read_table
from orchestrator.content.laws import PACK, read_pack
from orchestrator.decide.law import DEFAULT, LawBook, LawPack, LawRule
from orchestrator.decide.rules import Finding
from orchestrator.errors import UsageError

# reason codes that a rule of law can give; `zone_unknown` needs a jurisdiction without zones
REASONS = (
    "no_consent",
    "consent_withdrawn",
    "consent_expired",
    "consent_basis",
    "registry_listed",
    "registry_unknown",
    "platform_block",
    "under_age",
    "law_cap",
    "law_hours",
)


class PackLine(Struct, frozen=True, kw_only=True):
    """One pack, in a line."""

    pack: str
    extends: str
    status: str
    reviewed_on: date
    review_due: date
    # the review was due before today
    overdue: bool
    rules: int
    # rules that nobody has read at the source: unverified, or established and not re-read
    unread: int
    conflicting: int
    pending: int


class RuleLine(Struct, frozen=True, kw_only=True):
    """One dated version of one rule."""

    rule: str
    kind: str
    authority: str
    # whether it binds under the book's profile
    binds: bool
    confidence: str
    channels: str
    purposes: str
    terms: str
    since: date | None
    until: date | None
    pending: bool
    reading: str
    alt: str
    cites: tuple[str, ...]
    links: tuple[str, ...]


class PackShown(Struct, frozen=True, kw_only=True):
    """A jurisdiction's rules: those of its pack, then those of the packs it extends."""

    packs: tuple[PackLine, ...]
    rules: tuple[RuleLine, ...]


class Change(Struct, frozen=True, kw_only=True):
    """One thing that differs between two packs, with the days and contacts that it bears on."""

    rule: str
    what: str
    before: str
    after: str
    # impacted period, half-open; None: open
    since: date | None
    until: date | None
    # impacted contacts: channels / purposes
    area: str


class PackDiff(Struct, frozen=True, kw_only=True):
    """How one pack came to be another."""

    before: str
    after: str
    changes: tuple[Change, ...]


class Disagreement(Struct, frozen=True, kw_only=True):
    """A row whose expectation does not hold."""

    id: str
    expected: str
    got: str
    earliest_expected: str
    earliest_got: str
    trail: tuple[Finding, ...]


class Checked(Struct, frozen=True, kw_only=True):
    """A table of cases, checked."""

    rows: int
    agree: int
    disagree: tuple[Disagreement, ...]


class Failed(Struct, frozen=True, kw_only=True):
    """A case of a pack that does not hold."""

    place: str
    case: str
    expected: str
    got: str


class Coverage(Struct, frozen=True, kw_only=True):
    """The packs' own cases, run: what they reached, and what none of them did."""

    cases: int
    failed: tuple[Failed, ...]
    # rules that no case made speak: for a rule that only passes, none that asked it while it was in force
    unreached_rules: tuple[str, ...]
    unreached_reasons: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every case holds and nothing is left out."""
        return not (self.failed or self.unreached_rules or self.unreached_reasons)


def listed(book: LawBook, today: date) -> tuple[PackLine, ...]:
    """Every pack, with what a reader should know before relying on it."""
    return tuple(_line(pack, today) for _, pack in sorted(book.packs.items()))


def shown(book: LawBook, jurisdiction: str, today: date) -> PackShown:
    """What holds in a jurisdiction. Raises UsageError where it has no pack: the default one answers for it."""
    if jurisdiction not in book.packs:
        there = ", ".join(sorted(book.packs))
        raise UsageError(f"{jurisdiction} has no pack, so {DEFAULT} answers for it; there is: {there}")
    chain = book.chain(jurisdiction)
    return PackShown(
        packs=tuple(_line(pack, today) for pack in chain),
        rules=tuple(_rule_line(book, pack, rule) for pack in chain for rule in pack.rules),
    )


def pack_at(folder: Path, name: str) -> LawPack:
    """A pack by its jurisdiction in `folder`, or by the path of a `pack.yaml` or of the folder it lies in."""
    for path in (folder / name / PACK, Path(name), Path(name) / PACK):
        if path.is_file():
            return read_pack(path)
    raise UsageError(f"{name} is neither a jurisdiction in {folder} nor a pack's file or folder")


def compare(before: LawPack, after: LawPack) -> PackDiff:
    """Rule versions that were added, removed or changed; a version is known by its id and the day it begins."""
    old = {(rule.id, rule.starts): rule for rule in before.rules}
    new = {(rule.id, rule.starts): rule for rule in after.rules}
    changes = [
        *(_change(rule, "removed", rule.id, "") for key, rule in old.items() if key not in new),
        *(_change(rule, "added", "", rule.id) for key, rule in new.items() if key not in old),
    ]
    for key in old.keys() & new.keys():
        was, now = _told(old[key]), _told(new[key])
        differ = (name for name in sorted(was.keys() | now.keys()) if was.get(name) != now.get(name))
        changes += [_change(new[key], name, was.get(name, ""), now.get(name, "")) for name in differ]
    for name in ("status", "review_due", "timezones", "extends"):
        was_it, is_it = str(getattr(before, name)), str(getattr(after, name))
        if was_it != is_it:
            changes.append(Change(rule="", what=name, before=was_it, after=is_it, since=None, until=None, area="all"))
    ordered = sorted(changes, key=lambda change: (change.rule, change.what))
    return PackDiff(before=before.name, after=after.name, changes=tuple(ordered))


def check(book: LawBook, path: Path) -> Checked:
    """A CSV table of cases, each row weighed under its own profile. Raises ContentError where it can't be read."""
    rows = read_table(path)
    disagree: list[Disagreement] = []
    for row in rows:
        outcome = judge(book, row.case)
        if not outcome.agrees:
            disagree.append(
                Disagreement(
                    id=row.id,
                    expected=_table_word(row.case.expect),
                    got=_table_word(outcome.got),
                    earliest_expected=row.case.earliest,
                    earliest_got=local(outcome.earliest, row.zone) if outcome.earliest is not None else "",
                    trail=outcome.tried.findings,
                )
            )
    return Checked(rows=len(rows), agree=len(rows) - len(disagree), disagree=tuple(disagree))


def coverage(book: LawBook, folder: Path) -> Coverage:
    """The `cases.yaml` of every pack in `folder`, run. Raises ContentError where one can't be read."""
    outcomes: list[tuple[str, Outcome]] = []
    for jurisdiction in sorted(book.packs):
        path = folder / jurisdiction / CASES
        if path.is_file():
            cases = read_cases(path, jurisdiction)
            outcomes += [(f"{path}:{line}", judge(book, case)) for line, case in cases]
    asked = {rule.id for pack in book.packs.values() for rule in pack.rules if rule.clause is not None}
    findings = [finding for _, outcome in outcomes for finding in outcome.tried.findings]
    reached = {finding.rule for finding in findings if finding.says != "pass" or "exempt" in finding.saw}
    return Coverage(
        cases=len(outcomes),
        failed=tuple(_failed(place, outcome) for place, outcome in outcomes if not outcome.agrees),
        unreached_rules=tuple(sorted(asked - reached)),
        unreached_reasons=tuple(name for name in REASONS if name not in {finding.reason for finding in findings}),
    )


def _line(pack: LawPack, today: date) -> PackLine:
    return PackLine(
        pack=pack.name,
        extends=pack.extends,
        status=pack.status,
        reviewed_on=pack.reviewed_on,
        review_due=pack.review_due,
        overdue=pack.review_due < today,
        rules=len(pack.rules),
        unread=_count(rule.confidence in ("unverified", "established") for rule in pack.rules),
        conflicting=_count(rule.confidence == "conflicting" for rule in pack.rules),
        pending=_count(rule.pending for rule in pack.rules),
    )


def _rule_line(book: LawBook, pack: LawPack, rule: LawRule) -> RuleLine:
    return RuleLine(
        rule=rule.id,
        kind=rule.kind,
        authority=rule.authority,
        binds=book.binds(rule),
        confidence=rule.confidence,
        channels=", ".join(sorted(rule.channels)) or "all",
        purposes=", ".join(sorted(rule.purposes)) or "all",
        terms="; ".join(f"{key}: {value}" for key, value in rule.terms.items()),
        since=rule.starts,
        until=rule.ends,
        pending=rule.pending,
        reading=rule.reading,
        alt=rule.alt,
        cites=tuple(f"{cite.at} ({pack.source(cite.source).title})" for cite in rule.cites),
        links=tuple(dict.fromkeys(pack.source(cite.source).url for cite in rule.cites)),
    )


def _told(rule: LawRule) -> dict[str, str]:
    """What a version says, field by field, in text."""
    return {
        **rule.terms,
        "authority": rule.authority,
        "confidence": rule.confidence,
        "channels": ", ".join(sorted(rule.channels)) or "all",
        "purposes": ", ".join(sorted(rule.purposes)) or "all",
        "to": str(rule.ends or ""),
        "pending": str(rule.pending),
        "reading": rule.reading,
        "alt": rule.alt,
        "cites": "; ".join(f"{cite.source}: {cite.at}" for cite in rule.cites),
    }


def _change(rule: LawRule, what: str, before: str, after: str) -> Change:
    channels, purposes = ", ".join(sorted(rule.channels)) or "all", ", ".join(sorted(rule.purposes)) or "all"
    return Change(
        rule=rule.id,
        what=what,
        before=before,
        after=after,
        since=rule.starts,
        until=rule.ends,
        area=f"{channels} / {purposes}",
    )


def _failed(place: str, outcome: Outcome) -> Failed:
    case = outcome.case
    zone = moment(case.at)[1]
    earliest = local(outcome.earliest, zone) if outcome.earliest is not None else ""
    return Failed(
        place=place,
        case=case.case,
        expected=" ".join(filter(None, (case.expect, case.reason, case.rule, case.earliest))),
        got=" ".join(filter(None, (outcome.got, outcome.reason, earliest))),
    )


def _table_word(verdict: str) -> str:
    return "allow" if verdict == "send" else verdict


def _count(items: Iterable[bool]) -> int:
    return sum(items)
