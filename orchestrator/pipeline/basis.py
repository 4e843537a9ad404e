"""What a batch goes by, and what it is asked to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from orchestrator.decide.content import Content
from orchestrator.links import Links
from orchestrator.pipeline.known import Known
from orchestrator.pipeline.records import Arrival
from orchestrator.stores.contract import FilePosition, Progress, QuarantineRow, Store
from orchestrator.vault import Vault


class Basis(NamedTuple):
    """The content in force over one store, as one batch goes by it."""

    store: Store
    vault: Vault
    links: Links
    content: Content
    # the revision that was ordered last, as far as is known here
    ordered: str
    # journeys that wait for approval
    unapproved: frozenset[str]
    # microseconds: how long the identity of an event is remembered, and what one part of their index holds
    horizon: int
    bucket: int
    # members of former batches, only read
    cache: Mapping[bytes, Known]


class Asked(NamedTuple):
    """What `Pipeline.run` is asked: see there."""

    held: Mapping[int, Progress]
    arrivals: Mapping[int, Sequence[Arrival]]
    tick: int | None
    stop_at_touch: bool
    max_turns: int
    quarantined: Sequence[QuarantineRow]
    positions: Sequence[FilePosition]
    # an order that puts other content in force was carried out before: none that is found makes the batch begin anew
    obeyed: bool = False

    def latest(self) -> dict[int, int]:
        """Partition -> no row due later than this is taken; arrivals need not be in the order of their instants."""
        latest = {
            partition: max((arrival.at for arrival in self.arrivals.get(partition, ())), default=0)
            for partition in self.held
        }
        if self.tick is None:
            return latest
        return {partition: max(at, self.tick) for partition, at in latest.items()}

    def arrived(self) -> list[tuple[int, Arrival]]:
        """The events that arrived, each in its member's partition."""
        return [
            (partition, arrival)
            for partition, queue in self.arrivals.items()
            for arrival in queue
            # one that is sent on says nothing of where its member is: that one is in another partition
            if arrival.member and not arrival.forwarded
        ]
