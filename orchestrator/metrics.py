"""How the store stands, for Prometheus: asked when it is scraped, and not more often than every `REFRESH_S` seconds.

Every process of a store that tells this tells the same, whoever did the work, and goes on where it was after a restart.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import structlog
from prometheus_client import CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from orchestrator import counters
from orchestrator.dispatch.breaker import open_breakers
from orchestrator.dispatch.outage import outages
from orchestrator.errors import SetupError
from orchestrator.settings import Settings
from orchestrator.stores.contract import Store

# some of the questions count rows
REFRESH_S = 15.0
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# of the running totals: what became of inputs, and of intents
_INPUTS = ("applied", "duplicate", "dead", "parked", "forwarded")
_INTENTS = ("touched", "silent", "waiting")
# partition -> offsets of the first record that is kept, and after the last readable one
Ends = Callable[[], Mapping[int, tuple[int, int]]]

log = structlog.get_logger()


class Standing(Collector):
    """Asks one store."""

    def __init__(
        self, store: Store, settings: Settings, ends: Ends | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`ends` are those of the log that feeds the store, for its lag; None: no log does."""
        self._store, self._settings, self._ends, self._clock = store, settings, ends, clock
        self._lock = threading.Lock()
        self._asked: float | None = None
        self._kept: tuple[Metric, ...] = ()

    def collect(self) -> Iterable[Metric]:
        """What was found last, or is found now; what can't be asked just then is left out, and told by `_up`."""
        with self._lock:
            now = self._clock()
            if self._asked is None or now - self._asked >= REFRESH_S:
                self._kept, self._asked = tuple(self._found()), now
            return self._kept

    def _found(self) -> Iterator[Metric]:
        for name, ask in (("store", self._of_store), ("log", self._of_log)):
            up = GaugeMetricFamily(f"orchestrator_{name}_up", f"Whether the {name} could be asked")
            try:
                found = list(ask())
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the rest is told
                log.warning("metrics: a part can't be asked", part=name, error=type(error).__name__)
                up.add_metric([], 0)
            else:
                up.add_metric([], 1)
                yield from found
            if name == "store" or self._ends is not None:
                yield up

    def _of_store(self) -> Iterator[Metric]:
        store = self._store
        totals: Counter[str] = Counter()
        for (_, name), n in store.totals().items():
            totals[name] += n
        inputs = CounterMetricFamily("orchestrator_inputs", "Inputs by what became of them", labels=["result"])
        for name in _INPUTS:
            inputs.add_metric([name], totals[name])
        intents = GaugeMetricFamily("orchestrator_intents", "Intents by how they stand or ended", labels=["state"])
        for name in _INTENTS:
            intents.add_metric([name], totals[name])
        yield from (inputs, intents, self._decisions(), self._heads(), *self._waiting(), *self._accounts())

    def _decisions(self) -> Metric:
        labels = ["journey", "channel", "verdict", "reason"]
        told = CounterMetricFamily("orchestrator_decisions", "Decisions by verdict and deciding reason", labels=labels)
        sums: Counter[tuple[str, ...]] = Counter()
        for counted, n in self._store.daily().items():
            sums[counted[1:]] += n
        for key, n in sorted(sums.items()):
            # entries and ends of journeys are counted beside the decisions
            if key[2] in ("send", "defer", "suppress"):
                told.add_metric(list(key), n)
        return told

    def _heads(self) -> Metric:
        heads = CounterMetricFamily(
            "orchestrator_log_entries", "Head of the contact log's chains", labels=["partition"]
        )
        for row in self._store.progress():
            heads.add_metric([str(row.partition)], row.log_n)
        return heads

    def _waiting(self) -> Iterator[Metric]:
        waits = self._store.backlog(self._store.clock()).values()
        outbox = GaugeMetricFamily(
            "orchestrator_outbox_touches", "Touches that are not called, or not yet answered", labels=["state"]
        )
        outbox.add_metric(["reserved"], sum(each.reserved for each in waits))
        outbox.add_metric(["in_flight"], sum(each.in_flight for each in waits))
        inbox = GaugeMetricFamily(
            "orchestrator_inbox_rows", "Rows of the inbox, by whether their moment has come", labels=["state"]
        )
        inbox.add_metric(["due"], sum(each.due for each in waits))
        inbox.add_metric(["later"], sum(each.later for each in waits))
        yield from (outbox, inbox)

    def _accounts(self) -> Iterator[Metric]:
        left_alone = open_breakers(self._store)
        names = {name for given in self._settings.dispatch.adapters.values() for name in _names(given)}
        breakers = GaugeMetricFamily(
            "orchestrator_breaker_open", "1: the account is left alone for its failures", labels=["account"]
        )
        for name in sorted({*names, *left_alone}):
            breakers.add_metric([name], int(name in left_alone))
        out = GaugeMetricFamily(
            "orchestrator_channel_out", "1: none of the channel's accounts can be called", labels=["channel"]
        )
        for channel, outage in sorted(outages(self._store).items()):
            out.add_metric([channel], int(not outage.until))
        yield from (breakers, out)

    def _of_log(self) -> Iterator[Metric]:
        if self._ends is None:
            return
        # offsets first: what is applied between the two questions would else look like less than nothing
        offsets = {row.partition: row.next_offset for row in self._store.progress()}
        lag = GaugeMetricFamily("orchestrator_lag_records", "Records of the log not yet applied", labels=["partition"])
        for partition, (first, end) in sorted(self._ends().items()):
            lag.add_metric([str(partition)], max(0, end - max(first, offsets.get(partition, 0))))
        yield lag


def exposition(standing: Standing | None) -> bytes:
    """What this process counts, and how its store stands where it is one that tells."""
    if standing is None:
        return counters.exposition()
    registry = CollectorRegistry()
    registry.register(standing)
    return counters.exposition() + generate_latest(registry)


def listen(address: str, standing: Standing | None) -> Callable[[], None]:
    """Answers `GET /metrics` at `address` (`127.0.0.1:9100`) from a thread of its own; how to end that.

    Raises SetupError where nothing can listen there.
    """
    host, _, port = address.rpartition(":")
    registry = CollectorRegistry()
    registry.register(counters.OURS)
    if standing is not None:
        registry.register(standing)
    try:
        server, thread = start_http_server(int(port), host.strip("[]"), registry)
    except (OSError, OverflowError, ValueError) as error:
        raise SetupError(f"[metrics] listen: nothing can listen at {address}: {error}") from None

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return end


def _names(given: str | list[str]) -> list[str]:
    return [given] if isinstance(given, str) else given
