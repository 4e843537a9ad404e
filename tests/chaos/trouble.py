"""The faults of a plan, done to a stage: each returns what it did and when it was over."""

from __future__ import annotations

import signal
import time
from typing import NamedTuple

from tests.chaos.plan import Fault, Pace
from tests.chaos.points import arm
from tests.chaos.stage import Stage, Worker

# a frozen worker sleeps so much longer than its session and its leases: when it wakes it has been given up
BEYOND_S = 3.0
# a paused one sleeps for so much of a lease: its claim still stands, the moment for its call has passed
PAUSE_OF_LEASE = 0.7
# how long the workers may take until one of them meets a point
MEETS_WITHIN_S = 10.0


class Struck(NamedTuple):
    """A fault that was done."""

    kind: str
    # seconds, by time.monotonic
    at: float
    over: float
    # names of the workers it was done to; none for a fault of servers
    victims: tuple[str, ...]
    # False: no worker came by the point in time, so nothing happened
    met: bool


def strike(stage: Stage, fault: Fault, pace: Pace) -> Struck:
    """Does a fault to the stage, and undoes what does not undo itself."""
    at = time.monotonic()
    deed, _, point = fault.kind.partition("_")
    if deed not in {"kill", "freeze", "pause"}:
        _servers(stage, fault.kind)
        return Struck(fault.kind, at, time.monotonic(), (), met=True)
    if point:
        victims = _meet(stage, "kill" if deed == "kill" else "freeze", point)
        at = time.monotonic()
    else:
        victims = [_victim(stage, fault.draw)]
        victims[0].signal(signal.SIGKILL if deed == "kill" else signal.SIGSTOP)
    if victims and deed != "kill":
        time.sleep(pace.lease_s * PAUSE_OF_LEASE if deed == "pause" else pace.session_s + BEYOND_S)
    for victim in victims:
        victim.signal(signal.SIGCONT)
    return Struck(fault.kind, at, time.monotonic(), tuple(victim.name for victim in victims), met=bool(victims))


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
