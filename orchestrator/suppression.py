"""Suppression: whom not to contact; effective at the next attempt of every dispatcher.

It is written in one transaction with the order that puts it on record with its actor, and when a function here has
returned, it holds. It ends by the owner's hand alone: by a later proven grant of the member's, or by an order.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, get_args

from msgspec import Struct

from orchestrator.decide.ends import ORDERED
from orchestrator.errors import UsageError
from orchestrator.events.inputs import Command
from orchestrator.events.types import Channel, Purpose
from orchestrator.members import must_know, stands_for
from orchestrator.orders import to_all, to_member
from orchestrator.stores.contract import NewInbox, Store, SuppressionRow
from orchestrator.stores.outbox import ANY
from orchestrator.times import instant, micros, rfc3339
from orchestrator.vault import Vault


class Whom(Struct, frozen=True, kw_only=True):
    """A member, or a contact point whoever has it; on one channel or any, for one purpose or any."""

    # the member's id; "" where it is a contact point
    member: str = ""
    # address or number; "" where it is a member
    contact: str = ""
    channel: str = ANY
    purpose: str = ANY

    def __post_init__(self) -> None:
        """Raises UsageError for what is neither, or both, or no channel or purpose of ours."""
        if bool(self.member) == bool(self.contact):
            raise UsageError("name a member, or a contact point with --contact")
        if self.contact and self.channel == ANY:
            raise UsageError("a contact point needs its --channel, such as email")
        for what, value, words in (("channel", self.channel, Channel), ("purpose", self.purpose, Purpose)):
            if value != ANY and value not in get_args(words):
                raise UsageError(f"{value!r} is no {what}: use one of {', '.join(get_args(words))}")


class Suppressed(Struct, frozen=True, kw_only=True):
    """What ordering a suppression did."""

    # touches that were not called yet and never will be
    cancelled: tuple[str, ...]


class Suppression(Struct, frozen=True, kw_only=True):
    """A suppression that stands."""

    # keyed hash of a member, or keyed fingerprint of a contact point
    subject: str
    channel: str
    purpose: str
    # RFC 3339 UTC
    since: str
    reason: str


def suppress(
    store: Store, vault: Vault, whom: Whom, actor: str, at: datetime, verb: Literal["suppress", "restrict"] = "suppress"
) -> Suppressed:
    """Nobody named is called from now on, until it is lifted; what waits to be called is cancelled.

    Raises UsageError for a member who is not known.
    """
    subject, rows = _ordered(store, vault, whom, verb, actor, at)
    # of an alias, whom it stands for as well
    subjects = [name.hex() for name in stands_for(store, vault, rows[0].member)] if whom.member else [subject]
    silenced = [SuppressionRow(each, whom.channel, whom.purpose, micros(at), ORDERED) for each in subjects]
    return Suppressed(cancelled=tuple(store.suppress(silenced, rows)))


def restrict(store: Store, vault: Vault, member: str, actor: str, at: datetime) -> Suppressed:
    """What is known of a member is kept and used for no message, service included, until it is lifted (GDPR Art. 18).

    It stands beside other suppressions, and what the member agrees to later does not end it. Raises UsageError for a
    member who is not known.
    """
    return suppress(store, vault, Whom(member=member), actor, at, "restrict")


def lift(store: Store, vault: Vault, whom: Whom, actor: str, at: datetime) -> None:
    """Orders that a suppression ends that stands for exactly these: the partitions' owners end it.

    Raises UsageError where none stands.
    """
    subject, rows = _ordered(store, vault, whom, "unsuppress", actor, at)
    if whom.member:
        subject = stands_for(store, vault, rows[0].member)[-1].hex()
    if not any(row[:3] == (subject, whom.channel, whom.purpose) for row in store.suppressions()):
        raise UsageError("no such suppression stands; see: orchestrator suppress --list")
    store.suppress([], rows)


def suppressions(store: Store) -> list[Suppression]:
    """All that stand."""
    return [
        Suppression(
            subject=row.subject,
            channel=row.channel,
            purpose=row.purpose,
            since=rfc3339(instant(row.since)),
            reason=row.reason,
        )
        for row in store.suppressions()
    ]


def _ordered(
    store: Store,
    vault: Vault,
    whom: Whom,
    verb: Literal["suppress", "restrict", "unsuppress"],
    actor: str,
    at: datetime,
) -> tuple[str, Sequence[NewInbox]]:
    """The subject of the suppression, and the rows that put the order on record."""
    arguments = {"channel": whom.channel, "purpose": whom.purpose}
    if whom.member:
        must_know(store, vault, whom.member)
        order = Command(verb=verb, actor=actor, arguments=arguments, given_at=at)
        row = to_member(store, vault, whom.member, order)
        return row.member.hex(), [row]
    fingerprint = vault.fingerprint(whom.channel, whom.contact)
    order = Command(verb=verb, actor=actor, arguments={"contact": fingerprint, **arguments}, given_at=at)
    return fingerprint, to_all(store, order)
