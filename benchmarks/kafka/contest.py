"""(a) to (d): the same topic of events, in turn, so that whatever else the machine does falls on each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.kafka import stage
from benchmarks.kafka.bench import TOPIC, Bench, plain, rate
from benchmarks.kafka.load import Load
from benchmarks.kafka.ours import Ran
from benchmarks.kafka.rivals import RIVALS, Took
from benchmarks.table import Line, show

OURS = "(d) ours"
# whose processor time is told, and the field of a run that holds it
_WHO = {"worker": "cpu_s", "postgres": "postgres_cpu_s", "kafka": "kafka_cpu_s"}


def contest(bench: Bench, given: Load) -> dict[str, Any]:
    """The rounds; prints and gives what they came to, (g) the start of a worker among it."""
    size, records = bench.size, given.records[: bench.size.events]
    bench.topic(TOPIC)
    stage.produce(bench.stage.kafka.bootstrap, TOPIC, records)
    rivals = []
    for rival in RIVALS[: size.rivals]:
        if why := rival.missing():
            show([Line(rival.name, "left out", why)])
        else:
            rivals.append(rival)
    took: dict[str, list[Took]] = {rival.name: [] for rival in rivals}
    ran: list[Ran] = []
    for number in range(size.rounds):
        for rival in rivals:
            took[rival.name].append(rival.run(bench.stage, TOPIC, size.partitions, size.events))
        ours = bench.ours(f"round-{number}", TOPIC)
        ran.append(ours.run(size.events))
        ours.close()
    found = {name: _rival(runs) for name, runs in took.items()}
    show(
        Line(
            rival.name,
            f"{found[rival.name]['events_per_s']:,} events/s",
            f"{rival.is_what}; {found[rival.name]['cpu_us_per_event']:,} us of processor time an event",
        )
        for rival in rivals
    )
    return found | _ours(ran, found, len({record.key for record in records}), given.source)


def _rival(runs: Sequence[Took]) -> dict[str, Any]:
    return {
        "events_per_s": round(rate(runs)),
        "cpu_us_per_event": round(median(1e6 * run.cpu_s / run.events for run in runs)),
        "runs": plain(runs),
    }


def _ours(ran: Sequence[Ran], rivals: Mapping[str, Any], members: int, source: str) -> dict[str, Any]:
    busy = {name: round(median(1e6 * getattr(run, key) / run.events for run in ran)) for name, key in _WHO.items()}
    touches = round(median(run.touches / run.events for run in ran), 3)
    decisions = round(median(run.decisions / run.events for run in ran), 3)
    beside = {
        name: {
            "by_events_per_s": round(rate(ran) / rival["events_per_s"], 2),
            "by_cpu": round(rival["cpu_us_per_event"] / busy["worker"], 2),
        }
        for name, rival in rivals.items()
    }
    start = round(median(run.start_s for run in ran), 2)
    says = (
        f"one worker of one process with all roles, durable, until all is applied, handed over and told; "
        f"{ran[0].events:,} events of {members:,} members ({source}), {touches} touches and {decisions} decisions an "
        f"event; {busy['worker']:,} us of processor time an event, {busy['postgres']:,} of PostgreSQL's, "
        f"{busy['kafka']:,} of Kafka's"
    )
    show(
        [
            Line(OURS, f"{rate(ran):,.0f} events/s", says),
            *(
                Line(
                    f"(d) to {name}",
                    f"{ratio['by_events_per_s']:.2f}",
                    f"events a second, of this run; {ratio['by_cpu']:.2f} by processor time of the process",
                )
                for name, ratio in beside.items()
            ),
            Line("(g) start", f"{start:.1f} s", "from a worker's start to its first batch in the store"),
        ]
    )
    return {
        OURS: {
            "events_per_s": round(rate(ran)),
            "applied_per_s": round(median(run.events / run.applied_s for run in ran)),
            "cpu_us_per_event": busy,
            "touches_per_event": touches,
            "decisions_per_event": decisions,
            "members": members,
            "source": source,
            "ratio_to": beside,
            "runs": plain(ran),
        },
        "start_s": start,
    }
