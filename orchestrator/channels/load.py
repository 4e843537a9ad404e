"""Adapters by the name of their folder: `channels/<name>/` or `channels/<channel>/<name>/`, each with a `send.py`.

There is no list to edit: a new folder with `send.py` and `open_adapter` in it is found by its name.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import asdict

from orchestrator.channels.contract import Adapter
from orchestrator.channels.webhooks import Receiver
from orchestrator.errors import SetupError
from orchestrator.settings import Settings

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

    An adapter that has none, or whose keys the settings do not hold, brings none. Raises SetupError for a bad key.
    """
    receivers: dict[str, Receiver] = {}
    for channel, name in settings.dispatch.adapters.items():
        if module := known(channel).get(name):
            receipts = f"{module.removesuffix('send')}receipts"
            if importlib.util.find_spec(receipts) is not None:
                opened = getattr(importlib.import_module(receipts), "open_receivers", None)
                receivers |= opened(settings) if opened is not None else {}
    return receivers


def _wall() -> datetime:
    return datetime.now(UTC)


def load_adapters(settings: Settings, project: Path, clock: Callable[[], datetime] = _wall) -> dict[str, Adapter]:
    """channel -> adapter, as `[dispatch.adapters]` names them; each is opened once and connects when it first sends.

    `clock` gives the date that messages carry: aware UTC. Raises SetupError for a name without a folder, with the
    nearest one, for settings that an adapter refuses, and for a time-out that outlasts half a lease.
    """
    dispatch = settings.dispatch
    for name, account in asdict(dispatch).items():
        timeout_s = getattr(account, "timeout_s", 0.0)
        if timeout_s > dispatch.lease_s / 2:
            raise SetupError(
                f"[dispatch.{name}] timeout_s = {timeout_s:g} must be at most half of [dispatch] "
                f"lease_s = {dispatch.lease_s:g}: a call that outlives its claim would be taken for lost"
            )
    adapters: dict[str, Adapter] = {}
    for channel, name in dispatch.adapters.items():
        modules = known(channel)
        if name not in modules:
            nearest = difflib.get_close_matches(name, modules, n=1, cutoff=0.4)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
            raise SetupError(
                f"[dispatch.adapters] {channel} = {name!r}: there is no such adapter for {channel}{hint} "
                f"Known: {', '.join(sorted(modules))}"
            )
        adapters[channel] = importlib.import_module(modules[name]).open_adapter(channel, settings, project, clock)
    return adapters
