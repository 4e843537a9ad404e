"""Adapters by the name of their folder: `channels/<name>/` or `channels/<channel>/<name>/`, each with a `send.py`.

There is no list to edit: a new folder with `send.py` and `open_adapter` in it is found by its name.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict, replace

from orchestrator.channels.accounts import Account
from orchestrator.channels.webhooks import AnyOf, Receiver
from orchestrator.errors import SetupError
from orchestrator.settings import DispatchSettings, Settings

_HERE = Path(__file__).parent


def known(channel: str) -> dict[str, str]:
    """The adapters that can serve a channel: folder name -> module of its `send.py`. Those of every channel, too."""
    folders = {send.parent.name: send.parent for send in sorted(_HERE.glob("*/send.py"))}
    if channel.isidentifier():
        folders |= {send.parent.name: send.parent for send in sorted(_HERE.glob(f"{channel}/*/send.py"))}
    return {
        name: ".".join(("orchestrator.channels", *folder.relative_to(_HERE).parts, "send"))
        for name, folder in folders.items()
    }


def load_receivers(settings: Settings) -> dict[str, Receiver]:
    """path -> receiver of the provider's own requests, of the adapters that the settings name.

    An adapter that has none, or whose keys the settings do not hold, brings none. Accounts of one provider are called
    back at one path: whoever of them signed is heard. Raises SetupError for a bad key.
    """
    opened: dict[str, dict[str, Receiver]] = {}
    for channel in settings.dispatch.adapters:
        for name in settings.dispatch.names(channel):
            adapter = settings.dispatch.account(name).adapter
            module = known(channel).get(adapter)
            receipts = f"{(module or '').removesuffix('send')}receipts"
            if module is None or importlib.util.find_spec(receipts) is None:
                continue
            if make := getattr(importlib.import_module(receipts), "open_receivers", None):
                own = settings.dispatch.accounts.get(name)
                # accounts that share their adapter's table share its keys: they are one to whoever calls back
                keys = adapter if own is None or settings.dispatch.of(name) is settings.dispatch else name
                for path, receiver in make(_seen_by(settings, name)).items():
                    opened.setdefault(path, {})[keys] = receiver
    return {
        path: next(iter(each.values())) if len(each) == 1 else AnyOf(tuple(each.values()))
        for path, each in opened.items()
    }


def _wall() -> datetime:
    return datetime.now(UTC)


def _seen_by(settings: Settings, name: str) -> Settings:
    return replace(settings, dispatch=settings.dispatch.of(name))


def load_accounts(
    settings: Settings, project: Path, clock: Callable[[], datetime] = _wall
) -> dict[str, tuple[Account, ...]]:
    """channel -> accounts, as `[dispatch.adapters]` names them; each is opened once and connects when it first sends.

    `clock` gives the date that messages carry: aware UTC. Raises SetupError for a name that is neither an account nor
    an adapter's folder, with the nearest one, for settings that an adapter refuses, and for a time-out that outlasts
    half a lease.
    """
    dispatch = settings.dispatch
    _check_timeouts(dispatch, dispatch, "dispatch")
    for name, account in dispatch.accounts.items():
        _check_timeouts(dispatch, account, f"dispatch.accounts.{name}")
    accounts: dict[str, tuple[Account, ...]] = {}
    for channel in dispatch.adapters:
        names = dispatch.names(channel)
        if not names or len(set(names)) < len(names):
            raise SetupError(f"[dispatch.adapters] {channel}: name one account, or several, each of them once")
        accounts[channel] = tuple(_open(channel, name, settings, project, clock) for name in names)
    return accounts


def _open(channel: str, name: str, settings: Settings, project: Path, clock: Callable[[], datetime]) -> Account:
    account, modules = settings.dispatch.account(name), known(channel)
    if account.adapter not in modules:
        own = settings.dispatch.accounts.get(name)
        told = f"[dispatch.accounts.{name}] adapter" if own and own.adapter else f"[dispatch.adapters] {channel}"
        known_names = {*modules, *(() if own else settings.dispatch.accounts)}
        nearest = difflib.get_close_matches(account.adapter, known_names, n=1, cutoff=0.4)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        what = "adapter" if own or not settings.dispatch.accounts else "account or adapter"
        raise SetupError(
            f"{told} = {account.adapter!r}: there is no such {what} for {channel}{hint} "
            f"Known: {', '.join(sorted(known_names))}"
        )
    opened = importlib.import_module(modules[account.adapter])
    return Account(name, opened.open_adapter(channel, _seen_by(settings, name), project, clock), account)


def _check_timeouts(dispatch: DispatchSettings, tables: Struct, named: str) -> None:
    for name, table in asdict(tables).items():
        timeout_s = getattr(table, "timeout_s", 0.0)
        if timeout_s > dispatch.lease_s / 2:
            raise SetupError(
                f"[{named}.{name}] timeout_s = {timeout_s:g} must be at most half of [dispatch] "
                f"lease_s = {dispatch.lease_s:g}: a call that outlives its claim would be taken for lost"
            )
