"""What is set aside: dead letters, duplicates, and what is parked while a member is in quarantine."""

from __future__ import annotations

from orchestrator.errors import SetupError, Unreadable
from orchestrator.events.inputs import Command, Input, Redriven, write_input
from orchestrator.pipeline.partition import Partition
from orchestrator.pipeline.records import Arrival, read_arrival
from orchestrator.pipeline.rows import Row
from orchestrator.times import micros

_TOO_OLD = "older than the horizon of duplicates; load it with: orchestrator ingest --history"
_REUSED = "the same source and id came before with other content; give the new event an id of its own"


def set_aside(part: Partition, offset: int, now: int, arrival: Arrival) -> bool:
    """Whether an arrival is no turn: it can't be read, came before, is too old, or its member is in quarantine."""
    event = arrival.event
    if isinstance(event, Unreadable):
        part.bury(offset, now, event.reason, event.cure, arrival.raw)
        return True
    if came_before(part, offset, now, arrival):
        return True
    if micros(event.time) < now - part.batch.basis.horizon and not event.history:
        part.bury(offset, now, "too_old", _TOO_OLD, arrival.raw)
        return True
    if arrival.member in part.batch.facts.quarantined:
        # not in the index of duplicates yet: it comes again when it is redriven
        part.park(offset, arrival.member, now, "event", arrival.raw)
        return True
    return False


def came_before(part: Partition, offset: int, now: int, arrival: Arrival) -> bool:
    """Whether an event's identity came before: the same is a duplicate, other content a dead letter."""
    former = part.batch.facts.seen.get(arrival.identity)
    if former is None:
        return False
    if former == arrival.said:
        part.count("duplicate")
    else:
        part.bury(offset, now, "id_reused", _REUSED, arrival.raw)
    return True


def park_row(part: Partition, row: Row, now: int, given: Input) -> None:
    """Parks an inbox row; an event that was parked before stands there again as it stood."""
    if isinstance(given, Redriven):
        part.park_sealed(given.offset, row.member, given.parked_at, "event", given.sealed)
    else:
        part.park(max(row.seq, 0), row.member, now, "inbox", row.input)


def redrives(given: Input) -> bool:
    """Whether it ends a member's quarantine."""
    return isinstance(given, Command) and given.verb == "redrive"


def end_quarantine(part: Partition, member: bytes) -> None:
    """What was parked of a member comes due in its old order, before anything that came since."""
    batch, written = part.batch, part.batch.written
    rows = batch.tx.parked(member) + [row for row in written.parked if row.member == member]
    written.parked = [row for row in written.parked if row.member != member]
    batch.facts.quarantined.discard(member)
    written.redriven.append(member)
    # they are inputs when they are applied, and only then
    for name in ("inputs", "parked"):
        part.count(name, -len(rows))
    for row in rows:
        if row.kind == "event":
            part.put(row.at, member, write_input(Redriven(offset=row.offset, parked_at=row.at, sealed=row.raw)))
        elif (opened := _opened(part, row.offset, row.raw)) is not None:
            part.put(row.at, member, opened)
        else:
            part.count("inputs")


def redriven(part: Partition, now: int, given: Redriven) -> Arrival | None:
    """An event that was parked, as it arrived then; None where there is nothing to apply.

    It was not too old by then, and is a duplicate of what came before it alone.
    """
    batch = part.batch
    raw = _opened(part, given.offset, given.sealed)
    if raw is None:
        return None
    arrival = read_arrival(raw, given.parked_at, batch.content.events, batch.vault)
    if isinstance(arrival.event, Unreadable):
        raise TypeError("what was parked can be read")
    batch.facts.look_for(arrival.identity, given.parked_at, now)
    return None if came_before(part, given.offset, now, arrival) else arrival


def _opened(part: Partition, offset: int, sealed: bytes) -> bytes | None:
    """What was parked; None where the key to it has expired, so that it is a dead letter now."""
    try:
        return part.batch.vault.open_dead(sealed)
    except SetupError as expired:
        part.bury(offset, part.clock, "key_expired", str(expired), b"")
        return None
