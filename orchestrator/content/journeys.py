"""Journeys read from `templates/<journey>/journey.yaml` into compiled, frozen objects; all problems at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from orchestrator.content.files import read_yaml
from orchestrator.decide.journey import Expression, Journey, ReachBy, Send, Step, Trigger, Wait
from orchestrator.decide.rules import REASONS
from orchestrator.errors import ContentError, Problem
from orchestrator.events.types import EVENT_TYPES, Purpose
from orchestrator.located import Located, convert, nearest
from orchestrator.render.contract import RenderError, Templates
from orchestrator.render.sandbox import compile_expression
from orchestrator.times import duration

Duration = Annotated[str, Meta(pattern="^P", description="a duration such as P3D (days), PT12H (hours) or P1DT30M")]
Name = Annotated[str, Meta(pattern="^[a-z][a-z0-9-]{0,60}$", description="small letters, digits and hyphens")]
SENT_ON = ("email", "sms", "whatsapp", "telegram", "push")


class TriggerFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`trigger:` of a journey file."""

    # event type that starts the journey …
    event: str = ""
    # … or silence of this long …
    inactivity: Duration = ""
    # … after this event type
    after: str = ""
    # condition on `event`, `member`, `aggregates`
    where: str = ""
    # older occasions are silences `stale`
    fresh_for: Duration = "P2D"


class ReachByFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`reach_by:` of a send step."""

    # an expression for a day or an instant: event.expires_on
    date: Annotated[str, Meta(min_length=1)]
    # so long before it
    before: Duration = "PT0S"
    # channels that are tried too once the deadline is in danger
    escalate: tuple[Literal["email", "sms", "whatsapp", "telegram", "push"], ...] = ()


class StepFile(Struct, frozen=True, forbid_unknown_fields=True):
    """One step: `send` (with its channels) or `wait`."""

    send: Name = ""
    channels: tuple[Literal["email", "sms", "whatsapp", "telegram", "push"], ...] = ()
    valid_for: Duration = "P3D"
    # reasons that end the intent instead of deferring it
    drop_on: tuple[str, ...] = ()
    # what becomes of a message whose channel must wait
    on_refusal: Literal["other_channel", "defer", "drop"] = "other_channel"
    # the member must have it by then
    reach_by: ReachByFile | None = None
    wait: Duration = ""


class JourneyFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`journey.yaml`."""

    journey: Name
    purpose: Purpose
    trigger: TriggerFile
    steps: Annotated[tuple[StepFile, ...], Meta(min_length=1, max_length=40)]
    # who may enter; everyone where left out
    audience: str = ""
    # each | never | a gap such as P30D
    reentry: str = "each"
    exit: tuple[str, ...] = ()
    # what kind of journey it is (acquisition, retention …): caps may count by it
    category: Name = ""
    # for people: what this journey is for
    why: str = field(default="")


def load_journeys(folder: Path, templates: Templates) -> dict[str, Journey]:
    """The journeys of `templates/`, by name, in order; raises ContentError with every problem of every file."""
    journeys: dict[str, Journey] = {}
    problems: list[Problem] = []
    for path in sorted(folder.glob("*/journey.yaml")):
        try:
            journey = _Reader(path, folder, templates).read()
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


class _Reader:
    """Reads one file, collecting its problems."""

    def __init__(self, path: Path, folder: Path, templates: Templates) -> None:
        self.located: Located = read_yaml(path, str(path.relative_to(folder.parent)))
        self.folder_name = path.parent.name
        self.templates = templates
        self.problems: list[Problem] = []

    def read(self) -> Journey:
        file = convert(self.located, JourneyFile)
        if file.journey != self.folder_name:
            self._problem(
                f"journey `{file.journey}` lies in folder `{self.folder_name}`", "give both one name", "journey"
            )
        trigger = self._trigger(file.trigger)
        steps = tuple(self._step(file.journey, i, given) for i, given in enumerate(file.steps))
        if not any(isinstance(given, Send) for given in steps):
            self._problem("a journey without a `send` step contacts nobody", "add one", "steps")
        for i, ended in enumerate(file.exit):
            self._event_type(ended, "exit", i)
        gap = None
        if file.reentry not in ("each", "never"):
            gap = self._duration(file.reentry, "reentry")
        journey = Journey(
            name=file.journey,
            purpose=file.purpose,
            category=file.category,
            trigger=trigger,
            steps=steps,
            audience=self._expression(file.audience, "audience"),
            reentry="gap" if gap is not None else "never" if file.reentry == "never" else "each",
            gap=gap,
            exit=frozenset(file.exit),
        )
        if self.problems:
            raise ContentError(self.problems)
        return journey

    def _trigger(self, file: TriggerFile) -> Trigger:
        if bool(file.event) == bool(file.inactivity):
            self._problem("a trigger is either an `event` or `inactivity` with `after`", "write one of them", "trigger")
        event = file.event or file.after
        self._event_type(event, "trigger", "event" if file.event else "after")
        return Trigger(
            event=event,
            inactivity=self._duration(file.inactivity, "trigger", "inactivity") if file.inactivity else None,
            where=self._expression(file.where, "trigger", "where"),
            fresh_for=self._duration(file.fresh_for, "trigger", "fresh_for"),
        )

    def _step(self, journey: str, i: int, file: StepFile) -> Step:
        if bool(file.send) == bool(file.wait):
            self._problem("a step is either `send` or `wait`", "write one of them", "steps", i)
        if file.wait:
            return Wait(duration=self._duration(file.wait, "steps", i, "wait"))
        if not file.channels:
            self._problem("`send` names no channel", f"add `channels: [{', '.join(SENT_ON[:2])}]`", "steps", i, "send")
        late = file.reach_by.escalate if file.reach_by is not None else ()
        for channel in (*file.channels, *late):
            if not self.templates.has(journey, file.send, channel):
                self._problem(
                    f"no template of `{file.send}` for {channel}",
                    f"add {file.send}.{channel}.en.txt.j2 beside this file",
                    "steps",
                    i,
                    "send",
                )
        for j, reason in enumerate(file.drop_on):
            if reason not in REASONS:
                self._problem(f"`{reason}` is no reason code", nearest(reason, REASONS), "steps", i, "drop_on", j)
        return Send(
            name=file.send,
            channels=tuple(file.channels),
            valid_for=self._duration(file.valid_for, "steps", i, "valid_for"),
            drop_on=frozenset(file.drop_on),
            on_refusal=file.on_refusal,
            reach_by=self._reach_by(file.reach_by, file.on_refusal, i),
        )

    def _reach_by(self, file: ReachByFile | None, fate: str, i: int) -> ReachBy | None:
        if file is None:
            return None
        if fate == "drop":
            self._problem(
                "what must reach the member is not dropped", "leave `on_refusal` out", "steps", i, "on_refusal"
            )
        date = self._expression(file.date, "steps", i, "reach_by", "date")
        before = self._duration(file.before, "steps", i, "reach_by", "before")
        return None if date is None else ReachBy(date=date, before=before, escalate=tuple(file.escalate))

    def _event_type(self, name: str, *at: str | int) -> None:
        if name not in EVENT_TYPES:
            self._problem(f"`{name}` is no event type", nearest(name, EVENT_TYPES), *at)

    def _duration(self, text: str, *at: str | int) -> timedelta:
        try:
            return duration(text)
        except ValueError as error:
            self._problem(str(error), "weeks, days, hours, minutes, seconds", *at)
            return timedelta(0)

    def _expression(self, source: str, *at: str | int) -> Expression | None:
        if not source:
            return None
        try:
            return compile_expression(source)
        except RenderError as error:
            self._problem(str(error), "see templates/README.md for what expressions may say", *at)
            return None

    def _problem(self, what: str, cure: str, *at: str | int) -> None:
        self.problems.append(self.located.problem(what, cure, at=at))
