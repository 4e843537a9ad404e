"""Whatever happens to three members, in whatever order it is told: caps hold, nights are quiet, replay agrees.

The checkers here know the numbers of the shipped policies and nothing else: no code that decides is used to judge it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.channels.contract import Answer, Message
from orchestrator.content import locate
from orchestrator.events.envelope import Event
from orchestrator.events.inputs import AnswerKind
from orchestrator.pipeline import known, rows
from orchestrator.runtimes.embedded import engine
from orchestrator.stores.contract import LogRow
from orchestrator.stores.memory import MemoryStore
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.canonical import Canonical, canonical
from orchestrator.testing.world import World, shipped_content
from orchestrator.times import instant
from orchestrator.vault import Vault

PARTITIONS = 2
START = datetime(2026, 6, 15, tzinfo=UTC)
DAYS = 24
UNTIL = (START + timedelta(days=DAYS + 40)).isoformat()
QUARTERS = DAYS * 96
# each of these runs the engine once or twice: half as many examples as other properties have
SOME = settings(max_examples=settings().max_examples // 2, report_multiple_bugs=False)

HOMES: dict[str, dict[str, object]] = {
    "America/New_York": {"country": "US", "region": "US-NY"},
    "America/Los_Angeles": {"country": "US", "region": "US-CA"},
    "Europe/Madrid": {"country": "ES", "region": "ES-MD"},
    "America/Bogota": {"country": "CO", "region": "CO-DC"},
}
MEMBERS = ("ana", "ben", "cleo")
KINDS = ("enrolled", "purchase", "purchase", "purchase", "granted", "withdrawn", "complaint", "updated", "cancelled")


class Happening(NamedTuple):
    """Something that happens to one of the members."""

    member: str
    # quarters of an hour after the start
    at: int
    kind: str
    channel: str
    zone: str
    # it is told this many hours late
    late: int
    twice: bool


class History(NamedTuple):
    """What is told, in this order, and how providers answer."""

    events: tuple[Event, ...]
    answers: tuple[AnswerKind, ...]


happenings = st.builds(
    Happening,
    st.sampled_from(MEMBERS),
    st.integers(0, QUARTERS),
    st.sampled_from(KINDS),
    st.sampled_from(("email", "sms")),
    st.sampled_from(tuple(HOMES)),
    st.sampled_from((0, 0, 0, 0, 5, 40, 300)),
    st.booleans(),
)


@st.composite
def histories(draw: Callable[..., Any]) -> History:
    homes = {member: draw(st.sampled_from(tuple(HOMES))) for member in MEMBERS}
    joined = [Happening(member, draw(st.integers(0, 96)), "enrolled", "", homes[member], 0, False) for member in homes]
    told = sorted(joined + draw(st.lists(happenings, max_size=30)), key=lambda given: given.at + 4 * given.late)
    events: list[Event] = []
    for i, happening in enumerate(told):
        made = _event(happening, i)
        events.extend([made, made] if happening.twice else [made])
    answers = draw(st.lists(st.sampled_from(("accepted", "accepted", "rejected_message", "transient", "unknown")),
                            min_size=1, max_size=5))  # fmt: skip
    return History(tuple(events), tuple(answers))


def _event(given: Happening, i: int) -> Event:
    at = START + timedelta(minutes=15 * given.at)
    if given.kind in ("enrolled", "updated"):
        home = HOMES[given.zone] | {"zone": given.zone}
        made = enrolled(given.member, at, **home)
        data = made.data
        return event(f"member.{given.kind}", given.member, at, _plain(data), id=str(i))
    if given.kind == "purchase":
        return purchase(given.member, at, 100 + 1_000 * (i % 3), id=str(i))
    if given.kind == "granted":
        consent = {"channel": given.channel, "wording": "w", "method": "form", "evidence": "e"}
        return event("consent.granted", given.member, at, consent, id=str(i))
    if given.kind == "withdrawn":
        return event("consent.withdrawn", given.member, at, {"channel": given.channel, "method": "link"}, id=str(i))
    if given.kind == "complaint":
        return event("complaint.opened", given.member, at, {"complaint_id": str(i)}, id=str(i))
    return event("member.cancelled", given.member, at, {}, id=str(i))


def _plain(data: object) -> dict[str, object]:
    found: dict[str, object] = msgspec.to_builtins(data)
    return found


def new_world(history: History, vault: Vault) -> World:
    """An empty world whose providers answer as the history says."""
    world = World(MemoryStore(PARTITIONS), vault, shipped_content())

    def answer(message: Message) -> Answer:
        # each touch has one answer for good; what is transient is taken at the third call
        kind = history.answers[int(message.touch_id[:4], 16) % len(history.answers)]
        again = [made.touch_id for made in world.calls()].count(message.touch_id)
        return Answer(kind="accepted" if kind == "transient" and again >= 3 else kind)

    for ledger in world.ledgers.values():
        ledger.answer = answer
    return world


def lived(history: History, vault: Vault) -> World:
    world = new_world(history, vault)
    world.live(*history.events, until=UNTIL)
    return world


def of_members(world: World) -> Canonical:
    """The members' entries: when content was activated depends on how far the engine had read."""
    return {whose: entries for whose, entries in canonical(world.store).items() if whose[0]}


# --- the policies' numbers, read naively


class Cap(NamedTuple):
    """At most so many touches in a window, over these channels (None: all)."""

    max: int
    window: str
    channels: frozenset[str] | None


def shipped_caps() -> list[Cap]:
    """The caps in force on the first of July 2026 and after, none of them kept for a journey that is not here."""
    caps: list[Cap] = []
    for channel in ("house", "email", "sms"):
        held: dict[str, Any] = {}
        for entry in policy(channel)["entries"]:
            held.update(entry.get("caps", {}))
        for cap in held.values():
            over = cap.get("over", [channel])
            most = cap["max"] - cap.get("reserved", {}).get("places", 0)
            caps.append(Cap(most, cap["window"], None if channel == "house" else frozenset(over)))
    return caps


def policy(channel: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(locate.shipped("channel_policies"), f"{channel}.yaml").read_text())
    return found


CAPS = shipped_caps()
GAP = timedelta(hours=int(policy("house")["entries"][0]["gaps"]["breath"]["at_least"].removeprefix("PT").rstrip("H")))


class Attempt(NamedTuple):
    """One call as the log tells it."""

    member: str
    channel: str
    touch: str
    at: datetime
    zone: ZoneInfo


def attempts(world: World, *, that_count: bool) -> list[Attempt]:
    """The log's calls; `that_count`: the last of each touch, unless it was refused."""
    found: list[Attempt] = []
    zone_of: dict[str, str] = {}
    channel_of: dict[str, str] = {}
    refused: set[str] = set()
    last: dict[str, Attempt] = {}
    for row in sorted(world.store.log(), key=lambda row: (row.partition, row.n)):
        if row.kind == "decision" and row.verdict == "send":
            zone_of[row.intent_id] = _zone(row)
        if row.kind == "touch" and row.intent_id in zone_of:
            # an outcome of a touch whose intent has ended meanwhile knows its touch alone
            zone_of[row.touch_id] = zone_of[row.intent_id]
            channel_of[row.touch_id] = row.channel
        if row.kind == "touch" and row.state == "attempting":
            at = instant(row.occurred_at)
            made = Attempt(row.ref, channel_of[row.touch_id], row.touch_id, at, ZoneInfo(zone_of[row.touch_id]))
            found.append(made)
            last[row.touch_id] = made
        if row.kind == "touch" and row.state == "rejected":
            refused.add(row.touch_id)
    if not that_count:
        return found
    return [made for touch, made in last.items() if touch not in refused]


def _zone(row: LogRow) -> str:
    zones: list[str] = msgspec.json.decode(row.trail)["zones"]
    assert 1 == len(zones), "every member here says where they live"
    return zones[0]


def most_at_once(cap: Cap, made: list[Attempt]) -> int:
    """How many attempts of one member the fullest window holds."""
    if cap.window.startswith("rolling P"):
        width = timedelta(days=int(cap.window.removeprefix("rolling P").rstrip("D")))
        starts = [each.at for each in made]
        return max((sum(start <= each.at < start + width for each in made) for start in starts), default=0)
    unit = cap.window.removeprefix("calendar ")
    keys = []
    for each in made:
        day = each.at.astimezone(each.zone).date()
        keys.append({"day": day, "week": day.isocalendar()[:2], "month": (day.year, day.month)}[unit])
    return max(Counter(keys).values(), default=0)


# --- the properties


@SOME
@given(histories())
def test_no_history_exceeds_a_cap_or_comes_too_close(vault: Vault, history: History) -> None:
    world = lived(history, vault)
    made = attempts(world, that_count=True)
    for member in {each.member for each in made}:
        mine = sorted((each for each in made if each.member == member), key=lambda each: each.at)
        for cap in CAPS:
            over = [each for each in mine if cap.channels is None or each.channel in cap.channels]
            assert cap.max >= most_at_once(cap, over), cap
        assert GAP <= min((b.at - a.at for a, b in pairwise(mine)), default=GAP)


@SOME
@given(histories())
def test_no_call_falls_into_the_quiet_hours_of_the_member(vault: Vault, history: History) -> None:
    """21 to 8 for e-mail, 20 to 9 and Sundays for texts; in Colombia the law closes Sundays and evenings to all."""
    for each in attempts(lived(history, vault), that_count=False):
        local = each.at.astimezone(each.zone)
        opens, closes = {"email": (time(8), time(21)), "sms": (time(9), time(20))}[each.channel]
        assert opens <= local.time() < closes
        assert each.channel == "email" or local.isoweekday() != 7
        if each.zone.key == "America/Bogota":
            assert local.isoweekday() != 7
            assert local.time() < (time(15) if local.isoweekday() == 6 else time(19))


@SOME
@given(histories())
def test_the_books_balance_the_chains_hold_and_replay_agrees(vault: Vault, history: History) -> None:
    lived(history, vault).check()


@SOME
@given(histories(), st.integers(1, 7), st.integers(0, 10), st.integers(1, 5), st.booleans())
def test_how_a_history_is_cut_into_batches_changes_nothing(
    vault: Vault, history: History, size: int, more: int, look_ahead: int, forgetful: bool
) -> None:
    """Neither the size of batches, nor the look ahead, nor what is kept in memory between them."""
    whole = lived(history, vault)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "SLICE", size)
        patch.setattr(engine, "WINDOW", size + more)
        patch.setattr(rows, "DUE_LIMIT", look_ahead)
        if forgetful:
            patch.setattr(known, "CACHED_MEMBERS", 0)
        cut = lived(history, vault)
    assert of_members(whole) == of_members(cut)


@SOME
@given(histories())
def test_two_runs_of_a_history_told_in_order_are_the_whole(vault: Vault, history: History) -> None:
    """A run that ends takes what is due until its end; told in order, that is what the next event would have done."""
    told = sorted(history.events, key=lambda given: given.time)
    whole = new_world(history, vault)
    whole.live(*told, until=UNTIL)
    world = new_world(history, vault)
    half = len(told) // 2
    world.live(*told[:half])
    world.live(*told[half:], until=UNTIL)
    assert of_members(whole) == of_members(world)
