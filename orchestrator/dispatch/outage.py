"""When a channel had no account that could be called: what a turn is told that ends a touch's wait in vain."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from orchestrator.stores.contract import Store

KIND = "outage"


class Outage(Struct, frozen=True):
    """[since, until) in microseconds since 1970; `until` 0: it goes on."""

    since: int
    until: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Outage).decode


def outages(store: Store) -> dict[str, Outage]:
    """channel -> its last outage, of those that ever had one."""
    return {name: _decode(store.get_document(KIND, name) or b"") for name in store.documents(KIND)}


def tell(store: Store, channel: str, at: int, *, out: bool) -> None:
    """Has the store say that the channel is out, or that it is not, from `at` on where it says otherwise."""
    raw = store.get_document(KIND, channel)
    last = None if raw is None else _decode(raw)
    if out and (last is None or last.until):
        store.replace_document(KIND, channel, raw, _encode(Outage(at)), [])
    elif last is not None and not last.until and not out:
        store.replace_document(KIND, channel, raw, _encode(Outage(last.since, max(at, last.since + 1))), [])
