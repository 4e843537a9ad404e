"""`python -m benchmarks.mail`: a personalised two-part e-mail, from its event to an SMTP sink.

    python -m benchmarks.mail [--messages N] [--rounds N] [--profile] [--quick] [--only WORDS]

Real Kafka, real PostgreSQL (durable), the shipped welcome (HTML beside text, the member's name, a signed opt-out link),
the shipped SMTP adapter. Every attempt is on record before its call, every outcome after it. Two ways to look:

    campaign   events wait in the topic; one worker decides and renders while one or two others dispatch. The clock
               stops when every message has its outcome on record
    backlog    everything was decided before, nobody decides any more; what one or two dispatchers do with it

and each for a sink that answers at once and for one that takes 20 ms. It ends with an error where the sink's ledger
does not hold exactly the accepted messages, each once. Prints a table; writes `build/bench-mail.json`.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from msgspec import Struct

from benchmarks.kafka import profiling
from benchmarks.kafka.stage import Stage, children, cpu_s, servers
from benchmarks.table import Line, show, write
from benchmarks.yardstick import pieces_per_cpu_s
from tests.campaigns.campaign import Campaign, Relay
from tests.campaigns.sink import Sink
from tests.kafka.workers import Running, until

OUT = Path("build/bench-mail.json")
WITHIN_S, POLL_S = 1_200.0, 0.1
DELAYS_MS = (0, 20)
# so much of a run is not looked at for memory: it warms up
WARM = 0.3
# what a sample was at: the first of these that its stack names
PARTS = (
    ("the message's bytes", ("email/smtp/message.py",)),
    ("SMTP, sockets", ("email/smtp/", "aiosmtplib/")),
    ("opening: keys, unseal, inflate", ("dispatch/opening.py",)),
    ("store: claims", ("claim (orchestrator/stores",)),
    ("store: attempts", ("attempt (orchestrator/stores",)),
    ("store: outcomes", ("outcomes (orchestrator/stores",)),
    ("dispatcher's own", ("orchestrator/dispatch/",)),
)


class Ran(Struct, frozen=True, kw_only=True):
    """One run."""

    way: str
    sink_ms: float
    dispatchers: int
    messages: int
    # octets of a message, on average
    octets: int
    seconds: float
    per_s: float
    # processor time a message, microseconds
    decide_us: int
    dispatch_us: int
    postgres_us: int
    sink_us: int
    # resident megabytes of the largest dispatcher: when three tenths were sent, and the most from there on
    warm_mb: int
    most_mb: int


class _Watch:
    """What processes cost between its making and `spent`."""

    def __init__(self, postgres: int, sink: int, deciders: Sequence[Running], dispatchers: Sequence[Running]) -> None:
        self._groups = [
            [worker.process.pid for worker in deciders],
            [worker.process.pid for worker in dispatchers],
            [postgres],
            [sink],
        ]
        self._began = self._now()
        self._dispatchers = self._groups[1]
        self.warm_mb = self.most_mb = 0

    def _now(self) -> list[float]:
        groups = [[*pids, *(child for pid in pids for child in children(pid))] for pids in self._groups]
        return [cpu_s(pids) for pids in groups]

    def look(self, share: float) -> None:
        """Looks at the dispatchers' memory when this share of the messages was sent."""
        if share < WARM:
            return
        now = max(_resident_mb(pid) for pid in self._dispatchers)
        self.warm_mb, self.most_mb = self.warm_mb or now, max(self.most_mb, now)

    def spent(self, messages: int) -> list[int]:
        """Microseconds a message: deciding, dispatching, PostgreSQL, sink."""
        return [round((now - then) / messages * 1e6) for now, then in zip(self._now(), self._began, strict=True)]


class Bench:
    """The servers, and what is run on them."""

    def __init__(self, stage: Stage, messages: int, connections: int) -> None:
        self.stage, self.messages, self.connections = stage, messages, connections
        self._runs = 0

    def run(self, way: str, sink_ms: float, dispatchers: int, samples: Path | None = None) -> Ran:
        """One run on a fresh database; `samples` is where a profile of the first dispatcher goes."""
        self._runs += 1
        folder = self.stage.folder / f"run-{self._runs}"
        sink = Sink(self.stage.folder, folder.name, sink_ms)
        sink.start()
        relay = Relay("relay", sink.port, connections=self.connections)
        campaign = Campaign(folder, self.stage.kafka, self.stage.postgres, [relay])
        try:
            campaign.join(f"member-{n}" for n in range(self.messages))
            ran = self._watched(campaign, sink, way, dispatchers, samples)
            self._check(campaign, sink)
        finally:
            campaign.close()
            sink.kill()
        return msgspec.structs.replace(ran, way=way, sink_ms=sink_ms)

    def _watched(self, campaign: Campaign, sink: Sink, way: str, dispatchers: int, samples: Path | None) -> Ran:
        decider = campaign.worker("decide")
        if way == "backlog":
            until(lambda: self._decided(campaign) >= self.messages, "all was decided", WITHIN_S, [decider])
            decider.end()
        else:
            until(lambda: self._decided(campaign) > 0, "the first was decided", WITHIN_S, [decider])
        deciders = [decider] if way == "campaign" else []
        started = [campaign.worker("dispatch") for _ in range(dispatchers)]
        workers = [*deciders, *started]
        # a worker's start, some seconds of imports and content, is no part of its rate
        until(lambda: campaign.ended() > 0, "the first was sent", WITHIN_S, workers)
        watch, before, began = _Watch(self.stage.postgres.pid, sink.pid, deciders, started), campaign.ended(), _now()
        looking = profiling.begin(started[0], samples) if samples else None
        # what is on record is counted only once all were sent: that takes longer than many a message does
        while (taken := sink.count()) < self.messages or campaign.ended() < self.messages:
            watch.look(taken / self.messages)
            if _now() - began > WITHIN_S or any(worker.process.poll() is not None for worker in workers):
                raise RuntimeError(f"{taken} of {self.messages} were sent")
            time.sleep(POLL_S)
        seconds, sent = _now() - began, self.messages - before
        decide, dispatch, postgres, at_sink = watch.spent(sent)
        if looking is not None:
            looking.wait(120)
        for worker in workers:
            worker.end()
        octets = median(taken.size for taken in sink.taken())
        return Ran(
            way="",
            sink_ms=0,
            dispatchers=dispatchers,
            messages=sent,
            octets=round(octets),
            seconds=round(seconds, 2),
            per_s=round(sent / seconds, 1),
            decide_us=decide,
            dispatch_us=dispatch,
            postgres_us=postgres,
            sink_us=at_sink,
            warm_mb=watch.warm_mb,
            most_mb=watch.most_mb,
        )

    def _decided(self, campaign: Campaign) -> int:
        return int(campaign.ask("SELECT count(*) FROM touches")[0][0])

    def _check(self, campaign: Campaign, sink: Sink) -> None:
        """Every message is on record as attempted once and accepted, and is in the sink once."""
        accepted = campaign.ask("SELECT touch_id FROM touches WHERE state = 'accepted' AND attempts = 1")
        if sorted(touch for (touch,) in accepted) != sorted(taken.touch_id for taken in sink.taken()):
            raise RuntimeError(f"the sink's ledger is not what is on record: {campaign.states()}")
        if len(accepted) != self.messages:
            raise RuntimeError(f"{len(accepted)} of {self.messages} were accepted")


def _now() -> float:
    return time.monotonic()


def _resident_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def told(ran: Ran) -> Line:
    """A run in the table."""
    costs = f"decide {ran.decide_us}, dispatch {ran.dispatch_us}, PostgreSQL {ran.postgres_us}, sink {ran.sink_us} us"
    memory = f"{ran.warm_mb} MB, at most {ran.most_mb}"
    return Line(
        f"{ran.way}, {ran.dispatchers} dispatching, sink {ran.sink_ms:g} ms",
        f"{ran.per_s:,.0f} messages/s",
        f"{costs}; {memory}; {ran.octets:,} octets each",
    )


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mail", description=__doc__)
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--connections", type=int, default=100, help="of each dispatcher with the sink")
    parser.add_argument("--only", default="", help="such runs alone: campaign or backlog")
    parser.add_argument("--dispatchers", type=int, nargs="*", default=[1, 2])
    parser.add_argument(
        "--delays", type=int, nargs="*", default=list(DELAYS_MS), help="milliseconds that the sink takes"
    )
    parser.add_argument("--profile", action="store_true", help="say where a dispatcher's time goes (py-spy)")
    parser.add_argument("--quick", action="store_true", help="a smoke test: its figures say nothing")
    asked = parser.parse_args()
    messages = 200 if asked.quick else asked.messages
    started, runs, shares = time.time(), list[Ran](), dict[str, float]()
    # a new topic has no leader for a moment, and clients try again
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with servers() as stage:
        bench = Bench(stage, messages, asked.connections)
        for _ in range(asked.rounds):
            for way in ("backlog", "campaign"):
                if asked.only not in ("", way):
                    continue
                for sink_ms in asked.delays:
                    for dispatchers in asked.dispatchers:
                        runs.append(bench.run(way, sink_ms, dispatchers))
                        show([told(runs[-1])])
        if asked.profile:
            shares = profile(bench)
    about: dict[str, Any] = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load_1m": os.getloadavg()[0],
        "yardstick": round(pieces_per_cpu_s()),
    }
    plain = [msgspec.to_builtins(ran) for ran in runs]
    write(about | {"runs": plain, "profile": shares, "took_s": round(time.time() - started)}, OUT)


def profile(bench: Bench) -> dict[str, float]:
    """Where a dispatcher's time goes, in a run of its own over a backlog."""
    if why := profiling.missing():
        show([Line("profile", "left out", why)])
        return {}
    # kept: a flame graph is drawn from it
    out = Path("build/bench-mail.samples").resolve()
    bench.run("backlog", 0, 1, out)
    lines = out.read_text(encoding="utf-8").splitlines() if out.exists() else []
    found = profiling.counted(lines, PARTS)
    show(Line(f"time: {part}", f"{share:.0%}", "of what the dispatcher computes") for part, share in found.items())
    return found


if __name__ == "__main__":
    main()
