"""Channel policies read from `channel_policies/*.yaml` and compiled, every mistake told with file and line."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import holidays
from msgspec.structs import replace

from orchestrator.content.files import read_yaml
from orchestrator.content.policy_file import (
    CapWords,
    ComplaintWords,
    ConsentWords,
    ContactPointWords,
    ConversationWords,
    CountingWords,
    EntryWords,
    GapWords,
    MembershipWords,
    PolicyWords,
    PreferenceWords,
    ProfileWords,
    QuietHoursWords,
    RefusedWords,
)
from orchestrator.decide.asking import ATTRIBUTE, CHANNELS, PROFILE, Asking
from orchestrator.decide.caps import CapRule, GapRule
from orchestrator.decide.consent import CONFIRM_WITHIN, ComplaintRule, ConsentRule, MembershipRule
from orchestrator.decide.contact import ClosedWindowRule, ContactPointRule
from orchestrator.decide.content import Sender
from orchestrator.decide.conversation import ConversationRule
from orchestrator.decide.hours import HOLIDAY, MIDNIGHT, QuietHoursRule, Week, Windows, opened
from orchestrator.decide.policies import Bound, DatedRule, HousePolicies
from orchestrator.decide.preferences import LONGEST, LimitRule, PauseRule, TopicRule
from orchestrator.decide.refused import RefusalRule
from orchestrator.decide.rules import Rule
from orchestrator.decide.touches import Scope
from orchestrator.decide.windows import Window
from orchestrator.errors import ContentError, Problem
from orchestrator.events.types import Channel
from orchestrator.located import Located, Steps, convert, nearest
from orchestrator.times import duration

HOUSE = "house"
NONE = "none"
LONGEST_SPREAD = timedelta(hours=12)
ALL = "all"
# words of house.yaml alone
FOR_ALL = (
    *("rank", "channel_order", "profile", "priority", "groups"),
    *("membership", "complaints", "preferences", "contact_points"),
)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WINDOWS = ("rolling P7D", "calendar day", "calendar week", "calendar month")
EVER = datetime.min.replace(tzinfo=UTC)
_RANGE = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")
_DISPATCH = ClosedWindowRule(id="house.dispatch_window", version="engine")
V = TypeVar("V")
# (from, name of a group -> its channels), in order of time
Groups = list[tuple[datetime, dict[str, tuple[Channel, ...]]]]


def load_policies(folder: Path, journeys: Mapping[str, str] | None = None) -> HousePolicies:
    """The compiled policies of a folder; `journeys` are those there are, with their categories, where they are known.

    Raises ContentError with every problem of every file. A file `<channel>.cases.yaml` holds cases, not policies.
    """
    problems: list[Problem] = []
    if not (folder / f"{HOUSE}.yaml").is_file():
        problems.append(Problem(f"{folder.name}/{HOUSE}.yaml", 1, "this file does not exist", "orchestrator init"))
    read: list[_File] = []
    groups: Groups = []
    for path in policy_files(folder):
        try:
            read.append(_File(path, journeys, groups))
        except ContentError as error:
            problems += error.problems
    problems += [problem for file in read for problem in file.problems]
    if problems:
        raise ContentError(problems)
    dispatch = Bound(rule=_DISPATCH, says="windows found closed at dispatch stay closed", why="always asked")
    rules: dict[str, list[tuple[datetime, Bound | None]]] = {_DISPATCH.id: [(EVER, dispatch)]}
    for file in read:
        rules |= file.rules
    return HousePolicies(
        rules=_dated(rules),
        refusals=tuple(rule for file in read for rule in _dated(file.refusals)),
        categories=dict(journeys or {}),
        senders={file.scope: tuple(file.senders) for file in read if file.senders},
        ranks={purpose: tuple(ranks) for file in read for purpose, ranks in file.ranks.items()},
        margins={file.scope: tuple(file.margins) for file in read if file.margins},
        spreads={file.scope: tuple(file.spreads) for file in read if file.spreads},
        order=tuple(order for file in read for order in file.order),
        asked=tuple(asked for file in read for asked in file.asked),
        priority=tuple(told for file in read for told in file.priority),
        holiday_in=is_holiday,
        longest_window=max((file.longest for file in read), default=timedelta(0)),
    )


def _dated(rules: dict[str, list[tuple[datetime, Bound | None]]]) -> tuple[DatedRule, ...]:
    return tuple(DatedRule(id=name, versions=tuple(versions)) for name, versions in rules.items())


def policy_files(folder: Path) -> list[Path]:
    """The policy files of a folder: house first, then channels by name."""
    files = [path for path in folder.glob("*.yaml") if not path.name.endswith(".cases.yaml")]
    return sorted(files, key=lambda path: (path.stem != HOUSE, path.name))


def is_holiday(jurisdiction: str, day: date) -> bool:
    """Whether a day is a public holiday of a country ("CO") or subdivision ("US-NY"); False where no table is known."""
    return day in _holidays(jurisdiction, day.year)


@lru_cache(maxsize=4096)
def _holidays(jurisdiction: str, year: int) -> frozenset[date]:
    country, _, subdivision = jurisdiction.partition("-")
    for part in (subdivision or None, None):
        try:
            return frozenset(holidays.country_holidays(country, subdiv=part, years=year))
        except NotImplementedError:
            continue
    return frozenset()


class _File:
    """One policy file on its way to rules; collects its problems."""

    def __init__(self, path: Path, journeys: Mapping[str, str] | None, groups: Groups) -> None:
        """`groups` are those of the house: its own file, which is read first, tells them."""
        self.located: Located = read_yaml(path, f"{path.parent.name}/{path.name}")
        words = convert(self.located, PolicyWords)
        self.journeys = journeys
        self.groups = groups
        self.problems: list[Problem] = []
        self.channel: str = words.channel
        self.scope = ALL if words.channel == HOUSE else words.channel
        self.rules: dict[str, list[tuple[datetime, Bound | None]]] = {}
        self.refusals: dict[str, list[tuple[datetime, Bound | None]]] = {}
        self.senders: list[tuple[datetime, Sender]] = []
        self.margins: list[tuple[datetime, timedelta]] = []
        self.spreads: list[tuple[datetime, timedelta]] = []
        self.ranks: dict[str, list[tuple[datetime, int]]] = {}
        self.order: list[tuple[datetime, tuple[str, ...]]] = []
        self.asked: list[tuple[datetime, Asking]] = []
        self.priority: list[tuple[datetime, Mapping[str, int]]] = []
        self.longest = timedelta(0)
        self._families: dict[str, str] = {}
        if words.channel != path.stem:
            self._problem(
                f"`channel: {words.channel}` stands in {path.name}", f"write `channel: {path.stem}`", "channel"
            )
        before: date | None = None
        for i, entry in enumerate(words.entries):
            if before is not None and entry.effective <= before:
                self._problem("entries are in order of time, one a day", f"the one before is of {before}", "entries", i)
            before = entry.effective
            self._entry(entry, ("entries", i))

    def _entry(self, entry: EntryWords, at: Steps) -> None:
        since = datetime.combine(entry.effective, time(), UTC)
        self.version = f"{self.channel}@{entry.effective}"
        if entry.sender is not None:
            sender = entry.sender
            self.senders.append((since, Sender(name=sender.name, address=sender.address, reply_to=sender.reply_to)))
        if entry.latency_margin is not None:
            self.margins.append((since, self._duration(entry.latency_margin, *at, "latency_margin") or timedelta(0)))
        if entry.release_spread is not None:
            spread = self._duration(entry.release_spread, *at, "release_spread") or timedelta(0)
            if spread > LONGEST_SPREAD:
                self._problem("half a day is the longest spread", "write `PT30M`, for example", *at, "release_spread")
            self.spreads.append((since, spread))
        if self.channel != HOUSE:
            for word in FOR_ALL:
                if getattr(entry, word):
                    self._problem(f"`{word}` holds for all channels", "move it to house.yaml", *at, word)
        for purpose, rank in (entry.rank or {}).items():
            self.ranks.setdefault(purpose, []).append((since, rank))
        if entry.channel_order is not None:
            self.order.append((since, entry.channel_order))
        if entry.profile is not None:
            self.asked.append((since, self._profile(entry.profile, (*at, "profile"))))
        if entry.priority is not None:
            self._known(entry.priority, (*at, "priority"))
            self.priority.append((since, {name: place for place, name in enumerate(entry.priority)}))
        self._groups(entry, since, at)
        self._family("membership", entry.membership, since, at, self._membership)
        self._family("complaints", entry.complaints, since, at, self._complaint)
        self._family("preferences", entry.preferences, since, at, self._preference)
        self._family("contact_points", entry.contact_points, since, at, self._contact_point)
        self._family("consent", entry.consent, since, at, self._consent)
        self._family("conversation", entry.conversation, since, at, self._conversation)
        self._family("quiet_hours", entry.quiet_hours, since, at, self._quiet_hours)
        self._family("caps", entry.caps, since, at, self._cap)
        self._family("gaps", entry.gaps, since, at, self._gap)
        self._family("refused", entry.refused, since, at, self._refused)

    def _groups(self, entry: EntryWords, since: datetime, at: Steps) -> None:
        """The groups of channels as the house names them on this day."""
        if self.channel == HOUSE:
            for name in entry.groups:
                if name == ALL:
                    self._problem("`all` stands for every channel", "give the group another name", *at, "groups", name)
            self.groups.append((since, entry.groups))
        self.known_groups: dict[str, tuple[Channel, ...]] = {}
        for begins, groups in self.groups:
            if begins <= since:
                self.known_groups |= groups

    def _profile(self, words: ProfileWords, at: Steps) -> Asking:
        self._known(words.journeys, (*at, "journeys"))
        for i, fact in enumerate(words.ask):
            if fact not in (*PROFILE, *CHANNELS) and not (fact.startswith(ATTRIBUTE) and fact != ATTRIBUTE):
                cure = nearest(fact, (*PROFILE, *CHANNELS, f"{ATTRIBUTE}<name>"))
                self._problem(f"`{fact}` is no fact that can be asked for", cure, *at, "ask", i)
        again = self._duration(words.again_after, *at, "again_after")
        return Asking(facts=words.ask, again_after=again or timedelta(0), journeys=frozenset(words.journeys))

    def _family(
        self,
        family: str,
        rules: dict[str, V],
        since: datetime,
        at: Steps,
        compile_: Callable[[str, V, Steps], Bound | None],
    ) -> None:
        for word, rule in rules.items():
            here = (*at, family, word)
            if self._families.setdefault(word, family) != family:
                self._problem(f"`{word}` is also a rule of {self._families[word]}", "give it a name of its own", *here)
            name = f"{HOUSE}.{word}" if self.channel == HOUSE else f"{HOUSE}.{self.channel}.{word}"
            kept = self.refusals if family == "refused" else self.rules
            kept.setdefault(name, []).append((since, compile_(name, rule, here)))

    # --- families

    def _membership(self, name: str, words: MembershipWords, at: Steps) -> Bound | None:
        says = f"a former member gets no {_and(words.stops)}"
        return self._bound(MembershipRule(id=name, version=self.version), words.stops, says, words.why, at)

    def _complaint(self, name: str, words: ComplaintWords, at: Steps) -> Bound | None:
        says = f"no {_and(words.stops)} while a complaint is open"
        return self._bound(ComplaintRule(id=name, version=self.version), words.stops, says, words.why, at)

    def _preference(self, name: str, words: PreferenceWords, at: Steps) -> Bound | None:
        if words.honours == "pause":
            rule: Rule = PauseRule(id=name, version=self.version)
            return self._bound(rule, words.purposes, "none while the member wants a pause", words.why, at)
        if words.honours == "topics":
            rule = TopicRule(id=name, version=self.version)
            return self._bound(rule, words.purposes, "none of the topics that the member does without", words.why, at)
        self.longest = max(self.longest, LONGEST)
        rule = LimitRule(id=name, version=self.version, scope=Scope(purposes=frozenset(words.purposes)))
        return self._bound(rule, words.purposes, "at most what the member asked for", words.why, at)

    def _contact_point(self, name: str, words: ContactPointWords, at: Steps) -> Bound | None:
        pause = self._duration(words.soft_bounced_pause, *at, "soft_bounced_pause") or timedelta(0)
        block = words.block
        within = self._duration(block.within, *at, "block", "within") if block else None
        closed = self._duration(block.pause, *at, "block", "pause") if block else None
        rule = ContactPointRule(
            id=name,
            version=self.version,
            soft_bounced_pause=pause,
            block_after=block.soft_bounces if block else 0,
            block_within=within or timedelta(0),
            block_pause=closed or timedelta(0),
            unfit={channel: frozenset(kinds) for channel, kinds in words.unfit.items()},
            unfit_for_marketing={channel: frozenset(kinds) for channel, kinds in words.unfit_for_marketing.items()},
        )
        says = f"a live contact point; {words.soft_bounced_pause} of peace after a soft bounce"
        if block:
            says += f", {block.pause} after {block.soft_bounces} within {block.within}"
        for channel, kinds in words.unfit.items():
            says += f"; no {channel} to {_and(kinds)}"
        for channel, kinds in words.unfit_for_marketing.items():
            says += f"; no marketing by {channel} to {_and(kinds)}"
        return self._bound(rule, None, says, words.why, at)

    def _consent(self, name: str, words: ConsentWords, at: Steps) -> Bound | None:
        within, anew = self._duration(words.confirm_within, *at, "confirm_within"), words.reconfirm
        if not within:
            self._problem("a double opt-in needs time", "write `P7D`, for example", *at, "confirm_within")
        self._known(words.journeys or (), (*at, "journeys"))
        if anew is not None:
            self._known(anew.asked_by, (*at, "reconfirm", "asked_by"))
        rule = ConsentRule(
            id=name,
            version=self.version,
            required=words.required,
            accept=frozenset(words.accept),
            accept_imported=words.imported == "accept",
            confirm_within=within or CONFIRM_WITHIN,
            reconfirm_months=anew.months if anew is not None else 0,
            reconfirm_since=anew.since if anew is not None else "given",
            reconfirmed_by=frozenset(anew.asked_by) if anew is not None else frozenset(),
        )
        says = f"proven consent ({_and(words.accept)})" if words.required else "no contact after a withdrawal"
        if words.imported == "refuse":
            says += ", given here"
        if anew is not None:
            since = "it was given" if anew.since == "given" else "the last dealing"
            says += f", anew {anew.months} months after {since}"
        bound = self._bound(rule, words.purposes, says, words.why, at)
        return replace(bound, journeys=frozenset(words.journeys) if words.journeys else None)

    def _conversation(self, name: str, words: ConversationWords, at: Steps) -> Bound | None:
        lasts = self._duration(words.lasts, *at, "lasts")
        if lasts is None:
            return None
        rule = ConversationRule(id=name, version=self.version, lasts=lasts)
        says = f"texts that were not approved beforehand only within {words.lasts} of the member's own message"
        return self._bound(rule, None, says, words.why, at)

    def _quiet_hours(self, name: str, words: QuietHoursWords, at: Steps) -> Bound | None:
        if isinstance(words.closed, str):
            return None
        week = self._week(words.closed, (*at, "closed"))
        rule = QuietHoursRule(id=name, version=self.version, week=week, holiday_in=is_holiday)
        says = "closed " + "; ".join(f"{day} {', '.join(ranges) or '-'}" for day, ranges in words.closed.items())
        return self._bound(rule, words.purposes, says, words.why, at)

    def _cap(self, name: str, words: CapWords, at: Steps) -> Bound | None:
        if isinstance(words.max, str):
            return None
        window = self._window(words.window, at)
        self.longest = max(self.longest, window.longest)
        reserved = words.reserved
        if reserved is not None:
            self._known(reserved.journeys, (*at, "reserved", "journeys"))
            if reserved.places > words.max:
                what = f"{reserved.places} places are reserved of {words.max}"
                self._problem(what, "reserve no more than `max`", *at, "reserved")
        scope = self._scope(words, at)
        rule = CapRule(
            id=name,
            version=self.version,
            maximum=words.max,
            window=window,
            window_name=words.window,
            scope=scope,
            reserved=reserved.places if reserved else 0,
            reserved_for=frozenset(reserved.journeys) if reserved else frozenset(),
        )
        says = f"at most {words.max} per {words.window} over {_and(scope.channels) or 'all channels'}"
        if reserved:
            says += f", {reserved.places} of them kept for {_and(reserved.journeys)}"
        return self._counting(rule, words, says, at, scope)

    def _gap(self, name: str, words: GapWords, at: Steps) -> Bound | None:
        gap = self._duration(words.at_least, *at, "at_least")
        if not gap:
            return None
        self.longest = max(self.longest, gap)
        scope = self._scope(words, at)
        rule = GapRule(id=name, version=self.version, gap=gap, gap_name=words.at_least, scope=scope)
        says = f"at least {words.at_least} between two over {_and(scope.channels) or 'all channels'}"
        return self._counting(rule, words, says, at, scope)

    def _refused(self, name: str, words: RefusedWords, at: Steps) -> Bound | None:
        self._known(words.journeys or (), (*at, "journeys"))
        after = frozenset(words.after) if words.after else None
        rule = RefusalRule(id=name, version=self.version, elsewhere=words.then == "other_channel", after=after)
        says = "what a provider refused goes by another channel" if rule.elsewhere else "what a provider refused ends"
        if after:
            says += f", if it was {_and(after)}"
        bound = self._bound(rule, words.purposes, says, words.why, at)
        return replace(bound, journeys=frozenset(words.journeys) if words.journeys else None)

    # --- parts

    def _bound(self, rule: Rule, purposes: Collection[str] | None, says: str, why: str, at: Steps) -> Bound:
        return Bound(
            rule=rule,
            channels=None if self.channel == HOUSE else frozenset((self.channel,)),
            purposes=frozenset(purposes) if purposes is not None else None,
            says=says,
            why=why,
            place=f"{self.located.file}:{self.located.line(*at)}",
        )

    def _counting(self, rule: Rule, words: CountingWords, says: str, at: Steps, scope: Scope) -> Bound:
        """A rule that counts binds what it counts, but for purposes that only use it up, and for whom it exempts."""
        if scope.categories:
            says += f", {_and(scope.categories)} journeys together"
        exempt = words.exempt
        if exempt is not None:
            says += f"; not for {_and((*exempt.journeys, *exempt.categories))}, which"
            says += " count all the same" if exempt.count else " do not count"
        return replace(
            self._bound(rule, words.purposes, says, words.why, at),
            channels=scope.channels,
            journeys=scope.journeys,
            categories=scope.categories,
            exempt=frozenset(exempt.journeys) if exempt else frozenset(),
            exempt_categories=frozenset(exempt.categories) if exempt else frozenset(),
        )

    def _scope(self, words: CountingWords, at: Steps) -> Scope:
        named = words.journeys if isinstance(words.journeys, tuple) else None
        self._known(named or (), (*at, "journeys"))
        self._known_categories(words.categories or (), (*at, "categories"))
        exempt = words.exempt
        if exempt is not None:
            self._known(exempt.journeys, (*at, "exempt", "journeys"))
            self._known_categories(exempt.categories, (*at, "exempt", "categories"))
            if not exempt.journeys and not exempt.categories:
                self._problem("`exempt` exempts nobody", "name `journeys` or `categories`", *at, "exempt")
        apart = exempt if exempt is not None and not exempt.count else None
        return Scope(
            channels=self._over(words.over, at),
            purposes=frozenset(words.counts or words.purposes),
            journeys=frozenset(named) if named else None,
            categories=frozenset(words.categories) if words.categories else None,
            same_journey=words.journeys == "each",
            apart=frozenset(apart.journeys) if apart else frozenset(),
            categories_apart=frozenset(apart.categories) if apart else frozenset(),
        )

    def _over(self, over: tuple[str, ...] | str | None, at: Steps) -> frozenset[str] | None:
        """The channels that `over` means; None: all of them."""
        if over is None:
            return None if self.channel == HOUSE else frozenset((self.channel,))
        if not isinstance(over, str):
            return frozenset(over)
        if over == ALL:
            return None
        if over not in self.known_groups:
            self._problem(f"there is no group `{over}`", nearest(over, (*self.known_groups, ALL)), *at, "over")
        return frozenset(self.known_groups.get(over, ()))

    def _known(self, names: Collection[str], at: Steps) -> None:
        for i, name in enumerate(names):
            if self.journeys is not None and name not in self.journeys:
                self._problem(f"there is no journey `{name}`", nearest(name, self.journeys), *at, i)

    def _known_categories(self, names: Collection[str], at: Steps) -> None:
        if self.journeys is None:
            return
        known = {category for category in self.journeys.values() if category}
        for i, name in enumerate(names):
            if name not in known:
                self._problem(f"no journey is of category `{name}`", nearest(name, known), *at, i)

    def _window(self, text: str, at: Steps) -> Window:
        kind, _, rest = text.partition(" ")
        if kind == "rolling" and rest:
            length = self._duration(rest, *at, "window")
            if length:
                return Window("rolling", length)
            if rest == NONE or length is not None:
                self._problem("a window has a length", "write `rolling P7D`, for example", *at, "window")
        elif kind == "calendar" and rest == "day":
            return Window("day")
        elif kind == "calendar" and rest == "week":
            return Window("week")
        elif kind == "calendar" and rest == "month":
            return Window("month")
        else:
            self._problem(f"`{text}` is no window", nearest(text, WINDOWS), *at, "window")
        return Window("day")

    def _duration(self, text: str, *at: str | int) -> timedelta | None:
        if text == NONE:
            return None
        try:
            return duration(text)
        except ValueError as error:
            self._problem(f"`{at[-1]}`: {error}", "or write none", *at)
            return None

    def _week(self, closed: dict[str, list[str]], at: Steps) -> Week:
        """The open week that closed windows leave; a holiday also keeps what any evening before may bring into it."""
        days: list[list[tuple[int, int]]] = [[] for _ in range(HOLIDAY + 1)]
        brought: list[tuple[int, int]] = []
        for word, ranges in closed.items():
            named = self._days(word, (*at, word))
            for i, text in enumerate(ranges):
                start, end = self._range(text, (*at, word, i))
                if start >= end and HOLIDAY in named:
                    cure = "write two windows: to 24:00, and from 00:00"
                    self._problem("a window of `holiday` does not cross midnight", cure, *at, word, i)
                    continue
                for day in named:
                    if start < end:
                        days[day].append((start, end))
                    else:
                        days[day].append((start, MIDNIGHT))
                        days[(day + 1) % HOLIDAY].append((0, end))
                        brought.append((0, end))
        weekdays: list[Windows | None] = [opened(windows) for windows in days[:HOLIDAY]]
        return Week((*weekdays, opened(days[HOLIDAY] + brought) if "holiday" in closed else None))

    def _days(self, word: str, at: Steps) -> list[int]:
        if word == "holiday":
            return [HOLIDAY]
        first, _, last = word.partition("-")
        if first in DAYS and (last or first) in DAYS and DAYS.index(first) <= DAYS.index(last or first):
            return list(range(DAYS.index(first), DAYS.index(last or first) + 1))
        self._problem(f"`{word}` is no day", nearest(word, (*DAYS, "mon-fri", "mon-sun", "holiday")), *at)
        return []

    def _range(self, text: str, at: Steps) -> tuple[int, int]:
        match = _RANGE.fullmatch(text)
        if match is None:
            self._problem(f"`{text}` is no window of hours", 'write "21:00-08:00", or "00:00-24:00" for all day', *at)
            return 0, 1
        hour, minute, to_hour, to_minute = match.groups()
        start = int(hour) * 60 + int(minute)
        end = MIDNIGHT if to_hour is None else int(to_hour) * 60 + int(to_minute)
        if start == end:
            self._problem(f"`{text}` is empty, or all day", 'write "00:00-24:00" for all day', *at)
        return start, end

    def _problem(self, what: str, cure: str, *at: str | int) -> None:
        self.problems.append(self.located.problem(what, cure, at=at))


def _and(words: Collection[str] | None) -> str:
    return ", ".join(sorted(words)) if words else ""
