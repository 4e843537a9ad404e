"""What is known of one member, for the member's own eyes and for operators: show, export, erase."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from orchestrator.contact_log.export import Line, line
from orchestrator.contact_log.query import UNKNOWN
from orchestrator.decide.member import Member
from orchestrator.errors import UsageError
from orchestrator.events.inputs import Command
from orchestrator.orders import to_member
from orchestrator.stores.contract import MemberRow, Store, SuppressionRow
from orchestrator.times import instant
from orchestrator.vault import Vault

_read = msgspec.json.Decoder(Member).decode


class Everything(Struct, frozen=True, kw_only=True):
    """All that is kept about a member, in a form that can be handed over."""

    member: Member
    log: tuple[Line, ...]


class Erased(Struct, frozen=True, kw_only=True):
    """An erasure."""

    # no touch to this member starts after this instant, microseconds
    suppressed_at: int
    # the key is destroyed: state, journal and rendered messages can't be read any more. False: the owner of the
    # member's partition has yet to do it
    key_destroyed: bool


def known(store: Store, vault: Vault, member_id: str) -> Member:
    """The member's state; raises UsageError where nobody of this id is known, or was erased."""
    row = store.member(vault.member(member_id))
    if row is None:
        raise UsageError(UNKNOWN)
    member = opened(store, vault, row)
    if member is None:
        raise UsageError("this member was erased: nothing can be read any more")
    return member


def opened(store: Store, vault: Vault, row: MemberRow) -> Member | None:
    """The state that a row holds; None where the member was erased."""
    wrapped = store.key(row.ref)
    return None if row.erased or wrapped is None else _read(vault.sealer(row.ref, wrapped).open(row.state))


def must_know(store: Store, vault: Vault, member_id: str) -> None:
    """Raises UsageError where nobody of this id is known, or was erased: an order about nobody does nothing."""
    if not store.knows(vault.member(member_id)):
        raise UsageError(UNKNOWN)


def everything(store: Store, vault: Vault, member_id: str) -> Everything:
    """The member's state and every log entry about the member, with the id filled in."""
    member = known(store, vault, member_id)
    rows: Iterable[Line] = (line(row, member_id) for row in store.log(ref=member.ref))
    return Everything(member=member, log=tuple(rows))


def erase(store: Store, vault: Vault, member_id: str, actor: str, now: int) -> Erased:
    """Suppresses the member at once, and orders that the owner of the member's partition destroys the key.

    The contact log keeps its entries, which name nobody, and still verifies. Raises UsageError for an unknown member.
    """
    must_know(store, vault, member_id)
    order = to_member(store, vault, member_id, Command(verb="erase", actor=actor, given_at=instant(now)))
    store.suppress([SuppressionRow(order.member.hex(), "*", "*", now, "erased")], [order])
    return Erased(suppressed_at=now, key_destroyed=False)


def erased(store: Store, vault: Vault, member_id: str) -> bool:
    """Whether the key to all that was kept of this member is destroyed."""
    row = store.member(vault.member(member_id))
    return row is not None and row.erased
