"""A batch: one transaction over some partitions, what it may ask and all that it writes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from orchestrator.stores.contract.contacts import ContactRow, HolderRow, Reached, SuppressionRow
from orchestrator.stores.contract.outbox import SwitchRow, TouchRow
from orchestrator.stores.contract.rows import (
    DeadRow,
    FilePosition,
    InboxRow,
    JournalRow,
    KeyRow,
    LogRow,
    MemberRow,
    NewInbox,
    ParkedRow,
    Progress,
    QuarantineRow,
    SeenRow,
)
from orchestrator.stores.contract.vouchers import VoucherGiven, VoucherRow


class Changes(NamedTuple):
    """All that one batch writes, over one or more partitions. Counts are additions."""

    # (before, after) for each partition of the batch
    progress: Sequence[tuple[Progress, Progress]]
    members: Sequence[MemberRow] = ()
    keys: Sequence[KeyRow] = ()
    # refs whose keys are destroyed
    destroyed: Sequence[str] = ()
    journal: Sequence[JournalRow] = ()
    seen: Sequence[SeenRow] = ()
    log: Sequence[LogRow] = ()
    # inserted; a touch of the same id that stands as cancelled is reserved anew, any other state is kept. One that a
    # suppression covers is cancelled at once, with a Cancelled inbox row due when it was reserved, or when the
    # suppression began if that is later: it takes no place in a cap that it can't use
    reserved: Sequence[TouchRow] = ()
    # touch ids to cancel if still reserved or claimed; done before `reserved`, so that a turn may cancel a touch and
    # reserve it anew: a reservation that a later turn of the same batch cancels is to be left out of `reserved`
    cancelled: Sequence[str] = ()
    inbox: Sequence[NewInbox] = ()
    # (partition, seq) of inbox rows consumed
    consumed: Sequence[tuple[int, int]] = ()
    # written after `reserved` and `unsuppressed`; touches still reserved or claimed that they cover are cancelled, each
    # with a Cancelled inbox row due at `since`
    suppressions: Sequence[SuppressionRow] = ()
    # touches whose codes go back to their pools where the touch is cancelled and was never attempted, and the code was
    # not emptied; done after `cancelled` and before `reserved`
    codes_back: Sequence[str] = ()
    # codes that this batch took with `vouchers`; done after `reserved`. Codes given to members whose keys are
    # `destroyed` are emptied last: what was given stays given
    vouchers: Sequence[VoucherGiven] = ()
    # (pool, what an operator now heard): it only grows until the pool is filled. Done at the very end
    told: Sequence[tuple[str, int]] = ()
    # (subject, channel, purpose, until) ended by a later proven grant, or by an order: those that began by then
    unsuppressed: Sequence[tuple[str, str, str, int]] = ()
    # contact points that members have no longer, and those they have from now on
    left: Sequence[ContactRow] = ()
    contacts: Sequence[ContactRow] = ()
    # members who came to a contact point that others hold: those whom `hold` did not write
    holders: Sequence[HolderRow] = ()
    dead: Sequence[DeadRow] = ()
    # members whose quarantine ends: their parked rows are taken out, which the batch has read and passes on; done
    # before `quarantined` and `parked`
    redriven: Sequence[bytes] = ()
    # members whose inputs are parked from now on
    quarantined: Sequence[QuarantineRow] = ()
    parked: Sequence[ParkedRow] = ()
    # (partition, name) -> addition
    # inputs, applied, duplicate, dead, parked, forwarded, intents, touched, silent, waiting
    totals: Mapping[tuple[int, str], int] = {}
    # (day in UTC as YYYY-MM-DD, journey, channel, verdict, reason) -> addition
    daily: Mapping[tuple[str, str, str, str, str], int] = {}
    positions: Sequence[FilePosition] = ()


class Expected(NamedTuple):
    """What a batch is about to ask, as its methods will be given it."""

    # of `due`
    until: Mapping[int, int]
    limit: int
    # of `seen`
    buckets: Sequence[int]
    identities: Sequence[bytes]
    # of `members`, and then of `keys` for those that are found
    members: Sequence[tuple[int, bytes]]


class Batch(Protocol):
    """One open transaction over some partitions, whose progress rows it has locked."""

    def expect(self, coming: Expected) -> None:
        """Says what will be asked next: a store that is far away answers it from one trip. It changes no answer.

        With it `switches`, `quarantined` and `registry` are expected, each after `due`.
        """

    def members(self, keys: Iterable[tuple[int, bytes]]) -> dict[bytes, MemberRow]:
        """The rows of these (partition, member), by member; absent ones are left out."""

    def keys(self, refs: Iterable[str]) -> dict[str, bytes]:
        """Wrapped keys by ref; destroyed ones are left out."""

    def seen(self, buckets: Sequence[int], identities: Iterable[bytes]) -> dict[bytes, bytes]:
        """identity -> content hash, for those known in any of these buckets."""

    def due(self, until: Mapping[int, int], limit: int) -> list[InboxRow]:
        """Inbox rows by (due, member, seq): of each partition those due at its `until` or before, at most `limit`.

        A limit may cut through a member's rows of one moment; the caller that gets `limit` rows of a partition leaves
        the last moment of it for the next batch.
        """

    def held(self, partition: int, due: int, after: int, limit: int) -> list[InboxRow]:
        """Inbox rows of a partition that are due at exactly this instant, numbered after `after`, by number."""

    def members_after(self, partition: int, after: bytes, limit: int) -> list[bytes]:
        """The members of a partition that come after this one, in order; the erased are left out."""

    def switches(self) -> list[SwitchRow]:
        """The switches that are on, by scope."""

    def registry(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[bool, int]]:
        """(registry, contact fingerprint) -> (listed, checked_at); a registry never loaded is left out."""

    def touch_states(self, touch_ids: Iterable[str]) -> dict[str, str]:
        """touch id -> state, for those that exist; the rows stay locked until the batch ends."""

    def suppressions(self, subjects: Iterable[str]) -> list[SuppressionRow]:
        """Those that stand for any of these subjects, by (subject, channel, purpose)."""

    def hold(self, joined: Iterable[HolderRow], contacts: Iterable[str]) -> dict[str, list[HolderRow]]:
        """Locks contact points, those `joined` and `contacts`, until the batch ends; who holds each, in their order.

        Of `joined`, all with n = 0, each whose contact point nobody held is its first holder from now on. Locks are
        taken in the order of fingerprints: a batch that asks again asks only for later ones, or ends and begins anew.
        """

    def reached(self, contacts: Iterable[str], since: int) -> list[Reached]:
        """The touches to these contact points of all who hold them, by (contact, touch_id).

        Those that are reserved, claimed or attempting, and those accepted or unknown that were attempted at `since` or
        later.
        """

    def vouchers(self, pool: str, limit: int, held: Collection[int]) -> list[VoucherRow]:
        """Codes that are left in a pool, in order, but for those numbered in `held`; at most `limit`.

        They stay locked until the batch ends. Those that another batch holds are passed over: nobody waits for a code.
        """

    def pool(self, pool: str, most: int) -> tuple[int, int]:
        """(codes left as they stand before this batch, counted no farther than `most`; what an operator heard)."""

    def quarantined(self, members: Iterable[bytes]) -> set[bytes]:
        """Those of these members whose inputs must be parked."""

    def parked(self, member: bytes) -> list[ParkedRow]:
        """What is parked of a member, in order."""

    def write(self, changes: Changes) -> None:
        """All of it, with each progress guarded by (epoch, next_offset, turn); raises Refused, leaving nothing.

        Once a batch. A row of journal, seen or log that is there already is an error of the caller's, leaving nothing.
        """
