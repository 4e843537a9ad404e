"""`templates/<journey>/cases.yaml`: sample members, what happens to them, and what they must (not) hear of it.

What a case says of its member is known when the first event comes; it starts no journey by itself.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from orchestrator.content.files import read_yaml
from orchestrator.decide.rules import REASONS
from orchestrator.errors import ContentError, Problem
from orchestrator.events.catalogue import ENGINE, EventTypes
from orchestrator.events.types import Data, MemberEnrolled
from orchestrator.located import Located, Steps, convert, nearest

Sentence = Annotated[str, Meta(min_length=1, max_length=200)]


class CaseEvent(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that happens to the case's member."""

    type: str
    time: datetime
    # the event's data; checked against its type
    data: dict[str, object] = field(default_factory=dict)


class CaseOrder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that an operator orders."""

    # start: the member, by hand
    order: Literal["pause", "resume", "stop", "start"]
    time: datetime


class Expected(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One touch, or one silence, that must come of it."""

    journey: str
    step: str
    # instant of the decision; any where left out
    at: datetime | None = None
    # send: a touch; suppress: a silence; defer: put off
    verdict: Literal["send", "suppress", "defer"] = "send"
    # suppress and defer: code from decide.rules.REASONS
    reason: str = ""
    # a touch's channel and the locale of its text
    channel: str = ""
    locale: str = ""
    # what its words hold, and what they must not hold: subject, text and HTML together
    contains: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


class Case(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One story with its outcome. Touches and silences that it does not expect must not happen."""

    name: Sentence
    # what is known beforehand: the data of member.enrolled
    member: MemberEnrolled
    events: tuple[CaseEvent, ...] = ()
    # what an operator orders of the journey
    orders: tuple[CaseOrder, ...] = ()
    # pool -> the voucher codes that are left in it
    vouchers: dict[str, tuple[str, ...]] = field(default_factory=dict)
    # the member is one of those whom a holdout leaves out for comparison
    held_out: bool = False
    # when it is known; just before the first event or order where left out
    known_from: datetime | None = None
    # the clock runs to here
    until: datetime
    expect: tuple[Expected, ...] = ()


def read_cases(path: Path, shown_as: str = "", types: EventTypes = ENGINE) -> list[Case]:
    """The cases of a file, of events of these types; raises ContentError with every problem and its line."""
    located = read_yaml(path, shown_as)
    cases = convert(located, list[Case])
    problems = [problem for i, case in enumerate(cases) for problem in _problems(located, i, case, cases, types)]
    if problems:
        raise ContentError(problems)
    return cases


def event_data(event: CaseEvent, types: EventTypes = ENGINE) -> Data:
    """The typed data of a case's event; raises msgspec.ValidationError."""
    return msgspec.convert(event.data, types.kinds[event.type])


def unkept(expected: Expected, *parts: str) -> tuple[list[str], list[str]]:
    """Words of `contains` that subject, text and HTML together lack, and words of `lacks` that they hold.

    Any run of white space is one space: `5 €` is found however the locale sets the gap.
    """
    said = " ".join(" ".join(parts).split())
    wanted, unwanted = ([" ".join(words.split()) for words in side] for side in (expected.contains, expected.lacks))
    return [words for words in wanted if words not in said], [words for words in unwanted if words in said]


def _problems(located: Located, i: int, case: Case, cases: list[Case], types: EventTypes) -> list[Problem]:
    found: list[Problem] = []
    if any(case.name == other.name for other in cases[:i]):
        found.append(located.problem("two cases have this name", "give each its own", at=(i, "name")))
    moments: list[tuple[Steps, datetime]] = [((i, "until"), case.until)]
    moments += [((i, "known_from"), case.known_from)] if case.known_from is not None else []
    moments += [((i, "events", j, "time"), event.time) for j, event in enumerate(case.events)]
    moments += [((i, "orders", j, "time"), order.time) for j, order in enumerate(case.orders)]
    for at, moment in moments:
        if moment.tzinfo is None:
            found.append(located.problem("a time needs an offset", "such as 2026-11-24T10:00:00Z", at=at))
    for j, event in enumerate(case.events):
        if event.type not in types.names:
            cure = nearest(event.type, types.names)
            found.append(located.problem(f"`{event.type}` is no event type", cure, at=(i, "events", j, "type")))
        if event.type not in types.kinds:
            continue
        try:
            event_data(event, types)
        except msgspec.ValidationError as error:
            found.append(located.problem(f"the data does not fit: {error}", at=(i, "events", j, "data")))
    for j, expected in enumerate(case.expect):
        if expected.reason and expected.reason not in REASONS:
            cure = nearest(expected.reason, REASONS)
            found.append(located.problem(f"`{expected.reason}` is no reason code", cure, at=(i, "expect", j, "reason")))
    return found
