"""`python -m benchmarks.kafka`: measures, prints a table with what each figure counts, writes `build/bench-kafka.json`.

Rounds of all contestants in turn, so that whatever else the machine does falls on each of them; medians are told.
`--quick` looks whether every measurement still runs; its figures say nothing.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.kafka import latency, load, profiling, stage
from benchmarks.kafka.bench import FULL, QUICK, TOPIC, Bench
from benchmarks.kafka.contest import OURS, contest
from benchmarks.kafka.flat import flat
from benchmarks.kafka.ours import APART, TOGETHER
from benchmarks.kafka.sink import Sink
from benchmarks.table import Line, show, write

OUT = Path("build/bench-kafka.json")


def measure(bench: Bench, *, past: bool) -> dict[str, Any]:
    """Everything, (f) where `past` says so."""
    # more than a round's: the latency is fed for a while
    given = load.month(bench.stage.folder, bench.size.events * 2, bench.size.partitions)
    found = contest(bench, given)
    half = found[OURS]["events_per_s"] / 2
    found["(e) latency"] = at_half_the_rate(bench, given, half, "together", TOGETHER)
    found["(e) latency, roles apart"] = at_half_the_rate(bench, given, half, "apart", APART)
    if bench.size.profile:
        found["profile"] = spent_on(bench)
    return found | (flat(bench) if past else {})


def at_half_the_rate(bench: Bench, given: load.Load, per_s: float, how: str, roles: Sequence[str]) -> dict[str, Any]:
    """(e): from append to hand-over at half of what (d) sustains; the same events, into an empty store.

    `how` the worker's roles run: together in one process, or apart in two.
    """
    topic = f"latency-{how}"
    bench.topic(topic)
    ours = bench.ours(topic, topic)
    found = latency.measure(ours, given.records[: int(bench.size.feed_s * per_s)], per_s, roles)
    ours.close()
    show([Line(f"(e) append to hand-over, roles {how}, p99", f"{found.p99_ms:,} ms", found.told())])
    return msgspec.to_builtins(found)  # type: ignore[no-any-return]


def spent_on(bench: Bench) -> dict[str, float]:
    """What a worker's time goes to, in a run of its own."""
    if why := profiling.missing():
        show([Line("profile", "left out", why)])
        return {}
    ours, out = bench.ours("profile", TOPIC), bench.stage.folder / "samples"
    looking: list[subprocess.Popen[bytes]] = []
    ours.run(bench.size.events, lambda worker: looking.append(profiling.begin(worker, out)))
    ours.close()
    shares = profiling.shares(looking[0], out)
    show(Line(f"time: {part}", f"{share:.0%}", "of what the worker computes") for part, share in shares.items())
    return shares


def main() -> None:
    """Runs what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kafka", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke test of the measurements")
    parser.add_argument("--without-past", action="store_true", help="leave (f) out: it takes most of the time")
    for name in ("events", "rounds", "log_rows", "members"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, metavar="N")
    asked = parser.parse_args()
    size = QUICK if asked.quick else FULL
    size = size._replace(**{name: n for name in size._fields if (n := getattr(asked, name, None))})
    started = time.time()
    # a new topic has no leader for a moment, and clients try again
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with stage.servers() as on:
        sink = Sink(on.folder)
        sink.start()
        found = measure(Bench(size, on, sink), past=not asked.without_past)
        sink.stop()
    about = {"python": platform.python_version(), "cores": os.cpu_count(), "load_1m": os.getloadavg()[0]}
    write(about | {"quick": asked.quick, **found, "took_s": round(time.time() - started)}, OUT)


if __name__ == "__main__":
    main()
