"""The pipeline: which content is in force, and one transaction for each batch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from orchestrator.channels.contract import Message
from orchestrator.decide.content import Content
from orchestrator.links import Links
from orchestrator.pipeline.basis import Asked, Basis
from orchestrator.pipeline.known import Known, remember
from orchestrator.pipeline.records import UNBOUNDED, Arrival, Ran, read_arrival
from orchestrator.pipeline.settling import Ordered, settled
from orchestrator.revisions import InForce
from orchestrator.sharing import NOTHING as NO_POINTS
from orchestrator.sharing import Points
from orchestrator.stores.contract import FilePosition, Progress, QuarantineRow, Store
from orchestrator.vault import Vault

# the index of duplicates is kept in this many live parts
HORIZON_PARTS = 4
_MICROSECOND = 1_000_000
_DAY = 86_400 * _MICROSECOND


def all_approved(_content: Content) -> frozenset[str]:
    """No journey waits for approval."""
    return frozenset()


def nothing_kept(_revision: str) -> Content | None:
    """No other revision can be had."""
    return None


class Pipeline:
    """The content in force over one store: one revision at a time, for all partitions of a batch.

    An order that puts another one in force stands in every partition's inbox before anything else, from one moment on.
    So whoever meets it goes by the new one in each partition: none has a turn left that comes before the order.
    """

    def __init__(
        self,
        store: Store,
        vault: Vault,
        content: Content,
        horizon: timedelta = timedelta(days=35),
        unapproved: Callable[[Content], frozenset[str]] = all_approved,
        revisions: Callable[[str], Content | None] = nothing_kept,
    ) -> None:
        """`horizon`: how long the identity of an event is remembered; `unapproved`: which journeys wait for approval.

        It is asked before each batch until there is none: what was approved once stays so under one content.
        `content` is in force to begin with; `revisions` gives what is put in force later by its name, None where it
        can't be had and the former one goes on.
        """
        self.store = store
        self.vault = vault
        self.cache: OrderedDict[bytes, Known] = OrderedDict()
        # sealed message -> what was sealed, of the last batch where it is to be dispatched at once
        self.fresh: dict[bytes, Message] = {}
        self._links = Links(vault)
        self._horizon = _whole(horizon)
        self._ask_unapproved = unapproved
        self._unapproved = frozenset(content.journeys)
        self._in_force = InForce(store, content, revisions)

    @property
    def content(self) -> Content:
        """What is in force."""
        return self._in_force.content

    def arrival(
        self, raw: bytes, at: int | None = None, file: bytes = b"", length: int = 0, byte: int = 0, offset: int = -1
    ) -> Arrival:
        """An arrival of these bytes at `at`; None: at the event's own time (the virtual clock)."""
        return read_arrival(raw, at, self.content.events, self.vault, file, length, byte, offset)

    def run(
        self,
        held: Mapping[int, Progress],
        arrivals: Mapping[int, Sequence[Arrival]],
        tick: int | None,
        *,
        stop_at_touch: bool = False,
        max_turns: int = UNBOUNDED,
        quarantined: Sequence[QuarantineRow] = (),
        positions: Sequence[FilePosition] = (),
    ) -> Ran:
        """Applies the arrivals of each partition, due rows before each, in one transaction.

        `tick`: the partitions stand at the end of their input and it is so late now, so that the rows due by then are
        taken as well. None: more may come, and each partition's own arrivals alone say how late it is there.
        Members in `quarantined` are parked from now on. `positions` are written along.

        With `stop_at_touch` a partition ends after the turn that reserved a touch, so that it can be dispatched before
        the member's next turn. Raises Refused when the partitions are no longer held, TurnFailed for an input that
        can't be applied; in both cases nothing is written. `arrivals` are only read: the caller drops the consumed.
        """
        asked = Asked(held, arrivals, tick, stop_at_touch, max_turns, quarantined, positions)
        if self._unapproved:
            self._unapproved = self._ask_unapproved(self.content)
        try:
            return self._run(asked)
        except Ordered:
            self.follow()
            self._unapproved = self._ask_unapproved(self.content)
            return self._run(asked._replace(obeyed=True))

    def follow(self) -> None:
        """Goes by the revision that is in force.

        For whoever takes partitions: their former owner may have taken the order that put it in force there.
        """
        if self._in_force.follow():
            self._unapproved = frozenset(self.content.journeys)

    def forget(self) -> None:
        """Drops the cached members: called whenever partitions are taken or lost, or a batch failed."""
        self.cache.clear()

    def latency_margin(self, channel: str, at: datetime) -> timedelta:
        """How long before a closing hour calls must end, by the policies in force."""
        return self.content.policies.latency_margin(channel, at)

    def _run(self, asked: Asked) -> Ran:
        """As `run`, under one revision; raises Ordered where another one was put in force, unless that is known."""
        basis = Basis(
            self.store,
            self.vault,
            self._links,
            self.content,
            self._in_force.ordered,
            self._unapproved,
            self._horizon,
            max(self._horizon // HORIZON_PARTS, _DAY),
            self.cache,
        )
        # no rule looks farther back
        since = min((row.clock for row in asked.held.values()), default=0) - _whole(self.content.keep_places)
        wanted = NO_POINTS
        while True:
            with self.store.batch(list(asked.held.values())) as tx:
                batch, changes, wanted = settled(basis, asked, tx, Points(tx, since, wanted), wanted)
                if changes is None:
                    # a lock would have broken the order: all of them at once, then
                    continue
                tx.write(changes)
                break
        remember(self.cache, batch.facts.members)
        reserved = changes.reserved if asked.stop_at_touch else ()
        self.fresh = {row.message: batch.written.reserved[row.touch_id].reservation.message for row in reserved}
        return batch.ran()


def _whole(duration: timedelta) -> int:
    """Microseconds, of whole seconds."""
    return int(duration.total_seconds()) * _MICROSECOND
