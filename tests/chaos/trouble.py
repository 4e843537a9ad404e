"""The faults of a plan, done to a stage: each returns what it did and when it was over."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from tests.chaos.plan import Fault
from tests.chaos.points import arm
from tests.chaos.project import SESSION_S
from tests.chaos.stage import Stage, Worker

# longer than the session and any lease: whoever wakes has been given up
FROZEN_S = SESSION_S + 4.0
# how long a worker may take to meet a point
MEETS_WITHIN_S = 10.0


class Struck(NamedTuple):
    """A fault that was done."""

    kind: str
    # seconds, by time.monotonic
    at: float
    over: float
    # False: no worker came by the point in time, so nothing happened
    met: bool


def strike(stage: Stage, fault: Fault) -> Struck:
    """Does a fault to the stage, and undoes what does not undo itself."""
    victim = _victim(stage, fault.draw)
    at = time.monotonic()
    met = True
    if fault.kind == "kill":
        victim.signal(signal.SIGKILL)
    elif fault.kind == "freeze":
        victim.signal(signal.SIGSTOP)
        time.sleep(FROZEN_S)
        victim.signal(signal.SIGCONT)
    elif fault.kind.startswith("freeze_"):
        point = {"freeze_claimed": "claimed", "freeze_batch": "batch"}[fault.kind]
        met = _meets(stage, victim, "freeze", point, lambda: victim.frozen)
        at = time.monotonic()
        if met:
            time.sleep(FROZEN_S)
            victim.signal(signal.SIGCONT)
    elif fault.kind.startswith("kill_"):
        point = {"kill_called": "called", "kill_attempted": "attempted"}[fault.kind]
        met = _meets(stage, victim, "kill", point, lambda: not victim.running)
        at = time.monotonic()
    else:
        _servers(stage, fault.kind)
    return Struck(fault.kind, at, time.monotonic(), met)


def _servers(stage: Stage, kind: str) -> None:
    if kind == "broker_restart":
        stage.on_servers(stage.kafka.restart)
    elif kind == "broker_kill":
        stage.kafka.kill()
        stage.on_servers(stage.kafka.start)
    elif kind == "postgres_restart":
        stage.on_servers(stage.postgres.restart)
    elif kind == "postgres_kill":
        stage.postgres.kill()
        stage.on_servers(stage.postgres.start)
    elif kind == "terminate":
        stage.postgres.kill_sessions(stage.database)
    elif kind == "cut":
        stage.proxy.cut()
    else:
        raise ValueError(f"no fault is called {kind}")


def _victim(stage: Stage, draw: int) -> Worker:
    """One of the workers that run; waits for one."""
    while not stage.hopeless:
        with stage.lock:
            running = [worker for worker in stage.workers if worker.running and not worker.frozen]
        if running:
            return running[draw % len(running)]
        time.sleep(0.1)
    raise RuntimeError("no worker stays")


def _meets(stage: Stage, victim: Worker, deed: str, point: str, done: Callable[[], bool]) -> bool:
    path = arm(stage.points, victim.pid, deed, point)
    deadline = time.monotonic() + MEETS_WITHIN_S
    while time.monotonic() < deadline:
        if done():
            return True
        time.sleep(0.02)
    path.unlink(missing_ok=True)
    # it may have met the point while the file was taken away
    time.sleep(0.1)
    return done()
