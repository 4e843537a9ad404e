"""Accounts at providers: an adapter, the name that the record gives it, and its bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from orchestrator.channels.contract import Adapter
from orchestrator.settings import AccountSettings


class Account(Struct, frozen=True):
    """One account of one channel."""

    # as `[dispatch.adapters]` names it
    name: str
    adapter: Adapter
    bounds: AccountSettings = AccountSettings()


# channel -> its accounts in the order in which they are tried; a lone adapter is an account of its channel's name
Accounts = Mapping[str, Adapter | Sequence[Account]]


def in_order(accounts: Accounts) -> dict[str, tuple[Account, ...]]:
    """channel -> its accounts, in the order in which they are tried."""
    return {
        channel: tuple(given) if isinstance(given, Sequence) else (Account(channel, given),)
        for channel, given in accounts.items()
    }


async def close(accounts: Accounts) -> None:
    """Ends the connections of them all."""
    for given in in_order(accounts).values():
        for account in given:
            await account.adapter.close()
