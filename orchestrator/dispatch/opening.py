"""Opening what the outbox holds: a touch's message, and whether its hours are still open; for every engine.

Messages are sealed with their member's key. Keys are read from the store and kept in a bounded cache; a member whose
key was destroyed has no reserved touch left (the same transaction cancelled them), so a kept key opens nothing new.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from threading import Lock

from msgspec import Struct

from orchestrator.channels.contract import Message
from orchestrator.outbox_body import read_body
from orchestrator.stores.contract import Store, TouchRow
from orchestrator.times import instant
from orchestrator.vault import Sealer, Vault

CACHED_KEYS = 4_096
_MICROSECOND = timedelta(microseconds=1)

# (channel, instant) -> how long before a closing hour calls must end
LatencyMargin = Callable[[str, datetime], timedelta]


class Closed(Struct, frozen=True):
    """The moment is not permitted any more: which rule says so, and the closed window, half-open."""

    rule: str
    closed_from: datetime
    closed_until: datetime


class Opening:
    """Messages of one store, opened with one project's keys. Any thread may ask."""

    def __init__(self, store: Store, vault: Vault, latency_margin: LatencyMargin) -> None:
        """`latency_margin` is that of the policies in force: `content.policies.latency_margin`."""
        self._store, self._vault, self._latency_margin = store, vault, latency_margin
        self._sealers: OrderedDict[str, Sealer] = OrderedDict()
        self._lock = Lock()

    def prepare(self, touches: Sequence[TouchRow]) -> None:
        """Reads the keys of these touches' members at once; a touch that was not prepared is opened all the same."""
        with self._lock:
            absent = {touch.ref for touch in touches} - self._sealers.keys()
        if absent:
            for ref, wrapped in self._store.keys(absent).items():
                self._keep(ref, self._vault.sealer(ref, wrapped))

    def message(self, touch: TouchRow) -> Message | None:
        """The rendered message of a touch; None where the member's key is gone."""
        sealer = self._sealer(touch.ref)
        return None if sealer is None else read_body(sealer.open(touch.message))

    def permitted(self, touch: TouchRow, at: int) -> Closed | None:
        """Whether the hours seen at the decision are still open: the dispatcher never decides anew."""
        if not touch.call_by or at < touch.call_by:
            return None
        closes = instant(touch.call_by) + self._latency_margin(touch.channel, instant(at))
        return Closed(touch.call_rule, instant(touch.call_by), max(closes, instant(at) + _MICROSECOND))

    def _sealer(self, ref: str) -> Sealer | None:
        with self._lock:
            sealer = self._sealers.get(ref)
            if sealer is not None:
                self._sealers.move_to_end(ref)
                return sealer
        wrapped = self._store.key(ref)
        if wrapped is None:
            return None
        return self._keep(ref, self._vault.sealer(ref, wrapped))

    def _keep(self, ref: str, sealer: Sealer) -> Sealer:
        with self._lock:
            self._sealers[ref] = sealer
            while len(self._sealers) > CACHED_KEYS:
                self._sealers.popitem(last=False)
        return sealer
