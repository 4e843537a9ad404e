"""A project run by the embedded engine, with its outbox: what `orchestrator run`, `demo` and journey tests turn."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from orchestrator.channels.contract import Adapter, Message
from orchestrator.decide.content import Content
from orchestrator.dispatch.dispatcher import Closed, Dispatcher
from orchestrator.dispatch.opening import Opening
from orchestrator.runtimes.embedded.engine import Engine, Progressed, Totals
from orchestrator.settings import Settings
from orchestrator.stores.contract import Store, TouchRow
from orchestrator.vault import Vault

_read_message = msgspec.json.Decoder(Message).decode
FOREVER = 1 << 62


class Runner:
    """Engine and outbox of one store; closes its adapters when left."""

    def __init__(
        self, store: Store, vault: Vault, content: Content, settings: Settings, adapters: Mapping[str, Adapter] | None
    ) -> None:
        """`adapters` None: dispatch is off, touches stay reserved."""
        self.store, self.vault, self.content = store, vault, content
        self.adapters = dict(adapters or {})
        self.opening = Opening(store, vault, content.policies.latency_margin)
        self.engine = Engine(store, vault, content, horizon_days=settings.store.horizon_days)
        self.loop = asyncio.Runner()
        self.dispatcher = Dispatcher(
            store,
            self.adapters,
            self.open_message,
            self.permitted,
            settings.dispatch,
            lambda: secrets.token_hex(8),
            instant_of=self._partition_clock,
        )
        self.drain = None if adapters is None else self._drain
        # this process alone dispatches: what is attempting now was cut off by the end of an earlier one
        self.loop.run(self.dispatcher.lapse(FOREVER))

    def run(self, paths: list[Path], *, until: int | None = None, progressed: Progressed | None = None) -> Totals:
        """Runs files of events on the virtual clock, then what is due up to `until`."""
        return self.engine.run_files(paths, until=until, drain=self.drain, progressed=progressed)

    def open_message(self, touch: TouchRow) -> Message | None:
        """The rendered message of a touch; None where the member's key is gone."""
        known = self.engine.pipeline.cache.get(touch.member)
        if known is not None and known.sealer is not None and known.ref == touch.ref:
            return _read_message(known.sealer.open(touch.message))
        return self.opening.message(touch)

    def permitted(self, touch: TouchRow, at: int) -> Closed | None:
        """Whether the hours seen at the decision are still open: the dispatcher never decides anew."""
        return self.opening.permitted(touch, at)

    def _partition_clock(self, touch: TouchRow) -> int:
        return self.engine.held[touch.partition].clock

    def _drain(self, now: int | None) -> int:
        return self.loop.run(self.dispatcher.drain(now)).called

    def __enter__(self) -> Self:
        """The runner itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the adapters' connections."""

        async def close() -> None:
            for adapter in self.adapters.values():
                await adapter.close()

        self.loop.run(close())
        self.loop.close()
