"""Dead letters and parked inputs: what could not be applied, why, what cures it, and doing it again."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from orchestrator.errors import Unreadable, UsageError
from orchestrator.events.envelope import subject_of
from orchestrator.events.inputs import Command
from orchestrator.orders import to_member
from orchestrator.stores.contract import Burial, ParkedRow, Store
from orchestrator.times import instant, rfc3339
from orchestrator.vault import Vault


class DeadLetter(Struct, frozen=True, kw_only=True):
    """One input that could not be applied; its content is shown only on demand."""

    partition: int
    offset: int
    at: str
    reason: str
    cure: str
    # the input itself, where it was asked for and its key has not expired
    raw: str = ""


class Notice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the topic of dead letters is told of one: all but its content, which may hold personal data."""

    # partition of the store, and the letter's number there, which only grows
    partition: int
    n: int
    # where it stood in its source
    offset: int
    # when it was buried, RFC 3339 UTC, by the partition's clock
    at: str
    # code of the reason, such as bad_data
    reason: str
    # what would cure it
    cure: str


class Quarantined(Struct, frozen=True, kw_only=True):
    """A member whose inputs are parked until somebody redrives them."""

    # the member's id, where it was asked for and can be read; else the keyed hash of it
    member: str
    partition: int
    # kind of the error that the first of them raised
    reason: str
    inputs: int
    # when the first of them was parked, RFC 3339; "" where none was yet
    since: str


def listed(store: Store, vault: Vault, *, reason: str = "", limit: int = 100, show: bool = False) -> list[DeadLetter]:
    """The dead letters, oldest first; `show` opens their content, which may hold personal data."""
    found: list[DeadLetter] = []
    for row in store.dead():
        if reason and row.reason != reason:
            continue
        raw = vault.open_dead(row.raw).decode(errors="replace") if show else ""
        found.append(
            DeadLetter(
                partition=row.partition,
                offset=row.offset,
                at=rfc3339(instant(row.at)),
                reason=row.reason,
                cure=row.cure,
                raw=raw,
            )
        )
        if len(found) >= limit:
            break
    return found


def notice(burial: Burial) -> Notice:
    """What is told of a dead letter."""
    n, row = burial
    at = rfc3339(instant(row.at))
    return Notice(partition=row.partition, n=n, offset=row.offset, at=at, reason=row.reason, cure=row.cure)


def quarantined(store: Store, vault: Vault, *, show: bool = False) -> list[Quarantined]:
    """The members in quarantine; `show` opens what is parked to name them."""
    found = []
    for row in store.quarantine():
        parked = store.parked(row.member)
        found.append(
            Quarantined(
                member=(_name(parked, vault) if show else "") or row.member.hex(),
                partition=row.partition,
                reason=row.reason,
                inputs=len(parked),
                since=rfc3339(instant(parked[0].at)) if parked else "",
            )
        )
    return found


def redrive(store: Store, vault: Vault, member_id: str, actor: str, at: datetime) -> None:
    """Orders that a member's quarantine ends: the partition's owner applies what was parked, in order.

    Nothing is taken out of the park before the owner writes it into its inbox, in one transaction. Raises UsageError
    where this member is not in quarantine.
    """
    order = to_member(store, vault, member_id, Command(verb="redrive", actor=actor, given_at=at))
    if order.member not in {row.member for row in store.quarantine()}:
        raise UsageError(f"{member_id} is not in quarantine; see: orchestrator dlq parked")
    store.suppress([], [order])


def _name(parked: list[ParkedRow], vault: Vault) -> str:
    """The subject of the first event that is parked; "" where none can be read."""
    for row in parked:
        if row.kind == "event":
            try:
                return subject_of(vault.open_dead(row.raw))
            except Unreadable:
                continue
    return ""
