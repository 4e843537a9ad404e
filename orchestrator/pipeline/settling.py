"""A batch whose turns knew all that they had to, taken anew until they did.

Few touches are reserved, and next to none under a suppression or at a contact point that others have, unknown to the
member's record: only then are the turns taken anew, so that each knows it in its own moment. Rules are asked again in
those alone to which it makes a difference (`Former`).
"""

from __future__ import annotations

from orchestrator.pipeline.basis import Asked, Basis
from orchestrator.pipeline.batch import Batch
from orchestrator.pipeline.known import Former
from orchestrator.pipeline.rows import read_due
from orchestrator.pipeline.taking import take_all
from orchestrator.pipeline.written import Covered
from orchestrator.sharing import Points, Wanted
from orchestrator.stores import contract
from orchestrator.stores.contract import Changes, SuppressionRow


class Ordered(Exception):
    """Another content revision was put in force: nothing is written, and the batch begins anew under it."""


def settled(
    basis: Basis, asked: Asked, tx: contract.Batch, points: Points, wanted: Wanted
) -> tuple[Batch, Changes | None, Wanted]:
    """A batch and its changes; None where it must begin anew to lock `Wanted`.

    Raises Ordered where other content was put in force, TurnFailed for an input that can't be applied.
    """
    former = Former()
    standing: dict[Covered, SuppressionRow] = {}
    while True:
        batch = Batch(basis, asked, tx, points, former, standing)
        _take(batch)
        changes = batch.changes()
        more = {row[:3]: row for row in tx.suppressions(batch.subjects)} if batch.subjects else {}
        anew = not more.keys() <= standing.keys()
        standing |= more
        asks = batch.sharing.wanted
        if not points.lock(asks):
            return batch, None, Wanted(asks.joined, asks.reserved | wanted.reserved | points.holders.keys())
        if batch.sharing.stands() and not anew:
            return batch, changes._replace(holders=list(batch.sharing.rows())), wanted


def _take(batch: Batch) -> None:
    """All turns of all partitions."""
    asked, basis = batch.asked, batch.basis
    latest = asked.latest()
    coming = batch.facts.expect(asked, latest)
    due = read_due(batch.tx, latest)
    if not asked.obeyed and due.puts_in_force(but=basis.ordered):
        raise Ordered
    batch.facts.read(asked, due, coming)
    batch.facts.quarantined.update(row.member for row in asked.quarantined)
    for partition in asked.held:
        take_all(batch, partition, due)
