"""A worker is killed (`kill -9`) three times in the middle of an e-mail campaign, with calls under way each time.

Every member has exactly one touch; those whose call was cut are `unknown`, by name; the mail server holds every
accepted message and else only such as are in doubt, none of them twice. Kafka, PostgreSQL and SMTP are real.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator.contact_log.reconcile import reconcile
from orchestrator.contact_log.verify import verify
from tests.campaigns.campaign import Campaign, Relay, Touch
from tests.campaigns.sink import Sink, Taken
from tests.kafka.workers import Running, until
from tests.servers import Kafka, Postgres

KILLS = 3
LEASE_S = 6.0
# a call that is cut is cut within so long
SINK_MS = 30


class Ran(NamedTuple):
    """What a campaign came to."""

    members: int
    touches: list[Touch]
    # touches whose attempt was on record without an outcome when a worker was killed, of each kill
    cut: list[set[str]]
    taken: list[Taken]
    # touches that the contact log names as unknown
    named: Counter[str]
    broken: list[object]
    adds_up: bool


def lived(members: int, connections: int, folder: Path, kafka: Kafka, postgres: Postgres, within_s: float) -> Ran:
    """A campaign to so many members, its worker killed at the quarters of it."""
    sink = Sink(folder, delay_ms=SINK_MS)
    sink.start()
    relay = Relay("relay", sink.port, connections=connections, timeout_s=LEASE_S / 2)
    campaign = Campaign(
        folder / "project", kafka, postgres, [relay], dispatch=[f"lease_s = {LEASE_S}"], journeys=["welcome"]
    )
    try:
        campaign.join(f"member-{n}" for n in range(members))
        cut = list[set[str]]()
        worker = campaign.worker()
        for kill in range(1, KILLS + 1):
            until(lambda: len(sink.taken()) >= members * kill // (KILLS + 1), "so many were sent", within_s, [worker])  # noqa: B023 - asked at once
            cut.append(killed(campaign, worker))
            worker = campaign.worker()
        campaign.until_settled([worker], within_s)
        worker.end()
        unknown = campaign.ask("SELECT touch_id FROM log WHERE kind = 'touch' AND state = 'unknown'")
        return Ran(
            members=members,
            touches=campaign.touches(),
            cut=cut,
            taken=sink.taken(),
            named=Counter(touch for (touch,) in unknown),
            broken=list(verify(campaign.store).faults),
            adds_up=reconcile(campaign.store).holds,
        )
    finally:
        campaign.close()
        sink.kill()


def killed(campaign: Campaign, worker: Running) -> set[str]:
    """Kills a worker that has calls under way; the touches of those calls."""
    while True:
        # it stands still while it is looked at, so that what is seen is what the kill cuts
        worker.signal(signal.SIGSTOP)
        time.sleep(0.05)
        if campaign.states()["attempting"]:
            worker.kill()
            # what the server had been told to commit, it commits
            time.sleep(0.2)
            return {touch.touch_id for touch in campaign.touches() if touch.state == "attempting"}
        worker.signal(signal.SIGCONT)
        time.sleep(0.02)


def judge(ran: Ran) -> None:
    """All that must hold."""
    states = Counter(touch.state for touch in ran.touches)
    assert set(states) <= {"accepted", "unknown"}, states
    # nobody is left out, nobody has two
    assert Counter(touch.member for touch in ran.touches).most_common(1)[0][1] == 1
    assert ran.members == len(ran.touches)
    # what was cut is in doubt, for good, and nothing else is: each of them is named by the log, once
    cut = set[str]().union(*ran.cut)
    assert all(ran.cut)
    assert cut == {touch.touch_id for touch in ran.touches if touch.state == "unknown"}
    assert dict.fromkeys(cut, 1) == ran.named
    # the server holds nothing twice, everything that was accepted, and else only what is in doubt
    taken = Counter(mail.touch_id for mail in ran.taken)
    accepted = {touch.touch_id for touch in ran.touches if touch.state == "accepted"}
    assert [] == [touch for touch, times in taken.items() if times > 1]
    assert accepted <= taken.keys() <= accepted | cut
    assert [] == ran.broken
    assert ran.adds_up


# three starts of a worker, three sessions that the broker has to give up
@pytest.mark.kafka
@pytest.mark.timeout(500)
def test_a_killed_worker_leaves_nobody_out_and_writes_to_nobody_twice(
    tmp_path: Path, kafka: Kafka, postgres: Postgres
) -> None:
    judge(lived(1_000, 8, tmp_path, kafka, postgres, 120))


@pytest.mark.soak
@pytest.mark.kafka
@pytest.mark.timeout(7_000)
def test_a_long_campaign(tmp_path: Path, kafka: Kafka, postgres: Postgres) -> None:
    judge(lived(50_000, 100, tmp_path, kafka, postgres, 6_000))
