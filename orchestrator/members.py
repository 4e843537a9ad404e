"""What is known of one member, for the member's own eyes and for operators: show, export, erase."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from orchestrator.contact_log.export import Line, line
from orchestrator.contact_log.query import UNKNOWN, ref_of
from orchestrator.decide.member import Member
from orchestrator.errors import SetupError, Tampered, UsageError
from orchestrator.events.inputs import Command
from orchestrator.orders import to_member
from orchestrator.records import opened
from orchestrator.stores.contract import Store, SuppressionRow
from orchestrator.times import instant
from orchestrator.vault import Vault


class Everything(Struct, frozen=True, kw_only=True):
    """All that is kept about a member, in a form that can be handed over."""

    member: Member
    log: tuple[Line, ...]


class Merged(Struct, frozen=True, kw_only=True):
    """A merge that was ordered."""

    # the ids: the alias, and whom it stands for
    old: str
    into: str
    # False: the owners of their partitions have yet to do it
    done: bool


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


def alias_of(store: Store, vault: Vault, member: bytes) -> str:
    """The id that a member (keyed hash) is an alias of; "": of nobody, or nobody knows the member.

    A record that can't be read is nobody's alias: whoever opts out is heard whatever state it is in, and from a login
    that may not read records (`inbox_writer`). What is ordered then reaches whom it stands for in that member's turn.
    """
    try:
        row = store.member(member)
        known = None if row is None else opened(store, vault, row)
    except (Tampered, SetupError, msgspec.MsgspecError):
        return ""
    return "" if known is None else known.merged_into


def stands_for(store: Store, vault: Vault, member: bytes) -> list[bytes]:
    """The member (keyed hash), then whom it is an alias of, and so on; the last one is nobody's alias."""
    found = [member]
    while (into := alias_of(store, vault, found[-1])) and (key := vault.member(into)) not in found:
        found.append(key)
    return found


def must_know(store: Store, vault: Vault, member_id: str) -> None:
    """Raises UsageError where nobody of this id is known, or was erased: an order about nobody does nothing."""
    if not store.knows(vault.member(member_id)):
        raise UsageError(UNKNOWN)


def everything(store: Store, vault: Vault, member_id: str) -> Everything:
    """The member's state and every log entry about the member, with the id filled in.

    Of an alias all that is kept of whom it stands for; what was logged of each alias comes before the rest.
    """
    asked = known(store, vault, member_id)
    last = store.member(stands_for(store, vault, vault.member(member_id))[-1])
    member = (None if last is None else opened(store, vault, last)) or asked
    names = dict.fromkeys((*sorted(member.absorbed | {asked.id}), member.id))
    rows = [line(row, name) for name in names for row in store.log(ref=ref_of(store, vault, name))]
    return Everything(member=member, log=tuple(rows))


def erase(store: Store, vault: Vault, member_id: str, actor: str, now: int) -> Erased:
    """Suppresses the member at once, and orders that the owner of the member's partition destroys the key.

    The contact log keeps its entries, which name nobody, and still verifies. Raises UsageError for an unknown member.
    """
    must_know(store, vault, member_id)
    order = to_member(store, vault, member_id, Command(verb="erase", actor=actor, given_at=instant(now)))
    # the others' as one person; the owners forget all of them
    names = stands_for(store, vault, order.member)
    last = store.member(names[-1])
    known = None if last is None else opened(store, vault, last)
    names += [vault.member(alias) for alias in sorted(known.absorbed)] if known is not None else []
    silenced = [SuppressionRow(name.hex(), "*", "*", now, "erased") for name in dict.fromkeys(names)]
    store.suppress(silenced, [order])
    return Erased(suppressed_at=now, key_destroyed=False)


def erased(store: Store, vault: Vault, member_id: str) -> bool:
    """Whether the key to all that was kept of this member is destroyed."""
    row = store.member(vault.member(member_id))
    return row is not None and row.erased


def merge(store: Store, vault: Vault, old: str, into: str, actor: str, now: int) -> Merged:
    """Orders that `old` is an alias of `into` from now on: the owners of their partitions carry it out.

    Raises UsageError where either is not known, and where they are one already.
    """
    for member_id in (old, into):
        must_know(store, vault, member_id)
    one, other = (stands_for(store, vault, vault.member(member_id))[-1] for member_id in (old, into))
    if one == other:
        raise UsageError("both ids stand for one member already")
    order = Command(verb="merge", actor=actor, arguments={"into": into}, given_at=instant(now))
    store.suppress([], [to_member(store, vault, old, order)])
    return Merged(old=old, into=into, done=False)


def merged(store: Store, vault: Vault, old: str, into: str) -> bool:
    """Whether `into`, or whom it stands for, has taken over what `old` was."""
    row = store.member(stands_for(store, vault, vault.member(into))[-1])
    known = None if row is None else opened(store, vault, row)
    return known is not None and old in known.absorbed
