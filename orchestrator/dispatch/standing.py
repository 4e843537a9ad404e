"""How each provider account stands: what an operator asks when messages wait."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from orchestrator.dispatch import breaker, pace
from orchestrator.settings import DispatchSettings
from orchestrator.stores.contract import Queue, Store
from orchestrator.stores.outbox import ALL, at_account
from orchestrator.times import instant, rfc3339


class AccountStanding(Struct, frozen=True, kw_only=True):
    """One account of one channel."""

    channel: str
    # "": the channel has messages, and no account in these settings
    account: str
    # half_open: its rest is over, one call finds out whether it is well
    breaker: Literal["closed", "open", "half_open"] = "closed"
    # open: since when, until when it is not called (RFC 3339), and what it answered last
    since: str | None = None
    until: str | None = None
    said: str = ""
    # scopes that an operator switched off and that stop it: all, channel:email, account:relay
    off: tuple[str, ...] = ()
    # calls a second over all workers; 0: no bound
    per_second: float = 0.0
    # calls leased by workers, of those it may have in one period
    leased: int = 0
    of: int = 0
    # calls under way
    calling: int = 0
    # the channel's touches that wait for a call now, and those that are put off: any of its accounts may take them
    waiting: int = 0
    later: int = 0


def accounts(store: Store, dispatch: DispatchSettings) -> list[AccountStanding]:
    """Every account that the settings name, channel by channel in the order in which they are tried.

    A channel that has touches and no account is told too, and so is an account that has calls under way and that these
    settings do not name: another worker's do.
    """
    at = store.clock()
    queues = {(row.channel, row.account): row for row in store.queues(at)}
    off = {row.scope for row in store.switches()}
    named = [(channel, account) for channel in dispatch.adapters for account in dispatch.names(channel)]
    served = {channel for channel, _ in named}
    rest = [key for key in queues if key not in named and (key[1] or key[0] not in served)]
    return [_account(store, dispatch, channel, account, queues, off, at) for channel, account in (*named, *rest)]


def _account(
    store: Store,
    dispatch: DispatchSettings,
    channel: str,
    account: str,
    queues: dict[tuple[str, str], Queue],
    off: set[str],
    at: int,
) -> AccountStanding:
    stands = breaker.standing(store, account) if account else breaker.CLOSED
    opened = bool(stands.since)
    rate = dispatch.account(account).per_second if account else 0.0
    scopes = (ALL, f"channel:{channel}", at_account(account))
    none = Queue(channel, account)
    waits = queues.get((channel, ""), none)
    return AccountStanding(
        channel=channel,
        account=account,
        breaker=stands.state(at),
        since=rfc3339(instant(stands.since)) if opened else None,
        until=rfc3339(instant(stands.until)) if opened else None,
        said=stands.said if opened else "",
        off=tuple(scope for scope in scopes if scope in off),
        per_second=rate,
        leased=pace.leased(store, account, rate, at) if rate else 0,
        of=pace.span_of(rate)[0] if rate else 0,
        calling=queues.get((channel, account), none).calling,
        waiting=waits.waiting + waits.claimed,
        later=waits.later,
    )
