"""Dead letters and parked inputs: what could not be applied, why, what cures it, and doing it again."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from orchestrator.errors import UsageError
from orchestrator.events.inputs import read_input, write_input
from orchestrator.pipeline import Arrival
from orchestrator.runtimes.embedded.engine import Engine
from orchestrator.runtimes.embedded.sources import Delivery, partition_for
from orchestrator.stores.contract import NewInbox, Store
from orchestrator.times import instant, rfc3339
from orchestrator.vault import Vault


class DeadLetter(Struct, frozen=True, kw_only=True):
    """One input that could not be applied; its content is shown only on demand."""

    partition: int
    offset: int
    at: str
    reason: str
    cure: str
    # the input itself, where it was asked for and its key has not expired
    raw: str = ""


class Redriven(Struct, frozen=True, kw_only=True):
    """What became of a member's parked inputs."""

    inputs: int
    # inputs of the member that were quarantined again
    parked_again: int


def listed(store: Store, vault: Vault, *, reason: str = "", limit: int = 100, show: bool = False) -> list[DeadLetter]:
    """The dead letters, oldest first; `show` opens their content, which may hold personal data."""
    found: list[DeadLetter] = []
    for row in store.dead():
        if reason and row.reason != reason:
            continue
        raw = vault.open_dead(row.raw).decode(errors="replace") if show else ""
        found.append(
            DeadLetter(
                partition=row.partition,
                offset=row.offset,
                at=rfc3339(instant(row.at)),
                reason=row.reason,
                cure=row.cure,
                raw=raw,
            )
        )
        if len(found) >= limit:
            break
    return found


def redrive(engine: Engine, store: Store, vault: Vault, member_id: str, now: int) -> Redriven:
    """Ends a member's quarantine and applies what was parked, in order, at `now`.

    Raises UsageError where nothing of this member is parked.
    """
    member = vault.member(member_id)
    rows = store.redrive(member)
    if not rows:
        raise UsageError(f"nothing is parked for {member_id}; see: orchestrator dlq list")
    before = engine.totals.quarantined
    engine.pipeline.forget()
    for row in rows:
        raw = vault.open_dead(row.raw)
        if row.kind == "event":
            engine.feed(list(_deliveries(engine, raw, now, store.partitions)), now)
        else:
            store.suppress([], [NewInbox(row.partition, now, member, write_input(read_input(raw)))])
            engine.feed([], now)
    return Redriven(inputs=len(rows), parked_again=engine.totals.quarantined - before)


def _deliveries(engine: Engine, raw: bytes, now: int, partitions: int) -> Iterable[Delivery]:
    arrival: Arrival = engine.pipeline.arrival(raw, now)
    yield Delivery(partition_for(arrival, partitions), arrival)
