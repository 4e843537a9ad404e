"""A project run by the embedded engine, with its outbox: what `orchestrator run`, `demo` and journey tests turn."""

from __future__ import annotations

import asyncio
import gc
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestrator.channels.accounts import Accounts, close
from orchestrator.channels.contract import Message
from orchestrator.clocks import elapsed, wall_clock
from orchestrator.decide.content import Content
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.opening import Closed, Opening
from orchestrator.outbox_body import read_body
from orchestrator.pipeline import all_approved, nothing_kept
from orchestrator.runtimes.embedded.engine import Engine, Progressed, Totals
from orchestrator.settings import Settings
from orchestrator.stores.contract import Clock, Store, TouchRow
from orchestrator.times import instant
from orchestrator.vault import Vault

FOREVER = 1 << 62


class RunClock:
    """The time that messages are called and dated by: the wall's, or the virtual one of the touch at hand."""

    def __init__(self, *, virtual: bool = True) -> None:
        """A virtual one begins at the beginning of time."""
        self.virtual = virtual
        self.instant = 0

    def now(self) -> int:
        """Microseconds since 1970."""
        return self.instant if self.virtual else wall_clock()

    def date(self) -> datetime:
        """The same as an aware UTC datetime."""
        return instant(self.now())


class Runner:
    """Engine and outbox of one store; closes its adapters when left."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        content: Content,
        settings: Settings,
        accounts: Accounts | None,
        clock: RunClock | None = None,
        unapproved: Callable[[Content], frozenset[str]] = all_approved,
        revisions: Callable[[str], Content | None] = nothing_kept,
    ) -> None:
        """`accounts` None: dispatch is off, touches stay reserved. `clock` is what adapters date messages by.

        `content` is put in force when it runs; `unapproved`, `revisions`: see `Pipeline`.
        """
        self.store, self.vault, self.content = store, vault, content
        self.accounts = dict(accounts or {})
        self.clock = clock if clock is not None else RunClock()
        self.engine = Engine(
            store,
            vault,
            content,
            horizon_days=settings.store.horizon_days,
            unapproved=unapproved,
            revisions=revisions,
        )
        self.opening = Opening(store, vault, self.engine.pipeline.latency_margin)
        self.loop = asyncio.Runner()
        self.dispatcher = Dispatcher(
            store,
            self.accounts,
            self.open_message,
            self.permitted,
            settings.dispatch,
            lambda: secrets.token_hex(8),
            elapsed=None if self.clock.virtual else elapsed,
            calling=self._date,
        )
        self.drain = None if accounts is None else self._drain
        # this process alone dispatches: what is attempting now was cut off by the end of an earlier one
        self.loop.run(self.dispatcher.lapse(FOREVER, self._now_of))

    def run(self, paths: list[Path], *, until: int | None = None, progressed: Progressed | None = None) -> Totals:
        """Runs files of events on the virtual clock, then what is due up to `until`."""
        return self.engine.run_files(paths, until=until, drain=self.drain, progressed=progressed)

    def open_message(self, touch: TouchRow) -> Message | None:
        """The rendered message of a touch; None where the member's key is gone."""
        pipeline = self.engine.pipeline
        known = pipeline.cache.get(touch.member)
        if known is not None and known.sealer is not None and known.ref == touch.ref:
            # sealed a moment ago by this process: the same bytes hold the same message
            return pipeline.fresh.get(touch.message) or read_body(known.sealer.open(touch.message))
        return self.opening.message(touch)

    def permitted(self, touch: TouchRow, at: int) -> Closed | None:
        """Whether the hours seen at the decision are still open: the dispatcher never decides anew."""
        return self.opening.permitted(touch, at)

    def _date(self, touch: TouchRow) -> None:
        """On the virtual clock a message is dated by its own partition."""
        self.clock.instant = touch.attempted_at

    def _now_of(self, touch: TouchRow) -> int:
        return self.engine.held[touch.partition].clock if self.clock.virtual else self.clock.now()

    def _drain(self, now: Clock) -> int:
        return self.loop.run(self.dispatcher.drain(now)).called

    def __enter__(self) -> Self:
        """The runner itself; what is loaded by now is not walked by the garbage collector until it is left."""
        gc.freeze()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends the adapters' connections."""
        gc.unfreeze()
        self.loop.run(close(self.accounts))
        self.loop.close()
