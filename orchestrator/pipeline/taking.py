"""One partition's inputs, in order: what becomes of each arrival, and of the rows that come due before it."""

from __future__ import annotations

import msgspec

from orchestrator.events.envelope import Event
from orchestrator.events.inputs import Command, EventInput, Forwarded, Redriven, read_input
from orchestrator.pipeline import aliases, aside
from orchestrator.pipeline.batch import Batch
from orchestrator.pipeline.house import house_turn
from orchestrator.pipeline.partition import Partition
from orchestrator.pipeline.records import Arrival, Recorded, Turn
from orchestrator.pipeline.rows import Due, Row
from orchestrator.pipeline.turns import take_turn
from orchestrator.stores.contract import FilePosition, SeenRow


def take_all(batch: Batch, number: int, due: Due) -> None:
    """Everything of one partition: due rows before each arrival, the rows due at the end, until it must stop."""
    queue, tick = batch.asked.arrivals.get(number, ()), batch.asked.tick
    earliest = next((arrival.at for arrival in queue if arrival.at), tick or 0)
    part = Partition(batch, number, due, earliest)
    for arrival in queue:
        if not _take_due(part, arrival.at) or not batch.may_go_on():
            break
        _arrive(part, arrival)
        if part.stopped:
            break
    else:
        if tick is not None:
            _take_due(part, tick)
    part.close()


def _take_due(part: Partition, until: int) -> bool:
    """Runs the rows due at or before `until`, in order; False when it had to stop before all were taken."""
    batch, rows = part.batch, part.rows
    if not (part.clock or part.earliest):
        return True
    while rows.any_due(until):
        if rows.out_of_sight() or not batch.may_go_on():
            batch.more_due = True
            return False
        _come_due(part, rows.take())
        if part.stopped:
            return False
    return rows.seen_to(until)


def _arrive(part: Partition, arrival: Arrival) -> None:
    """Takes one arrival: dead letter, duplicate, parked, or a turn."""
    batch, number = part.batch, part.number
    batch.consumed[number] = batch.consumed.get(number, 0) + 1
    offset = part.offset if arrival.offset < 0 else arrival.offset
    if offset < part.offset:
        # consumed in an earlier life: a redelivery
        return
    part.offset = offset + 1
    part.count("inputs")
    if arrival.file:
        position = FilePosition(arrival.file, arrival.length, number, arrival.byte)
        batch.written.positions[arrival.file, number] = position
    now = part.clock = max(part.clock, arrival.at)
    if arrival.forwarded:
        part.count("forwarded")
        part.count("misplaced")
    elif not aside.set_aside(part, offset, now, arrival):
        _event(part, offset, offset, now, arrival)


def _event(part: Partition, key: int, offset: int, now: int, arrival: Arrival) -> None:
    """An event that is neither dead nor a duplicate nor parked."""
    batch, member, event = part.batch, arrival.member, arrival.event
    if not isinstance(event, Event):
        raise TypeError("what can't be read is set aside")
    batch.facts.seen[arrival.identity] = arrival.said
    batch.written.seen.append(SeenRow(now // batch.basis.bucket, arrival.identity, arrival.said))
    if into := batch.facts.alias(member):
        part.count("forwarded")
        aliases.send(part, now, into, msgspec.structs.replace(event, subject=into), member)
        return
    part.count("applied")
    recorded = (Recorded("event", offset, arrival.raw),)
    take_turn(part, Turn(key, now, member, (EventInput(event),), recorded, event.subject))


def _come_due(part: Partition, rows: list[Row]) -> None:
    """Rows that come due for one member at one moment."""
    batch, member = part.batch, rows[0].member
    now = part.clock = max(part.clock, rows[0].due) or part.earliest
    part.count("inputs", len(rows))
    batch.written.taken.extend((part.number, row.seq) for row in rows if row.seq >= 0)
    inputs = tuple([read_input(row.input) for row in rows])
    quarantined = batch.facts.quarantined
    if member in quarantined and any(aside.redrives(given) for given in inputs):
        aside.end_quarantine(part, member)
    if member in quarantined:
        for row, given in zip(rows, inputs, strict=True):
            aside.park_row(part, row, now, given)
        return
    # rows of the store are told from arrivals by the sign
    key = -max(rows[0].seq, 0)
    first = inputs[0]
    if isinstance(first, Redriven):
        arrival = aside.redriven(part, now, first)
        if arrival is not None:
            _event(part, key, first.offset, now, arrival)
        return
    if member and member not in batch.facts.members:
        batch.facts.load({member: part.number})
    if isinstance(first, Forwarded):
        turn = aliases.received(part, key, now, member, first)
        if turn is not None:
            part.count("applied")
            take_turn(part, turn)
        return
    if into := batch.facts.alias(member):
        rows, inputs = aliases.pass_on(part, now, member, into, rows, inputs)
        if not rows:
            return
    part.count("applied", len(rows))
    recorded = tuple(
        [Recorded(str(given.__struct_config__.tag), -1, row.input) for given, row in zip(inputs, rows, strict=True)]
    )
    if not member or (member not in batch.facts.members and all(isinstance(given, Command) for given in inputs)):
        # an order about somebody who is not known (parked from the first event on) is on record all the same
        house_turn(part, now, inputs, recorded)
    else:
        take_turn(part, Turn(key, now, member, inputs, recorded))
