"""The house's own policies, compiled: dated rules, and dated settings of sender, priority and margin.

A dated entry holds from 00:00 UTC of its day, at one instant for everyone, until the next entry that names the same
rule or setting. Before its first entry a rule is not in force and passes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import reduce
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import force_setattr

from orchestrator.decide.asking import NOTHING, Asking
from orchestrator.decide.consent import CONFIRM_WITHIN, ConsentRule
from orchestrator.decide.content import Sender
from orchestrator.decide.conversation import ConversationRule
from orchestrator.decide.hours import HOLIDAY, QuietHoursRule, Week, Windows, has_hours, open_until
from orchestrator.decide.rules import Finding, Question, Rule, Version, fixed, version_at

T = TypeVar("T")
# (from, value) in order of time; None: not in force from then on
Timeline = tuple[tuple[datetime, T], ...]

NEVER = datetime.max.replace(tzinfo=UTC)
NO_SENDER = Sender()
# priority of a purpose that no policy ranks: after all that are ranked
LAST = 1000
NOBODY_FIRST: Mapping[str, int] = {}


def in_force(versions: Timeline[T], at: datetime | None, otherwise: T) -> T:
    """What holds at an instant; the last version when none is given."""
    for since, value in reversed(versions):
        if at is None or at >= since:
            return value
    return otherwise


class Bound(Struct, frozen=True, kw_only=True):
    """One version of a rule, and the contacts that are asked it."""

    rule: Rule
    # None: all
    channels: frozenset[str] | None = None
    purposes: frozenset[str] | None = None
    journeys: frozenset[str] | None = None
    categories: frozenset[str] | None = None
    # who is not asked, all the same
    exempt: frozenset[str] = frozenset()
    exempt_categories: frozenset[str] = frozenset()
    # in plain words what it says, and why the house wants it
    says: str = ""
    why: str = ""
    # where it is written, as `file:line`
    place: str = ""

    def binds(self, channel: str, purpose: str, journey: str, category: str) -> bool:
        """Whether such a contact is asked this rule."""
        return (
            (self.channels is None or channel in self.channels)
            and (self.purposes is None or purpose in self.purposes)
            and (self.journeys is None or journey in self.journeys)
            and (self.categories is None or category in self.categories)
            and journey not in self.exempt
            and category not in self.exempt_categories
        )


class Dated(Struct, frozen=True, kw_only=True):
    """A rule whose words changed over time: the version in force at `question.at` answers."""

    id: str
    versions: Timeline[Rule | None]
    # worked out of the versions: whether any binds hours
    has_hours: bool = False

    def __post_init__(self) -> None:
        """Looks at the versions once."""
        force_setattr(self, "has_hours", any(has_hours(rule) for _, rule in self.versions if rule is not None))

    def judge(self, question: Question) -> Finding:
        """The answer of the version in force; a pass where there is none."""
        return self.version_at(question.at).judge(question)

    @property
    def edges(self) -> tuple[datetime, ...]:
        """When each version begins to answer."""
        return tuple(since for since, _ in self.versions)

    def version_at(self, at: datetime) -> Version:
        """The version in force; where there is none, a pass."""
        rule = in_force(self.versions, at, None)
        if rule is not None:
            return version_at(rule, at)
        return fixed(Finding(rule=self.id, version="none", says="pass", saw={"in_force": False}))

    def open_until(self, question: Question) -> datetime | None:
        """When the hours that hold at `question.at` end, by the version in force then; None for other rules."""
        rule = in_force(self.versions, question.at, None)
        return None if rule is None else open_until(rule, question)


class DatedRule(Struct, frozen=True, kw_only=True):
    """All versions of one rule of the files."""

    id: str
    versions: Timeline[Bound | None]

    def asked(self, channel: str, purpose: str, journey: str, category: str) -> Dated | None:
        """The rule as such a contact is asked it; None if no version is."""
        versions = tuple(
            (since, bound.rule if bound is not None and bound.binds(channel, purpose, journey, category) else None)
            for since, bound in self.versions
        )
        return Dated(id=self.id, versions=versions) if any(rule for _, rule in versions) else None


def _never(_country: str, _day: date) -> bool:
    return False


class HousePolicies(Struct, frozen=True, kw_only=True):
    """Everything the house wants, in the order of its files: house first, then channels by name."""

    rules: tuple[DatedRule, ...] = ()
    # what becomes of a message that a provider refused: asked then alone
    refusals: tuple[DatedRule, ...] = ()
    # journey -> its category; one that is not named here has none
    categories: Mapping[str, str] = {}
    # key: channel; "all" stands for channels without an own one
    senders: Mapping[str, Timeline[Sender]] = {}
    ranks: Mapping[str, Timeline[int]] = {}
    margins: Mapping[str, Timeline[timedelta]] = {}
    spreads: Mapping[str, Timeline[timedelta]] = {}
    # channels from the least intrusive
    order: Timeline[tuple[str, ...]] = ()
    # journey -> its place among those that go first
    priority: Timeline[Mapping[str, int]] = ()
    # what the house would like to know of its members
    asked: Timeline[Asking] = ()
    # whether a day is a public holiday of a jurisdiction
    holiday_in: Callable[[str, date], bool] = _never
    # how far back any rule looks
    longest_window: timedelta = timedelta(0)
    # rules already picked, by (channel, purpose, journey)
    picked: dict[tuple[str, str, str], tuple[Rule, ...]] = field(default_factory=dict)
    picked_hours: dict[tuple[str, str, str], tuple[Rule, ...]] = field(default_factory=dict)
    # those of the rules that are on consent, in some version
    on_consent: tuple[DatedRule, ...] = ()

    def __post_init__(self) -> None:
        """A copy with a difference picks its own."""
        force_setattr(self, "picked", {})
        force_setattr(self, "picked_hours", {})
        on_consent = tuple(
            rule
            for rule in self.rules
            if any(bound is not None and isinstance(bound.rule, ConsentRule) for _, bound in rule.versions)
        )
        force_setattr(self, "on_consent", on_consent)

    def rules_for(self, channel: str, purpose: str, journey: str) -> tuple[Rule, ...]:
        """Every house rule that such a contact is asked, in a stable order."""
        key = (channel, purpose, journey)
        rules = self.picked.get(key)
        if rules is None:
            rules = self.picked[key] = self._pick(self.rules, *key)
        return rules

    def refusals_for(self, channel: str, purpose: str, journey: str) -> tuple[Rule, ...]:
        """Every rule on what becomes of a message that this channel's provider refused."""
        return self._pick(self.refusals, channel, purpose, journey)

    def _pick(self, rules: tuple[DatedRule, ...], channel: str, purpose: str, journey: str) -> tuple[Rule, ...]:
        category = self.categories.get(journey, "")
        asked = (rule.asked(channel, purpose, journey, category) for rule in rules)
        return tuple(rule for rule in asked if rule is not None)

    def hours_for(self, channel: str, purpose: str, journey: str) -> tuple[Rule, ...]:
        """Those of `rules_for` that may name the end of permitted hours."""
        key = (channel, purpose, journey)
        rules = self.picked_hours.get(key)
        if rules is None:
            rules = self.picked_hours[key] = tuple(rule for rule in self.rules_for(*key) if has_hours(rule))
        return rules

    def sender(self, channel: str, at: datetime | None = None) -> Sender:
        """Who messages of this channel come from at an instant; the last entry's when none is given."""
        return in_force(self.senders.get(channel, ()), at, NO_SENDER)

    def rank(self, purpose: str, at: datetime | None = None) -> int:
        """Priority at dispatch; lower is sooner."""
        return in_force(self.ranks.get(purpose, ()), at, LAST)

    def precedence(self, journey: str, at: datetime | None = None) -> int:
        """Which journey goes first where several want a member at the same moment; lower is sooner."""
        places = in_force(self.priority, at, NOBODY_FIRST)
        return places.get(journey, len(places))

    def latency_margin(self, channel: str, at: datetime | None = None) -> timedelta:
        """How long before permitted hours end a call must be made: the channel's, else the house's, else none."""
        house = in_force(self.margins.get("all", ()), at, timedelta(0))
        return in_force(self.margins.get(channel, ()), at, house)

    def asking(self, at: datetime | None = None) -> Asking:
        """What the house would like to know of its members; nothing where no policy says."""
        return in_force(self.asked, at, NOTHING)

    def release_spread(self, channel: str, at: datetime | None = None) -> timedelta:
        """Over how long releases at the opening of hours are spread: the channel's, else the house's, else none."""
        if not self.spreads:
            return timedelta(0)
        house = in_force(self.spreads.get("all", ()), at, timedelta(0))
        return in_force(self.spreads.get(channel, ()), at, house)

    def confirm_within(self, channel: str, purpose: str, at: datetime) -> timedelta:
        """How long a double opt-in may take: the shortest that any rule on consent in force says."""
        bounds = [in_force(rule.versions, at, None) for rule in self.on_consent]
        return min(
            (
                bound.rule.confirm_within
                for bound in bounds
                if bound is not None and isinstance(bound.rule, ConsentRule) and bound.binds(channel, purpose, "", "")
            ),
            default=CONFIRM_WITHIN,
        )

    def conversation(self, channel: str, purpose: str, at: datetime) -> timedelta:
        """How long after the member's own message free texts may be written: the shortest that a rule in force says."""
        bounds = (in_force(rule.versions, at, None) for rule in self.rules)
        return min(
            (
                bound.rule.lasts
                for bound in bounds
                if bound is not None
                and isinstance(bound.rule, ConversationRule)
                and bound.binds(channel, purpose, "", "")
            ),
            default=timedelta(0),
        )

    def channel_order(self, at: datetime | None = None) -> tuple[str, ...]:
        """The channels from the least intrusive to the most."""
        return in_force(self.order, at, ())

    def quiet(self, channel: str, purpose: str, at: datetime | None = None) -> Week | None:
        """The hours that all quiet hours in force leave open to such a contact; None when there are no quiet hours."""
        weeks = [
            bound.rule.week
            for rule in self.rules
            if (bound := in_force(rule.versions, at, None)) is not None
            and bound.binds(channel, purpose, "", "")
            and isinstance(bound.rule, QuietHoursRule)
        ]
        return reduce(_both, weeks) if weeks else None


def _both(a: Week, b: Week) -> Week:
    """The hours open in both weeks; where only one names holidays, the other's holiday is its strictest weekday."""
    days: list[Windows | None] = [_overlap(x or (), y or ()) for x, y in zip(a.days[:7], b.days[:7], strict=True)]
    if a.days[HOLIDAY] is None and b.days[HOLIDAY] is None:
        return Week((*days, None))
    return Week((*days, _overlap(_holiday(a), _holiday(b))))


def _holiday(week: Week) -> Windows:
    named = week.days[HOLIDAY]
    return named if named is not None else reduce(_overlap, [day or () for day in week.days[:HOLIDAY]])


def _overlap(a: Windows, b: Windows) -> Windows:
    both = [(max(s, t), min(e, f)) for s, e in a for t, f in b]
    return tuple(sorted((start, end) for start, end in both if start < end))
