"""Journeys read from `templates/<journey>/journey.yaml` into compiled, frozen objects; all problems at once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import time, timedelta
from pathlib import Path

from orchestrator.content.files import read_yaml
from orchestrator.content.journey_file import HouseHoldoutFile, JourneyFile, StepFile, TriggerFile, VouchersFile
from orchestrator.content.journey_steps import MAX_STEPS, Compiler, weekdays
from orchestrator.content.samples import Occasion, Promise, conditions, unknown
from orchestrator.decide.content import Pool
from orchestrator.decide.journey import (
    Expression,
    Goal,
    Holdout,
    Journey,
    Regular,
    Send,
    Step,
    Threshold,
    Trigger,
    TriggerKind,
    Yearly,
)
from orchestrator.errors import ContentError, Problem
from orchestrator.events.catalogue import ENGINE, EventTypes
from orchestrator.located import Located, convert, nearest
from orchestrator.render.contract import RenderError, Templates
from orchestrator.render.sandbox import Expression as Compiled
from orchestrator.render.sandbox import compile_expression
from orchestrator.times import duration

# way to start -> what may stand beside it; `fresh_for` may always
STARTS: Mapping[str, tuple[str, ...]] = {
    "event": ("where",),
    "inactivity": ("after", "where"),
    "date": ("yearly", "before_days", "after_days", "leap_day", "at"),
    "figure": ("of", "days", "reaches", "each", "where"),
    "enters": (),
    "leaves": (),
    "weekly": ("at",),
    "monthly": ("at",),
    "manual": (),
}
_KINDS: Mapping[str, TriggerKind] = {
    "event": "event",
    "inactivity": "inactivity",
    "date": "date",
    "figure": "threshold",
    "enters": "enters",
    "leaves": "leaves",
    "weekly": "schedule",
    "monthly": "schedule",
    "manual": "manual",
}
HOLDOUT = "holdout.yaml"
VOUCHERS = "vouchers.yaml"
_HUNDREDTHS = 100


def load_journeys(
    folder: Path, templates: Templates, types: EventTypes = ENGINE, pools: Collection[str] | None = ()
) -> dict[str, Journey]:
    """The journeys of `templates/`, by name, in order; raises ContentError with every problem of every file.

    `types` are the events that they may name; `pools` those of voucher codes, None where that is not known.
    """
    journeys: dict[str, Journey] = {}
    problems: list[Problem] = []
    for path in sorted(folder.glob("*/journey.yaml")):
        try:
            journey = _Reader(path, folder, templates, types, pools).read()
        except ContentError as error:
            problems.extend(error.problems)
            continue
        journeys[journey.name] = journey
    if problems:
        raise ContentError(problems)
    return journeys


def categories_of(folder: Path) -> dict[str, str]:
    """The category of each journey of `templates/`, "" where it has none; of what can't be read, nothing is said."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*/journey.yaml")):
        try:
            words = read_yaml(path, path.name).value
        except ContentError:
            continue
        if isinstance(words, dict):
            found[str(words.get("journey", path.parent.name))] = str(words.get("category") or "")
    return found


def load_holdout(folder: Path) -> Holdout | None:
    """Whom all marketing leaves out, of `templates/holdout.yaml`; None where there is no such file."""
    path = folder / HOLDOUT
    if not path.is_file():
        return None
    file = convert(read_yaml(path, str(path.relative_to(folder.parent))), HouseHoldoutFile)
    return Holdout(share=round(file.share * _HUNDREDTHS), salt=file.salt)


def load_pools(folder: Path) -> dict[str, Pool]:
    """The pools of voucher codes, of `templates/vouchers.yaml`; none where there is no such file."""
    path = folder / VOUCHERS
    if not path.is_file():
        return {}
    file = convert(read_yaml(path, str(path.relative_to(folder.parent))), VouchersFile)
    return {
        name: Pool(low_water=pool.low_water, last_day=pool.last_day, days_left=pool.days_left)
        for name, pool in sorted(file.pools.items())
    }


def promises(folder: Path, file: JourneyFile) -> dict[str, Promise]:
    """The messages of a journey that promise a voucher code, whichever step sends them."""
    try:
        pools = load_pools(folder)
    except ContentError:
        # who looks at texts alone is told of the pools elsewhere
        pools = {}
    named: dict[str, list[str]] = {}
    for step in _all_steps(file.steps):
        if step.send:
            named.setdefault(step.send, []).append(step.voucher)
    return {
        message: Promise(all(name in pools and pools[name].last_day is not None for name in names))
        for message, names in named.items()
        if all(names)
    }


def promised_by(folder: Path) -> dict[str, tuple[str, ...]]:
    """Pool -> the journeys whose messages promise its codes; of what can't be read, nothing is said."""
    found: dict[str, tuple[str, ...]] = {}
    for path in sorted(folder.glob("*/journey.yaml")):
        try:
            file = convert(read_yaml(path, path.name), JourneyFile)
        except ContentError:
            continue
        for pool in sorted({step.voucher for step in _all_steps(file.steps)} - {""}):
            found[pool] = (*found.get(pool, ()), file.journey)
    return found


def _all_steps(steps: Iterable[StepFile]) -> Iterator[StepFile]:
    for step in steps:
        yield step
        inner = [step.then, step.otherwise, *[arm.steps for arm in step.split.values()]]
        if step.repeat is not None:
            inner.append(step.repeat.steps)
        for block in inner:
            yield from _all_steps(block)


def occasion_of(file: JourneyFile) -> Occasion:
    """What starts a journey, as its texts and conditions see it."""
    trigger = file.trigger
    kind: TriggerKind = next((_KINDS[way] for way in STARTS if getattr(trigger, way)), "event")
    return Occasion(trigger.event or trigger.after or trigger.figure, kind=kind, purpose=file.purpose)


class _Reader:
    """Reads one file, collecting its problems."""

    def __init__(
        self, path: Path, folder: Path, templates: Templates, types: EventTypes, pools: Collection[str] | None
    ) -> None:
        self.located: Located = read_yaml(path, str(path.relative_to(folder.parent)))
        self.folder_name = path.parent.name
        self.templates, self.pools = templates, pools
        self.types = types
        self.problems: list[Problem] = []
        self.occasion = Occasion()

    def read(self) -> Journey:
        file = convert(self.located, JourneyFile)
        self.occasion = occasion_of(file)
        if file.journey != self.folder_name:
            self.problem(
                f"journey `{file.journey}` lies in folder `{self.folder_name}`", "give both one name", "journey"
            )
        trigger = self._trigger(file.trigger)
        steps = self._steps(file)
        for i, ended in enumerate(file.exit):
            self.event_type(ended, "exit", i)
        for i, event in enumerate(file.updated_by):
            self.event_type(event, "updated_by", i)
        gap = None
        if file.reentry not in ("each", "never"):
            gap = self.duration(file.reentry, "reentry")
        self._key(file)
        journey = Journey(
            name=file.journey,
            purpose=file.purpose,
            category=file.category,
            trigger=trigger,
            steps=steps,
            audience=self.expression(file.audience, "audience"),
            reentry="gap" if gap is not None else "never" if file.reentry == "never" else "each",
            gap=gap,
            key=file.key,
            at_once=file.at_once,
            exit=frozenset(file.exit),
            updated_by=frozenset(file.updated_by),
            goal=self._goal(file),
            holdout=self._holdout(file),
            link_parameters=tuple((f"utm_{name}", value) for name, value in file.utm.items()),
        )
        if self.problems:
            raise ContentError(self.problems)
        return journey

    def _steps(self, file: JourneyFile) -> tuple[Step, ...]:
        compiler = Compiler(self, file.journey, self.templates, self.pools)
        steps = tuple(compiler.block(file.steps, "steps"))
        if not any(isinstance(given, Send) for given in steps):
            self.problem("a journey without a `send` step contacts nobody", "add one", "steps")
        if len(compiler.labels) > MAX_STEPS:
            self.problem(f"more than {MAX_STEPS} steps", "make two journeys of it", "steps")
        return steps

    def _trigger(self, file: TriggerFile) -> Trigger:
        written = self.keys("trigger")
        ways = [way for way in STARTS if way in written]
        if len(ways) != 1:
            what = f"a trigger is exactly one of {', '.join(STARTS)}; this one is {' and '.join(ways) or 'none'}"
            self.problem(what, "write one of them", "trigger")
            return Trigger()
        way = ways[0]
        for key in written:
            if key not in (way, "fresh_for", *STARTS[way]):
                allowed = ", ".join((*STARTS[way], "fresh_for"))
                self.problem(f"`{key}` does not belong to `{way}`", f"beside it may stand: {allowed}", "trigger", key)
        event = {"event": file.event, "inactivity": file.after, "figure": file.figure}.get(way)
        if event is not None:
            self.event_type(event, "trigger", "after" if way == "inactivity" else way)
        return Trigger(
            kind=_KINDS[way],
            event=event or "",
            inactivity=self.duration(file.inactivity, "trigger", "inactivity") if way == "inactivity" else None,
            date=self._date(file) if way == "date" else None,
            schedule=self._schedule(file) if way in ("weekly", "monthly") else None,
            threshold=self._threshold(file) if way == "figure" else None,
            group=self._group(file, way) if way in ("enters", "leaves") else None,
            where=self.expression(file.where, "trigger", "where"),
            fresh_for=self.duration(file.fresh_for, "trigger", "fresh_for"),
        )

    def _date(self, file: TriggerFile) -> Yearly | None:
        if file.before_days and file.after_days:
            self.problem("`before_days` and `after_days` at once", "write one of them", "trigger", "before_days")
        expression = self.expression(file.date, "trigger", "date")
        if expression is None:
            return None
        month, day = (int(part) for part in file.leap_day.split("-"))
        return Yearly(
            date=expression,
            source=file.date,
            yearly=file.yearly,
            days=file.after_days - file.before_days,
            at=time.fromisoformat(file.at),
            leap_day=(month, day),
        )

    def _schedule(self, file: TriggerFile) -> Regular:
        for i, day in enumerate(file.monthly):
            if day == 0:
                self.problem("no month has a day 0", "days count from 1, or back from -1", "trigger", "monthly", i)
        return Regular(
            at=time.fromisoformat(file.at), weekdays=weekdays(file.weekly), days=frozenset(file.monthly) - {0}
        )

    def _threshold(self, file: TriggerFile) -> Threshold:
        if bool(file.reaches) == bool(file.each):
            cure = "write `reaches: 10` for once, `each: 10` for every ten"
            self.problem("`figure` needs either `reaches` or `each`", cure, "trigger", "figure")
        kind = self.types.kinds.get(file.figure)
        if file.of == "sum" and kind is not None and not kind.summed:
            self.problem(f"{file.figure} has no amount and no points to sum up", "use `of: count`", "trigger", "of")
        return Threshold(of=file.of, days=file.days, reaches=file.reaches, each=file.each)

    def _group(self, file: TriggerFile, way: str) -> Expression | None:
        source = file.enters or file.leaves
        group = self.expression(source, "trigger", way, missing=False)
        if group is not None and any(path.split(".")[0] == "now" for path in group.fields):
            what = f"`{way}` may not ask for `now`: nobody is looked at merely because time goes by"
            self.problem(what, "use a trigger with a `date`, or `inactivity`", "trigger", way)
        return group

    def _key(self, file: JourneyFile) -> None:
        if not file.key:
            return
        kind = self.types.kinds.get(self.occasion.event) if self.occasion.kind in ("event", "threshold") else None
        if kind is None and self.occasion.event in self.types.own:
            # told where its schema is looked at
            return
        if kind is None:
            self.problem("`key` needs a trigger by an event", "leave it out", "key")
        elif file.key not in kind.__struct_fields__:
            cure = nearest(file.key, kind.__struct_fields__)
            self.problem(f"`{file.key}` is no field of {self.occasion.event}", cure, "key")

    def _goal(self, file: JourneyFile) -> Goal | None:
        if file.goal is None:
            return None
        self.event_type(file.goal.event, "goal", "event")
        return Goal(event=file.goal.event, where=self.awaited(file.goal.event, file.goal.where, "goal", "where"))

    def _holdout(self, file: JourneyFile) -> Holdout | None:
        if file.holdout is None:
            return None
        if file.purpose != "marketing":
            what = f"a {file.purpose} journey has no holdout: members are owed what it says"
            self.problem(what, "leave it out", "holdout")
        return Holdout(share=round(file.holdout.share * _HUNDREDTHS), salt=file.holdout.salt or file.journey)

    def event_type(self, name: str, *at: str | int) -> None:
        if name not in self.types.names:
            self.problem(f"`{name}` is no event type", nearest(name, self.types.names), *at)

    def duration(self, text: str, *at: str | int) -> timedelta:
        try:
            return duration(text)
        except ValueError as error:
            self.problem(str(error), "weeks, days, hours, minutes, seconds", *at)
            return timedelta(0)

    def expression(self, source: str, *at: str | int, missing: bool | None = None) -> Compiled | None:
        return self._compiled(source, self.occasion, at, missing)

    def awaited(self, event: str, source: str, *at: str | int) -> Expression | None:
        return self._compiled(source, Occasion(event, start=self.occasion), at)

    def _compiled(
        self, source: str, occasion: Occasion, at: tuple[str | int, ...], missing: bool | None = None
    ) -> Compiled | None:
        if not source:
            return None
        try:
            compiled = compile_expression(source) if missing is None else compile_expression(source, missing=missing)
        except RenderError as error:
            self.problem(str(error), "see templates/README.md for what expressions may say", *at)
            return None
        names = conditions(occasion, self.types)
        for path in sorted(compiled.fields):
            lacking = unknown(path, names)
            if lacking is not None:
                self.problem(f"`{path}` is not known here", nearest(*lacking), *at)
        return compiled

    def keys(self, *at: str | int) -> tuple[str, ...]:
        value: object = self.located.value
        for step in at:
            value = value[step]  # type: ignore[index]  # the file was converted: it is there
        return tuple(str(key) for key in value) if isinstance(value, dict) else ()

    def problem(self, what: str, cure: str, *at: str | int) -> None:
        self.problems.append(self.located.problem(what, cure, at=at))
