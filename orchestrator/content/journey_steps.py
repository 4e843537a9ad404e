"""The steps of a journey file, compiled into the flat row of labelled instructions that members walk through.

A step is called by its `id`, a `send` without one by its message. Any other is called by where it stands: `hello+2` is
the second step after the one called `hello`, `start+1` the first of the journey. So members inside find their step
again as long as nothing is put between it and the named step before it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import time, timedelta
from typing import Any, Protocol

from orchestrator.content.journey_file import SENT_ON, WEEKDAYS, ReachByFile, StepFile, WaitFile
from orchestrator.decide.journey import (
    Again,
    Arm,
    Begin,
    Branch,
    Exit,
    Expression,
    Gather,
    Here,
    Jump,
    ReachBy,
    Send,
    Split,
    Step,
    Tag,
    Wait,
    WaitClock,
    WaitDate,
    WaitEvent,
)
from orchestrator.decide.rules import REASONS
from orchestrator.located import nearest
from orchestrator.render.contract import Templates

# kind of step -> what may stand beside it
KINDS: Mapping[str, tuple[str, ...]] = {
    "send": ("channels", "valid_for", "drop_on", "on_refusal", "reach_by", "to", "voucher"),
    "wait": (),
    "until": ("then", "else"),
    "branch": ("then", "else"),
    "split": (),
    "gather": (),
    "repeat": (),
    "tag": (),
    "untag": (),
    "exit": (),
}
MAX_STEPS = 120
At = tuple[str | int, ...]


class Reading(Protocol):
    """The file that the steps stand in."""

    def problem(self, what: str, cure: str, *at: str | int) -> None:
        """Notes something wrong there."""

    def duration(self, text: str, *at: str | int) -> timedelta:
        """A duration, or a problem."""

    def expression(self, source: str, *at: str | int) -> Expression | None:
        """A compiled expression; None where there is none."""

    def awaited(self, event: str, source: str, *at: str | int) -> Expression | None:
        """A condition on another event than the one that starts the journey."""

    def event_type(self, name: str, *at: str | int) -> None:
        """Notes a name that is no event type."""

    def keys(self, *at: str | int) -> tuple[str, ...]:
        """The keys that are written there."""


class Compiler:
    """Compiles the steps of one file."""

    def __init__(self, file: Reading, journey: str, templates: Templates, pools: Collection[str] | None) -> None:
        """`pools`: those of voucher codes that there are; None where that is not known."""
        self.file, self.journey, self.templates, self.pools = file, journey, templates, pools
        self.labels: dict[str, At] = {}
        self.base, self.after = "start", 0

    def block(self, steps: tuple[StepFile, ...], *at: str | int) -> list[Step]:
        """The instructions of some steps in a row."""
        return [step for i, given in enumerate(steps) for step in self.step(given, *at, i)]

    def step(self, given: StepFile, *at: str | int) -> list[Step]:
        """The instructions of one step."""
        written = self.file.keys(*at)
        kinds = [kind for kind in KINDS if kind in written]
        if len(kinds) != 1:
            what = "a step is exactly one of " + ", ".join(KINDS) + f"; this one is {' and '.join(kinds) or 'none'}"
            self.file.problem(what, "write each as a step of its own", *at)
            return []
        kind = kinds[0]
        label = self.label(given.id or given.send, *at)
        for key in written:
            if key not in (kind, "id", *KINDS[kind]):
                allowed = ", ".join(KINDS[kind]) or "nothing"
                self.file.problem(f"`{key}` does not belong to `{kind}`", f"beside it may stand: {allowed}", *at, key)
        return self._compilers[kind](self, label, given, at)

    def label(self, named: str, *at: str | int) -> str:
        """What a step is called; a problem where two are called the same."""
        if named:
            self.base, self.after = named, 0
        else:
            self.after += 1
        label = named or f"{self.base}+{self.after}"
        if label in self.labels:
            cure = "give one of them an `id:` of its own; its message may be the same"
            self.file.problem(f"two steps are called `{label}`", cure, *at)
        self.labels[label] = at
        return label

    def _send(self, label: str, given: StepFile, at: At) -> list[Step]:
        if not given.channels:
            cure = f"add `channels: [{', '.join(SENT_ON[:2])}]`"
            self.file.problem("`send` names no channel", cure, *at, "send")
        late = given.reach_by.escalate if given.reach_by is not None else ()
        for channel in (*given.channels, *late):
            if not self.templates.has(self.journey, given.send, channel):
                what = f"no template of `{given.send}` for {channel}"
                self.file.problem(what, f"add {given.send}.{channel}.en.txt.j2 beside this file", *at, "send")
        for j, reason in enumerate(given.drop_on):
            if reason not in REASONS:
                self.file.problem(f"`{reason}` is no reason code", nearest(reason, REASONS), *at, "drop_on", j)
        if given.voucher and self.pools is not None and given.voucher not in self.pools:
            cure = nearest(given.voucher, self.pools) if self.pools else "declare it in templates/vouchers.yaml"
            self.file.problem(f"`{given.voucher}` is no pool of voucher codes", cure, *at, "voucher")
        return [
            Send(
                label=label,
                name=given.send,
                channels=tuple(given.channels),
                valid_for=self.file.duration(given.valid_for, *at, "valid_for"),
                drop_on=frozenset(given.drop_on),
                on_refusal=given.on_refusal,
                reach_by=self._reach_by(given.reach_by, given.on_refusal, at),
                to_requested=given.to == "requested",
                voucher=given.voucher,
            )
        ]

    def _reach_by(self, given: ReachByFile | None, fate: str, at: At) -> ReachBy | None:
        if given is None:
            return None
        if fate == "drop":
            cure = "leave `on_refusal` out"
            self.file.problem("what must reach the member is not dropped", cure, *at, "on_refusal")
        date = self.file.expression(given.date, *at, "reach_by", "date")
        before = self.file.duration(given.before, *at, "reach_by", "before")
        return None if date is None else ReachBy(date=date, before=before, escalate=tuple(given.escalate))

    def _wait(self, label: str, given: StepFile, at: At) -> list[Step]:
        wait = given.wait
        if not isinstance(wait, WaitFile):
            return [Wait(label=label, duration=self.file.duration(wait, *at, "wait"))]
        if bool(wait.clock) == bool(wait.date):
            self.file.problem("`wait` is a duration, or has a `clock` or a `date`", "write one of them", *at, "wait")
            return []
        written = self.file.keys(*at, "wait")
        fits = ("clock", "on") if wait.clock else ("date", "before", "after", "at", "missed")
        for key in written:
            if key not in fits:
                self.file.problem(f"`{key}` does not belong to `{fits[0]}`", f"use {', '.join(fits)}", *at, "wait", key)
        if wait.clock:
            return [WaitClock(label=label, at=time.fromisoformat(wait.clock), weekdays=weekdays(wait.on))]
        if wait.before and wait.after:
            self.file.problem("`before` and `after` at once", "write one of them", *at, "wait", "before")
        before = self.file.duration(wait.before, *at, "wait", "before") if wait.before else timedelta(0)
        if wait.after:
            before = -self.file.duration(wait.after, *at, "wait", "after")
        date = self.file.expression(wait.date, *at, "wait", "date")
        if date is None:
            return []
        return [
            WaitDate(
                label=label,
                date=date,
                source=wait.date,
                before=before,
                at=time.fromisoformat(wait.at),
                missed=wait.missed,
            )
        ]

    def _until(self, label: str, given: StepFile, at: At) -> list[Step]:
        until = given.until
        if until is None:
            return []
        self.file.event_type(until.event, *at, "until", "event")
        waiting = WaitEvent(
            label=label,
            event=until.event,
            within=self.file.duration(until.within, *at, "until", "within"),
            where=self.file.awaited(until.event, until.where, *at, "until", "where"),
            otherwise=f"{label}/else",
        )
        return [waiting, *self._two_ways(label, given, at)]

    def _branch(self, label: str, given: StepFile, at: At) -> list[Step]:
        condition = self.file.expression(given.branch, *at, "branch")
        if condition is None:
            self.file.problem("`branch` has no condition", "such as \"member.tier == 'Oro'\"", *at, "branch")
            return []
        branch = Branch(label=label, condition=condition, source=given.branch, otherwise=f"{label}/else")
        return [branch, *self._two_ways(label, given, at)]

    def _two_ways(self, label: str, given: StepFile, at: At) -> list[Step]:
        return [
            *self.block(given.then, *at, "then"),
            Jump(label=f"{label}/then", to=f"{label}/end"),
            Here(label=f"{label}/else"),
            *self.block(given.otherwise, *at, "else"),
            Here(label=f"{label}/end"),
        ]

    def _split(self, label: str, given: StepFile, at: At) -> list[Step]:
        if len(given.split) < 2:
            self.file.problem("a split has two ways or more", "add another with its share", *at, "split")
        arms: list[Arm] = []
        steps: list[Step] = []
        for name, arm in given.split.items():
            arms.append(Arm(name=name, weight=arm.share, to=f"{label}/{name}"))
            steps.append(Here(label=f"{label}/{name}"))
            steps += self.block(arm.steps, *at, "split", name, "steps")
            steps.append(Jump(label=f"{label}/{name}/end", to=f"{label}/end"))
        total = sum(arm.weight for arm in arms)
        return [Split(label=label, arms=tuple(arms), total=total), *steps, Here(label=f"{label}/end")]

    def _gather(self, label: str, given: StepFile, at: At) -> list[Step]:
        gather = given.gather
        if gather is None:
            return []
        within = self.file.duration(gather.within, *at, "gather", "within")
        return [Gather(label=label, duration=within, most=gather.most)]

    def _repeat(self, label: str, given: StepFile, at: At) -> list[Step]:
        repeat = given.repeat
        if repeat is None:
            return []
        inside = self.block(repeat.steps, *at, "repeat", "steps")
        unless = self.file.expression(repeat.unless, *at, "repeat", "unless")
        again = Again(label=f"{label}/again", begin=label, times=repeat.times, unless=unless)
        return [Begin(label=label), *inside, again]

    def _tag(self, label: str, given: StepFile, _at: At) -> list[Step]:
        return [Tag(label=label, name=given.tag or given.untag, set=bool(given.tag))]

    def _exit(self, label: str, given: StepFile, at: At) -> list[Step]:
        if not given.exit:
            self.file.problem("`exit: false` says nothing", "leave it out, or write `exit: true`", *at, "exit")
        return [Exit(label=label)]

    _compilers: Mapping[str, Callable[[Any, str, StepFile, At], list[Step]]] = {
        "send": _send,
        "wait": _wait,
        "until": _until,
        "branch": _branch,
        "split": _split,
        "gather": _gather,
        "repeat": _repeat,
        "tag": _tag,
        "untag": _tag,
        "exit": _exit,
    }


def weekdays(names: tuple[str, ...]) -> frozenset[int]:
    """Days of the week as numbers; Monday is 0."""
    return frozenset(WEEKDAYS.index(name) for name in names)
