"""One chaos run from start to end: stage, play, quiet, harvest, verdict.

start servers ─▶ backlog, early opt-outs ─▶ workers ─▶ feed · faults · opt-outs · receipts · scaling ─▶ quiet ─▶ check
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from orchestrator.content.journeys import load_pools
from orchestrator.project import Project, open_project
from orchestrator.voucher_files import load
from tests.chaos.checker import check
from tests.chaos.evidence import Evidence, Violation, read
from tests.chaos.feed import Feed
from tests.chaos.harvest import TOPICS, end_offsets, harvest, to_do
from tests.chaos.plan import (
    ACCOUNTS,
    CHANNELS,
    Fault,
    Plan,
    caps,
    codes_of,
    contact_of,
    expected,
    group_of,
    make_plan,
    name_of,
)
from tests.chaos.project import POOL, PROMISING, Hours, hours_from, make_project, write_policies
from tests.chaos.report import report_of, table_of
from tests.chaos.sabotage import deafen
from tests.chaos.stage import Stage
from tests.chaos.trouble import Aftermath, strike
from tests.chaos.voices import Voices, now, until_it_works
from tests.chaos.watch import Watch

# the play begins so long after the first worker is started, in seconds, or when that one has begun to turn; the hours
# close at their time. Where a mere command takes long, a worker takes so many times as long
BEGINS_AFTER_S, TIMES_A_COMMAND = 6.0, 4.0
STARTS_WITHIN_S = 240.0
# the provider answers 429 for so long; a channel that was told so rests for half a minute, so it is late in the play
STORM_S, STORM_AT = 1.5, 0.85
# it crawls from the burst until after the hours have closed: what waits then meets closed hours
CRAWL_S = 5.0
# the first account's sender is refused for so long: the second has all there is
BLOCK_S, BLOCK_AT = 3.0, 0.3
# more voucher codes come then
RESTOCK_AT = 0.55
# a taking over at rest is waited for so long beyond the session's time-out
REST_S = 90.0
# beyond what is waited for anyway
QUIET_WITHIN_S = 85.0


class Run:
    """A run's threads and what they found out."""

    def __init__(self, folder: Path, plan: Plan, sabotage: str, say: Callable[[str], None]) -> None:
        self.folder, self.plan, self.sabotage, self.say = folder, plan, sabotage, say
        self.stage = Stage(folder, plan.seed, sabotage)
        self.struck: list[Aftermath] = []
        # when workers were added or taken away, by time.monotonic
        self.scaled: list[float] = []
        # seconds of the run's parts, in order
        self.parts_s: dict[str, float] = {}
        self.first_decision_s: float | None = None
        self.failed: list[str] = []
        self._over = threading.Event()
        self._began = time.monotonic()

    @property
    def quiet_within_s(self) -> float:
        """How long after the play the run may take to come to rest."""
        return self.plan.pace.horizon_s + QUIET_WITHIN_S

    def play(self) -> tuple[list[Violation], Evidence]:
        """The whole run; what did not hold, and what it was judged by."""
        stage, plan = self.stage, self.plan
        try:
            stage.start()
            self._part("servers")
            make_project(stage.project, stage.database, stage.kafka.bootstrap, plan.pace)
            hours = hours_from(time.time())
            write_policies(stage.project, plan.pace, hours)
            asked = time.monotonic()
            stage.run_cli("topics", "create")
            begins_after_s = max(BEGINS_AFTER_S, TIMES_A_COMMAND * (time.monotonic() - asked))
            if self.sabotage == "suppression":
                # who hears an opt-out first is here, and cancels what waits
                deafen()
            with open_project(stage.project) as project:
                self.codes = Codes(project, plan, self.folder)
                self.codes.load()
                self.feed = Feed(plan, stage.kafka.bootstrap)
                voices = self.voices = Voices(plan, project, self.folder)
                self.feed.backlog()
                voices.early()
                self._part("project")
                hours = hours_from(time.time() + begins_after_s + plan.close_s)
                write_policies(stage.project, plan.pace, hours)
                self.watch = Watch(stage.database)
                self._thread(self.watch.run)
                self._thread(stage.supervise)
                stage.scale(plan.scale[0][1])
                start = self._first_worker(hours)
                self._part("first worker")
                self.say(f"plays for {plan.play_s:.0f} s; hours close {_in_s(hours.start):.0f} s from now")
                listening = self._thread(voices.tell)
                parts = (
                    lambda: self.feed.run(start),
                    lambda: voices.opt_out(start),
                    lambda: self._trouble(start),
                    lambda: self._scaling(start),
                    lambda: self._restock(start),
                )
                threads = [self._thread(work) for work in parts]
                self._thread(lambda: self._weather(start))
                for thread in threads:
                    thread.join()
                self._part("play")
                quiet = self._quiet()
                if plan.kill_at_rest and quiet:
                    self._kill_at_rest()
                ended = now()
                voices.stop()
                listening.join()
                quiet = quiet and self._quiet()
                self._part("quiet")
                exits = stage.stop_workers()
            self._over.set()
            self.watch.stop()
            harvest(stage, self.folder, ended)
            (self.folder / "truth.json").write_text(json.dumps(self._truth(hours, ended)), encoding="utf-8")
        finally:
            self._over.set()
            stage.close()
        self._part("harvest")
        violations = [] if quiet else [Violation("not_quiet", f"work was left after {self.quiet_within_s:.0f} s")]
        violations += [Violation("chaos_itself", text) for text in self.failed]
        violations += [Violation("orderly_end", f"a worker told to end exited with {code}") for code in exits if code]
        evidence = read(self.folder)
        violations += check(evidence)
        self._part("check")
        return violations, evidence

    def _first_worker(self, hours: Hours) -> float:
        """Waits for the first worker's first decision; when the play begins, in seconds since 1970.

        A worker that took its time finds the play's beginning over; the hours close at their time.
        """
        started = self.stage.workers[0].started
        while self.watch.decided_at is None:
            if time.monotonic() > started + STARTS_WITHIN_S or self.stage.hopeless:
                raise RuntimeError(f"no worker decided anything within {STARTS_WITHIN_S:.0f} s; see workers.log")
            time.sleep(0.05)
        self.first_decision_s = round(self.watch.decided_at - started, 1)
        start = hours.start / 1e6 - self.plan.close_s
        _sleep_until(start)
        return start

    def _part(self, name: str) -> None:
        self.parts_s[name] = round(time.monotonic() - self._began - sum(self.parts_s.values()), 1)

    # --- threads

    def _thread(self, work: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: BLE001 - told at the end; the run goes on
                self.failed.append(f"{getattr(work, '__qualname__', work)}: {type(error).__name__}: {error}")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def _scaling(self, start: float) -> None:
        for at_s, workers in self.plan.scale:
            _sleep_until(start + at_s)
            self.say(f"{at_s:5.0f} s  {workers} workers")
            self.stage.scale(workers)
            self.scaled.append(time.monotonic())

    def _trouble(self, start: float) -> None:
        for fault in self.plan.faults:
            _sleep_until(start + fault.at_s)
            if self.stage.hopeless:
                raise RuntimeError("workers end as soon as they start; see workers.log")
            self._strike(fault)

    def _strike(self, fault: Fault) -> Aftermath:
        struck = strike(self.stage, fault, self.plan.pace, self.watch, self.voices)
        after = Aftermath(struck)
        self.struck.append(after)
        self.say(f"{time.monotonic() - self._began:5.0f} s  {fault.kind}{'' if struck.met else ' (no worker came by)'}")
        if struck.met:
            self._thread(lambda: self._recovers(after))
            self._thread(lambda: self._is_taken_over(after))
        return after

    def _kill_at_rest(self) -> None:
        """One more kill when nothing else goes on: how long a taking over lasts by itself.

        Returns when its successor has its share: before that it can't be told to end in order.
        """
        after = self._strike(Fault(0.0, "kill", 0))
        until = time.monotonic() + self.plan.pace.session_s + REST_S
        while (after.taken_over is None or not self._all_hold(after)) and time.monotonic() < until:
            time.sleep(0.05)

    def _all_hold(self, after: Aftermath) -> bool:
        """Whether all workers that are wanted run and hold partitions, the victims' successors among them."""
        with self.stage.lock:
            names = [worker.name for worker in self.stage.workers if worker.name not in after.struck.victims]
        hold = all(self.watch.held_by((name,), time.monotonic()) for name in names)
        return hold and len(names) == self.stage.wanted

    def _recovers(self, after: Aftermath) -> None:
        """Waits until all that was sent a second after the fault is applied."""
        time.sleep(max(0.0, after.struck.at + 1.0 - time.monotonic()))
        target = self.feed.sent
        while self.watch.applied < target:
            if self._over.wait(0.05):
                return
        after.recovered = max(time.monotonic(), after.struck.over)

    def _is_taken_over(self, after: Aftermath) -> None:
        """Waits until others hold what the victims held; a victim that slept too little may well keep it."""
        held = self.watch.held_by(after.struck.victims, after.struck.at)
        while held and (taken := self.watch.taken_over_at(held)) is None:
            if self._over.wait(0.05):
                return
        if held:
            after.taken_over = taken

    def _restock(self, start: float) -> None:
        _sleep_until(start + self.plan.play_s * RESTOCK_AT)
        until_it_works(self.codes.load)

    def _weather(self, start: float) -> None:
        for what, at_s, seconds in (
            ("block", self.plan.play_s * BLOCK_AT, BLOCK_S),
            ("crawl", self.plan.burst_s, CRAWL_S),
            ("storm", self.plan.play_s * STORM_AT, STORM_S),
        ):
            _sleep_until(start + at_s)
            body = json.dumps({"seconds": seconds}).encode()
            request = urllib.request.Request(f"{self.stage.provider}/{what}", data=body, method="POST")
            urllib.request.urlopen(request, timeout=10).read()

    # --- how far it is

    def _ask(self, query: str) -> Any:
        with psycopg.connect(self.stage.database, connect_timeout=5) as connection:
            row = connection.execute(query.encode()).fetchone()
            return row[0] if row else None

    def _quiet(self) -> bool:
        """Waits until nothing is left to do: all read, nothing due soon, no live touch, all told."""
        deadline = time.monotonic() + self.quiet_within_s
        while time.monotonic() < deadline and not self.stage.hopeless:
            if until_it_works(self._is_quiet):
                return True
            time.sleep(0.3)
        return False

    def _is_quiet(self) -> bool:
        if to_do(self.stage.database, self.plan.pace.horizon_s * 1_000_000):
            return False
        read = self._ask("SELECT coalesce(sum(next_offset), 0) FROM progress")
        ends = sum(end_offsets(self.stage.kafka.bootstrap, "member-events").values())
        told = "SELECT coalesce(sum(c.n), 0) FROM cursors c WHERE c.topic = '{}'"
        log = self._ask("SELECT coalesce(sum(log_n), 0) FROM progress")
        return bool(read == ends and all(self._ask(told.format(topic)) == log for topic in TOPICS))

    def _truth(self, hours: Hours, ended: int) -> dict[str, object]:
        members = range(self.plan.members)
        closed = {"group": "a", "from": hours.start, "until": hours.end, "purposes": ["marketing"]}
        return expected(self.plan) | {
            "seed": self.plan.seed,
            "caps": caps(self.plan.pace),
            "closed": [closed],
            "groups": {name_of(member): group_of(member) for member in members},
            "contacts": {name_of(m): {channel: contact_of(m, channel) for channel in CHANNELS} for m in members},
            "accounts": {channel: ACCOUNTS.get(channel, ("capture",)) for channel in CHANNELS},
            "codes": [code for part in codes_of(self.plan) for code in part],
            "voucher_journeys": PROMISING,
            "consent_purposes": ["marketing"],
            "relayed": TOPICS,
            "ended_at": ended,
        }


class Codes:
    """The voucher codes of a run, which come in two files."""

    def __init__(self, project: Project, plan: Plan, folder: Path) -> None:
        self._project, self._pools = project, load_pools(project.path / "templates")
        self._files = [folder / f"codes-{number}.txt" for number in (1, 2)]
        for file, codes in zip(self._files, codes_of(plan), strict=True):
            file.write_text("".join(f"{code}\n" for code in codes), encoding="utf-8")

    def load(self) -> None:
        """Loads the next file; one that was cut off is loaded again, which adds what is missing."""
        load(self._project.store, self._project.vault, self._pools, POOL, self._files[0])
        del self._files[0]


def run(
    folder: Path, seed: int, events: int, faults: int, sabotage: str = "", say: Callable[[str], None] = print
) -> dict[str, Any]:
    """A run of these numbers; the report, which is also written to `report.json` in the folder."""
    this = Run(folder, make_plan(seed, events, faults, sabotage), sabotage, say)
    report = report_of(this, *this.play())
    (folder / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    return report


def _in_s(us: int) -> float:
    return us / 1e6 - time.time()


def _sleep_until(at: float) -> None:
    """`at`: seconds since 1970."""
    time.sleep(max(0.0, at - time.time()))


def main() -> int:
    """`make chaos`: numbers from the environment, evidence in build/chaos; 1 on any violation."""
    folder = Path(os.environ.get("CHAOS_FOLDER", "build/chaos")).resolve()
    seed, events, faults = (int(os.environ.get(name, given)) for name, given in _DEFAULTS.items())
    sabotage = os.environ.get("SABOTAGE", "")

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    say(f"SEED={seed} EVENTS={events} FAULTS={faults} SABOTAGE={sabotage}")
    report = run(folder, seed, events, faults, sabotage, say)
    say(table_of(report))
    return 1 if report["violations"] else 0


_DEFAULTS = {"SEED": "1", "EVENTS": "300000", "FAULTS": "20"}
