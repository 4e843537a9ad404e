"""Turns about no member: operators' orders and ticks, and the sweeps by which an order reaches all members."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from orchestrator.decide.content import Content
from orchestrator.decide.journeys.walking import HELD
from orchestrator.decide.occasions import operator_entry
from orchestrator.decide.result import Entry
from orchestrator.events.inputs import Command, Input, Plan, Sweep, Tick, write_input
from orchestrator.pipeline.partition import Partition
from orchestrator.pipeline.records import NOBODY, Recorded
from orchestrator.stores.contract import NewInbox
from orchestrator.stores.outbox import STOPPED
from orchestrator.times import micros

# members, and rows of paused journeys, that are seen to in one batch
SWEPT = 1_000
RELEASED = 2_000


def house_turn(part: Partition, now: int, inputs: tuple[Input, ...], recorded: Sequence[Recorded]) -> None:
    """A turn about no member: operator's orders and ticks."""
    batch = part.batch
    part.journal(now, NOBODY, "", recorded, [b"[null," + row.raw + b"]" for row in recorded])
    part.record(now, "", house_entries(inputs))
    for given in inputs:
        if isinstance(given, Command) and given.verb == "unsuppress" and "contact" in given.arguments:
            whom = given.arguments
            until = now if given.given_at is None else micros(given.given_at)
            batch.written.unsuppress(whom["contact"], whom["channel"], whom["purpose"], until)
        elif isinstance(given, Sweep):
            _sweep(part, now, given)
        elif isinstance(given, Command):
            # a partition that stood idle is behind the order
            since = now if given.given_at is None else max(now, micros(given.given_at))
            for sweep in _swept_by(given, batch.content):
                _sweep(part, since, sweep)


def house_entries(inputs: Iterable[Input]) -> tuple[Entry, ...]:
    """What the log says of inputs about no member; raises TypeError for any other."""
    entries: list[Entry] = []
    for given in inputs:
        if isinstance(given, Command):
            entries.append(operator_entry(given))
        elif isinstance(given, Tick):
            entries.append(Entry(kind="tick", occurred_at=given.at))
        elif not isinstance(given, Sweep):
            raise TypeError(f"{type(given).__name__} is about a member")
    return tuple(entries)


def _swept_by(order: Command, content: Content) -> tuple[Sweep, ...]:
    """What an order about nobody means to the members of each partition."""
    if order.verb == "activate" and content.planned:
        return (Sweep(),)
    if order.verb == "start":
        return (Sweep(order=order),)
    if order.verb == "switch" and order.arguments.get("scope", "").startswith("journey:"):
        held = Sweep(held=True)
        return {"on": (held,), STOPPED: (held, Sweep())}.get(order.arguments["to"], ())
    return ()


def _sweep(part: Partition, now: int, sweep: Sweep) -> None:
    """Some of the members are given what the sweep is for, or some of what was held comes due; then the rest.

    All of it is for the next batch, so that no batch grows with the members.
    """
    given, rest = _released(part, sweep) if sweep.held else _reached(part, sweep)
    if rest:
        given.append((NOBODY, write_input(msgspec.structs.replace(sweep, after=rest))))
    part.batch.written.inbox.extend(NewInbox(part.number, now, member, body) for member, body in given)
    if given:
        # nothing comes before it, nor does the clock go on
        part.batch.more_due = part.stopped = True


def _released(part: Partition, sweep: Sweep) -> tuple[list[tuple[bytes, bytes]], str]:
    """Members and what was held for them, some of it, also what this batch has put off itself; "": there is no more."""
    held = part.batch.tx.held(part.number, micros(HELD), int(sweep.after or 0), RELEASED)
    part.batch.written.taken.extend((part.number, row.seq) for row in held)
    given = [(row.member, row.input) for row in held]
    given += [(row.member, row.input) for row in part.rows.take_held()]
    return given, str(held[-1].seq) if len(held) == RELEASED else ""


def _reached(part: Partition, sweep: Sweep) -> tuple[list[tuple[bytes, bytes]], str]:
    """Some of the members, with what each is given, and after whom the rest come; "": there is no more."""
    members = part.batch.tx.members_after(part.number, bytes.fromhex(sweep.after), SWEPT)
    body = write_input(Plan() if sweep.order is None else sweep.order)
    return [(member, body) for member in members], members[-1].hex() if len(members) == SWEPT else ""
