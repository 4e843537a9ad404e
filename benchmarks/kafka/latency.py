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
from benchmarks.kafka.ours import Ours
from benchmarks.kafka.stage import appended, produce_paced

# of the events: fed before the watch, to a worker that has just started
WARM = 0.1
# touches reserved, with the offset of the event in whose turn each was
_SENT = """
SELECT log.touch_id, log.partition, journal."offset" FROM log
  JOIN journal ON journal.partition = log.partition AND journal.turn = log.turn AND journal.at = log.at
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

    def told(self) -> str:
        """The rest of it, for a line of the table."""
        return (
            f"{self.touches:,} touches at {self.events_per_s:,} events/s for {self.fed_s:.0f} s; "
            f"p50 {self.p50_ms:,} ms, p90 {self.p90_ms:,} ms, longest {self.most_ms:,} ms"
        )


def measure(ours: Ours, records: Sequence[Record], per_s: float) -> Latency:
    """Starts a worker, feeds it evenly, waits until all is done and ends it."""
    topic, bootstrap = ours.settings.kafka.events, ours.kafka.bootstrap
    warm, fed = records[: int(WARM * len(records))], records[int(WARM * len(records)) :]
    worker = ours.begin()
    before = ours.applied()
    produce_paced(bootstrap, topic, warm, per_s)
    ours.until_applied(before + len(warm))
    since = time.time_ns() // 1_000
    produce_paced(bootstrap, topic, fed, per_s)
    fed_s = time.time_ns() / 1e9 - since / 1e6
    ours.until_applied(before + len(records))
    ours.until_done()
    worker.end()
    waited = sorted(_waited(ours, since))
    if len(waited) < 2:
        raise RuntimeError("too few events led to a touch: there is no latency to measure")
    cuts = quantiles(waited, n=100, method="inclusive")
    return Latency(
        events_per_s=round(len(fed) / fed_s),
        fed_s=round(fed_s, 1),
        touches=len(waited),
        p50_ms=round(cuts[49]),
        p90_ms=round(cuts[89]),
        p99_ms=round(cuts[98]),
        most_ms=round(waited[-1]),
    )


def _waited(ours: Ours, since: int) -> list[float]:
    """Milliseconds from append to hand-over, of events appended after `since` (microseconds)."""
    handed = {touch: at for touch, at in ours.sink.handed().items() if at >= since}
    at_broker = appended(ours.kafka.bootstrap, ours.settings.kafka.events, ours.partitions, since)
    with psycopg.connect(ours.database) as store:
        # the clock of a partition may stand a little before the broker's
        sent = store.execute(_SENT, (since - 1_000_000, since - 1_000_000, list(handed))).fetchall()
    return [
        (handed[touch] - at_broker[partition, offset]) / 1_000
        for touch, partition, offset in sent
        if (partition, offset) in at_broker
    ]
