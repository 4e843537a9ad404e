"""What came in, one function a kind of input."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from orchestrator.decide import context, deadlines, ids
from orchestrator.decide.ends import ORDERED, agreed, bounced, cancel, end, end_suppression, suppress
from orchestrator.decide.facts import CHANNELS, apply_event
from orchestrator.decide.intents import closed_too, hushed
from orchestrator.decide.journeys.events import end_stopped, hear, plan_again, reach, update
from orchestrator.decide.journeys.planning import came, plan
from orchestrator.decide.journeys.triggers import crossed, ordered, silence_over, trigger, watch_silence
from orchestrator.decide.journeys.walking import leave, resume, woken
from orchestrator.decide.ledger import Changed, withdrawn
from orchestrator.decide.member import Health, Member, Pending
from orchestrator.decide.merging import WAITING, absorb, hand_over, send_anew, settle_called
from orchestrator.decide.refused import after_bounce, after_refusal
from orchestrator.decide.result import Entry
from orchestrator.decide.sharing import share
from orchestrator.decide.turn import Turn, pending_of, place_of
from orchestrator.decide.wishes import wished
from orchestrator.events.envelope import Event
from orchestrator.events.inputs import (
    Absorbed,
    Cancelled,
    Command,
    EventInput,
    Expired,
    Input,
    Outcome,
    Plan,
    PointShared,
    Receipt,
    Returned,
    Tick,
    TimerDue,
    Withdrawal,
)
from orchestrator.events.types import MemberMerged

# whom an order is for that names no member
EVERYBODY = "everybody"
# how long after `valid_until` a touch that is being called is looked at again
STILL_CALLING = timedelta(minutes=5)

# events that may move a member's moments
PROFILE = frozenset({"member.enrolled", "member.updated"})
# receipts after which the member does not have it
FELL_SHORT = frozenset({"bounced", "soft_bounced", "failed"})
# what a receipt tells of the contact point
_HEALTH: dict[str, Health] = {
    "bounced": "hard_bounced",
    "complained": "complained",
    "soft_bounced": "soft_bounced",
    "delivered": "ok",
    "opened": "ok",
    "clicked": "ok",
    "replied": "ok",
}

_encode = msgspec.json.Encoder().encode


def take(turn: Turn, given: Input) -> None:
    """Applies one input; what is about nobody we know changes nothing, unless it is an event."""
    if turn.member is not None and turn.member.merged_into:
        _alias(turn, turn.member, given)
    elif isinstance(given, EventInput):
        _event(turn, given.event)
    elif isinstance(given, Absorbed):
        absorb(turn, given)
    elif turn.member is not None and (change := _CHANGES.get(type(given))) is not None:
        change(turn, turn.member, given)


def _alias(turn: Turn, member: Member, given: Input) -> None:
    """An alias is nobody: it is forgotten with whom it stands for, or has handed itself over in a circle."""
    if isinstance(given, Absorbed) and given.former == member.id:
        absorb(turn, given)
    elif isinstance(given, Command) and _forgets_alias(given):
        _command(turn, member, given)
    elif isinstance(given, Outcome | Cancelled) and (pending := pending_of(member, given.touch_id)) is not None:
        settle_called(turn, pending, given)


def goes_on(given: Input, alias: Member) -> bool:
    """Whether what came for an alias is meant for whom it stands for alone; the alias's own timers are void."""
    if isinstance(given, Outcome | Cancelled) and pending_of(alias, given.touch_id) is not None:
        return False
    if not isinstance(given, Command):
        return isinstance(given, Outcome | Returned | Cancelled | Receipt | Withdrawal)
    # an order to everybody reaches the other as well
    return given.verb != "redrive" and not _forgets_alias(given) and given.arguments.get("to") != EVERYBODY


def _forgets_alias(command: Command) -> bool:
    """Whether this has an alias forgotten, for the one it stands for was."""
    return command.verb == "erase" and "merged" in command.arguments


def _event(turn: Turn, event: Event) -> None:
    former = turn.member
    before = former if former is not None else Member(id=event.subject, ref=turn.shared.new_ref)
    changed = apply_event(before, event, turn.content, turn.shared.fingerprint)
    turn.member = changed.member
    turn.entries.extend(changed.entries)
    if isinstance(event.data, MemberMerged):
        hand_over(turn, event.data.into)
        return
    share(turn, turn.shared.points)
    for channel, purpose in changed.withdrawn:
        suppress(turn, "member", channel, purpose, "consent_withdrawn")
    for channel, purpose in changed.granted:
        agreed(turn, channel, purpose)
    if event.type == "complaint.opened":
        hushed(turn)
    elif event.type in PROFILE:
        wished(turn, former)
    if turn.member.instances or turn.member.pending or turn.member.watched:
        _inside(turn, event)
    _starts(turn, former, event)


def _inside(turn: Turn, event: Event) -> None:
    """What an event means to the runs that go on."""
    facts = context.plain(event.data)
    update(turn, event.type, facts)
    leave(turn, turn.known(), event.type, facts)
    reach(turn, event.type, facts)
    hear(turn, event.type, facts)
    plan_again(turn)


def _starts(turn: Turn, former: Member | None, event: Event) -> None:
    """What an event starts, at once or later; `former` is the member as before it."""
    content = turn.content
    if content.planned and (former is None or event.type in PROFILE):
        plan(turn)
    for journey in content.silent_after.get(event.type, ()):
        watch_silence(turn, turn.known(), journey, event)
    if event.history:
        return
    started, crossing = content.started_by.get(event.type, ()), content.crossed_by.get(event.type, ())
    if started or crossing:
        facts = context.plain(event.data)
        occurrence = ids.occurrence_of(turn.shared.key, event.source, event.id)
        for journey in started:
            trigger(turn, journey, event, facts, occurrence)
        before = None if former is None else former.aggregates.get(event.type)
        for journey in crossing:
            crossed(turn, journey, before, event, facts, occurrence)


def _timer(turn: Turn, member: Member, timer: TimerDue) -> None:
    if member.timers.get(timer.name) != timer.due:
        return
    timers = dict(member.timers)
    del timers[timer.name]
    turn.member = member = replace(member, timers=timers)
    kind, _, rest = timer.name.partition(":")
    if kind == "intent":
        pending = member.pending.get(rest)
        if pending is not None and not pending.touch_id:
            resume(turn, pending)
    elif kind == "journey":
        woken(turn, member, rest)
    elif kind == "deadline":
        deadlines.came(turn, rest)
    elif kind == "inactive":
        journey = turn.content.journeys.get(rest)
        if journey is not None and journey.trigger.inactivity is not None:
            silence_over(turn, member, journey, journey.trigger.inactivity)
    elif kind == "date":
        journey = turn.content.journeys.get(rest)
        if journey is not None and journey.trigger.kind in ("date", "schedule"):
            came(turn, journey, timer.due)


def _outcome(turn: Turn, member: Member, outcome: Outcome) -> None:
    place = place_of(member, outcome.touch_id)
    pending = pending_of(member, outcome.touch_id)
    base = Entry(
        kind="touch",
        journey=pending.journey if pending else place.journey if place else "",
        step=pending.step if pending else "",
        occurrence=pending.occurrence if pending else "",
        intent_id=pending.intent_id if pending else "",
        touch_id=outcome.touch_id,
        channel=place.channel if place else "",
        purpose=place.purpose if place else "",
    )
    turn.entries.append(replace(base, state="attempting", occurred_at=outcome.attempted_at))
    state = _state_of(outcome)
    told = {"attempt": outcome.attempt, "code": outcome.code, "provider_id": outcome.provider_id}
    facts = _encode({**told, "account": outcome.account} if outcome.account else told).decode()
    turn.entries.append(
        replace(
            base,
            state=state,
            reason="" if outcome.kind == state else outcome.kind,
            occurred_at=outcome.occurred_at,
            release_at=outcome.retry_at,
            trail=facts,
        )
    )
    if not outcome.final and pending is not None and pending.of_alias:
        # where the alias's turn did not end it, it was called again before
        if turn.shared.touches.get(outcome.touch_id) == "cancelled":
            send_anew(turn, pending)
        return
    if not outcome.final:
        if outcome.retry_at is not None:
            # a turn at that moment: on the virtual clock it is when the outbox is asked again
            turn.timers.append((outcome.retry_at, Tick(outcome.retry_at)))
        if pending is not None and pending.valid_until <= turn.now:
            # it was being called when its time was up
            _expired(turn, member, Expired(touch_id=outcome.touch_id))
        return
    if state == "rejected":
        turn.drop_place(outcome.touch_id)
    else:
        turn.set_place(outcome.touch_id, outcome.attempted_at)
    if pending is not None:
        turn.forget(pending)
        if state != "rejected":
            deadlines.accepted(turn, pending, state)
    if outcome.opted_out and place is not None:
        _opted_out(turn, place.channel, "opted_out", outcome.occurred_at)
    elif outcome.kind == "rejected_recipient" and place is not None:
        bounced(turn, place.contact, place.channel, "invalid", outcome.occurred_at)
    if state == "rejected" and pending is not None and place is not None:
        _resume(turn, after_refusal(turn, pending, place, outcome))


def _returned(turn: Turn, member: Member, returned: Returned) -> None:
    pending = pending_of(member, returned.touch_id)
    if pending is None:
        return
    turn.drop_place(returned.touch_id)
    turn.give_code_back(pending)
    turn.entries.append(turn.touch_entry(pending, returned.touch_id, "cancelled", "dispatch_window_closed"))
    pending = replace(closed_too(pending, returned.closed_from, returned.closed_until), touch_id="", voucher="")
    turn.keep(pending)
    turn.add("touched", -1)
    turn.add("waiting", 1)
    resume(turn, pending)


def _expired(turn: Turn, member: Member, expired: Expired) -> None:
    pending = pending_of(member, expired.touch_id)
    if pending is None:
        return
    state = turn.shared.touches.get(expired.touch_id, "")
    waits = state in WAITING
    if state == "attempting" or (waits and pending.of_alias):
        # what is an alias's ends in the alias's turn, which tells
        turn.timers.append((turn.now + STILL_CALLING, expired))
    elif waits:
        cancel(turn, pending, "provider_unavailable" if _cut_off(turn, pending) else "expired")


def _cut_off(turn: Turn, pending: Pending) -> bool:
    """Whether none of the channel's provider accounts could be called when the touch's time was over."""
    place = place_of(turn.known(), pending.touch_id)
    outage = turn.shared.outages.get(place.channel if place else "")
    if outage is None:
        return False
    since, until = outage
    return since <= pending.valid_until and (until is None or pending.valid_until < until)


def _cancelled(turn: Turn, member: Member, cancelled: Cancelled) -> None:
    pending = pending_of(member, cancelled.touch_id)
    if pending is not None and pending.of_alias:
        send_anew(turn, pending)
    elif pending is not None:
        cancel(turn, pending, cancelled.reason, outbox=False, occurred_at=cancelled.occurred_at)


def _receipt(turn: Turn, member: Member, receipt: Receipt) -> None:
    place = place_of(member, receipt.touch_id)
    turn.entries.append(
        Entry(
            kind="touch",
            touch_id=receipt.touch_id,
            journey=place.journey if place else "",
            channel=place.channel if place else "",
            purpose=place.purpose if place else "",
            state=receipt.state,
            occurred_at=receipt.occurred_at,
            trail=_encode({"code": receipt.code}).decode() if receipt.code else "",
        )
    )
    if place is None:
        return
    if place.at is None:
        turn.set_place(receipt.touch_id, receipt.occurred_at)
    if receipt.state in ("complained", "opted_out"):
        _opted_out(turn, place.channel, receipt.state, receipt.occurred_at)
    health = _HEALTH.get(receipt.state)
    if health is not None:
        bounced(turn, place.contact, place.channel, health, receipt.occurred_at)
    if receipt.state in FELL_SHORT:
        _resume(turn, after_bounce(turn, receipt.touch_id, place.channel, receipt.state))
    elif health == "ok":
        deadlines.delivered(turn, receipt.touch_id)


def _resume(turn: Turn, opened: Pending | None) -> None:
    """Has an intent decided again that was opened again."""
    if opened is not None:
        resume(turn, opened)


def _withdrawal(turn: Turn, _: Member, given: Withdrawal) -> None:
    for channel in CHANNELS if given.channel == "*" else (given.channel,):
        _opted_out(turn, channel, "opted_out", given.occurred_at, given.purpose, given.method)


def _opted_out(
    turn: Turn, channel: str, reason: str, at: datetime, purpose: str = "marketing", method: str = ""
) -> None:
    """This purpose is over on this channel; a consent told before this, whenever it was given, is over too."""
    member = turn.known()
    former = member.consents.get(f"{channel}/{purpose}")
    at = at if former is None else max(at, former.at)
    changed = withdrawn(Changed(member=member), channel, purpose, method or reason, at)
    turn.member = changed.member
    turn.entries.extend(changed.entries)
    suppress(turn, "member", channel, purpose, reason)


def _command(turn: Turn, member: Member, command: Command) -> None:
    turn.entries.append(operator_entry(command))
    if command.verb == "erase":
        for pending in list(member.pending.values()):
            if not pending.of_alias:
                end(turn, pending, "erased")
        turn.suppressions.append(("member", "*", "*", "erased", None))
        turn.entries.append(Entry(kind="member", state="erased"))
        forget = Command(verb="erase", actor=command.actor, arguments={"merged": "yes"}, given_at=command.given_at)
        if not member.merged_into:
            turn.sent.extend((alias, forget) for alias in sorted(member.absorbed))
        turn.member, turn.erase = None, True
    elif command.verb == "merge":
        hand_over(turn, command.arguments["into"])
    elif command.verb == "start":
        journey = turn.content.journeys.get(command.arguments.get("journey", ""))
        if journey is not None and journey.trigger.kind == "manual":
            ordered(turn, journey, command.given_at or turn.now)
    elif command.verb in ("suppress", "restrict", "unsuppress"):
        channel, purpose = command.arguments.get("channel", "*"), command.arguments.get("purpose", "*")
        if command.verb == "unsuppress":
            end_suppression(turn, channel, purpose, command.given_at)
        else:
            suppress(turn, "member", channel, purpose, ORDERED, command.given_at)


def operator_entry(command: Command) -> Entry:
    """What the log says of an order: who gave it, with what words, and when, if that was not now."""
    return Entry(
        kind="operator",
        reason=command.verb,
        occurred_at=command.given_at,
        trail=_encode({"actor": command.actor, **command.arguments}).decode(),
    )


def _state_of(outcome: Outcome) -> str:
    if not outcome.final:
        return "reserved"
    return "rejected" if outcome.kind not in ("accepted", "unknown") else outcome.kind


def _point_shared(turn: Turn, _: Member, given: PointShared) -> None:
    share(turn, (given.contact,))


def _plan(turn: Turn, _member: Member, _given: Plan) -> None:
    end_stopped(turn)
    plan(turn)


_CHANGES: dict[type, Callable[[Turn, Member, Any], None]] = {
    TimerDue: _timer,
    Outcome: _outcome,
    Returned: _returned,
    Expired: _expired,
    Cancelled: _cancelled,
    Receipt: _receipt,
    Withdrawal: _withdrawal,
    PointShared: _point_shared,
    Command: _command,
    Plan: _plan,
}
