"""The real worker, `orchestrator worker`, with the chaos provider for its channels, the points, and any sabotage.

    python -m tests.chaos.worker --project DIR worker --roles decide,dispatch,relay

A seam for tests alone: it patches what loads adapters and what opens the store, then calls the real command line.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, cast

from orchestrator import project as project_module
from orchestrator.channels.accounts import Account
from orchestrator.channels.contract import Message
from orchestrator.cli.app import main
from orchestrator.dispatch.opening import Opening
from orchestrator.pipeline import Pipeline
from orchestrator.runtimes.kafka import worker as worker_module
from orchestrator.settings import Settings
from orchestrator.stores.contract import Store, TouchRow
from tests.chaos import sabotage
from tests.chaos.adapter import HttpAdapter
from tests.chaos.points import PointedStore, after_call, before_batch

URL = "CHAOS_PROVIDER"
SABOTAGE = "SABOTAGE"
# touches whose message was opened and whose call may still come
_KEPT = 10_000
_about: OrderedDict[str, tuple[str, str]] = OrderedDict()


def _opened(opening: Opening, touch: TouchRow) -> Message | None:
    _about[touch.touch_id] = (touch.ref, touch.contact)
    while len(_about) > _KEPT:
        _about.popitem(last=False)
    return _open(opening, touch)


def _accounts(settings: Settings, _project: Path, *_: Any) -> dict[str, tuple[Account, ...]]:
    accounts: dict[str, tuple[Account, ...]] = {}
    for channel in settings.dispatch.adapters:
        opened = []
        for name in settings.dispatch.names(channel):
            adapter = HttpAdapter(channel, os.environ[URL], lambda touch: _about.get(touch, ("", "")), name)
            adapter.send = after_call(adapter.send)  # type: ignore[method-assign]  # the point after a call
            opened.append(Account(name, adapter, settings.dispatch.account(name)))
        accounts[channel] = tuple(opened)
    return accounts


def _store(settings: Settings, path: Path) -> Store:
    store = sabotage.apply(os.environ.get(SABOTAGE, ""), _open_store(settings, path))
    # around a sabotaged pipeline as well: it is patched by now
    Pipeline.run = before_batch(Pipeline.run)  # type: ignore[method-assign]  # that is the seam
    return cast(Store, PointedStore(store))


_open, _open_store = Opening.message, project_module.open_store

if __name__ == "__main__":
    Opening.message = _opened  # type: ignore[method-assign, assignment]  # that is the seam
    project_module.open_store = _store
    worker_module.load_accounts = _accounts  # type: ignore[attr-defined, assignment]  # imported there by name
    main()
