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
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from orchestrator.project import open_project
from tests.chaos.calls import longest_after_optout
from tests.chaos.checker import check
from tests.chaos.evidence import Violation, read
from tests.chaos.feed import Feed
from tests.chaos.harvest import LIVE, TOPICS, end_offsets, harvest
from tests.chaos.plan import CAPS, Plan, expected, group_of, make_plan, name_of
from tests.chaos.project import Hours, hours_from, make_project
from tests.chaos.stage import Stage
from tests.chaos.trouble import Struck, strike
from tests.chaos.voices import Voices, now, until_it_works

STARTS_WITHIN_S = 90.0
# the hours close so long after the start of the play, in seconds, where the first worker is quick enough
CLOSE_WITHIN_S = (14.0, 50.0)
# the provider answers 429 for so long, just before the hours close: what waits then meets closed hours
STORM_S, STORM_BEFORE_S = 1.5, 5.0
# timers and validities of the run all lie within this
HORIZON_US = 65_000_000
QUIET_WITHIN_S = 150.0


class Run:
    """A run's threads and what they found out."""

    def __init__(self, folder: Path, plan: Plan, sabotage: str, say: Callable[[str], None]) -> None:
        self.folder, self.plan, self.say = folder, plan, say
        self.stage = Stage(folder, plan.seed, sabotage)
        self.struck: list[Struck] = []
        self.recovery_s: dict[str, list[float]] = defaultdict(list)
        self.failed: list[str] = []
        self._over = threading.Event()

    def play(self) -> list[Violation]:
        """The whole run; what did not hold."""
        stage, plan = self.stage, self.plan
        try:
            stage.start()
            hours = hours_from(datetime.now(UTC) + timedelta(seconds=CLOSE_WITHIN_S[0] + 14))
            make_project(stage.project, stage.database, stage.kafka.bootstrap, hours)
            stage.run_cli("topics", "create")
            with open_project(stage.project) as project:
                _ = project.store
                self.feed = Feed(plan, stage.kafka.bootstrap)
                voices = Voices(plan, project, self.folder)
                self.feed.backlog()
                voices.early()
                self._thread(stage.supervise)
                stage.scale(plan.scale[0][1])
                start = self._first_worker(hours)
                self.say(f"plays for {plan.play_s:.0f} s; hours close {_in_s(hours.start):.0f} s from now")
                listening = self._thread(voices.tell)
                parts = (lambda: self.feed.run(start), lambda: voices.opt_out(start), self._trouble, self._scaling)
                threads = [self._thread(work) for work in parts]
                self._thread(lambda: self._storm(hours))
                for thread in threads:
                    thread.join()
                quiet = self._quiet()
                ended = now()
                voices.stop()
                listening.join()
                quiet = quiet and self._quiet()
                self.exits = stage.stop_workers()
            self._over.set()
            harvest(stage, self.folder, ended)
            (self.folder / "truth.json").write_text(json.dumps(self._truth(hours, ended)), encoding="utf-8")
        finally:
            self._over.set()
            stage.close()
        violations = [] if quiet else [Violation("not_quiet", f"work was left after {QUIET_WITHIN_S:.0f} s")]
        violations += [Violation("chaos_itself", text) for text in self.failed]
        violations += [
            Violation("orderly_end", f"a worker told to end exited with {code}") for code in self.exits if code
        ]
        return violations + check(read(self.folder))

    def _first_worker(self, hours: Hours) -> datetime:
        """Waits for the first worker's first batch, and until the hours close soon enough; when that was."""
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not until_it_works(lambda: self._ask("SELECT coalesce(sum(turn), 0) FROM progress")):
            if time.monotonic() > deadline or self.stage.hopeless:
                raise RuntimeError(f"no worker turned anything within {STARTS_WITHIN_S:.0f} s; see workers.log")
            time.sleep(0.1)
        time.sleep(max(0.0, _in_s(hours.start) - CLOSE_WITHIN_S[1]))
        return datetime.now(UTC)

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

    def _scaling(self) -> None:
        begin = time.monotonic()
        for at_s, workers in self.plan.scale:
            time.sleep(max(0.0, begin + at_s - time.monotonic()))
            self.say(f"{at_s:5.0f} s  {workers} workers")
            self.stage.scale(workers)

    def _trouble(self) -> None:
        begin = time.monotonic()
        for fault in self.plan.faults:
            time.sleep(max(0.0, begin + fault.at_s - time.monotonic()))
            if self.stage.hopeless:
                raise RuntimeError("workers end as soon as they start; see workers.log")
            struck = strike(self.stage, fault)
            self.struck.append(struck)
            self.say(f"{struck.at - begin:5.0f} s  {fault.kind}{'' if struck.met else ' (no worker came by)'}")
            if struck.met:
                watched = self._thread(lambda struck=struck: self._recovers(struck))  # type: ignore[misc]
                watched.join(0)

    def _recovers(self, struck: Struck) -> None:
        """Until everything that was sent when the fault had struck for a second is applied."""
        time.sleep(max(0.0, struck.at + 1.0 - time.monotonic()))
        target = self.feed.sent
        while not self._over.is_set():
            if until_it_works(self._applied) >= target:
                self.recovery_s[struck.kind].append(round(time.monotonic() - struck.at, 1))
                return
            time.sleep(0.25)

    def _storm(self, hours: Hours) -> None:
        time.sleep(max(0.0, _in_s(hours.start) - STORM_BEFORE_S))
        body = json.dumps({"seconds": STORM_S}).encode()
        request = urllib.request.Request(f"{self.stage.provider}/storm", data=body, method="POST")
        urllib.request.urlopen(request, timeout=10).read()

    # --- how far it is

    def _applied(self) -> int:
        """Records of the topic that are applied, copies of misplaced ones left out."""
        query = (
            "SELECT (SELECT coalesce(sum(next_offset), 0) FROM progress)"
            " - (SELECT coalesce(sum(count), 0) FROM totals WHERE name = 'forwarded')"
        )
        return int(self._ask(query))

    def _ask(self, query: str) -> Any:
        with psycopg.connect(self.stage.database, connect_timeout=5) as connection:
            row = connection.execute(query).fetchone()
            return row[0] if row else None

    def _quiet(self) -> bool:
        """Waits until nothing is left to do: all read, nothing due soon, no live touch, all told."""
        deadline = time.monotonic() + QUIET_WITHIN_S
        while time.monotonic() < deadline and not self.stage.hopeless:
            if until_it_works(self._is_quiet):
                return True
            time.sleep(0.5)
        return False

    def _is_quiet(self) -> bool:
        due = f"SELECT count(*) FROM inbox WHERE due <= {now() + HORIZON_US}"
        if self._ask(due) or self._ask(LIVE):
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
            "caps": CAPS,
            "closed": [closed],
            "groups": {name_of(member): group_of(member) for member in members},
            "consent_purposes": ["marketing"],
            "relayed": TOPICS,
            "ended_at": ended,
        }


def run(
    folder: Path, seed: int, events: int, faults: int, sabotage: str = "", say: Callable[[str], None] = print
) -> dict[str, Any]:
    """A run of these numbers; the report, which is also written to `report.json` in the folder."""
    began = time.monotonic()
    this = Run(folder, make_plan(seed, events, faults, sabotage), sabotage, say)
    violations = this.play()
    evidence = read(folder)
    report = {
        "seed": seed,
        "events": events,
        "faults": faults,
        "sabotage": sabotage,
        "violations": len(violations),
        "by_kind": dict(Counter(violation.kind for violation in violations)),
        "first": [f"{violation.kind}: {violation.what}" for violation in violations[:100]],
        "recovery_s": dict(this.recovery_s),
        "unmet": [struck.kind for struck in this.struck if not struck.met],
        "calls": len(evidence.ledger),
        "answers": dict(Counter(line["answer"] for line in evidence.ledger)),
        "log_entries": len(evidence.log),
        "optouts": len(evidence.optouts),
        "last_call_after_optout_s": longest_after_optout(evidence),
        "worker_exits": this.stage.exits,
        "took_s": round(time.monotonic() - began, 1),
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    return report


def _in_s(us: int) -> float:
    return us / 1e6 - time.time()


def main() -> int:
    """`make chaos`: numbers from the environment, evidence in build/chaos; 1 on any violation."""
    folder = Path(os.environ.get("CHAOS_FOLDER", "build/chaos")).resolve()
    seed, events, faults = (int(os.environ.get(name, given)) for name, given in _DEFAULTS.items())

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    say(f"SEED={seed} EVENTS={events} FAULTS={faults} SABOTAGE={os.environ.get('SABOTAGE', '')}")
    report = run(folder, seed, events, faults, os.environ.get("SABOTAGE", ""), say)
    say(json.dumps({name: value for name, value in report.items() if name != "first"}, indent=1))
    for line in report["first"][:20]:
        say(line)
    say(f"{report['violations']} violations")
    return 1 if report["violations"] else 0


_DEFAULTS = {"SEED": "1", "EVENTS": "300000", "FAULTS": "20"}
