"""`step`: what one turn makes of a member. Pure: the same arguments give the same result, any year, any machine.

    step(member, shared, inputs, content, now) -> Result(member', entries, reservations, timers, …)

An intent is (member, journey, step, occurrence). It waits, or ends as a touch or as a silence; the totals `intents`,
`touched`, `silent`, `waiting` move with it, so that intents = touched + silent + waiting at every moment.
"""

from __future__ import annotations

from datetime import datetime

from orchestrator.decide import ids
from orchestrator.decide.arbitration import arbitrate
from orchestrator.decide.content import Content
from orchestrator.decide.facts import apply_event
from orchestrator.decide.journeys.planning import watch_groups
from orchestrator.decide.member import Member
from orchestrator.decide.occasions import take
from orchestrator.decide.result import Result
from orchestrator.decide.shared import NOTHING, Needs, Shared, nobody
from orchestrator.decide.sharing import share
from orchestrator.decide.turn import Turn
from orchestrator.events.inputs import (
    Absorbed,
    Command,
    EventInput,
    Expired,
    Input,
    Outcome,
    Plan,
    Receipt,
    Returned,
    TimerDue,
    Withdrawal,
)

# audiences that journeys lead in and out of, one after the other at one moment
MAX_ROUNDS = 4


def needs(member: Member | None, inputs: tuple[Input, ...], content: Content, shared: Shared) -> Needs:
    """The shared facts that these inputs may ask for."""
    known = member
    touches: frozenset[str] = frozenset()
    weighs = outages = False
    for given in inputs:
        if isinstance(given, EventInput):
            weighs = True
            if given.event.type in ("member.enrolled", "member.updated", "contact.confirmed"):
                before = known or Member(id=given.event.subject, ref=shared.new_ref)
                known = apply_event(before, given.event, content, shared.fingerprint).member
        elif isinstance(given, TimerDue | Returned | Absorbed) or (
            isinstance(given, Receipt | Outcome) and _decided_again(given, known)
        ):
            weighs = True
        if (
            known is not None
            and known.pending
            and isinstance(given, EventInput | Absorbed | Expired | Receipt | Withdrawal | Command | Outcome | Plan)
        ):
            touches = touches.union(intent.touch_id for intent in known.pending.values() if intent.touch_id)
    registries: frozenset[tuple[str, str]] = frozenset()
    if weighs and known is not None:
        registries = registries_of(known, content)
    if touches:
        ends = (
            given for given in inputs if isinstance(given, Expired) or (isinstance(given, Outcome) and not given.final)
        )
        outages = any(given.touch_id in touches for given in ends)
    points: frozenset[str] = frozenset()
    if known is not None and (known.shared or shared.has_others is not nobody):
        held = [point.fingerprint for point in known.contact_points]
        points = frozenset([contact for contact in held if contact in known.shared or shared.has_others(contact)])
    if not registries and not touches and not points:
        return NOTHING
    return Needs(registries=registries, touches=touches, outages=outages, points=points)


def _decided_again(given: Receipt | Outcome, member: Member | None) -> bool:
    """Whether a touch that was refused, or bounced, may be decided anew."""
    if member is None:
        return False
    if isinstance(given, Receipt):
        return bool(member.watched)
    return given.final and given.kind not in ("accepted", "unknown") and bool(member.pending)


def registries_of(member: Member, content: Content) -> frozenset[tuple[str, str]]:
    """(list, fingerprint) of every do-not-contact list that any contact with this member may be asked about."""
    jurisdictions, registries_for = member.residence.jurisdictions, content.laws.registries_for
    return frozenset(
        [
            (name, point.fingerprint)
            for point in member.contact_points
            for name in registries_for(jurisdictions, point.channel, "marketing")
        ]
    )


def step(member: Member | None, shared: Shared, inputs: tuple[Input, ...], content: Content, now: datetime) -> Result:
    """What these inputs, applied at `now`, make of a member; `inputs` are one turn's, in order."""
    turn = Turn(member, shared, content, now)
    share(turn, shared.points)
    for given in inputs:
        take(turn, given)
    arbitrate(turn)
    if content.grouped:
        _groups(turn, member, inputs)
    return turn.result()


def _groups(turn: Turn, before: Member | None, inputs: tuple[Input, ...]) -> None:
    """Looks who has come to belong to which audience in this turn; what that starts may lead into further ones."""
    occurrence = f"{turn.now:%Y%m%dT%H%M%S%fZ}"
    for given in inputs:
        if isinstance(given, EventInput):
            if given.event.history:
                return
            occurrence = ids.occurrence_of(turn.shared.key, given.event.source, given.event.id)
    for _ in range(MAX_ROUNDS):
        after = turn.member
        if after is None or after is before or after.merged_into:
            return
        watch_groups(turn, before, occurrence)
        arbitrate(turn)
        before = after
