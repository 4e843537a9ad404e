"""Turning a batch whatever happens in it: an input that fails is tried alone, three times, then quarantined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from orchestrator.pipeline import Arrival, Pipeline, Ran, TurnFailed
from orchestrator.stores.contract import FilePosition, Progress, Store

MAX_TRIES = 3

log = structlog.get_logger()


class Turner:
    """Runs a pipeline's batches and knows what to do with an input that can't be applied."""

    def __init__(self, store: Store, pipeline: Pipeline) -> None:
        """Counts how many members it quarantined."""
        self.store, self.pipeline = store, pipeline
        self.quarantined = 0

    def run(
        self,
        held: Mapping[int, Progress],
        given: Mapping[int, Sequence[Arrival]],
        tick: int | None,
        *,
        stop_at_touch: bool = False,
        positions: Sequence[FilePosition] = (),
    ) -> Ran:
        """As `Pipeline.run`. After a failure only part of what was given is consumed: the caller offers the rest again.

        Raises Refused where the partitions are no longer held.
        """
        try:
            return self.pipeline.run(held, given, tick, stop_at_touch=stop_at_touch, positions=positions)
        except TurnFailed as failed:
            return self._alone(failed, held, given, tick, stop_at_touch=stop_at_touch, positions=positions)

    def _alone(
        self,
        failed: TurnFailed,
        held: Mapping[int, Progress],
        given: Mapping[int, Sequence[Arrival]],
        tick: int | None,
        *,
        stop_at_touch: bool,
        positions: Sequence[FilePosition],
    ) -> Ran:
        """One turn of the failing partition, its try counted first; at the third its member is quarantined."""
        while True:
            self.pipeline.forget()
            partition = failed.partition
            tries = self.store.count_try(partition, failed.key)
            why = type(failed.__cause__).__name__
            log.warning("input failed", partition=partition, key=failed.key, tries=tries, error=why)
            if tries >= MAX_TRIES:
                self.store.quarantine(partition, failed.member, why)
                self.quarantined += 1
                log.error("member quarantined", partition=partition, key=failed.key, error=why)
            part = {partition: given[partition]} if partition in given else {}
            try:
                return self.pipeline.run(
                    {partition: held[partition]},
                    part,
                    None if part else tick,
                    stop_at_touch=stop_at_touch,
                    max_turns=1,
                    positions=positions,
                )
            except TurnFailed as again:
                failed = again
