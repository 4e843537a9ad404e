"""From the append of an event to the hand-over of what it made, at a rate that is not the worker's own.

Each touch that the sink was given is traced back through the store: the log names the turn that reserved it, the turn's
journal the event's offset, and the topic the instant at which the broker appended it. Broker, adapter and sink are on
one machine and share its clock. Only what was reserved in the event's own turn counts: what waited for a better hour
was meant to wait.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import quantiles

import psycopg
from msgspec import Struct

from benchmarks.kafka.load import Record
from benchmarks.kafka.ours import TOGETHER, Ours
from benchmarks.kafka.stage import appended, produce_paced

# of the events: fed before the watch, to a worker that has just started
WARM = 0.1
# touches reserved, with the offset of the event in whose turn each was, and the microseconds at which that turn was
# committed and the attempt put on record
_SENT = """
SELECT log.touch_id, log.partition, journal."offset",
       (extract(epoch FROM pg_xact_commit_timestamp(log.xmin)) * 1000000)::int8, touches.attempted_at
  FROM log
  JOIN journal ON journal.partition = log.partition AND journal.turn = log.turn AND journal.at = log.at
  JOIN touches ON touches.touch_id = log.touch_id
 WHERE log.at >= %s AND journal.at >= %s AND log.kind = 'touch' AND log.state = 'reserved' AND journal.kind = 'event'
   AND log.touch_id = ANY(%s)"""


class Latency(Struct, frozen=True, kw_only=True):
    """How long it took, in milliseconds."""

    # events a second that were fed, and for how long
    events_per_s: int
    fed_s: float
    touches: int
    p50_ms: int
    p90_ms: int
    p99_ms: int
    most_ms: int
    # the parts of it, each with its own median and 99th of a hundred: until the decision was committed, from there
    # until the attempt was on record, and from there
    decided_ms: tuple[int, int]
    attempted_ms: tuple[int, int]
    handed_ms: tuple[int, int]

    def told(self) -> str:
        """The rest of it, for a line of the table."""
        return (
            f"{self.touches:,} touches at {self.events_per_s:,} events/s for {self.fed_s:.0f} s; "
            f"p50 {self.p50_ms:,} ms, p90 {self.p90_ms:,} ms, longest {self.most_ms:,} ms; of it (p50, p99) until "
            f"decided {_pair(self.decided_ms)}, until the attempt {_pair(self.attempted_ms)}, {_pair(self.handed_ms)}"
        )


def measure(ours: Ours, records: Sequence[Record], per_s: float, roles: Sequence[str] = TOGETHER) -> Latency:
    """Starts a worker, of a process for each group of roles, feeds it evenly, waits until all is done and ends it."""
    topic, bootstrap = ours.settings.kafka.events, ours.kafka.bootstrap
    warm, fed = records[: int(WARM * len(records))], records[int(WARM * len(records)) :]
    processes = ours.begin(roles)
    before = ours.applied()
    produce_paced(bootstrap, topic, warm, per_s)
    ours.until_applied(before + len(warm))
    since = time.time_ns() // 1_000
    produce_paced(bootstrap, topic, fed, per_s)
    fed_s = time.time_ns() / 1e9 - since / 1e6
    ours.until_applied(before + len(records))
    ours.until_done()
    for process in processes:
        process.end()
    legs = _waited(ours, since)
    if len(legs) < 2:
        raise RuntimeError("too few events led to a touch: there is no latency to measure")
    waited = [sum(each) for each in legs]
    cuts = quantiles(waited, n=100, method="inclusive")
    decided, attempted, handed = (_middle_and_end(leg) for leg in zip(*legs, strict=True))
    return Latency(
        events_per_s=round(len(fed) / fed_s),
        fed_s=round(fed_s, 1),
        touches=len(waited),
        p50_ms=round(cuts[49]),
        p90_ms=round(cuts[89]),
        p99_ms=round(cuts[98]),
        most_ms=round(max(waited)),
        decided_ms=decided,
        attempted_ms=attempted,
        handed_ms=handed,
    )


def _waited(ours: Ours, since: int) -> list[tuple[float, float, float]]:
    """The three parts, in milliseconds, of events appended after `since` (microseconds)."""
    handed = {touch: at for touch, at in ours.sink.handed().items() if at >= since}
    at_broker = appended(ours.kafka.bootstrap, ours.settings.kafka.events, ours.partitions, since)
    with psycopg.connect(ours.database) as store:
        # the clock of a partition may stand a little before the broker's
        sent = store.execute(_SENT, (since - 1_000_000, since - 1_000_000, list(handed))).fetchall()
    return [
        (
            (decided - at_broker[partition, offset]) / 1_000,
            (attempted - decided) / 1_000,
            (handed[touch] - attempted) / 1_000,
        )
        for touch, partition, offset, decided, attempted in sent
        if (partition, offset) in at_broker
    ]


def _middle_and_end(leg: Sequence[float]) -> tuple[int, int]:
    cuts = quantiles(leg, n=100, method="inclusive")
    return round(cuts[49]), round(cuts[98])


def _pair(leg: tuple[int, int]) -> str:
    return f"{leg[0]:,} and {leg[1]:,} ms"
