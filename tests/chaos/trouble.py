"""The faults of a plan, done to a stage: each returns what it did and when it was over."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import psycopg

from tests.chaos.plan import Fault, Pace
from tests.chaos.points import Trap
from tests.chaos.stage import Stage, Worker
from tests.chaos.voices import Voices, until_it_works
from tests.chaos.watch import Watch

# a frozen worker sleeps so much longer than its session and its leases, and until it has been given up: until another
# holds its partitions, and has seen to the touches it had claimed
BEYOND_S = 3.0
# a paused one sleeps for so much of a lease: its claim still stands, the moment for its call has passed
PAUSE_OF_LEASE = 0.7
# so long after a change of scale workers may still be joining and leaving
SETTLES_S = 25.0
# how long the workers may take until one of them comes by a point, and that one until it does what was set there
MEETS_WITHIN_S, DOES_WITHIN_S = 20.0, 10.0


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


class Aftermath:
    """What became of a fault."""

    def __init__(self, struck: Struck) -> None:
        self.struck = struck
        # seconds, by time.monotonic: when all was applied that had been sent by then, and when others had the
        # partitions; None where that did not come
        self.recovered: float | None = None
        self.taken_over: float | None = None

    def alone(self, others: Iterable[Aftermath], changes: Iterable[float]) -> bool:
        """Whether its taking over met neither another fault that was not recovered from, nor a change of scale."""
        begin, end = self.struck.at, self.taken_over
        if end is None:
            return False
        spans = [(other.struck.at, other.recovered or math.inf) for other in others if other is not self]
        settling = [(at, at + SETTLES_S) for at in changes]
        return not any(since < end and begin < until for since, until in (*spans, *settling))


def strike(stage: Stage, fault: Fault, pace: Pace, watch: Watch, voices: Voices) -> Struck:
    """Does a fault to the stage, and undoes what does not undo itself.

    `optout` stops a worker at its point for as long as those whose touches it holds take to opt out: it goes on with
    what it holds right after their answer, before anybody has had a turn about it.
    """
    at = time.monotonic()
    deed, _, point = fault.kind.partition("_")
    if deed not in {"kill", "freeze", "pause", "optout"}:
        _servers(stage, fault.kind)
        return Struck(fault.kind, at, time.monotonic(), (), met=True)
    victim, touches = _victim(stage, fault.draw) if not point else None, ()
    if point:
        victim, touches = _meet(stage, "kill" if deed == "kill" else "freeze", point)
        at = time.monotonic()
    elif victim is not None:
        victim.signal(signal.SIGKILL if deed == "kill" else signal.SIGSTOP)
    if victim is None:
        return Struck(fault.kind, at, time.monotonic(), (), met=False)
    if deed == "optout":
        voices.opt_out_all(touches)
    elif deed == "pause":
        time.sleep(pace.lease_s * PAUSE_OF_LEASE)
    elif deed == "freeze":
        time.sleep(pace.session_s + BEYOND_S)
        held = watch.held_by((victim.name,), at)
        while time.monotonic() < at + pace.given_up_s and not _given_up(stage, watch, held, touches):
            time.sleep(0.1)
    victim.signal(signal.SIGCONT)
    return Struck(fault.kind, at, time.monotonic(), (victim.name,), met=True)


def _given_up(stage: Stage, watch: Watch, held: dict[int, int], touches: Sequence[str]) -> bool:
    """Whether others have what a frozen worker had; true where there are no others to wait for."""
    if stage.hopeless or not _standing(stage):
        return True
    taken = not held or watch.taken_over_at(held) is not None
    return taken and until_it_works(lambda: called(stage.database, touches))


def called(database: str, touches: Sequence[str]) -> bool:
    """Whether none of these touches waits for its call any longer."""
    waiting = "SELECT count(*) FROM touches WHERE touch_id = ANY(%s) AND state IN ('reserved', 'claimed', 'attempting')"
    if not touches:
        return True
    with psycopg.connect(database, autocommit=True, connect_timeout=5) as connection:
        ((n,),) = connection.execute(waiting, (list(touches),)).fetchall()
        return n == 0


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


def _standing(stage: Stage) -> list[Worker]:
    """The workers that run."""
    with stage.lock:
        return [worker for worker in stage.workers if worker.running and not worker.frozen]


def _victim(stage: Stage, draw: int) -> Worker:
    """One of the workers that run; waits for one."""
    while not stage.hopeless:
        if running := _standing(stage):
            return running[draw % len(running)]
        time.sleep(0.1)
    raise RuntimeError("no worker stays")


def _meet(stage: Stage, deed: str, point: str) -> tuple[Worker | None, Sequence[str]]:
    """Waits for a worker to come by a point: whoever comes first, and the touches it held; None where nobody does."""
    trap = Trap(stage.points, deed, point)
    deadline = time.monotonic() + MEETS_WITHIN_S
    while (met := trap.met()) is None:
        if time.monotonic() > deadline and trap.withdraw():
            return None, ()
        if time.monotonic() > deadline + DOES_WITHIN_S:
            raise RuntimeError(f"a worker took what was set at {point} and did not do it")
        time.sleep(0.01)
    victim = stage.started[met.pid]
    # it does to itself what was set right after it said so
    while victim.running and not (victim.frozen and deed == "freeze"):
        time.sleep(0.01)
    return victim, met.touches
