"""What a turn changes: the member, the touches they are sent, who may be called where, and what others are told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from orchestrator.decide.member import ContactPoint, Member
from orchestrator.decide.points import named
from orchestrator.decide.result import Reservation, Result
from orchestrator.events.inputs import PointShared, Tick, write_input
from orchestrator.pipeline.aliases import send
from orchestrator.pipeline.batch import Batch
from orchestrator.pipeline.known import Known, NewKey
from orchestrator.pipeline.partition import Partition
from orchestrator.pipeline.records import Turn
from orchestrator.pipeline.written import Reserved, touch_row
from orchestrator.stores.contract import NewInbox, SuppressionRow
from orchestrator.stores.outbox import covering_contact, told_late
from orchestrator.times import micros
from orchestrator.vault import Sealer


class Whose(NamedTuple):
    """Whose turn it is, as it found them."""

    # None: not known before, or erased
    member: Member | None
    ref: str
    sealer: Sealer
    # the key that was made for them; None where they are known
    drawn: NewKey | None
    # they were erased, and enrol again
    anew: bool


def apply(part: Partition, turn: Turn, whose: Whose, result: Result) -> None:
    """All that follows from a turn but its record."""
    now, member, batch = turn.now, turn.member, part.batch
    if whose.anew:
        _born_anew(batch, member, result, now)
    _meet(part, now, member, whose.member, result.member)
    _vouchers(batch, result)
    for reservation in result.reservations:
        _reserve(part, member, whose, reservation)
    for touch in result.cancels:
        _cancel(batch, touch)
    for due, given in result.timers:
        part.put(micros(due), member, write_input(given))
    _suppressions(batch, member, result, now)
    for name, n in result.totals:
        part.count(name, n)
    _remember(part, member, whose, result)
    for other, told in result.sent:
        send(part, now, other, told, member)
    _contacts(batch, member, whose.member, result.member)
    if result.reservations or any(isinstance(given, Tick) for given in turn.inputs):
        batch.touched.add(part.number)
        part.stopped = part.stopped or batch.asked.stop_at_touch


def _born_anew(batch: Batch, member: bytes, result: Result, now: int) -> None:
    """An erased member who enrols again: the erasure no longer stands in the way, nor what they agree to anew."""
    batch.written.unsuppress(member.hex(), "*", "*", now)
    for entry in result.entries:
        if entry.kind == "consent" and entry.state == "granted":
            batch.written.unsuppress(member.hex(), entry.channel, entry.purpose, now)


def _meet(part: Partition, now: int, member: bytes, before: Member | None, after: Member | None) -> None:
    """Who came to a contact point that another has is known to that one too."""
    had = () if before is None else before.contact_points
    if after is None or after.contact_points is had:
        return
    batch = part.batch
    for contact in {point.fingerprint for point in after.contact_points} - {point.fingerprint for point in had}:
        for other in batch.sharing.join(contact, member, part.number):
            body = write_input(PointShared(contact=contact))
            if other.partition == part.number:
                part.put(now, other.member, body)
            else:
                # at the clock that it has by then, as an order is
                batch.written.inbox.append(NewInbox(other.partition, 0, other.member, body))


def _vouchers(batch: Batch, result: Result) -> None:
    """Before what is reserved: a touch that came back unsent may be reserved anew under its own name."""
    for touch in result.codes_back:
        batch.codes.take_back(touch)
    batch.codes.tell(result.told)


def _reserve(part: Partition, member: bytes, whose: Whose, reservation: Reservation) -> None:
    batch, touch = part.batch, reservation.touch_id
    batch.subjects |= {member.hex(), reservation.contact}
    covering = _covering(batch, member, reservation)
    state = "cancelled" if covering else "reserved"
    reserved = Reserved(part.number, member, whose.ref, whose.sealer, reservation, state)
    batch.written.reserved[touch] = reserved
    batch.facts.moved[touch] = state
    if covering:
        told = told_late(touch_row(reserved), covering)
        part.put(told.due, member, told.input)
    else:
        batch.sharing.reserve(member, reservation)
        batch.codes.give(reservation, whose.ref)


def _covering(batch: Batch, member: bytes, reservation: Reservation) -> list[SuppressionRow]:
    """The suppressions under which a touch is reserved now; none of them is known to the member's own record."""
    standing, made, ended = batch.facts.standing, batch.written.suppressions, batch.written.unsuppressed
    if not standing and not made:
        return []
    keys = covering_contact(member, reservation.contact, reservation.channel, reservation.purpose)
    stood = [row for key in keys if (row := standing.get(key)) and row.since > ended.get(key, -1)]
    return stood + [row for key in keys if (row := made.get(key))]


def _cancel(batch: Batch, touch: str) -> None:
    batch.codes.cancel(touch)
    batch.written.cancelled.append(touch)
    batch.written.reserved.pop(touch, None)
    batch.facts.moved[touch] = "cancelled"
    batch.sharing.cancel(touch)


def _suppressions(batch: Batch, member: bytes, result: Result, now: int) -> None:
    for subject, channel, purpose, reason, since in result.suppressions:
        whom = member.hex() if subject == "member" else subject
        began = now if since is None else micros(since)
        batch.written.suppressions[whom, channel, purpose] = SuppressionRow(whom, channel, purpose, began, reason)
    for subject, channel, purpose, until in result.unsuppressed:
        whom = member.hex() if subject == "member" else subject
        batch.written.unsuppress(whom, channel, purpose, now if until is None else micros(until))


def _remember(part: Partition, member: bytes, whose: Whose, result: Result) -> None:
    """The member as the turn leaves them."""
    batch, ref = part.batch, whose.ref
    batch.written.changed[member] = part.number
    if result.erase:
        batch.written.destroyed.append(ref)
        batch.facts.members[member] = Known(None, ref, None, erased=True)
    else:
        batch.facts.members[member] = Known(result.member, ref, whose.sealer)


def _contacts(batch: Batch, member: bytes, before: Member | None, after: Member | None) -> None:
    """Where the member can be reached, for whoever hears from there; few turns change it."""
    former = () if before is None else before.contact_points
    points = () if after is None else after.contact_points
    if former is points:
        return
    has, had = _marks(batch, points), _marks(batch, former)
    for contact in has ^ had:
        batch.written.contacts[contact, member] = contact in has


def _marks(batch: Batch, points: Iterable[ContactPoint]) -> set[str]:
    """What their owner is found by: the fingerprints of the addresses, and of the platforms' own names for them."""
    fingerprint = batch.vault.fingerprint
    others = {fingerprint(point.channel, name) for point in points for name in named(point.identifiers)}
    return {point.fingerprint for point in points} | others
