"""A provider goes down for a while under load, and then the one that stood in for it as well.

The breaker opens and the second account takes over; nothing is sent again that was accepted or is in doubt; the backlog
drains by priority within each account's rate; what is past its time becomes a silence that says why.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator.contact_log.reconcile import reconcile
from orchestrator.dispatch.breaker import open_breakers
from orchestrator.dispatch.outage import outages
from orchestrator.events.envelope import Event
from orchestrator.runtimes.kafka.lag import lag
from orchestrator.testing.builders import event
from tests.campaigns.campaign import DONE, Campaign, Relay, Touch
from tests.campaigns.sink import Sink, Taken
from tests.kafka.workers import until
from tests.servers import Kafka, Postgres

# the one that goes down takes its time, so that calls are in doubt when it does
SINKS_MS = {"first": 200, "second": 10}
CONNECTIONS = 60
BOUNDS = ("failures = 5", "failure_window_s = 3.0", "rest_s = 2.0")
# refused before the breaker opened, with no account left to go to: such wait a while of their own, minutes
WAITING = 60
SECOND_US = 1_000_000
# how much later than it was begun a call may reach the sink, on a machine that others use
JITTER_US = 1_000_000


class Size(NamedTuple):
    """How much there is."""

    early: int
    late: int
    owed: int
    short: int
    # calls a second
    rates: tuple[float, float]
    # seconds that one of them is down, and that both are
    down_s: float
    both_s: float
    valid_for_s: int
    within_s: float
    # wait for those as well that were refused and have a while of their own to wait
    to_the_end: bool


QUICK = Size(300, 150, 40, 20, (60, 40), 3, 8, 5, 120, to_the_end=False)
LONG = Size(15_000, 10_000, 3_000, 1_000, (150, 60), 120, 180, 60, 2_400, to_the_end=True)


class Ran(NamedTuple):
    """What came of it."""

    touches: list[Touch]
    first: list[Taken]
    second: list[Taken]
    # breakers seen open while the first was down, and while both were
    opened: tuple[set[str], set[str]]
    # (journey, reason) of what ended as a silence
    silences: Counter[tuple[str, str]]
    # when both were well again, microseconds since 1970
    back: int
    out_at_the_end: list[str]
    adds_up: bool


def owed(members: range) -> list[Event]:
    """What they are owed to know: service."""
    now = datetime.now(UTC)
    data = {"points": 100, "expires_on": (now + timedelta(days=20)).date().isoformat()}
    return [event("points.expiring", f"early-{n}", now, data) for n in members]


def closed(members: range) -> list[Event]:
    """A question that is of use for seconds alone."""
    now = datetime.now(UTC)
    return [event("complaint.closed", f"early-{n}", now, {"complaint_id": f"c-{n}"}) for n in members]


def lived(size: Size, folder: Path, kafka: Kafka, postgres: Postgres) -> Ran:
    """A campaign through two accounts that go down."""
    first, second = (Sink(folder, name, takes_ms) for name, takes_ms in SINKS_MS.items())
    for sink in (first, second):
        sink.start()
    relays = [
        Relay(name, sink.port, rate, CONNECTIONS, 2.0, BOUNDS)
        for name, sink, rate in zip(SINKS_MS, (first, second), size.rates, strict=True)
    ]
    campaign = Campaign(folder / "project", kafka, postgres, relays, dispatch=["lease_s = 8.0", "max_attempts = 20"])
    _ask_at_once(folder / "project", size.valid_for_s)
    try:
        workers = [campaign.worker(), campaign.worker("dispatch")]
        campaign.join(f"early-{n}" for n in range(size.early))
        # what is only on its way when the account breaks down is in doubt
        until(
            lambda: _accepted(campaign, "first") >= size.early // 5, "the first account sends", size.within_s, workers
        )

        # connections break, and new ones are refused
        first.kill()
        until(lambda: "first" in open_breakers(campaign.store), "its breaker opens", size.within_s, workers)
        one_down = set(open_breakers(campaign.store))
        until(lambda: len(second.taken()) >= size.early // 5, "the second stands in", size.within_s, workers)
        time.sleep(size.down_s)

        # the other one refuses everything by a passing error
        second.refuse()
        campaign.join(f"late-{n}" for n in range(size.late))
        until(lambda: _out(campaign), "the channel is out", size.within_s, workers)
        both_down = set(open_breakers(campaign.store))
        campaign.send([*closed(range(size.short)), *owed(range(size.short, size.short + size.owed))])
        until(lambda: sum(_silences(campaign).values()) >= size.short, "time is over", size.within_s, workers)
        time.sleep(size.both_s)

        back = time.time_ns() // 1_000
        second.refuse()
        first.start()
        sent = campaign.settled if size.to_the_end else lambda: _nothing_due(campaign)
        until(sent, "the backlog is sent", size.within_s, workers)
        for worker in workers:
            worker.end()
        return Ran(
            touches=campaign.touches(),
            first=first.taken(),
            second=second.taken(),
            opened=(one_down, both_down),
            silences=_silences(campaign),
            back=back,
            out_at_the_end=[channel for channel, outage in outages(campaign.store).items() if not outage.until],
            adds_up=reconcile(campaign.store).holds,
        )
    finally:
        campaign.close()
        for sink in (first, second):
            sink.kill()


def judge(ran: Ran, size: Size) -> None:
    """All that must hold."""
    # the breaker opens, the other account stands in, and in the end both are well
    assert ({"first"}, {"first", "second"}) == ran.opened
    assert [] == ran.out_at_the_end
    by_account = Counter(touch.account for touch in ran.touches if touch.state == "accepted")
    assert by_account["first"]
    assert min(len(ran.first), by_account["second"]) >= size.early // 5
    # refused by one, taken by the other or later
    assert any(touch.attempts > 1 and touch.state == "accepted" for touch in ran.touches)

    # nothing twice, whichever account; what was cut off in the middle is in doubt, and not called again
    taken = Counter(mail.touch_id for mail in [*ran.first, *ran.second])
    state = {touch.touch_id: touch.state for touch in ran.touches}
    assert [] == [touch for touch, times in taken.items() if times > 1]
    assert {"accepted", "unknown"} >= {state[touch] for touch in taken}
    assert {touch for touch, its in state.items() if its == "accepted"} <= taken.keys()

    # what was past its time while nobody could be called: a silence with that reason, and never sent
    assert {("complaint-follow-up", "provider_unavailable"): size.short} == ran.silences
    assert size.short == sum(touch.state == "cancelled" for touch in ran.touches)
    assert size.early + size.late + size.owed + size.short == len(ran.touches)

    # nothing is left, but for what was refused and waits its own while
    left = [touch for touch in ran.touches if touch.state not in DONE]
    assert len(left) <= (0 if size.to_the_end else WAITING)
    assert {"reserved"} >= {touch.state for touch in left}
    assert all(touch.attempts for touch in left)

    # what members are owed goes first, but for what was looked for an account of its own
    journey = {touch.touch_id: touch.journey for touch in ran.touches}
    after = [
        journey[mail.touch_id] for mail in sorted([*ran.first, *ran.second], key=lambda m: m.at) if mail.at > ran.back
    ]
    places = {name: [i for i, each in enumerate(after) if each == name] for name in ("points-expiring", "welcome")}
    assert size.owed == len(places["points-expiring"])
    assert len(places["welcome"]) >= size.late - len(left)
    before = sum(i < places["points-expiring"][-1] for i in places["welcome"])
    assert before <= len(places["welcome"]) // 4, f"{before} of {len(places['welcome'])} went before what is owed"

    for sink, rate in zip((ran.first, ran.second), size.rates, strict=True):
        assert _most(sink, SECOND_US) <= 2 * rate
        # what arrives within five seconds was begun within six
        assert _most(sink, 5 * SECOND_US) <= rate * (5 * SECOND_US + JITTER_US) / SECOND_US
    assert ran.adds_up


def _most(sink: list[Taken], within_us: int) -> int:
    """The most messages that came within any span of this length."""
    ats, most, first = sorted(mail.at for mail in sink), 0, 0
    for last, at in enumerate(ats):
        while at - ats[first] >= within_us:
            first += 1
        most = max(most, last - first + 1)
    return most


def _ask_at_once(project: Path, valid_for_s: int) -> None:
    path = project / "templates/complaint-follow-up/journey.yaml"
    text = path.read_text(encoding="utf-8")
    assert "  - wait: P1D\n" in text
    text = text.replace("  - wait: P1D\n", "").replace("valid_for: P5D", f"valid_for: PT{valid_for_s}S")
    path.write_text(text, encoding="utf-8")


def _nothing_due(campaign: Campaign) -> bool:
    """Whether all that was said is turned, and no touch is under way or may be called."""
    now = time.time_ns() // 1_000
    waits = "SELECT count(*) FROM touches WHERE state IN ('claimed', 'attempting') OR state = 'reserved' AND due <= %s"
    report = lag(campaign.project, now)
    return not report.lag and not report.due and not campaign.ask(waits, now)[0][0]


def _accepted(campaign: Campaign, account: str) -> int:
    query = f"SELECT count(*) FROM touches WHERE state = 'accepted' AND account = '{account}'"
    return int(campaign.ask(query)[0][0])


def _out(campaign: Campaign) -> bool:
    return any(not outage.until for outage in outages(campaign.store).values())


def _silences(campaign: Campaign) -> Counter[tuple[str, str]]:
    """(journey, reason) of what ended as a silence."""
    query = "SELECT journey, reason, count(*) FROM log WHERE kind = 'decision' AND verdict = 'suppress' GROUP BY 1, 2"
    return Counter({(journey, reason): n for journey, reason, n in campaign.ask(query)})


@pytest.mark.kafka
@pytest.mark.timeout(500)
def test_an_outage_is_lived_through(tmp_path: Path, kafka: Kafka, postgres: Postgres) -> None:
    judge(lived(QUICK, tmp_path, kafka, postgres), QUICK)


@pytest.mark.soak
@pytest.mark.kafka
@pytest.mark.timeout(7_000)
def test_minutes_of_an_outage(tmp_path: Path, kafka: Kafka, postgres: Postgres) -> None:
    judge(lived(LONG, tmp_path, kafka, postgres), LONG)
