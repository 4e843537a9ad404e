"""Asking the contact log: whose entries, which of them, and the member behind a reference."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from orchestrator.contact_log.export import Line, line
from orchestrator.errors import UsageError
from orchestrator.stores.contract import LogRow, Store
from orchestrator.vault import Vault


class Shown(Struct, frozen=True, kw_only=True):
    """The latest entries that were asked for, oldest first."""

    entries: tuple[Line, ...]
    # how many entries there are that were asked for
    found: int


def show(
    store: Store, *, ref: str | None = None, journey: str = "", verdict: str = "", kind: str = "", limit: int = 50
) -> Shown:
    """The latest `limit` entries, oldest first; of one member, journey, verdict or kind where given.

    Reads the whole log, or all of one member's.
    """
    asked = [(name, value) for name, value in (("journey", journey), ("verdict", verdict), ("kind", kind)) if value]
    found = 0

    def wanted() -> Iterator[LogRow]:
        nonlocal found
        for row in store.log(ref=ref):
            if all(getattr(row, name) == value for name, value in asked):
                found += 1
                yield row

    latest = heapq.nlargest(limit, wanted(), key=lambda row: (row.at, row.partition, row.n))
    return Shown(entries=tuple(line(row) for row in reversed(latest)), found=found)


# told without the id: what a person typed may stand in somebody else's log
UNKNOWN = "no member of this id is known here; ids are told apart to the letter"


def ref_of(store: Store, vault: Vault, member_id: str) -> str:
    """The reference that stands for a member in the log; raises UsageError where nobody of this id is known."""
    row = store.member(vault.member(member_id))
    if row is None:
        raise UsageError(UNKNOWN)
    return row.ref


class _Id(Struct):
    id: str


class Names:
    """The ids behind references, for a caller who may see members: `names(ref)`.

    The store finds members by their id alone, so the first question reads the journal through, once.
    """

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store, self._vault = store, vault
        self._members: dict[str, bytes] | None = None
        self._ids: dict[str, str | None] = {}

    def __repr__(self) -> str:
        """Shows nobody."""
        return "Names()"

    def __call__(self, ref: str) -> str | None:
        """The id of the member; None for "", for an erased member, and for a reference that nobody has."""
        if not ref:
            return None
        if ref not in self._ids:
            self._ids[ref] = self._look_up(ref)
        return self._ids[ref]

    def _look_up(self, ref: str) -> str | None:
        if self._members is None:
            journals = (self._store.journal(row.partition) for row in self._store.progress())
            self._members = {row.ref: row.member for journal in journals for row in journal if row.ref}
        member, wrapped = self._members.get(ref), self._store.key(ref)
        row = None if member is None else self._store.member(member)
        if row is None or wrapped is None or row.ref != ref or row.erased:
            return None
        return msgspec.json.decode(self._vault.sealer(ref, wrapped).open(row.state), type=_Id).id
