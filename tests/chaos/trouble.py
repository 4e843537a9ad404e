"""The faults of a plan, done to a stage: each returns what it did and when it was over."""

from __future__ import annotations

import signal
import time
from typing import NamedTuple

from tests.chaos.plan import Fault
from tests.chaos.points import arm
from tests.chaos.project import SESSION_S
from tests.chaos.stage import Stage, Worker

# longer than the session and any lease: whoever wakes has been given up
FROZEN_S = SESSION_S + 4.0
# how long the workers may take until one of them meets a point
MEETS_WITHIN_S = 20.0


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
    at = time.monotonic()
    met = True
    if fault.kind == "kill":
        _victim(stage, fault.draw).signal(signal.SIGKILL)
    elif fault.kind == "freeze":
        victim = _victim(stage, fault.draw)
        victim.signal(signal.SIGSTOP)
        time.sleep(FROZEN_S)
        victim.signal(signal.SIGCONT)
    elif fault.kind.startswith("freeze_"):
        frozen = _meet(stage, "freeze", {"freeze_claimed": "claimed", "freeze_batch": "batch"}[fault.kind])
        at, met = time.monotonic(), bool(frozen)
        if frozen:
            time.sleep(FROZEN_S)
        for victim in frozen:
            victim.signal(signal.SIGCONT)
    elif fault.kind.startswith("kill_"):
        met = bool(_meet(stage, "kill", {"kill_called": "called", "kill_attempted": "attempted"}[fault.kind]))
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


def _meet(stage: Stage, deed: str, point: str) -> list[Worker]:
    """Waits for a worker to come by a point: whoever comes first; two that come at once are both met."""
    with stage.lock:
        workers = [worker for worker in stage.workers if worker.running and not worker.frozen]
    paths = [arm(stage.points, worker.pid, deed, point) for worker in workers]

    def met() -> list[Worker]:
        return [worker for worker in workers if (worker.frozen if deed == "freeze" else not worker.running)]

    deadline = time.monotonic() + MEETS_WITHIN_S
    while time.monotonic() < deadline and not met():
        time.sleep(0.01)
    for path in paths:
        path.unlink(missing_ok=True)
    # another may have come by while the files were taken away
    time.sleep(0.1)
    return met()
