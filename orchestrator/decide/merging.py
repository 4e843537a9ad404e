"""Two ids turn out to be one person: the new id takes over what the old one was, and the old one becomes its alias.

Two turns, in this order, each in the partition of the member it is about:

1. `hand_over`, of the old id: what was not called yet ends as a silence `merged`, and the record goes to the new id.
   From then on the pipeline sends what comes for the old id on to the new one. What is being called at that moment is
   both's until it is known what became of it: a suppression keeps it from being called for the old id again, the old
   one's turn ends it there (`settle_called`), and what the provider did not take the new one sends anew.
2. `absorb`, of the new id: figures and places in caps are added up, the strictest consent and opt-out stands, the
   profile of the new one is filled up from the old. The runs that the old one was in go on from the message that was
   not called yet, decided anew, unless a run of the new one's own keeps them out: those end. What the new one had
   reserved, and is not called yet, is taken back where it would exceed a cap now, and decided anew.

So from the second turn on no message is called that exceeds a cap of both together. Between the two turns, which in
production are two transactions, nothing of the old id is called any more, and the new one knows nothing of it yet: it
has its caps to itself until then, as it had before anybody knew that both are one.

Ids that are merged in a circle at one moment each hand over before they hear of it: a record that comes home tells so,
and goes to the least id of the circle, whose own comes home as well. Where it does not come soon, or was taken over
before the circle closed, whoever waits for it is themselves again: the merge is void, on record, and nothing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from orchestrator.decide import ids
from orchestrator.decide.asking import ATTRIBUTE
from orchestrator.decide.content import Content
from orchestrator.decide.ends import cancel, end, suppress
from orchestrator.decide.entry import barred_by_others
from orchestrator.decide.facts import MAX_ATTRIBUTES, MAX_COMPLAINTS, PROFILE, ROLLING_DAYS
from orchestrator.decide.intents import hushed, stands
from orchestrator.decide.journey import Journey, send_of
from orchestrator.decide.journeys.planning import plan
from orchestrator.decide.journeys.triggers import held_out, holdouts
from orchestrator.decide.journeys.walking import end_run, run_of, timer_of
from orchestrator.decide.ledger import Changed, withdrawn
from orchestrator.decide.member import (
    Aggregate,
    Asked,
    Consent,
    ContactPoint,
    Instance,
    Member,
    Pending,
    Preferences,
)
from orchestrator.decide.points import DEAD
from orchestrator.decide.residence import residence_of
from orchestrator.decide.result import Entry
from orchestrator.decide.turn import Turn
from orchestrator.events.inputs import Absorbed, Cancelled, Expired, Outcome
from orchestrator.times import EPOCH

MERGED = "merged"
# of a member's own limit, to tell the lower one
DAYS = {"day": 1, "week": 7, "month": 30}
# how often a record that came home is sent to the least id of its circle
MAX_ROUNDS = 2
# states of a touch that was not called yet, or not again
WAITING = ("reserved", "claimed")
# why a touch of the new id is cancelled before its intent is decided anew
CAPS_JOINED = "caps_joined"
Moment = TypeVar("Moment", datetime, str)
_encode = msgspec.json.Encoder().encode
_read = msgspec.json.Decoder(Member).decode


def hand_over(turn: Turn, into: str) -> None:
    """The member is an alias of `into` from now on; of two ids that are one already the record says so."""
    member = turn.known()
    if into == member.id or into in member.absorbed:
        turn.entries.append(Entry(kind="member", state="merge_refused"))
        return
    runs = {(run.journey, run.occurrence): run for run in member.instances}
    called: dict[str, Pending] = {}
    for pending in list(member.pending.values()):
        if pending.touch_id and not turn.uncalled(pending.touch_id):
            called |= {} if pending.of_alias else {pending.intent_id: pending}
            continue
        again = _from_message(turn.content, member, pending)
        if again is not None:
            runs[again.journey, again.occurrence] = again
        if pending.touch_id:
            cancel(turn, pending, MERGED)
        else:
            end(turn, pending, MERGED)
    if called:
        turn.suppressions.append(("member", "*", "*", MERGED, None))
    in_flight = {key: replace(pending, of_alias=True) for key, pending in turn.known().pending.items()}
    left = replace(turn.known(), instances=tuple(runs.values()), pending=in_flight)
    turn.sent.append((into, Absorbed(into=into, former=member.id, state=msgspec.Raw(_encode(left)))))
    turn.member = Member(id=member.id, ref=member.ref, merged_into=into, absorbed=member.absorbed, pending=called)
    turn.entries.append(Entry(kind="member", state="merged"))
    turn.add(MERGED, 1)


def _from_message(content: Content, member: Member, pending: Pending) -> Instance | None:
    """The run that an intent belongs to, held at its message; None where the journey has no such step any more."""
    send = send_of(content.journeys.get(pending.journey), pending.step)
    if send is None:
        return None
    run = run_of(member, pending)
    if run is not None:
        return replace(run, step=send.label, held=True)
    return Instance(
        journey=pending.journey,
        occurrence=pending.occurrence.partition("#")[0],
        step=send.label,
        entered_at=pending.created_at,
        trigger=pending.trigger,
        key=pending.key,
        gathered=pending.gathered,
        heard=pending.heard,
        held=True,
    )


def settle_called(turn: Turn, pending: Pending, given: Outcome | Cancelled) -> None:
    """What became of a call that the merge of this id found under way; the one it stands for hears of it as well.

    A refusal of which the touch was called again before the merge was on record is not the end.
    """
    turn.sent.append((turn.known().merged_into, given))
    if isinstance(given, Cancelled):
        cancel(turn, pending, given.reason, outbox=False, occurred_at=given.occurred_at)
    elif given.final:
        turn.forget(pending)
    elif turn.shared.touches.get(given.touch_id) in WAITING:
        cancel(turn, pending, MERGED)


def send_anew(turn: Turn, pending: Pending) -> None:
    """What was being called for an alias was not taken: its place is free, and its run goes on from the message.

    Not so where its time is over, or where the run is.
    """
    known = turn.known()
    turn.drop_place(pending.touch_id)
    turn.forget(pending)
    run = _from_message(turn.content, known, pending)
    if run is None or pending.over or pending.valid_until <= turn.now:
        return
    own = ids.intent_id(turn.shared.key, known.id, pending.journey, pending.step, pending.occurrence)
    if own == pending.intent_id:
        # at home again, where it is on record under its name that it ended
        turn.drop_instance(run)
        run = replace(run, occurrence=f"{run.occurrence}~")
    turn.keep_instance(replace(run, entered_at=turn.now))
    turn.arm(timer_of(run), turn.now)


def passed_on(alias: Member, given: Absorbed) -> Absorbed | None:
    """A record that came to an alias, for whom it stands for; None where it is the alias's own, come home."""
    if given.former == alias.id:
        return None
    return replace(given, into=alias.merged_into, via=(*given.via, alias.id))


def ids_in(given: Absorbed) -> tuple[str, ...]:
    """Who hands over, and their own aliases."""
    old = _read(given.state)
    return (old.id, *sorted(old.absorbed))


def absorb(turn: Turn, given: Absorbed) -> None:
    """The member is also who the other was; of those who went round in a circle, the least is itself again."""
    old = _read(given.state)
    new = turn.member if turn.member is not None else Member(id=given.into, ref=turn.shared.new_ref)
    if old.id in new.absorbed:
        return
    if old.id == new.id:
        least = min((new.id, *given.via))
        if least != new.id and given.via.count(new.id) < MAX_ROUNDS:
            turn.member = replace(new, merged_into=least)
            turn.sent.append((least, replace(given, into=least, via=(*given.via, new.id))))
            return
        old, new = _at_home(turn, new, old)
    else:
        turn.entries.append(Entry(kind="member", state="absorbed", trail=_encode({"ref": old.ref}).decode()))
    known = _joined(new, old, turn.now)
    turn.member = replace(known, residence=residence_of(known, turn.content))
    _strictest(turn, new, old)
    _in_flight(turn, new, old)
    if old.complaints:
        hushed(turn)
    for name, due in old.timers.items():
        if name.startswith(("inactive:", "deadline:")):
            turn.arm(name, max(due, turn.known().timers.get(name, due)))
    # the latest first: a cap keeps the oldest
    for pending in reversed(new.pending.values()):
        _weighed_anew(turn, pending)
    for run in old.instances:
        wakes = old.timers.get(timer_of(run))
        # at home again: what was ended as it left is on record under its name, so what follows has another
        again = old.id == new.id and run.held
        _go_on(turn, new, replace(run, occurrence=f"{run.occurrence}~") if again else run, wakes)
    if turn.content.planned:
        plan(turn)


def _at_home(turn: Turn, alias: Member, old: Member) -> tuple[Member, Member]:
    """An alias whose record came home: the record, whose calls under way are its own again, and nobody else yet."""
    pending = {key: replace(each, of_alias=key not in alias.pending) for key, each in old.pending.items()}
    if "member/*/*" not in old.suppressed:
        turn.unsuppressed.append(("member", "*", "*", None))
    turn.entries.append(Entry(kind="member", state="merge_refused"))
    turn.add(MERGED, -1)
    return replace(old, pending=pending), Member(id=alias.id, ref=alias.ref, absorbed=alias.absorbed)


def _go_on(turn: Turn, new: Member, run: Instance, due: datetime | None) -> None:
    journey = turn.content.journeys.get(run.journey)
    if journey is not None and _entered(turn, new, journey, run.key):
        end_run(turn, run, MERGED)
    elif journey is not None and any(
        held_out(turn.shared.key, new.id, each) for each in holdouts(turn.content, journey)
    ):
        end_run(turn, run, "holdout")
    elif run.held or due is None:
        # in a turn of its own, that knows what is shared and listed
        turn.keep_instance(replace(run, held=True, entered_at=turn.now))
        turn.arm(timer_of(run), turn.now)
    else:
        turn.keep_instance(run)
        turn.arm(timer_of(run), due)


def _in_flight(turn: Turn, new: Member, old: Member) -> None:
    """What was being called, or was accepted and may still bounce, as the old id handed over."""
    for pending in (*old.pending.values(), *old.watched.values()):
        if pending.touch_id:
            # one that is never called is over at its end
            turn.timers.append((pending.valid_until, Expired(touch_id=pending.touch_id)))
    for pending in old.pending.values():
        journey = turn.content.journeys.get(pending.journey)
        if journey is not None and _entered(turn, new, journey, pending.key):
            # should it be refused, the new id's own run goes on alone
            turn.keep(replace(pending, over=MERGED))


def _entered(turn: Turn, new: Member, journey: Journey, key: str) -> bool:
    """Whether the new id entered the same journey by itself."""
    return bool(barred_by_others(replace(turn.known(), entered=new.entered), journey, key, turn.now))


def _weighed_anew(turn: Turn, pending: Pending) -> None:
    """What waits for its call would it be sent today? If not, its place is free again, and it is decided anew."""
    if turn.known().pending.get(pending.intent_id) != pending or not turn.uncalled(pending.touch_id):
        return
    if stands(turn, pending):
        return
    turn.cancels.append(pending.touch_id)
    turn.entries.append(turn.touch_entry(pending, pending.touch_id, "cancelled", CAPS_JOINED))
    turn.drop_place(pending.touch_id)
    turn.give_code_back(pending)
    turn.keep(replace(pending, touch_id="", voucher=""))
    turn.add("touched", -1)
    turn.add("waiting", 1)
    # in a turn of its own: it may be reserved once more
    turn.arm(f"intent:{pending.intent_id}", turn.now)


def _joined(new: Member, old: Member, now: datetime) -> Member:
    """All that is added up or filled up."""
    profile = {name: getattr(old, name) for name in PROFILE if not getattr(new, name)}
    names = (*profile, *(f"{ATTRIBUTE}{name}" for name in old.attributes if name not in new.attributes))
    filled_up = {name: old.told.get(name, old.told_at) for name in names}
    first = new.told_at or old.told_at
    places = {place.touch_id: place for place in (*old.places, *new.places)}
    keys = new.aggregates.keys() | old.aggregates.keys()
    return replace(
        new,
        **profile,
        status=old.status if new.status == "known" else new.status,
        since=old.since if new.status == "known" else new.since,
        attributes=dict(list({**old.attributes, **new.attributes}.items())[-MAX_ATTRIBUTES:]),
        preferences=_wishes(new.preferences, old.preferences, now),
        contact_points=_points(new, old),
        # the alias was reached there, and stays among those who had it
        told_at=first,
        told={**new.told, **{name: since for name, since in filled_up.items() if since is not None and since != first}},
        shared=new.shared | {point.fingerprint for point in old.contact_points},
        aggregates={key: _sum(new.aggregates.get(key), old.aggregates.get(key)) for key in sorted(keys)},
        places=tuple(sorted(places.values(), key=lambda place: (place.at is None, place.at or now, place.touch_id))),
        entered=_latest(new.entered, old.entered),
        planned=_latest(new.planned, old.planned),
        asked=_asked(new, old),
        requested={**old.requested, **new.requested},
        asked_for=_latest(new.asked_for, old.asked_for),
        pending={**old.pending, **new.pending},
        watched={**old.watched, **new.watched},
        tags=tuple(dict.fromkeys((*old.tags, *new.tags))),
        complaints=tuple(dict.fromkeys((*old.complaints, *new.complaints)))[-MAX_COMPLAINTS:],
        absorbed=(new.absorbed | old.absorbed | {old.id}) - {new.id},
    )


def _strictest(turn: Turn, new: Member, old: Member) -> None:
    """Of two words on a channel and purpose the stricter one stands; what was suppressed for either is for both."""
    for key, other in sorted(old.consents.items()):
        own = new.consents.get(key)
        stricter = other if own is None else stricter_of(own, other)
        if stricter is own:
            continue
        if other.state == "withdrawn":
            # by the later of both words, so that it takes the record's place
            at = other.at if own is None else max(other.at, own.at)
            changed = withdrawn(Changed(member=turn.known()), other.channel, other.purpose, MERGED, at)
            turn.member = changed.member
            turn.entries.extend(changed.entries)
            suppress(turn, "member", other.channel, other.purpose, "consent_withdrawn")
        else:
            turn.member = replace(turn.known(), consents={**turn.known().consents, key: other})
            entry = Entry(kind="consent", channel=other.channel, purpose=other.purpose, state="granted")
            told = _encode({"record": other.record, "method": MERGED}).decode()
            turn.entries.append(replace(entry, occurred_at=other.at, trail=told))
    for name, why in old.suppressed.items():
        subject, channel, purpose = name.split("/")
        if name not in turn.known().suppressed:
            suppress(turn, subject, channel, purpose, why)


def stricter_of(own: Consent, other: Consent) -> Consent:
    """A withdrawal before a grant; else the one that ends first, then the one given first. What lacks proof is none."""
    if "withdrawn" in (own.state, other.state):
        return own if own.state == "withdrawn" else other
    if own.is_proven() != other.is_proven():
        return own if own.is_proven() else other
    ends = [(one.expires_at is None, one.expires_at or one.at, one.at) for one in (own, other)]
    return other if ends[1] < ends[0] else own


def _wishes(new: Preferences, old: Preferences, now: datetime) -> Preferences:
    """The order of channels of the new one, else the old one's; what either does without; the stricter of the rest."""
    pauses = [each for each in (new.pause, old.pause) if each is not None and (each.until is None or each.until > now)]
    limits = [each for each in (new.limit, old.limit) if each is not None]
    return Preferences(
        channels=new.channels or old.channels,
        limit=min(limits, key=lambda each: each.max / DAYS[each.per], default=None),
        pause=max(pauses, key=lambda each: (each.until is None, each.until or now), default=new.pause),
        topics_off=tuple(sorted({*new.topics_off, *old.topics_off})),
    )


def _asked(new: Member, old: Member) -> dict[str, Asked]:
    """Double opt-ins on their way; those of the old one where the new one has not taken the consent back."""
    taken_back = {key for key, consent in new.consents.items() if consent.state == "withdrawn"}
    return {key: asked for key, asked in old.asked.items() if key not in taken_back} | new.asked


def _points(new: Member, old: Member) -> tuple[ContactPoint, ...]:
    """The new one's contact points, then the old one's, which are no first choice; of one in both, what either knew."""
    points = {(point.channel, point.fingerprint): point for point in new.contact_points}
    channels = {point.channel for point in new.contact_points}
    for point in old.contact_points:
        key = (point.channel, point.fingerprint)
        if key in points:
            points[key] = _point(points[key], point)
        else:
            points[key] = replace(point, preferred=False) if point.channel in channels else point
    return tuple(points.values())


def _point(own: ContactPoint, other: ContactPoint) -> ContactPoint:
    """One contact point of both: the worse health, the names of both, the later word."""
    heard = max((at for at in (own.heard_at, other.heard_at) if at is not None), default=None)
    own = replace(own, identifiers={**other.identifiers, **own.identifiers}, heard_at=heard)
    if other.health in DEAD or (own.health == "ok" and other.health != "ok"):
        worse = {"health": other.health, "health_since": other.health_since, "soft_bounces": other.soft_bounces}
        return replace(own, **worse)
    return own


def _sum(new: Aggregate | None, old: Aggregate | None) -> Aggregate:
    both = [each for each in (new, old) if each is not None]
    days: dict[int, tuple[int, int]] = {}
    for each in both:
        for day, count, total in each.days:
            known = days.get(day, (0, 0))
            days[day] = (known[0] + count, known[1] + total)
    last = max(each.last for each in both)
    oldest = (last - EPOCH).days - ROLLING_DAYS
    return Aggregate(
        count=sum(each.count for each in both),
        sum=sum(each.sum for each in both),
        first=min(each.first for each in both),
        last=last,
        days=tuple((day, *days[day]) for day in sorted(days) if day > oldest),
    )


def _latest(new: Mapping[str, Moment], old: Mapping[str, Moment]) -> dict[str, Moment]:
    return {key: max(each[key] for each in (new, old) if key in each) for key in {**old, **new}}
