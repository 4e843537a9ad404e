"""Turning a batch whatever happens in it: an input that fails is tried alone, three times, then quarantined."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import structlog

from orchestrator.pipeline import UNBOUNDED, Arrival, Pipeline, Ran, TurnFailed
from orchestrator.stores.contract import FilePosition, Progress, QuarantineRow, Store

MAX_TRIES = 3

log = structlog.get_logger()


class Turner:
    """Runs a pipeline's batches and knows what to do with an input that can't be applied."""

    def __init__(self, store: Store, pipeline: Pipeline) -> None:
        """Counts how many members it quarantined."""
        self.store, self.pipeline = store, pipeline
        self.quarantined = 0
        # whether alarms go to the process's log; they are in the contact log in any case
        self.tells = True

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

        def run(partitions: Iterable[int], max_turns: int, quarantined: Sequence[QuarantineRow] = ()) -> Ran:
            return self.pipeline.run(
                {partition: held[partition] for partition in partitions},
                {partition: given[partition] for partition in partitions if partition in given},
                tick,
                stop_at_touch=stop_at_touch,
                max_turns=max_turns,
                quarantined=quarantined,
                positions=positions,
            )

        try:
            return self._told(run(held, UNBOUNDED))
        except TurnFailed as failure:
            failed = failure
        while True:
            self.pipeline.forget()
            # what comes before it in its partition is written first; then it is alone
            quarantined = () if failed.before else self._judged(failed)
            try:
                ran = run([failed.partition], failed.before or 1, quarantined)
            except TurnFailed as failure:
                failed = failure
            else:
                self.quarantined += len(quarantined)
                return self._told(ran)

    def _told(self, ran: Ran) -> Ran:
        """The alarms of a batch that is written: a message may miss the date that the member needs it by, for one."""
        for row in ran.alarms if self.tells else ():
            log.warning(row.reason, partition=row.partition, journey=row.journey, step=row.step, intent=row.intent_id)
        return ran

    def _judged(self, failed: TurnFailed) -> tuple[QuarantineRow, ...]:
        """Counts a try that is about to be made; after the last one, the member that is to be parked."""
        why = type(failed.__cause__).__name__
        tries = self.store.count_try(failed.partition, failed.key)
        if tries <= MAX_TRIES:
            log.warning("input failed", partition=failed.partition, key=failed.key, tries=tries, error=why)
            return ()
        log.error("member quarantined", partition=failed.partition, key=failed.key, error=why)
        return (QuarantineRow(failed.member, failed.partition, why),)
