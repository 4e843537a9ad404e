"""A journey in words and as a drawing: how it starts, its steps, its ends."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time, timedelta

from orchestrator.decide.journey import (
    Again,
    Begin,
    Branch,
    Exit,
    Gather,
    Here,
    Journey,
    Jump,
    Send,
    Split,
    Step,
    Tag,
    Threshold,
    Trigger,
    Wait,
    WaitClock,
    WaitDate,
    WaitEvent,
    Yearly,
)
from orchestrator.times import in_words

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ENTERS = {"each": "each time", "never": "once"}
_LONGEST = 60


def starts(trigger: Trigger) -> str:
    """What starts it, in a few words."""
    if trigger.inactivity is not None:
        return f"{in_words(trigger.inactivity)} without {trigger.event}"
    if trigger.date is not None:
        return _of_date(trigger.date)
    if trigger.schedule is not None:
        days = [WEEKDAYS[day] for day in sorted(trigger.schedule.weekdays)]
        days += [f"day {day} of the month" if day > 0 else _from_end(day) for day in sorted(trigger.schedule.days)]
        return f"{', '.join(days)} at {_clock(trigger.schedule.at)}"
    if trigger.threshold is not None:
        return _of_figure(trigger.threshold, trigger.event)
    words = {"enters": "comes to belong to an audience", "leaves": "leaves an audience", "manual": "by hand"}
    return words.get(trigger.kind, trigger.event)


def enters(journey: Journey) -> str:
    """How often a member may enter it."""
    again = f"again after {in_words(journey.gap)}" if journey.gap is not None else ENTERS[journey.reentry]
    return f"{again}, by {journey.key}" if journey.key else again


def in_a_line(journey: Journey) -> str:
    """Its steps, one after the other as they stand in the file."""
    return " → ".join(text for text in map(words, journey.steps) if text)


def words(step: Step) -> str:  # noqa: C901  # one line a kind of step
    """A step in a few words; "" for what is only a place in the row."""
    match step:
        case Send():
            label = step.label if step.label == step.name else f"{step.label}: {step.name}"
            return f"{label} ({', '.join(step.channels)})"
        case Wait():
            return f"wait {in_words(step.duration)}"
        case WaitClock():
            days = ", ".join(WEEKDAYS[day] for day in sorted(step.weekdays))
            return f"wait until {_clock(step.at)}{f' on {days}' if days else ''}"
        case WaitDate():
            return f"wait until {_around(step.before)}{step.source}"
        case WaitEvent():
            return f"until {step.event}, {in_words(step.within)} at most"
        case Branch():
            return f"if {step.source}"
        case Split():
            return "split " + ", ".join(f"{arm.name} {arm.weight}/{step.total}" for arm in step.arms)
        case Gather():
            return f"gather for {in_words(step.duration)}, {step.most} at most"
        case Again():
            return f"repeat {step.begin}, {step.times} times at most"
        case Tag():
            return f"{'tag' if step.set else 'untag'} {step.name}"
        case Exit():
            return "exit"
        case Begin() | Here() | Jump():
            return ""


def mermaid(journey: Journey) -> str:
    """A flow chart of it (https://mermaid.js.org), with its start, its ends and every way between them."""
    lines = ["flowchart TD", f'    start(["{_quoted(starts(journey.trigger))}"])', '    done(["end"])']
    shown = {step.label: f"s{i}" for i, step in enumerate(journey.steps) if words(step)}
    for step in journey.steps:
        if step.label in shown:
            left, right = _SHAPES.get(type(step), ("[", "]"))
            lines.append(f'    {shown[step.label]}{left}"{_quoted(words(step))}"{right}')
    edges = [("start", _target(journey, 0, shown), "")]
    for i, step in enumerate(journey.steps):
        if step.label in shown:
            for to, why in _ways(journey, i, step):
                edges.append((shown[step.label], _target(journey, to, shown), why))
    for begin, end, why in dict.fromkeys(edges):
        lines.append(f'    {begin} -->|"{_quoted(why)}"| {end}' if why else f"    {begin} --> {end}")
    if journey.goal is not None:
        lines += [f'    goal(["goal: {_quoted(journey.goal.event)}"])', "    start -.-> goal"]
    if journey.exit:
        lines += [f'    left(["left on {_quoted(", ".join(sorted(journey.exit)))}"])', "    start -.-> left"]
    return "\n".join(lines) + "\n"


_SHAPES: dict[type, tuple[str, str]] = {
    Send: ("[[", "]]"),
    Branch: ("{", "}"),
    Split: ("{", "}"),
    Again: ("{", "}"),
    WaitEvent: ("{", "}"),
    Exit: ("([", "])"),
}


def _ways(journey: Journey, i: int, step: Step) -> Iterator[tuple[int, str]]:
    """Where a run may go on from a step, and why there; past the last step is the end."""
    match step:
        case Branch():
            yield from ((i + 1, "yes"), (journey.places[step.otherwise], "no"))
        case WaitEvent():
            yield from ((i + 1, "it came"), (journey.places[step.otherwise], "time is over"))
        case Split():
            yield from ((journey.places[arm.to], arm.name) for arm in step.arms)
        case Again():
            yield from ((journey.places[step.begin] + 1, "again"), (i + 1, "through"))
        case Exit():
            yield len(journey.steps), ""
        case WaitDate(missed="exit"):
            yield from ((i + 1, ""), (len(journey.steps), "missed"))
        case _:
            yield i + 1, ""


def _target(journey: Journey, place: int, shown: dict[str, str]) -> str:
    """The first step from a place on that is shown, along the jumps."""
    while place < len(journey.steps):
        step = journey.steps[place]
        if step.label in shown:
            return shown[step.label]
        place = journey.places[step.to] if isinstance(step, Jump) else place + 1
    return "done"


def _of_date(date: Yearly) -> str:
    day = date.source
    if date.days:
        day = f"{abs(date.days)} days {'before' if date.days < 0 else 'after'} {day}"
    return f"{day}{', each year' if date.yearly else ''}, at {_clock(date.at)}"


def _of_figure(threshold: Threshold, event: str) -> str:
    over = f" over {threshold.days} days" if threshold.days else ""
    reached = f"each {threshold.each}" if threshold.each else f"{threshold.reaches}"
    return f"{threshold.of} of {event}{over} reaches {reached}"


def _around(before: timedelta) -> str:
    if not before:
        return ""
    return f"{in_words(before)} before " if before > timedelta(0) else f"{in_words(-before)} after "


def _from_end(day: int) -> str:
    return "last day of the month" if day == -1 else f"day {-day} from the end of the month"


def _clock(at: time) -> str:
    return f"{at:%H:%M}"


def _quoted(text: str) -> str:
    """Within Mermaid's quotes; an expression may hold any sign."""
    text = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
    for sign, code in (("&", "&amp;"), ('"', "&quot;"), ("<", "&lt;"), (">", "&gt;"), ("#", "&#35;")):
        text = text.replace(sign, code)
    return text
