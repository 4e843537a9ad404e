"""What one run of the benchmark has: its size, its servers, its sink."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

import msgspec

from benchmarks.kafka.ours import Ours, Ran
from benchmarks.kafka.rivals import Took
from benchmarks.kafka.sink import Sink
from benchmarks.kafka.stage import Stage, make_topic

# the topic that (a) to (d) read
TOPIC = "member-events"


class Size(NamedTuple):
    """How much is measured."""

    partitions: int
    # the first so many of them
    rivals: int
    # events of a round, and rounds
    events: int
    rounds: int
    # seconds of feeding at half the rate
    feed_s: int
    # of the long past
    log_rows: int
    members: int
    # members of the short one, each with as many log rows
    few_members: int
    # purchases of a run on either
    purchases: int
    profile: bool


FULL = Size(32, 3, 30_000, 3, 30, 10_000_000, 1_000_000, 60_000, 10_000, profile=True)
QUICK = Size(8, 2, 400, 1, 2, 2_000, 200, 200, 60, profile=False)


class Bench(NamedTuple):
    """One run."""

    size: Size
    stage: Stage
    sink: Sink

    def topic(self, name: str) -> None:
        """Makes a topic of events."""
        make_topic(self.stage.kafka.bootstrap, name, self.size.partitions)

    def ours(self, name: str, topic: str) -> Ours:
        """A project of ours that reads a topic; its store is empty."""
        return Ours(self.stage, self.sink, name, topic, self.size.partitions)


def rate(runs: Sequence[Took | Ran]) -> float:
    """Events a second, the median of some runs."""
    return median(run.events / run.wall_s for run in runs)


def plain(runs: Sequence[Took | Ran]) -> list[Any]:
    """The runs for programs."""
    return [{name: round(value, 2) for name, value in msgspec.to_builtins(run).items()} for run in runs]
