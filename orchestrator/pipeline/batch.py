"""One batch: what it goes by, what it found, and what its turns leave."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from orchestrator.pipeline.basis import Asked, Basis
from orchestrator.pipeline.facts import Facts
from orchestrator.pipeline.known import Former
from orchestrator.pipeline.records import Ran
from orchestrator.pipeline.written import Covered, Written, touch_row
from orchestrator.sharing import Points, Sharing
from orchestrator.stores import contract
from orchestrator.stores.contract import Changes, LogRow, MemberRow, SuppressionRow
from orchestrator.vouchers import Codes

_encode = msgspec.json.Encoder().encode


class Batch:
    """The working state of one `Pipeline.run`, of all its partitions."""

    def __init__(
        self,
        basis: Basis,
        asked: Asked,
        tx: contract.Batch,
        points: Points,
        former: Former,
        standing: Mapping[Covered, SuppressionRow],
    ) -> None:
        """`standing`: suppressions that stood before the batch, as far as it had to ask."""
        self.basis, self.asked, self.tx, self.former = basis, asked, tx, former
        self.vault, self.content = basis.vault, basis.content
        self.sharing = Sharing(points, basis.content)
        self.codes = Codes(tx, basis.vault, basis.content)
        self.facts = Facts(basis, tx, former, self.sharing, standing)
        self.written = Written()
        self.turns = 0
        # partition -> arrivals
        self.consumed: dict[int, int] = {}
        self.touched: set[int] = set()
        self.elsewhere: set[int] = set()
        self.alarms: list[LogRow] = []
        self.more_due = False
        # members and contact points, as suppressions name them, for whom touches were reserved
        self.subjects: set[str] = set()

    def may_go_on(self) -> bool:
        """Whether another turn may be taken."""
        return self.turns < self.asked.max_turns

    def changes(self) -> Changes:
        """What is to be written, members and messages sealed."""
        written, codes = self.written, self.codes
        return Changes(
            progress=[(self.asked.held[p], after) for p, after in written.progress.items()],
            members=[self._member_row(key, partition) for key, partition in written.changed.items()],
            keys=written.keys,
            destroyed=written.destroyed,
            journal=written.journal,
            seen=written.seen,
            log=written.log,
            reserved=[touch_row(reserved) for reserved in written.reserved.values()],
            cancelled=written.cancelled,
            codes_back=codes.back,
            vouchers=codes.given(),
            told=codes.told(),
            inbox=written.inbox,
            consumed=written.taken,
            suppressions=list(written.suppressions.values()),
            unsuppressed=[(*key, until) for key, until in written.unsuppressed.items()],
            left=written.contact_rows(has=False),
            contacts=written.contact_rows(has=True),
            dead=written.dead,
            redriven=written.redriven,
            quarantined=self.asked.quarantined,
            parked=written.parked,
            totals=written.totals,
            daily=written.daily,
            positions=[*self.asked.positions, *written.positions.values()],
        )

    def ran(self) -> Ran:
        """What it did."""
        progress = {**self.asked.held, **self.written.progress}
        touched, elsewhere = frozenset(self.touched), frozenset(self.elsewhere)
        return Ran(progress, self.consumed, self.turns, touched, self.more_due, tuple(self.alarms), elsewhere)

    def _member_row(self, key: bytes, partition: int) -> MemberRow:
        known = self.facts.members[key]
        if known.member is None or known.sealer is None:
            return MemberRow(partition, key, known.ref, b"", erased=True)
        return MemberRow(partition, key, known.ref, known.sealer.seal(_encode(known.member)), erased=False)
