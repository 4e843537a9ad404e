"""Switches: what is not sent for the time being; effective at the next attempt of every dispatcher.

A switch is written in one transaction with the order that puts it on record with its actor in every partition.
"""

from __future__ import annotations

from datetime import datetime
from typing import get_args

from msgspec import Struct

from orchestrator.errors import UsageError
from orchestrator.events.inputs import Command
from orchestrator.events.types import Channel
from orchestrator.orders import to_all
from orchestrator.stores.contract import Store, SwitchRow
from orchestrator.stores.outbox import STOPPED, known_scope
from orchestrator.times import instant, micros, rfc3339


class Switch(Struct, frozen=True, kw_only=True):
    """A switch that is off: nothing in its scope is sent."""

    scope: str
    # RFC 3339 UTC
    since: str
    actor: str


def switch(store: Store, scope: str, *, off: bool, actor: str, at: datetime) -> None:
    """Stops what is in the scope (`all`, `channel:email`, `journey:welcome`), or lets it go on; raises UsageError.

    What was decided waits meanwhile, and is cancelled when its time is over. Of a journey nothing is decided either:
    who is inside stays where they are, and what comes due is decided when it goes on.
    """
    kind, _, name = known_scope(scope).partition(":")
    if kind == "channel" and name not in get_args(Channel):
        raise UsageError(f"{name!r} is no channel: use one of {', '.join(get_args(Channel))}")
    order = Command(verb="switch", actor=actor, arguments={"scope": scope, "to": "off" if off else "on"}, given_at=at)
    store.switch(SwitchRow(scope, micros(at), actor), off, to_all(store, order))


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
    """All that are off."""
    return [Switch(scope=row.scope, since=rfc3339(instant(row.since)), actor=row.actor) for row in store.switches()]
