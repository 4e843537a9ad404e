"""What a chaos run does, from three numbers: the history of events, who opts out when, and the faults.

The same numbers give the same plan. Times are seconds from the start of the play; only the run knows what time that is.
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import cycle
from typing import NamedTuple

# minor units: a purchase from here on is thanked for
BIG = 500
# purchases from one message of the journey `regular` to its next
EACH = 3
CHANNELS = ("email", "sms")
# how often, of 100 events after the enrolments
MIX = {"withdrawn": 3, "complaint": 2, "cancelled": 1, "duplicate": 5, "reused": 1, "poison": 1, "misplaced": 3}
# what happens to workers and servers; each kind comes before any comes twice
FAULTS = (
    "kill",
    "freeze",
    "freeze_claimed",
    "broker_restart",
    "kill_called",
    "terminate",
    "freeze_batch",
    "freeze_attempted",
    "postgres_restart",
    "kill_attempted",
    "cut",
    "pause_attempted",
    "broker_kill",
    "freeze_called",
    "optout_claimed",
    "postgres_kill",
)
# the faults that a missing safeguard shows at; the other sabotages show at any time
TELLING = {"epoch": "freeze_batch", "cas": "freeze_claimed", "suppression": "optout_claimed", "attempt": "kill_called"}
# the hours of group a close so long after a burst of purchases, in seconds: some of them are still to be called then
CLOSE_AFTER_BURST_S = 2.0
# who is to show that nobody looks at the hours is stopped with what it claimed so long before they close; nothing else
# goes wrong until so long after it, so that purchases are decided while the hours are open
PAUSE_BEFORE_CLOSE_S, CALM_AFTER_CLOSE_S = 1.0, 10.0


class Pace(NamedTuple):
    """How quickly things happen in a run, in seconds."""

    # the play lasts at least so long, and so long for each fault
    play_s: float
    fault_s: float
    # marketing is of use for so long; service half as long again
    valid_for_s: int
    # between the two messages of the greeting
    wait_s: int
    # caps are rolling windows of this length, those of sms of half of it
    window_s: int
    session_s: int
    lease_s: int
    # how long whoever is frozen sleeps at most, until others have what it had; its watchdog's limit is a minute
    given_up_s: int = 45
    # events a second that the play is made for
    rate: int = 400

    @property
    def horizon_s(self) -> int:
        """What is due so soon after the play is waited for: the longest that a message is of use."""
        return max(65, self.valid_for_s * 3 // 2)


# a short run shall end within a minute, servers and all
BRISK = Pace(play_s=30, fault_s=6, valid_for_s=14, wait_s=3, window_s=16, session_s=4, lease_s=4, given_up_s=12)
CALM = Pace(play_s=75, fault_s=9, valid_for_s=45, wait_s=10, window_s=60, session_s=6, lease_s=6)
# a long one is as much as two cores do beside servers and provider without most messages being over before their turn
LONG = Pace(play_s=300, fault_s=60, valid_for_s=240, wait_s=20, window_s=180, session_s=10, lease_s=10, rate=110)
# with a safeguard taken out the question is not what holds under load: nobody is behind when the moment comes, and what
# was claimed by somebody who sleeps is still of use when he wakes
SABOTAGED = CALM._replace(fault_s=25, valid_for_s=120, rate=120)
SHORT, MANY = 10_000, 100_000


class PlannedEvent(NamedTuple):
    """One record for the topic of events."""

    at_s: float
    # enrolled | purchase | withdrawn | complaint | cancelled | duplicate | reused | poison
    kind: str
    member: int
    # number of the event, its identity; a duplicate or reused one has its original's
    number: int
    # minor units of a purchase
    amount: int = 0
    # consents of an enrolment, the channel of a withdrawal ("" for all)
    channels: tuple[str, ...] = ()
    # put into another partition than the member's
    misplaced: bool = False


class OptOut(NamedTuple):
    """A member opts out of marketing on a channel ("*": on all), outside the stream."""

    at_s: float
    member: int
    channel: str


class Fault(NamedTuple):
    """Something breaks."""

    at_s: float
    kind: str
    # draws the victim among the workers that run
    draw: int


class Plan(NamedTuple):
    """All of it, in time order; what stands at 0 s is there before the first worker starts."""

    seed: int
    pace: Pace
    play_s: float
    members: int
    events: tuple[PlannedEvent, ...]
    optouts: tuple[OptOut, ...]
    faults: tuple[Fault, ...]
    # (at, workers that shall run from then on)
    scale: tuple[tuple[float, int], ...]
    # one more kill after the play, when nothing else goes on
    kill_at_rest: bool

    @property
    def burst_s(self) -> float:
        """When a fifth of all events comes at once."""
        return self.play_s / 2

    @property
    def close_s(self) -> float:
        """When the hours of group a close."""
        return self.burst_s + CLOSE_AFTER_BURST_S


def make_plan(seed: int, events: int, faults: int, sabotage: str = "") -> Plan:
    """The plan of these numbers; at least 200 events. With a sabotage every other fault is the one it shows at."""
    draw = random.Random(f"chaos/{seed}/{events}/{faults}")
    pace = SABOTAGED if sabotage else BRISK if events < SHORT else CALM if events < MANY else LONG
    play_s = max(pace.play_s, events / pace.rate, faults * pace.fault_s)
    members = max(40, events // 10)
    history = sorted(_history(draw, events, members, play_s), key=lambda event: (event.at_s, event.number))
    crowd = 3 if sabotage or pace is BRISK else 4
    struck = _faults(draw, faults, play_s, TELLING.get(sabotage))
    if sabotage == "recheck":
        struck = _at_close(struck, play_s / 2 + CLOSE_AFTER_BURST_S)
    return Plan(
        seed=seed,
        pace=pace,
        play_s=play_s,
        members=members,
        events=tuple(history),
        optouts=tuple(sorted(_optouts(draw, history, members, play_s))),
        faults=tuple(struck),
        scale=((0.0, 1), (play_s * 0.06, crowd), (play_s * 0.7, 2)),
        kill_at_rest=not sabotage and pace is not BRISK,
    )


def caps(pace: Pace) -> list[dict[str, object]]:
    """The caps of the policies made for the run."""
    window = pace.window_s
    return [
        {"id": "email", "channels": ["email"], "purposes": ["marketing"], "max": 2, "window_s": window},
        {"id": "sms", "channels": ["sms"], "purposes": ["marketing"], "max": 1, "window_s": window // 2},
        {"id": "house", "channels": list(CHANNELS), "purposes": ["marketing"], "max": 3, "window_s": window},
    ]


def name_of(member: int) -> str:
    """The id of a member."""
    return f"m{member:06d}"


def group_of(member: int) -> str:
    """Members of group a have their quiet hours during the run, those of group b at another time of day."""
    return "ab"[member % 2]


def expected(plan: Plan) -> dict[str, object]:
    """What the history must come to: intents of each member by step (least, most), and how many events of each fate."""
    thanked = Counter(event.member for event in plan.events if event.kind == "purchase" and event.amount >= BIG)
    bought = Counter(event.member for event in plan.events if event.kind == "purchase")
    complained = Counter(event.member for event in plan.events if event.kind == "complaint")
    leaving = {event.member for event in plan.events if event.kind == "cancelled"}
    intents: dict[str, dict[str, list[int]]] = {}
    for member in range(plan.members):
        steps = {"greeting/hello": [1, 1], "greeting/tips": [0 if member in leaving else 1, 1]}
        if thanked[member]:
            steps["thanks/thanks"] = [thanked[member], thanked[member]]
            # at most one at a time, and each gathers up to three
            steps["digest/list"] = steps["digest/brief"] = [0, thanked[member]]
        if bought[member] >= EACH:
            steps["regular/third"] = [bought[member] // EACH] * 2
        if complained[member]:
            steps["care/sorry"] = [0, complained[member]]
        intents[name_of(member)] = steps
    fates = Counter(
        {"duplicate": "duplicate", "reused": "dead", "poison": "dead"}.get(e.kind, "distinct") for e in plan.events
    )
    misplaced = sum(event.misplaced for event in plan.events)
    withdrawn = sorted({name_of(event.member) for event in plan.events if event.kind == "withdrawn"})
    counts = {name: fates[name] for name in ("distinct", "duplicate", "dead")} | {"misplaced": misplaced, "parked": 0}
    return {"intents": intents, "events": counts, "withdrawn": withdrawn}


def _history(draw: random.Random, total: int, members: int, play_s: float) -> list[PlannedEvent]:
    """Enrolments first, two thirds of them as a backlog; then a mix, with one burst at half time."""
    made: list[PlannedEvent] = []
    for member in range(members):
        at_s = 0.0 if draw.random() < 0.66 else draw.uniform(1, play_s * 0.6)
        channels = tuple(channel for channel in CHANNELS if draw.random() < 0.85)
        made.append(PlannedEvent(at_s, "enrolled", member, member, channels=channels))
    # some originals for duplicates; an enrolment's second coming is as good as a purchase's
    big = min(0.45, 20_000 / total)
    for number in range(members, total):
        at_s = draw.choices((0.0, draw.uniform(0.5, play_s), play_s / 2), (15, 65, 20))[0]
        kind = draw.choices((*MIX, "purchase"), (*MIX.values(), 100 - sum(MIX.values())))[0]
        misplaced, kind = kind == "misplaced", "purchase" if kind == "misplaced" else kind
        member = draw.randrange(members)
        if kind in {"duplicate", "reused"}:
            original = draw.choice(made)
            while original.kind not in {"enrolled", "purchase"} or original.misplaced:
                original = draw.choice(made)
            # later than its original by so much that nothing can turn their order round
            at_s = max(at_s, original.at_s + 1.0)
            made.append(original._replace(at_s=at_s, kind=kind))
            continue
        amount = draw.randrange(BIG, 20_000) if draw.random() < big else draw.randrange(1, BIG)
        channels = (draw.choice((*CHANNELS, "")),) if kind == "withdrawn" else ()
        made.append(PlannedEvent(at_s, kind, member, number, amount if kind == "purchase" else 0, channels, misplaced))
    return made


def _optouts(draw: random.Random, history: list[PlannedEvent], members: int, play_s: float) -> list[OptOut]:
    """A third before any worker has read the backlog, a third at the burst, the rest at any time."""
    waiting = sorted({event.member for event in history if event.at_s == 0.0 and event.amount >= BIG})
    busy = sorted({event.member for event in history if event.at_s == play_s / 2 and event.amount >= BIG})
    each = max(4, members // 60)
    chosen: dict[int, OptOut] = {}
    for crowd, at_s in ((waiting, 0.0), (busy, play_s / 2)):
        for member in draw.sample(crowd, min(each, len(crowd))):
            chosen[member] = OptOut(at_s, member, draw.choice((*CHANNELS, "*")))
    for member in draw.sample(range(members), each):
        chosen.setdefault(member, OptOut(draw.uniform(1, play_s * 0.9), member, draw.choice((*CHANNELS, "*"))))
    return list(chosen.values())


def _faults(draw: random.Random, number: int, play_s: float, telling: str | None) -> list[Fault]:
    """Spread over the play after the first workers stand, in an order that the seed draws."""
    kinds = list(FAULTS)
    draw.shuffle(kinds)
    if telling is not None:
        kinds = [kind for other in kinds if other != telling for kind in (telling, other)]
    step = play_s * 0.85 / max(number, 1)
    first = play_s * 0.12
    pairs = zip(range(number), cycle(kinds), strict=False)
    return [
        Fault(round(first + i * step + draw.uniform(0, step / 4), 3), kind, draw.randrange(1 << 16))
        for i, kind in pairs
    ]


def _at_close(faults: list[Fault], close_s: float) -> list[Fault]:
    """A pause just before the hours close, and those of the faults that come well after it."""
    after = [fault for fault in faults if fault.at_s > close_s + CALM_AFTER_CLOSE_S]
    return [Fault(close_s - PAUSE_BEFORE_CLOSE_S, "pause_claimed", 0), *after]
