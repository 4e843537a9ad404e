"""Members' records as the store keeps them, sealed, and as they are read."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec

from orchestrator.decide.member import Member
from orchestrator.stores.contract import MemberRow, Store
from orchestrator.vault import Vault

# so many are read and opened at once
PAGE = 500

_read = msgspec.json.Decoder(Member).decode


def opened(store: Store, vault: Vault, row: MemberRow) -> Member | None:
    """The state that a row holds; None where the member was erased."""
    wrapped = store.key(row.ref)
    return None if row.erased or wrapped is None else _read(vault.sealer(row.ref, wrapped).open(row.state))


def pages(store: Store, vault: Vault) -> Iterator[list[tuple[MemberRow, Member | None]]]:
    """All members who are not erased, PAGE at a time, in order; None beside a record whose key is gone."""
    rows = iter(store.members())
    while page := list(islice(rows, PAGE)):
        wrapped = store.keys([row.ref for row in page])
        yield [
            (row, _read(vault.sealer(row.ref, wrapped[row.ref]).open(row.state)) if row.ref in wrapped else None)
            for row in page
        ]
