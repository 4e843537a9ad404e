"""(f): the same work on a short past and on a long one, in turn: it must cost the same."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from statistics import median
from typing import Any, NamedTuple

import msgspec

from benchmarks.kafka import history, latency, stage
from benchmarks.kafka.bench import Bench, plain, rate
from benchmarks.kafka.load import Record
from benchmarks.kafka.ours import Ours, Ran
from benchmarks.table import Line, show
from orchestrator.contact_log.verify import report
from orchestrator.contact_log.walk import Faults, walk
from tests.kafka.workers import where_it_is_noon


class Past(NamedTuple):
    """A past, and what was measured on it."""

    name: str
    members: int
    log_rows: int
    ours: Ours
    ran: list[Ran]


def flat(bench: Bench) -> dict[str, Any]:
    """Loads both pasts, measures both; prints and gives what it came to."""
    size = bench.size
    if why := history.space_missing(bench.stage.folder, size.log_rows, size.members):
        show([Line("(f) long past", "left out", why)])
        return {}
    rows_each = size.log_rows // size.members
    pasts = [
        _loaded(bench, "short", size.few_members, size.few_members * rows_each),
        _loaded(bench, "long", size.members, size.log_rows),
    ]
    for number in range(size.rounds):
        for past in pasts:
            bought = _bought(bench, past, number, size.purchases)
            stage.produce(past.ours.kafka.bootstrap, past.ours.settings.kafka.events, bought)
            past.ran.append(past.ours.run(size.purchases))
    per_s = max(rate(pasts[0].ran) / 2, 20)
    found = {}
    for past in pasts:
        fed = _bought(bench, past, size.rounds, int(size.feed_s * per_s))
        found[f"(f) {past.name} past"] = _measured(past, latency.measure(past.ours, fed, per_s))
        past.ours.close()
    return found


def _loaded(bench: Bench, name: str, members: int, log_rows: int) -> Past:
    topic = f"past-{name}-events"
    bench.topic(topic)
    ours = bench.ours(f"past-{name}", topic)
    began = time.monotonic()
    history.load(ours.project, ours.database, where_it_is_noon(datetime.now(UTC)), members, log_rows)
    took = time.monotonic() - began
    says = f"{log_rows:,} log rows and {members:,} members by COPY; {_verified(ours)}"
    show([Line(f"(f) {name} past, loaded", f"{took:,.0f} s", says)])
    return Past(name, members, log_rows, ours, [])


def _verified(ours: Ours) -> str:
    """One chain of the log, from its first entry to the head in `progress`; raises RuntimeError where it is broken."""
    faults = Faults()
    walked = walk(ours.store.log(partition=1), faults)
    head = next(row for row in ours.store.progress() if row.partition == 1)
    found = report(walked, faults, None)
    if not found.ok or walked.ends[1] != (head.log_n, head.head):
        raise RuntimeError("the loaded log does not verify")
    return f"a chain of {found.entries:,} verifies"


def _bought(bench: Bench, past: Past, number: int, count: int) -> list[Record]:
    first = number * bench.size.purchases
    return history.purchases(first, count, past.members, bench.size.partitions, datetime.now(UTC))


def _measured(past: Past, waited: latency.Latency) -> dict[str, Any]:
    touches = median(run.touches / run.events for run in past.ran)
    says = f"one purchase each of {past.ran[0].events:,} members drawn from all; {touches:.2f} touches an event"
    show(
        [
            Line(f"(f) {past.name} past", f"{rate(past.ran):,.0f} events/s", says),
            Line(f"(f) {past.name} past, p99", f"{waited.p99_ms:,} ms", waited.told()),
        ]
    )
    return {
        "log_rows": past.log_rows,
        "members": past.members,
        "events_per_s": round(rate(past.ran)),
        "touches_per_event": round(touches, 3),
        "latency": msgspec.to_builtins(waited),
        "runs": plain(past.ran),
    }
