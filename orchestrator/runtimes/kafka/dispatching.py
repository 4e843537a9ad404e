"""The role `dispatch`: the outbox, emptied by the store's clock for as long as the worker runs."""

from __future__ import annotations

import asyncio
import secrets

import structlog
from sqlalchemy.exc import DBAPIError

from orchestrator.channels.accounts import Accounts, close
from orchestrator.clocks import elapsed
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.dispatch.opening import LatencyMargin, Opening
from orchestrator.errors import Interrupted
from orchestrator.runtimes.kafka.patience import LONGEST_PAUSE_S, PATIENCE_S, away, named
from orchestrator.runtimes.kafka.watchdog import Watchdog
from orchestrator.settings import DispatchSettings
from orchestrator.stores.contract import Clock, Store
from orchestrator.vault import Vault

IDLE_S = 0.2
# an account has no call left in its rate, and soon will
PACED_S = 0.02

log = structlog.get_logger()


class Dispatching:
    """Rounds of one dispatcher; several workers may have one each on the same store."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        latency_margin: LatencyMargin,
        settings: DispatchSettings,
        accounts: Accounts,
        watchdog: Watchdog,
    ) -> None:
        """`latency_margin` is that of the policies in force; `accounts`, by channel, are closed when `run` returns."""
        opening = Opening(store, vault, latency_margin)
        self.accounts, self.watchdog = accounts, watchdog
        self.dispatcher = Dispatcher(
            store,
            accounts,
            opening.message,
            opening.permitted,
            settings,
            lambda: secrets.token_hex(8),
            elapsed=elapsed,
            prepare=opening.prepare,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Rounds until `stop`; then claims nothing more, waits for the calls under way and records them."""
        try:
            waited, pause = 0.0, 0.1
            while not stop.is_set():
                try:
                    with self.watchdog.watching("a round of the dispatcher"):
                        report = await self.dispatcher.round(Clock.store)
                except (DBAPIError, Interrupted) as error:
                    # claims and attempts that got no further lapse; what was answered stays to be recorded
                    if not away(error) or waited >= PATIENCE_S:
                        raise
                    log.warning("the database is away", error=named(error), next_try_s=round(pause, 1))
                    await _rest(stop, pause)
                    waited, pause = waited + pause, min(pause * 2, LONGEST_PAUSE_S)
                    continue
                waited, pause = 0.0, 0.1
                if report.claimed == report.expired + report.deferred and not self.dispatcher.in_flight:
                    await _rest(stop, PACED_S if self.dispatcher.paced else IDLE_S)
            with self.watchdog.watching("the last calls"):
                await self.dispatcher.finish(Clock.store)
        finally:
            await close(self.accounts)


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    """Waits so long, or until `stop`."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
