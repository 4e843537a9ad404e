"""Switches: what is not sent for the time being; effective at the next attempt of every dispatcher.

A switch is written in one transaction with the order that puts it on record with its actor in every partition.
"""

from __future__ import annotations

from datetime import datetime
from typing import get_args

from msgspec import Struct

from orchestrator.dispatch.breaker import close_breaker, open_breakers
from orchestrator.errors import UsageError
from orchestrator.events.inputs import Command
from orchestrator.events.types import Channel
from orchestrator.orders import to_all
from orchestrator.stores.contract import Store, SwitchRow
from orchestrator.stores.outbox import STOPPED, at_account, known_scope
from orchestrator.times import instant, micros, rfc3339


class Switch(Struct, frozen=True, kw_only=True):
    """A switch that is off: nothing in its scope is sent."""

    scope: str
    # RFC 3339 UTC
    since: str
    actor: str
    # an account that failed again and again: when a call finds out whether it is well (RFC 3339 UTC), and what it said
    until: str = ""
    said: str = ""


def switch(store: Store, scope: str, *, off: bool, actor: str, at: datetime) -> None:
    """Stops what is in the scope (`all`, `channel:email`, `journey:welcome`, `account:relay`), or lets it go on.

    What was decided waits meanwhile, goes by another account where the scope is an account, and is cancelled when its
    time is over. Of a journey nothing is decided either: who is inside stays where they are, and what comes due is
    decided when it goes on. An account that goes on is called again at once, also where it was left alone for its
    failures. Raises UsageError for a scope that can't be.
    """
    kind, _, name = known_scope(scope).partition(":")
    if kind == "channel" and name not in get_args(Channel):
        raise UsageError(f"{name!r} is no channel: use one of {', '.join(get_args(Channel))}")
    order = Command(verb="switch", actor=actor, arguments={"scope": scope, "to": "off" if off else "on"}, given_at=at)
    store.switch(SwitchRow(scope, micros(at), actor), off, to_all(store, order))
    if kind == "account" and not off:
        close_breaker(store, name)


def stop(store: Store, journey: str, *, actor: str, at: datetime) -> None:
    """Ends a journey until it is resumed: nobody enters it, and the runs of those inside end as silences.

    Its messages are not called from the moment this returns; the owners end the runs in their members' next turns.
    """
    switch(store, f"journey:{journey}", off=True, actor=actor, at=at)
    order = Command(verb="switch", actor=actor, arguments={"scope": f"journey:{journey}", "to": STOPPED}, given_at=at)
    store.switch(SwitchRow(f"{STOPPED}:{journey}", micros(at), actor), True, to_all(store, order))


def resume(store: Store, journey: str, *, actor: str, at: datetime) -> None:
    """Lets a paused or stopped journey go on: what came due meanwhile is decided now."""
    store.switch(SwitchRow(f"{STOPPED}:{journey}", micros(at), actor), False, [])
    switch(store, f"journey:{journey}", off=False, actor=actor, at=at)


def switches(store: Store) -> list[Switch]:
    """All that are off, and the accounts that dispatchers leave alone for their failures."""
    off = [Switch(scope=row.scope, since=rfc3339(instant(row.since)), actor=row.actor) for row in store.switches()]
    return off + [
        Switch(
            scope=at_account(name),
            since=rfc3339(instant(stands.since)),
            actor="dispatch",
            until=rfc3339(instant(stands.until)),
            said=stands.said,
        )
        for name, stands in open_breakers(store).items()
    ]
