"""What a chaos run does, from three numbers: the history of events, who opts out when, and the faults.

The same numbers give the same plan. Times are seconds from the start of the play; only the run knows what time that is.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import cycle
from typing import NamedTuple

# minor units: a purchase from here on is thanked for
BIG = 500
# of purchases above BIG those whose minor units are a multiple of this bring a voucher code
GIFT_EACH = 4
# purchases from one message of the journey `regular` to its next
EACH = 3
CHANNELS = ("email", "sms")
# the accounts of the channel that has two, in the order in which they are tried
ACCOUNTS = {"email": ("north", "south")}
CROWD = 20
# who has all contact points in common with the member before them
HOUSEMATE = 11
# of CROWD members: whose number or address another one has as well
SHARED_WITH = {"email": {7: 6, HOUSEMATE: 10}, "sms": {3: 2, 4: 2, HOUSEMATE: 10}}
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
    # enrolled | purchase | withdrawn | complaint | cancelled | merged | duplicate | reused | poison
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
    # whom the member turns out to be; -1: nobody else
    into: int = -1


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


def contact_of(member: int, channel: str) -> str:
    """The member's address or number, which another one may have too."""
    place = member % CROWD
    whose = member - place + SHARED_WITH[channel].get(place, place)
    return f"{name_of(whose)}@example.com" if channel == "email" else f"+1212{2_000_000 + whose:07d}"


def is_gift(event: PlannedEvent) -> bool:
    """Whether a message with a voucher code follows."""
    return event.kind == "purchase" and event.amount > BIG and event.amount % GIFT_EACH == 0


def codes_of(plan: Plan) -> tuple[list[str], list[str]]:
    """The voucher codes that are there from the beginning, and those that come later: not enough for everybody."""
    half = max(2, sum(map(is_gift, plan.events)) // 16)
    codes = [f"GIFT-{plan.seed}-{n:06d}" for n in range(2 * half)]
    return codes[:half], codes[half:]


def people_of(plan: Plan) -> dict[int, int]:
    """member -> the least of those who are one person with them by the end; only of merged members."""
    least: dict[int, int] = {}
    for event in plan.events:
        if event.kind == "merged":
            one, other = (least.setdefault(member, member) for member in (event.member, event.into))
            least = {member: min(one, other) if whose in (one, other) else whose for member, whose in least.items()}
    return least


def group_of(member: int) -> str:
    """Members of group a have their quiet hours during the run, those of group b at another time of day."""
    return "ab"[member % 2]


def expected(plan: Plan) -> dict[str, object]:
    """What the history must come to: intents of each person by step (least, most), and how many events of each fate.

    A person goes by the name of the least member. What a merge finds on its way is decided again under the other id.
    """
    people = people_of(plan)
    sizes = Counter(people.values())
    did = {
        kind: Counter(people.get(event.member, event.member) for event in plan.events if matches(event))
        for kind, matches in _DID.items()
    }
    intents: dict[str, dict[str, list[int]]] = {}
    for person in {people.get(member, member) for member in range(plan.members)}:
        n = {kind: counted[person] for kind, counted in did.items()}
        ids = sizes.get(person, 1)
        steps = {
            "greeting/hello": [n["enrolled"], n["enrolled"] * ids],
            "greeting/tips": [0 if n["cancelled"] or ids > 1 else 1, n["enrolled"] * ids],
            "thanks/thanks": [n["thanked"], n["thanked"] * ids],
            "gift/gift": [n["gift"], n["gift"] * ids],
            # at most one at a time, and each gathers up to three
            "digest/list": [0, n["thanked"] * ids],
            "digest/brief": [0, n["thanked"] * ids],
            # merged figures are added up: what was told of both comes later, or not again
            "regular/third": [n["bought"] // EACH] * 2 if ids == 1 else [0, n["bought"] * ids],
            "care/sorry": [0, n["complained"] * ids],
        }
        intents[name_of(person)] = {step: bounds for step, bounds in steps.items() if bounds[1]}
    fates = Counter(
        {"duplicate": "duplicate", "reused": "dead", "poison": "dead"}.get(e.kind, "distinct") for e in plan.events
    )
    misplaced = sum(event.misplaced for event in plan.events)
    counts = {name: fates[name] for name in ("distinct", "duplicate", "dead")} | {"misplaced": misplaced, "parked": 0}
    return {
        "intents": intents,
        "events": counts,
        "people": {name_of(member): name_of(person) for member, person in people.items()},
        "merges": [[name_of(event.member), name_of(event.into)] for event in plan.events if event.kind == "merged"],
        "withdrawn": sorted({name_of(event.member) for event in plan.events if event.kind == "withdrawn"}),
    }


_DID: dict[str, Callable[[PlannedEvent], bool]] = {
    "enrolled": lambda event: event.kind == "enrolled",
    "bought": lambda event: event.kind == "purchase",
    "thanked": lambda event: event.kind == "purchase" and event.amount >= BIG,
    "gift": is_gift,
    "complained": lambda event: event.kind == "complaint",
    "cancelled": lambda event: event.kind == "cancelled",
}


def _history(draw: random.Random, total: int, members: int, play_s: float) -> list[PlannedEvent]:
    """Enrolments first, two thirds of them as a backlog; then a mix, with one burst at half time."""
    made: list[PlannedEvent] = []
    for member in range(members):
        at_s = 0.0 if draw.random() < 0.66 else draw.uniform(1, play_s * 0.6)
        channels = tuple(channel for channel in CHANNELS if draw.random() < 0.85)
        made.append(PlannedEvent(at_s, "enrolled", member, member, channels=channels))
    # some originals for duplicates; an enrolment's second coming is as good as a purchase's
    big = min(0.45, 20_000 / total)
    merges = _merges(draw, [event.member for event in made if event.at_s == 0.0], total, play_s)
    for number in range(members, total - len(merges)):
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
    return made + merges


def _merges(draw: random.Random, members: list[int], total: int, play_s: float) -> list[PlannedEvent]:
    """Members of the backlog who turn out to be one, a third of them at the burst.

    Of four the first had the new id's number and address as well, and the last is a new id that is merged in its turn.
    """
    n = max(4, len(members) // 20)
    draw.shuffle(members)
    made: list[PlannedEvent] = []
    for number in range(total - n, total):
        at_s = play_s / 2 if draw.random() < 0.33 else draw.uniform(play_s * 0.1, play_s * 0.85)
        old, into = made[-1].into if len(made) % 4 == 3 else members[0], members[-1]
        if len(made) % 4 == 0:
            both = {old: old - 1 for old in members if old % CROWD == HOUSEMATE and old - 1 in members}
            old, into = next(iter(both.items()), (old, into))
        members = [member for member in members if member not in (old, into)]
        made.append(PlannedEvent(at_s, "merged", old, number, into=into))
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
