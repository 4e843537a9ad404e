"""A turn of one member: what `step` is given, what it comes to, and its place in the journal and the log."""

from __future__ import annotations

import msgspec

from orchestrator.decide import ids
from orchestrator.decide.result import Entry, Result
from orchestrator.decide.shared import Shared, Stock, nobody
from orchestrator.decide.step import needs, step
from orchestrator.events.inputs import EventInput, Input
from orchestrator.pipeline.applying import Whose, apply
from orchestrator.pipeline.batch import Batch
from orchestrator.pipeline.known import Taken
from orchestrator.pipeline.partition import Partition
from orchestrator.pipeline.records import Given, Turn, TurnName
from orchestrator.stores.contract import KeyRow
from orchestrator.times import instant
from orchestrator.vouchers import as_kept

_encode = msgspec.json.Encoder().encode


def take_turn(part: Partition, turn: Turn) -> None:
    """Takes it, with all that follows; nothing where its member is not known and no record begins with it."""
    batch, member = part.batch, turn.member
    known = batch.facts.members.get(member)
    if known is not None and known.erased and not _enrols(turn.inputs):
        _erased(part, turn, known.ref)
        return
    name = turn.name
    if known is not None and known.sealer is not None and not known.erased:
        whose = Whose(known.member, known.ref, known.sealer, None, anew=False)
    elif turn.subject:
        key = batch.former.key(name) or batch.vault.new_key()
        whose = Whose(None, key[0], key[2], key, anew=known is not None and known.erased)
    else:
        return
    result, given = _result(part, turn, name, whose)
    if whose.drawn is not None:
        batch.written.keys.append(KeyRow(*whose.drawn[:2]))
    seal = whose.sealer.seal
    part.journal(turn.now, member, whose.ref, turn.recorded, [seal(_body(given, row.raw)) for row in turn.recorded])
    part.record(turn.now, whose.ref, result.entries)
    apply(part, turn, whose, result)


def _result(part: Partition, turn: Turn, name: TurnName, whose: Whose) -> tuple[Result, Given | None]:
    """What the turn comes to, and what it was given for that, as the journal keeps it."""
    batch, member = part.batch, turn.member
    shared = _shared(batch, member, whose.ref)
    try:
        wants = needs(whose.member, turn.inputs, batch.content, shared)
    except Exception as error:
        raise part.failed(turn.key, member) from error
    # what the store raises is no fault of the input's: nobody is quarantined for a database that is away
    shared, given = batch.facts.given(member, wants, shared)
    former = batch.former.result(name, whose.member, given, whose.drawn)
    result, vouchers = (former, {}) if former else _stepped(part, turn, whose, shared)
    batch.former.keep(name, Taken(whose.member, given, whose.drawn, result), vouchers)
    if vouchers:
        given = msgspec.structs.replace(given or Given(), vouchers=vouchers)
    return result, given


def _shared(batch: Batch, member: bytes, ref: str) -> Shared:
    sharing = batch.sharing
    return Shared(
        key=batch.vault.id_key,
        fingerprint=batch.vault.fingerprint,
        links=batch.basis.links,
        new_ref=ref,
        has_others=(lambda contact: sharing.has_others(contact, member)) if sharing.any else nobody,
    )


def _stepped(part: Partition, turn: Turn, whose: Whose, shared: Shared) -> tuple[Result, dict[str, Stock]]:
    """What a turn comes to, and the voucher codes that it was given, as the journal keeps them.

    A turn that lacked codes is taken anew with what there is: so no code is taken that nobody has a use for.
    """
    batch = part.batch
    while True:
        try:
            result = step(whose.member, shared, turn.inputs, batch.content, instant(turn.now))
        except Exception as error:
            raise part.failed(turn.key, turn.member) from error
        stocks = batch.codes.offered(shared.vouchers, result.lacked) if result.lacked else shared.vouchers
        if stocks == shared.vouchers:
            return result, as_kept(shared.vouchers, result.reservations) if stocks else {}
        shared = msgspec.structs.replace(shared, vouchers=stocks)


def _body(given: Given | None, raw: bytes) -> bytes:
    """An input and what its turn was given, as the journal seals them."""
    return _encode((given, msgspec.Raw(raw))) if given is not None else b"[null," + raw + b"]"


def _erased(part: Partition, turn: Turn, ref: str) -> None:
    """What comes for an erased member changes nothing; an event leaves a silence, its content is not kept."""
    part.journal(turn.now, turn.member, ref, turn.recorded, [b""] * len(turn.recorded))
    if isinstance(turn.inputs[0], EventInput):
        event = turn.inputs[0].event
        part.count("intents")
        part.count("silent")
        intent = ids.occurrence_of(part.batch.vault.id_key, event.source, event.id)
        part.record(turn.now, ref, (Entry(kind="decision", intent_id=intent, verdict="suppress", reason="erased"),))


def _enrols(inputs: tuple[Input, ...]) -> bool:
    return any(isinstance(given, EventInput) and given.event.type == "member.enrolled" for given in inputs)
