"""What comes for a member whom another took in: it is sent on to that one, in whichever partition they are.

What tells of the sender is sealed with their key, so that it can't be read any more once they are forgotten.
"""

from __future__ import annotations

from itertools import compress

import msgspec

from orchestrator.decide.member import Member
from orchestrator.decide.merging import ids_in, passed_on
from orchestrator.decide.occasions import goes_on
from orchestrator.events.envelope import Event, read_event, write_event
from orchestrator.events.inputs import (
    Absorbed,
    Command,
    EventInput,
    Forwarded,
    InternalInput,
    read_input,
    write_input,
)
from orchestrator.events.partition import partition_of
from orchestrator.pipeline.batch import Batch
from orchestrator.pipeline.partition import Partition
from orchestrator.pipeline.records import Recorded, Turn
from orchestrator.pipeline.rows import Row
from orchestrator.stores.contract import NewInbox
from orchestrator.times import instant
from orchestrator.vault import Sealer

_FORGOTTEN = "the member it came for was forgotten meanwhile: nothing can be read"


def send(part: Partition, now: int, member_id: str, given: InternalInput | Event, sender: bytes) -> None:
    """To another member's inbox, in whichever partition; what tells of the sender is sealed with their key."""
    batch, vault = part.batch, part.batch.vault
    if isinstance(given, Event | Absorbed):
        whose = batch.facts.members[sender]
        if whose.sealer is None:
            raise TypeError("whoever is erased sends nothing on")
        batch.facts.keep_sealer(whose.ref, whose.sealer)
        raw = write_event(given) if isinstance(given, Event) else write_input(given)
        given = Forwarded(event=isinstance(given, Event), ref=whose.ref, sealed=whose.sealer.seal(raw))
    partition = partition_of(member_id, batch.basis.store.partitions)
    if partition == part.number:
        part.put(now, vault.member(member_id), write_input(given))
    else:
        # not before its clock is there, so that nothing is decided earlier than it was heard of
        batch.more_due = True
        batch.elsewhere.add(partition)
        batch.written.inbox.append(NewInbox(partition, now, vault.member(member_id), write_input(given)))


def pass_on(
    part: Partition, now: int, member: bytes, into: str, rows: list[Row], inputs: tuple[InternalInput, ...]
) -> tuple[list[Row], tuple[InternalInput, ...]]:
    """Sends on what came for an alias and concerns whom it stands for; the rows that are left, and their inputs."""
    alias = part.batch.facts.members[member].member
    stays = [alias is None or not goes_on(given, alias) for given in inputs]
    for row, given, mine in zip(rows, inputs, stays, strict=True):
        if not mine:
            send(part, now, into, given, row.member)
    part.count("forwarded", len(rows) - sum(stays))
    return list(compress(rows, stays)), tuple(compress(inputs, stays))


def received(part: Partition, key: int, now: int, member: bytes, sent: Forwarded) -> Turn | None:
    """What came for an alias, or is handed over by one, as a turn of whom it was sent on to; None where there is none.

    Whoever is an alias themselves sends it on again.
    """
    batch = part.batch
    sealer = _sealer(batch, sent.ref)
    if sealer is None:
        part.bury(0, now, "key_expired", _FORGOTTEN, b"")
        return None
    raw = sealer.open(sent.sealed)
    given = EventInput(read_event(raw, batch.content.events)) if sent.event else read_input(raw)
    if not isinstance(given, EventInput | Absorbed):
        raise TypeError("what is sent on sealed is an event or a record")
    known = batch.facts.members.get(member)
    if known is not None and known.member is not None and known.member.merged_into:
        again = _sent_on(known.member, given)
        if again is not None:
            part.count("forwarded")
            send(part, now, known.member.merged_into, again, member)
            return None
    elif known is not None and known.erased and isinstance(given, Absorbed):
        # they were forgotten as one person, so whoever hands themselves over to them is too
        for alias in ids_in(given):
            forget = Command(verb="erase", actor="engine", arguments={"merged": "yes"}, given_at=instant(now))
            send(part, now, alias, forget, member)
    kind, subject = ("event", given.event.subject) if isinstance(given, EventInput) else ("absorbed", given.into)
    return Turn(key, now, member, (given,), (Recorded(kind, -1, raw),), subject)


def _sealer(batch: Batch, ref: str) -> Sealer | None:
    """What opens what an alias sent on; None where the alias was forgotten since, be it in this batch."""
    return None if ref in batch.written.destroyed else batch.facts.sealer(ref)


def _sent_on(alias: Member, given: EventInput | Absorbed) -> Event | Absorbed | None:
    """What an alias sends on; None where its own record came back: it handed itself over in a circle."""
    if isinstance(given, EventInput):
        return msgspec.structs.replace(given.event, subject=alias.merged_into)
    return passed_on(alias, given)
