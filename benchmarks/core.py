"""The pure core: decisions a second of `step` with the shipped content, no store, no files, no clock.

Members of New York, Spain and Colombia live a quarter of purchases through `step`, with every timer given when it is
due and every touch accepted as soon as it is reserved; what `step` was given for purchases in the last two months of it
is kept and given again under the watch. So members have the places, aggregates, consents and waiting intents that
members come to have. Every measured input is a purchase, and comes to at least one decision with at least `LEAST_RULES`
rules in its trail: both are asserted, decision by decision. Each round over the cases tells of other amounts, so that
no round finds words that an earlier one has formatted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, NamedTuple

import msgspec

from benchmarks.yardstick import pieces_per_cpu_s, timed
from orchestrator.decide.content import Content
from orchestrator.decide.member import Member
from orchestrator.decide.result import Entry, Trail
from orchestrator.decide.rules import RegistryState
from orchestrator.decide.shared import Shared
from orchestrator.decide.step import needs, step
from orchestrator.events.envelope import Event
from orchestrator.events.inputs import EventInput, Input, Outcome
from orchestrator.events.types import PurchaseCompleted
from orchestrator.project import open_project
from orchestrator.testing.builders import PlainLinks, event, purchase

LEAST_RULES = 8
START = datetime(2026, 3, 2, tzinfo=UTC)
WARM = timedelta(days=30)
QUARTER = timedelta(days=90)
KEY = bytes(range(32))
ROUNDS = 5
# where a member lives, and how a number there begins
HOMES: tuple[tuple[dict[str, object], str], ...] = (
    ({"country": "US", "region": "US-NY", "zone": "America/New_York", "locale": "en"}, "+1212555"),
    ({"country": "ES", "zone": "Europe/Madrid", "locale": "es"}, "+3461234"),
    ({"country": "CO", "zone": "America/Bogota", "locale": "es"}, "+57300123"),
)
# which channels a member agreed to, by turns
CONSENTS: tuple[tuple[str, ...], ...] = (("email", "sms"), ("email",), ("email", "sms"), ())


class Case(NamedTuple):
    """One call of `step`, and what it came to."""

    member: Member
    shared: Shared
    inputs: tuple[Input, ...]
    now: datetime
    verdict: str


def measure(project: Path, members: int = 120, least_rules: int = LEAST_RULES) -> dict[str, Any]:
    """Rates of `step` by what it decides, and the ratio to the yardstick; each trail holds `least_rules` or more."""
    with open_project(project) as opened:
        content = opened.content
    cases = [case for number in range(members) for case in lived(content, number, least_rules)]
    pieces = pieces_per_cpu_s()
    kinds: dict[str, Sequence[Case]] = {
        "all": cases,
        "silent": [case for case in cases if case.verdict == "suppress"],
        "deferred": [case for case in cases if case.verdict == "defer"],
        "sent": [case for case in cases if case.verdict == "send"],
    }
    rates = {kind: _rate(some, content) for kind, some in kinds.items() if some}
    pieces = max(pieces, pieces_per_cpu_s())
    trails = [trail for case in cases[:: len(cases) // 200 or 1] for trail in _trails(_entries(case, content))]
    return {
        "decisions_per_cpu_s": {kind: round(rate) for kind, rate in rates.items()},
        "yardstick_per_cpu_s": round(pieces),
        "ratio": {kind: round(rate / pieces, 4) for kind, rate in rates.items()},
        "cases": dict(Counter(case.verdict for case in cases)),
        "rules_asked_median": median(_asked(trail) for trail in trails),
        "rules_asked_least": min(_asked(trail) for trail in trails),
    }


def lived(content: Content, number: int, least_rules: int = LEAST_RULES) -> list[Case]:
    """One member's quarter; the calls of `step` for purchases after the warm-up that came to a decision."""
    random = Random(number)  # noqa: S311 - a load, no secret
    name = f"m{number}"
    shared = Shared(
        key=KEY,
        fingerprint=lambda channel, address: f"{channel}:{address}",
        links=PlainLinks(),
        new_ref=f"{number:032x}",
    )
    joins = _joins(name, number)
    cases: list[Case] = []
    # what is still to come, the next one last
    to_come: list[tuple[datetime, Input]] = [(at, EventInput(event)) for at, event in _purchases(name, random)]
    to_come = [*reversed(to_come), (joins.time, EventInput(joins))]
    member: Member | None = None
    while to_come:
        at, given = to_come.pop()
        if at > START + QUARTER:
            continue
        inputs = (given,)
        told = _told(member, inputs, content, shared, at)
        result = step(member, told, inputs, content, at)
        decisions = [entry for entry in result.entries if entry.kind == "decision"]
        bought = isinstance(given, EventInput) and given.event.type == "purchase.completed"
        # reasons found before any rule is asked (stale, no address) are no decisions of the rules
        if bought and at > START + WARM and decisions and decisions[0].reason not in ("stale", "no_contact_point"):
            assert member is not None
            for trail in _trails(decisions):
                assert _asked(trail) >= least_rules, f"only {_asked(trail)} rules were asked"
            cases.append(Case(member, told, inputs, at, decisions[0].verdict))
        member = result.member
        to_come += result.timers
        to_come += [(at, _accepted(reserved.touch_id, at)) for reserved in result.reservations]
        to_come.sort(key=lambda each: each[0], reverse=True)
    return cases


def _purchases(name: str, random: Random) -> Iterator[tuple[datetime, Event]]:
    at = START
    while (at := at + timedelta(minutes=random.randrange(60, 6 * 24 * 60))) <= START + QUARTER:
        yield at, purchase(name, at, random.randrange(500, 20_000))


def _accepted(touch_id: str, at: datetime) -> Outcome:
    return Outcome(touch_id=touch_id, kind="accepted", attempt=1, attempted_at=at, occurred_at=at, final=True)


def _joins(name: str, number: int) -> Event:
    profile, prefix = HOMES[number % len(HOMES)]
    points = [
        {"channel": "email", "address": f"{name}@example.com"},
        {"channel": "sms", "address": f"{prefix}{number % 10_000:04d}"},
    ]
    consents = [
        {"channel": channel, "purpose": "marketing", "wording": f"{channel}-1", "method": "form", "evidence": "form 1"}
        for channel in CONSENTS[number % len(CONSENTS)]
    ]
    data = {**profile, "contact_points": points, "consents": consents}
    return event("member.enrolled", name, START + timedelta(minutes=number), data)


def _told(member: Member | None, inputs: tuple[Input, ...], content: Content, shared: Shared, at: datetime) -> Shared:
    """What the pipeline would give: every do-not-contact list was read at midnight and names nobody."""
    wants = needs(member, inputs, content, shared)
    fresh = RegistryState(listed=False, checked_at=at.replace(hour=0, minute=0))
    return msgspec.structs.replace(shared, registries=dict.fromkeys(wants.registries, fresh))


def _rate(cases: Sequence[Case], content: Content) -> float:
    """Decisions per second of processor time: the best of several rounds over all cases."""
    # enough of them for the watch
    repeat = max(1, 300 // len(cases))

    def seconds(first: int) -> float:
        told = [_dearer(case, cents) for cents in range(first, first + repeat) for case in cases]

        def run() -> None:
            for member, shared, inputs, now, _verdict in told:
                needs(member, inputs, content, shared)
                step(member, shared, inputs, content, now)

        return timed(run).cpu_s / repeat

    decisions = sum(len(_trails(_entries(case, content))) for case in cases)
    return decisions / min(seconds(1 + number * repeat) for number in range(ROUNDS))


def _dearer(case: Case, cents: int) -> Case:
    """The same case, for a purchase of some cents more."""
    (given,) = case.inputs
    assert isinstance(given, EventInput)
    data = given.event.data
    assert isinstance(data, PurchaseCompleted)
    more = msgspec.structs.replace(given.event, data=msgspec.structs.replace(data, amount=data.amount + cents))
    return case._replace(inputs=(EventInput(more),))


def _entries(case: Case, content: Content) -> Sequence[Entry]:
    return step(case.member, case.shared, case.inputs, content, case.now).entries


def _trails(entries: Sequence[Entry]) -> list[Trail]:
    return [msgspec.json.decode(entry.trail, type=Trail) for entry in entries if entry.kind == "decision"]


def _asked(trail: Trail) -> int:
    return sum(len(tried.findings) for tried in trail.tried)
