"""Law packs read from disk into a `LawBook`: every problem at once, each with file, line and cure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import holidays as holiday_tables
import msgspec

from orchestrator.content import tables
from orchestrator.content.files import read_yaml
from orchestrator.content.law_file import (
    AgeForm,
    AnyRule,
    BlockForm,
    CapForm,
    ConsentForm,
    ExemptForm,
    HolidaysForm,
    HoursForm,
    PackForm,
    RegistryForm,
)
from orchestrator.decide.hours import HOLIDAY, MIDNIGHT, Week, Windows
from orchestrator.decide.law import DEFAULT, Cite, LawBook, LawPack, LawRule, Profile
from orchestrator.decide.law_rules import (
    EVER,
    EXCEPTIONS,
    NEVER,
    OWN_WORD,
    AgeClause,
    BlockClause,
    Calendar,
    CapClause,
    Clause,
    ConsentClause,
    ExemptClause,
    HoursClause,
    RegistryClause,
)
from orchestrator.decide.soft_opt_in import CONDITIONS
from orchestrator.decide.windows import Window
from orchestrator.errors import ContentError, Problem
from orchestrator.located import Located, convert, nearest
from orchestrator.times import duration

PACK = "pack.yaml"
# holidays are compiled for these years; outside them no day is a holiday
HOLIDAY_YEARS = range(2010, 2041)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday")
_COMMON = frozenset(
    {"id", "authority", "applies", "cites", "confidence", "effective", "reading", "alt", "pending", "override"}
)
_WINDOW = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")
_ROLLING = re.compile(r"rolling_([1-9]\d{0,3})([hd])")
_CONSECUTIVE = re.compile(r"([1-9]\d{0,2})_consecutive_days")
_COUNT_BY = ("member", "contact", "subject")
_MINUTES = 60


def load_laws(folder: Path, profile: Profile = "compliant", require_reviewed: bool = False) -> LawBook:
    """The law book of a folder that holds `<jurisdiction>/pack.yaml` each, `_default` among them.

    Raises ContentError with every problem of every pack.
    """
    problems: list[Problem] = []
    forms: dict[str, tuple[Located, PackForm]] = {}
    for path in sorted(folder.glob(f"*/{PACK}")):
        try:
            located = read_yaml(path, path.relative_to(folder.parent.parent).as_posix())
            form = convert(located, PackForm)
        except ContentError as error:
            problems.extend(error.problems)
            continue
        if form.jurisdiction != path.parent.name:
            what = f"jurisdiction is `{form.jurisdiction}`, the folder is `{path.parent.name}`"
            problems.append(located.problem(what, "name the folder after the jurisdiction", at=("jurisdiction",)))
        forms[path.parent.name] = (located, form)
    if DEFAULT not in forms and not problems:
        where = (folder / DEFAULT / PACK).relative_to(folder.parent.parent).as_posix()
        problems.append(Problem(where, 1, "there is no default pack", "it answers for countries without a pack"))
    packs: dict[str, LawPack] = {}
    for located, form in forms.values():
        found = list(_wrong(located, form, forms))
        problems.extend(found)
        if not found:
            packs[form.jurisdiction] = _pack(located, form, forms)
    if problems:
        raise ContentError(problems)
    return LawBook(packs, profile, require_reviewed)


def read_pack(path: Path) -> LawPack:
    """One pack by itself, for comparing; a parent's calendar and rules are not looked at. Raises ContentError."""
    located = read_yaml(path)
    form = convert(located, PackForm)
    problems = list(_wrong(located, form, {}))
    if problems:
        raise ContentError(problems)
    return _pack(located, form, {})


def overdue(book: LawBook, today: date) -> list[LawPack]:
    """Packs whose review was due before `today`."""
    return [pack for pack in book.packs.values() if pack.review_due < today]


# --- what msgspec can't see


def _wrong(located: Located, form: PackForm, forms: dict[str, tuple[Located, PackForm]]) -> Iterator[Problem]:
    parent = forms[form.extends][1] if form.extends in forms else None
    if form.extends and forms and parent is None:
        yield located.problem(f"`{form.extends}` has no pack", nearest(form.extends, forms), at=("extends",))
    if form.extends and not form.jurisdiction.startswith(f"{form.extends}-"):
        yield located.problem("a pack extends the country it lies in", "such as US-NY extends US", at=("extends",))
    if form.review_due <= form.reviewed_on:
        yield located.problem("the review is due before it was done", "set a later day", at=("review_due",))
    if not form.timezones and form.jurisdiction != DEFAULT:
        yield located.problem("`timezones` is missing", "list every IANA zone of the jurisdiction")
    for i, zone in enumerate(form.timezones):
        if zone not in tables.zones():
            yield located.problem(f"`{zone}` is no IANA zone", nearest(zone, tables.zones()), at=("timezones", i))
    yield from _wrong_value(located, ("latency_margin",), duration, form.latency_margin)
    yield from _wrong_holidays(located, form)
    known = {source.id: source.kind for source in form.sources}
    has_calendar = form.holidays is not None or (parent is not None and parent.holidays is not None)
    for i, rule in enumerate(form.rules):
        yield from _wrong_rule(located, ("rules", i), rule, known, has_calendar)
        if rule.override is not None:
            yield from _wrong_override(located, ("rules", i, "override"), rule, known, parent)
    yield from _overlapping(located, form)


def _wrong_holidays(located: Located, form: PackForm) -> Iterator[Problem]:
    if form.holidays is None or not form.holidays.calendar:
        return
    calendars = holiday_tables.list_supported_countries()
    code = form.holidays.calendar
    if code not in calendars:
        yield located.problem(f"`{code}` is no calendar of ours", "an ISO 3166-1 code", at=("holidays", "calendar"))
        return
    for region, subdivision in form.holidays.regions.items():
        if subdivision not in calendars[code]:
            cure = nearest(subdivision, calendars[code])
            yield located.problem(f"`{subdivision}` is no part of {code}", cure, at=("holidays", "regions", region))


def _wrong_rule(
    located: Located, at: tuple[str | int, ...], rule: AnyRule, sources: Mapping[str, str], has_calendar: bool
) -> Iterator[Problem]:
    for i, cite in enumerate(rule.cites):
        if cite.source not in sources:
            yield located.problem(
                f"`{cite.source}` is none of the sources", nearest(cite.source, sources), at=(*at, "cites", i)
            )
    if rule.confidence == "conflicting" and not rule.alt:
        yield located.problem(f"{rule.id}: conflicting, but no other reading is given", "add `alt:`", at=at)
    starts, ends = rule.effective.from_, rule.effective.to
    if starts is not None and ends is not None and ends <= starts:
        yield located.problem(f"{rule.id}: ends before it begins", "`to` is the first day after", at=(*at, "effective"))
    if rule.pending and starts is None:
        yield located.problem(f"{rule.id}: pending without a day", "add `effective: {from: …}`", at=at)
    yield from _unknown_words(located, at, rule)
    if isinstance(rule, HoursForm):
        yield from _wrong_week(located, (*at, "week"), rule, has_calendar)
    elif isinstance(rule, CapForm):
        yield from _wrong_cap(located, at, rule)
    elif isinstance(rule, RegistryForm):
        yield from _wrong_value(located, (*at, "max_age"), duration, rule.max_age)
        if not rule.applies.channels:
            yield located.problem(f"{rule.id}: which channels?", "add `applies: {channels: […]}`", at=at)


def _unknown_words(located: Located, at: tuple[str | int, ...], rule: AnyRule) -> Iterator[Problem]:
    for name in _exceptions(rule):
        if name not in EXCEPTIONS:
            yield located.problem(f"`{name}` is no exception we know", nearest(name, EXCEPTIONS), at=at)
    if isinstance(rule, ConsentForm) and rule.model == "soft_opt_in":
        for i, name in enumerate(rule.conditions):
            if name not in CONDITIONS:
                what, cure = f"`{name}` is no condition we know", nearest(name, CONDITIONS)
                yield located.problem(what, cure, at=(*at, "conditions", i))


def _wrong_week(located: Located, at: tuple[str | int, ...], rule: HoursForm, has_calendar: bool) -> Iterator[Problem]:
    told: set[str] = set()
    for key, windows in rule.week.items():
        days = _days(key)
        if not days or told & set(days):
            what = f"`{key}` is no day" if not days else f"`{key}` names a day that stands above"
            yield located.problem(what, "mon, tue-fri, sat, sun, holiday", at=(*at, key))
        told |= set(days)
        yield from _wrong_value(located, (*at, key), _windows, windows)
    if missing := [day for day in DAYS[:HOLIDAY] if day not in told]:
        yield located.problem(f"{', '.join(missing)}: not told", "add it; closed is `[]`", at=at)
    if "holiday" in told and not has_calendar:
        yield located.problem(
            "a holiday entry without a calendar", "add `holidays: {calendar: …}`", at=(*at, "holiday")
        )


def _wrong_cap(located: Located, at: tuple[str | int, ...], rule: CapForm) -> Iterator[Problem]:
    if (rule.max is None) == (rule.max_distinct_channels is None):
        yield located.problem(f"{rule.id}: give `max` or `max_distinct_channels`", "one of the two", at=at)
    yield from _wrong_value(located, (*at, "per"), lambda per: _stretch(per, "iso"), rule.per)
    for name in _tuple(rule.count_by):
        if name not in _COUNT_BY:
            yield located.problem(f"`{name}` can't be counted by", nearest(name, _COUNT_BY), at=(*at, "count_by"))
    if rule.counts != "delivered" and not re.fullmatch(r"attribute:\w+", rule.counts):
        cure = "delivered, or attribute:<name>"
        yield located.problem(f"`{rule.counts}` can't be counted", cure, at=(*at, "counts"))


def _wrong_override(
    located: Located,
    at: tuple[str | int, ...],
    rule: AnyRule,
    sources: Mapping[str, str],
    parent: PackForm | None,
) -> Iterator[Problem]:
    override = rule.override
    if override is None:
        return
    if not any(sources.get(cite.source) == "primary" for cite in override.cites):
        cure = "cite the statute or the regulator's own text"
        yield located.problem(f"{rule.id}: loosens a parent's rule without a primary source", cure, at=at)
    names = {each.id for each in parent.rules} if parent is not None else set()
    if override.rule not in names:
        yield located.problem(f"`{override.rule}` is no rule of the parent", nearest(override.rule, names), at=at)


def _overlapping(located: Located, form: PackForm) -> Iterator[Problem]:
    """Versions of one rule must follow each other, and keep to one kind."""
    seen: dict[str, list[AnyRule]] = {}
    for i, rule in enumerate(form.rules):
        for other in seen.setdefault(rule.id, []):
            if type(other) is not type(rule):
                yield located.problem(f"`{rule.id}` is of two kinds", "give one of them another id", at=("rules", i))
            elif _starts(rule) < _ends(other) and _starts(other) < _ends(rule):
                cure = "set `to` of the earlier version to the later one's `from`"
                yield located.problem(f"`{rule.id}`: two versions hold on the same day", cure, at=("rules", i))
        seen[rule.id].append(rule)


def _wrong_value(
    located: Located, at: tuple[str | int, ...], read: Callable[[Any], object], value: object
) -> Iterator[Problem]:
    try:
        read(value)
    except ValueError as error:
        yield located.problem(str(error), at=at)


# --- compiling


def _pack(located: Located, form: PackForm, forms: dict[str, tuple[Located, PackForm]]) -> LawPack:
    holidays = form.holidays
    if holidays is None and form.extends in forms:
        holidays = forms[form.extends][1].holidays
    calendar = _calendar(msgspec.json.encode(holidays)) if holidays is not None else Calendar()
    return LawPack(
        jurisdiction=form.jurisdiction,
        extends=form.extends,
        version=form.version,
        status=form.status,
        reviewed_on=form.reviewed_on,
        review_due=form.review_due,
        timezones=form.timezones,
        sources=form.sources,
        rules=tuple(_rule(form, rule, calendar, located.line("rules", i)) for i, rule in enumerate(form.rules)),
        file=located.file,
    )


def _rule(form: PackForm, rule: AnyRule, calendar: Calendar, line: int) -> LawRule:
    told = msgspec.to_builtins(rule)
    return LawRule(
        id=rule.id,
        kind=str(told.pop("kind")),
        authority=rule.authority,
        confidence=rule.confidence,
        channels=frozenset(rule.applies.channels),
        purposes=frozenset(rule.applies.purposes),
        starts=rule.effective.from_,
        ends=rule.effective.to,
        pending=rule.pending,
        reading=rule.reading,
        alt=rule.alt,
        cites=tuple(Cite(source=cite.source, at=cite.at) for cite in rule.cites),
        terms={key: _plain(value) for key, value in told.items() if key not in _COMMON and value not in ("", [], None)},
        overrides=rule.override.rule if rule.override is not None else "",
        line=line,
        clause=_clause(form, rule, calendar),
    )


def _clause(form: PackForm, rule: AnyRule, calendar: Calendar) -> Clause | None:
    """The rule as it is asked; None for what the law book only tells."""
    zone = ZoneInfo(form.timezones[0]) if form.timezones else ZoneInfo("UTC")
    common: dict[str, Any] = {
        "rule": rule.id,
        "version": f"{form.jurisdiction}@{form.version}",
        "cite": "; ".join(dict.fromkeys(cite.at for cite in rule.cites)),
        "starts": _local_midnight(rule.effective.from_, zone) or EVER,
        "ends": _local_midnight(rule.effective.to, zone) or NEVER,
        "exceptions": _held(rule),
        "notes": _notes(rule),
    }
    zones = tuple(ZoneInfo(name) for name in form.timezones)
    channels, purposes = frozenset(rule.applies.channels), frozenset(rule.applies.purposes)
    match rule:
        case ConsentForm():
            return ConsentClause(
                model=rule.model,
                # conditions of another model are told by the law book, and none that a single contact is asked about
                conditions=rule.conditions if rule.model == "soft_opt_in" else (),
                scope=rule.scope,
                scope_channels=channels,
                lapse_months=rule.lapse.months if rule.lapse is not None else 0,
                renew_months=rule.renew.months if rule.renew is not None else 0,
                **common,
            )
        case HoursForm():
            week, words = _week(rule)
            return HoursClause(week=week, words=words, calendar=calendar, zones=zones, **common)
        case CapForm():
            window, days = _stretch(rule.per, form.week)
            _, _, attribute = rule.counts.partition("attribute:")
            return CapClause(
                maximum=rule.max or rule.max_distinct_channels or 0,
                per=rule.per,
                window=window,
                days=days,
                channels=channels,
                purposes=purposes,
                distinct=rule.max is None,
                by_contact="contact" in _tuple(rule.count_by),
                by_subject="subject" in _tuple(rule.count_by),
                attribute=attribute,
                zones=zones,
                **common,
            )
        case RegistryForm():
            return RegistryClause(
                name=rule.name, max_age=duration(rule.max_age), per_channel=rule.per_channel, **common
            )
        case BlockForm():
            return BlockClause(**common)
        case AgeForm():
            return AgeClause(minimum=rule.min, unknown=rule.unknown, **common)
        case ExemptForm():
            return ExemptClause(what=rule.what, **common)
        case _:
            return None


def _notes(rule: AnyRule) -> dict[str, str | int | bool | None]:
    """What a finding says of how sure the rule is."""
    notes: dict[str, str | int | bool | None] = {}
    if rule.confidence in ("unverified", "conflicting"):
        notes["confidence"] = rule.confidence
    if rule.confidence == "conflicting":
        notes["reading"], notes["alt"] = rule.reading or "the stricter one", rule.alt
    if rule.pending:
        notes["pending"] = True
    return notes


def _exceptions(rule: AnyRule) -> tuple[str, ...]:
    own = rule.unless if isinstance(rule, RegistryForm) else ()
    return _tuple(rule.applies.unless) + own


def _held(rule: AnyRule) -> tuple[str, ...]:
    """The exceptions that count: of an unverified rule, only the member's own word."""
    return tuple(name for name in _exceptions(rule) if rule.confidence != "unverified" or name in OWN_WORD)


def _stretch(per: str, week: str) -> tuple[Window | None, int]:
    """The window of a cap, or a number of consecutive local days. Raises ValueError."""
    if per == "week":
        return (Window("week") if week == "iso" else Window("rolling", timedelta(days=7))), 0
    if per in ("calendar_day", "calendar_month"):
        return Window("day" if per == "calendar_day" else "month"), 0
    if match := _ROLLING.fullmatch(per):
        n = int(match[1])
        return Window("rolling", timedelta(hours=n) if match[2] == "h" else timedelta(days=n)), 0
    if match := _CONSECUTIVE.fullmatch(per):
        return None, int(match[1])
    raise ValueError(f"`{per}` is no stretch such as calendar_day, week, rolling_24h or 7_consecutive_days")


def _week(rule: HoursForm) -> tuple[Week, tuple[str, ...]]:
    windows: dict[str, Windows] = {}
    words: dict[str, str] = {}
    for key, texts in rule.week.items():
        for day in _days(key):
            windows[day] = _windows(texts)
            words[day] = ", ".join(texts) or "none"
    days = tuple(windows.get(day) for day in DAYS)
    return Week(days), tuple(words.get(day, "") for day in DAYS)


def _windows(texts: tuple[str, ...]) -> Windows:
    """Minutes of the day, half-open, in order. Raises ValueError."""
    found: list[tuple[int, int]] = []
    for text in texts:
        match = _WINDOW.fullmatch(text)
        if match is None:
            raise ValueError(f"`{text}` is no window such as 07:00-19:00")
        start, end = int(match[1]) * _MINUTES + int(match[2]), int(match[3]) * _MINUTES + int(match[4])
        if not (found[-1][1] if found else 0) <= start < end <= MIDNIGHT:
            raise ValueError(f"`{text}` is out of order, or beyond 24:00")
        found.append((start, end))
    return tuple(found)


def _days(key: str) -> tuple[str, ...]:
    """`mon-fri` as five names; () where it names none."""
    first, _, last = key.partition("-")
    if first not in DAYS or (last and last not in DAYS[:HOLIDAY]) or (last and first == "holiday"):
        return ()
    start = DAYS.index(first)
    return DAYS[start : DAYS.index(last or first) + 1]


@lru_cache(maxsize=64)
def _calendar(form: bytes) -> Calendar:
    """All holidays of the declared years, as sets: nationally, and for each sub-division."""
    told = msgspec.json.decode(form, type=HolidaysForm)
    added, removed = set(told.add), set(told.remove)

    @cache
    def days(subdivision: str | None) -> frozenset[date]:
        if not told.calendar:
            return frozenset(added)
        table = holiday_tables.country_holidays(told.calendar, subdiv=subdivision, years=HOLIDAY_YEARS)
        return frozenset((set(table) - removed) | added)

    if not told.calendar:
        return Calendar(days(None))
    subdivisions = holiday_tables.list_supported_countries()[told.calendar]
    own = {f"{told.calendar}-{part}": part for part in subdivisions}
    return Calendar(days(None), Regions(own | dict(told.regions), days))


class Regions(Mapping[str, frozenset[date]]):
    """region -> its holidays, worked out when first asked for: some countries have twenty regions, and a club few."""

    def __init__(self, parts: Mapping[str, str], days: Callable[[str], frozenset[date]]) -> None:
        """`parts`: region -> sub-division, as the tables of holidays name it."""
        self._parts, self._days = parts, days

    def __getitem__(self, region: str) -> frozenset[date]:
        return self._days(self._parts[region])

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)


def _local_midnight(day: date | None, zone: ZoneInfo) -> datetime | None:
    return datetime.combine(day, time(), zone).astimezone(UTC) if day is not None else None


def _starts(rule: AnyRule) -> date:
    return rule.effective.from_ or date.min


def _ends(rule: AnyRule) -> date:
    return rule.effective.to or date.max


def _tuple(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _plain(value: object) -> str:
    """A value of the pack as one line of text."""
    if isinstance(value, dict):
        return "; ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_plain(item) for item in value) or "none"
    return str(value)
