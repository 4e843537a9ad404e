"""`step`: what one turn makes of a member. Pure: the same arguments give the same result, any year, any machine.

    step(member, shared, inputs, content, now) -> Result(member', entries, reservations, timers, …)

An intent is (member, journey, step, occurrence). It waits, or ends as a touch or as a silence; the totals `intents`,
`touched`, `silent`, `waiting` move with it, so that intents = touched + silent + waiting at every moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.channels.contract import Message
from orchestrator.decide import context, ids
from orchestrator.decide.content import Content
from orchestrator.decide.decision import Weighed, barred_by, weigh_by
from orchestrator.decide.entry import barred, facts_of_silence
from orchestrator.decide.facts import Changed, apply_event, withdrawn
from orchestrator.decide.hours import open_until
from orchestrator.decide.journey import Journey, Send, Wait
from orchestrator.decide.member import ContactPoint, Instance, Member, Pending, Place
from orchestrator.decide.panel import said
from orchestrator.decide.result import Entry, Reservation, Result, Trail, Tried
from orchestrator.decide.rules import Finding, Question, RegistryState
from orchestrator.events.envelope import Event
from orchestrator.events.inputs import (
    Cancelled,
    Command,
    EventInput,
    Expired,
    Input,
    InternalInput,
    Outcome,
    Receipt,
    Returned,
    Tick,
    TimerDue,
)
from orchestrator.render.contract import RenderError

MAX_INSTANCES = 40
MAX_CLOSED = 8
MAX_PENDING = 200
MAX_PLACES = 400
# the oldest are forgotten first; the outbox forgets none
MAX_SUPPRESSED = 60
# how long after `valid_until` a touch that is being called is looked at again
STILL_CALLING = timedelta(minutes=5)

_encode = msgspec.json.Encoder().encode


class Shared(Struct, frozen=True, kw_only=True):
    """What a turn is given beside the member: all of it data, or keyed hashes."""

    # key of intent and touch ids
    key: bytes
    # (channel, address) -> keyed fingerprint
    fingerprint: Callable[[str, str], str]
    # random reference for a member who is not known yet
    new_ref: str = ""
    # (registry, fingerprint) -> what the list says
    registries: Mapping[tuple[str, str], RegistryState] = {}
    # touch id -> state in the outbox, locked for this turn
    touches: Mapping[str, str] = {}


class Needs(Struct, frozen=True):
    """What `step` must be given for a turn."""

    registries: frozenset[tuple[str, str]] = frozenset()
    touches: frozenset[str] = frozenset()


NOTHING = Needs()


def needs(member: Member | None, inputs: tuple[Input, ...], content: Content, shared: Shared) -> Needs:
    """The shared facts that these inputs may ask for."""
    known = member
    touches: frozenset[str] = frozenset()
    weighs = False
    for given in inputs:
        if isinstance(given, EventInput):
            weighs = True
            if given.event.type in ("member.enrolled", "member.updated"):
                before = known or Member(id=given.event.subject, ref=shared.new_ref)
                known = apply_event(before, given.event, content, shared.fingerprint).member
        elif isinstance(given, TimerDue | Returned):
            weighs = True
        if (
            known is not None
            and known.pending
            and isinstance(given, EventInput | Expired | Receipt | Command | Outcome)
        ):
            touches = touches.union(intent.touch_id for intent in known.pending.values() if intent.touch_id)
    registries: frozenset[tuple[str, str]] = frozenset()
    if weighs and known is not None:
        registries = registries_of(known, content)
    return Needs(registries=registries, touches=touches) if registries or touches else NOTHING


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
    turn = _Turn(member, shared, content, now)
    for given in inputs:
        turn.take(given)
    return turn.result()


class _Turn:
    """The working copy of one turn; never outlives `step`."""

    def __init__(self, member: Member | None, shared: Shared, content: Content, now: datetime) -> None:
        self.member = member
        self.shared = shared
        self.content = content
        self.now = now
        self.entries: list[Entry] = []
        self.reservations: list[Reservation] = []
        self.cancels: list[str] = []
        self.timers: list[tuple[datetime, InternalInput]] = []
        self.suppressions: list[tuple[str, str, str, str, datetime | None]] = []
        self.unsuppressed: list[tuple[str, str, str, datetime | None]] = []
        self.totals: dict[str, int] = {}
        self.erase = False

    def result(self) -> Result:
        member = self.member
        if member is not None and member.places:
            kept = _remembered(member.places, self.now - self.content.keep_places)
            if kept is not member.places:
                member = replace(member, places=kept)
        return Result(
            member=member,
            entries=tuple(self.entries),
            reservations=tuple(self.reservations),
            cancels=tuple(self.cancels),
            timers=tuple(self.timers),
            suppressions=tuple(self.suppressions),
            unsuppressed=tuple(self.unsuppressed),
            totals=tuple(self.totals.items()),
            erase=self.erase,
        )

    def take(self, given: Input) -> None:
        if isinstance(given, EventInput):
            self._event(given.event)
        elif self.member is None:
            return
        elif isinstance(given, TimerDue):
            self._timer(self.member, given)
        elif isinstance(given, Outcome):
            self._outcome(self.member, given)
        elif isinstance(given, Returned):
            self._returned(self.member, given)
        elif isinstance(given, Expired):
            self._expired(self.member, given)
        elif isinstance(given, Cancelled):
            self._cancelled(self.member, given)
        elif isinstance(given, Receipt):
            self._receipt(self.member, given)
        elif isinstance(given, Command):
            self._command(self.member, given)

    # --- what came in

    def _event(self, event: Event) -> None:
        former = self.member
        before = former if former is not None else Member(id=event.subject, ref=self.shared.new_ref)
        changed = apply_event(before, event, self.content, self.shared.fingerprint)
        self.member = changed.member
        self.entries.extend(changed.entries)
        for channel, purpose in changed.withdrawn:
            self._suppress("member", channel, purpose, "consent_withdrawn")
        for channel, purpose in changed.granted:
            self._agreed(channel, purpose)
        self._exit(self.member, event.type)
        for journey in self.content.silent_after.get(event.type, ()):
            self._watch_silence(self.member, journey, event)
        if not event.history:
            for journey in self.content.started_by.get(event.type, ()):
                self._trigger(journey, event)

    def _timer(self, member: Member, timer: TimerDue) -> None:
        if member.timers.get(timer.name) != timer.due:
            return
        timers = dict(member.timers)
        del timers[timer.name]
        self.member = member = replace(member, timers=timers)
        kind, _, rest = timer.name.partition(":")
        if kind == "intent":
            pending = member.pending.get(rest)
            if pending is not None and not pending.touch_id:
                self._decide_again(pending)
        elif kind == "journey":
            for instance in member.instances:
                if f"{instance.journey}:{instance.occurrence}" == rest:
                    self._advance(replace(instance, step=instance.step + 1))
                    return
        elif kind == "inactive":
            journey = self.content.journeys.get(rest)
            if journey is not None and journey.trigger.inactivity is not None:
                self._silence_over(member, journey, journey.trigger.inactivity)

    def _outcome(self, member: Member, outcome: Outcome) -> None:
        place = next((place for place in member.places if place.touch_id == outcome.touch_id), None)
        pending = self._pending_of(member, outcome.touch_id)
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
        self.entries.append(replace(base, state="attempting", occurred_at=outcome.attempted_at))
        state = _state_of(outcome)
        facts = _encode({"attempt": outcome.attempt, "code": outcome.code, "provider_id": outcome.provider_id}).decode()
        self.entries.append(
            replace(
                base,
                state=state,
                reason="" if outcome.kind == state else outcome.kind,
                occurred_at=outcome.occurred_at,
                release_at=outcome.retry_at,
                trail=facts,
            )
        )
        if not outcome.final:
            if outcome.retry_at is not None:
                # a turn at that moment: on the virtual clock it is when the outbox is asked again
                self.timers.append((outcome.retry_at, Tick(outcome.retry_at)))
            if pending is not None and pending.valid_until <= self.now:
                # it was being called when its time was up
                self._expired(member, Expired(touch_id=outcome.touch_id))
            return
        if state == "rejected":
            self._drop_place(outcome.touch_id)
        else:
            self._set_place(outcome.touch_id, outcome.attempted_at)
        if pending is not None:
            self._forget(pending)
        if outcome.opted_out and place is not None:
            self._opted_out(place.channel, "opted_out", outcome.occurred_at)
        elif outcome.kind == "rejected_recipient" and place is not None:
            self._unhealthy(place.contact, place.channel, "invalid", outcome.occurred_at)

    def _returned(self, member: Member, returned: Returned) -> None:
        pending = self._pending_of(member, returned.touch_id)
        if pending is None:
            return
        self._drop_place(returned.touch_id)
        self.entries.append(self._touch_entry(pending, returned.touch_id, "cancelled", "dispatch_window_closed"))
        window = (returned.closed_from, returned.closed_until)
        pending = replace(pending, touch_id="", closed=(*pending.closed, window)[-MAX_CLOSED:])
        self._keep(pending)
        self._add("touched", -1)
        self._add("waiting", 1)
        self._decide_again(pending)

    def _expired(self, member: Member, expired: Expired) -> None:
        pending = self._pending_of(member, expired.touch_id)
        if pending is None:
            return
        state = self.shared.touches.get(expired.touch_id, "")
        if state == "attempting":
            self.timers.append((self.now + STILL_CALLING, expired))
        elif state in ("reserved", "claimed"):
            self._cancel(pending, "expired")

    def _cancelled(self, member: Member, cancelled: Cancelled) -> None:
        pending = self._pending_of(member, cancelled.touch_id)
        if pending is not None:
            self._cancel(pending, cancelled.reason, outbox=False, occurred_at=cancelled.occurred_at)

    def _receipt(self, member: Member, receipt: Receipt) -> None:
        place = next((place for place in member.places if place.touch_id == receipt.touch_id), None)
        self.entries.append(
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
            self._set_place(receipt.touch_id, receipt.occurred_at)
        if receipt.state in ("complained", "opted_out"):
            self._opted_out(place.channel, receipt.state, receipt.occurred_at)
        if receipt.state == "bounced":
            self._unhealthy(place.contact, place.channel, "hard_bounced", receipt.occurred_at)
        elif receipt.state == "complained":
            self._unhealthy(place.contact, place.channel, "complained", receipt.occurred_at)
        elif receipt.state == "soft_bounced":
            self._unhealthy(place.contact, place.channel, "soft_bounced", receipt.occurred_at)

    def _opted_out(self, channel: str, reason: str, at: datetime) -> None:
        """Marketing on this channel is over; a consent told before this, whenever it was given, is over too."""
        member = self._known()
        former = member.consents.get(f"{channel}/marketing")
        at = at if former is None else max(at, former.at)
        changed = withdrawn(Changed(member=member), channel, "marketing", reason, at)
        self.member = changed.member
        self.entries.extend(changed.entries)
        self._suppress("member", channel, "marketing", reason)

    def _command(self, member: Member, command: Command) -> None:
        self.entries.append(operator_entry(command))
        if command.verb == "erase":
            for pending in list(member.pending.values()):
                self._end(pending, "erased")
            self.suppressions.append(("member", "*", "*", "erased", None))
            self.entries.append(Entry(kind="member", state="erased"))
            self.member, self.erase = None, True
        elif command.verb in ("suppress", "unsuppress"):
            channel, purpose = command.arguments.get("channel", "*"), command.arguments.get("purpose", "*")
            if command.verb == "suppress":
                self._suppress("member", channel, purpose, ORDERED, command.given_at)
            else:
                self._end_suppression(channel, purpose, command.given_at)

    # --- journeys

    def _trigger(self, journey: Journey, event: Event) -> None:
        member = self._known()
        facts = context.plain(event.data)
        occurrence = ids.occurrence_of(self.shared.key, event.source, event.id)
        self._enter(member, journey, facts, occurrence, event.time)

    def _watch_silence(self, member: Member, journey: Journey, event: Event) -> None:
        name = f"inactive:{journey.name}"
        if journey.trigger.inactivity is None or name in member.timers:
            return
        due = event.time + journey.trigger.inactivity
        if event.history and due < self.now:
            return
        self._arm(name, max(due, self.now))

    def _silence_over(self, member: Member, journey: Journey, inactivity: timedelta) -> None:
        last = member.aggregates[journey.trigger.event].last
        due = last + inactivity
        if due > self.now:
            self._arm(f"inactive:{journey.name}", due)
            return
        facts = facts_of_silence(last, self.now)
        self._enter(member, journey, facts, last.strftime("%Y%m%dT%H%M%SZ"), due)

    def _enter(
        self, member: Member, journey: Journey, facts: dict[str, object], occurrence: str, occasion: datetime
    ) -> None:
        """Starts a journey if its conditions hold; a condition that can't be read is a silence `content_error`."""
        try:
            if barred(member, journey, facts, self.content, self.now):
                return
        except RenderError as error:
            self._silence(journey, _first_of(journey), occurrence, "content_error", str(error))
            return
        if occasion + journey.trigger.fresh_for < self.now:
            self._silence(journey, _first_of(journey), occurrence, "stale")
            return
        if len(member.instances) >= MAX_INSTANCES:
            self._silence(journey, _first_of(journey), occurrence, "journey_limit")
            return
        if journey.reentry != "each":
            self.member = replace(member, entered={**member.entered, journey.name: self.now})
        self._advance(Instance(journey=journey.name, occurrence=occurrence, step=0, entered_at=self.now, trigger=facts))

    def _advance(self, instance: Instance) -> None:
        """Moves an instance on until it waits, is deferred, or is through."""
        journey = self.content.journeys.get(instance.journey)
        steps = journey.steps if journey is not None else ()
        while journey is not None and instance.step < len(steps):
            at = steps[instance.step]
            if isinstance(at, Wait):
                self._keep_instance(instance)
                self._arm(f"journey:{instance.journey}:{instance.occurrence}", self.now + at.duration)
                return
            if self._intend(journey, at, instance) == "defer":
                self._keep_instance(instance)
                return
            instance = replace(instance, step=instance.step + 1)
        self._drop_instance(instance)

    def _exit(self, member: Member, event_type: str) -> None:
        """Ends the instances, and what waits, of every journey that this event type ends."""
        if not member.instances and not member.pending:
            return
        ended = {name for name, journey in self.content.journeys.items() if event_type in journey.exit}
        if not ended:
            return
        for pending in list(member.pending.values()):
            if pending.journey in ended and not pending.touch_id:
                self._end(pending, "exited")
            elif pending.journey in ended and self._uncalled(pending.touch_id):
                self._cancel(pending, "exited")
        self.member = replace(
            self._known(), instances=tuple(i for i in self._known().instances if i.journey not in ended)
        )

    # --- intents

    def _intend(self, journey: Journey, send: Send, instance: Instance) -> str:
        member = self._known()
        if len(member.pending) >= MAX_PENDING:
            self._silence(journey, send, instance.occurrence, "journey_limit")
            return "suppress"
        intent = Pending(
            intent_id=ids.intent_id(self.shared.key, member.id, journey.name, send.name, instance.occurrence),
            journey=journey.name,
            step=send.name,
            occurrence=instance.occurrence,
            created_at=self.now,
            valid_until=self.now + send.valid_for,
            trigger=instance.trigger,
        )
        self._add("intents", 1)
        return self._decide(journey, send, intent, waiting=False)

    def _silence(self, journey: Journey, send: Send, occurrence: str, reason: str, note: str = "") -> None:
        """An intent that ends as it begins."""
        self._add("intents", 1)
        self._add("silent", 1)
        intent = ids.intent_id(self.shared.key, self._known().id, journey.name, send.name, occurrence)
        self.entries.append(
            Entry(
                kind="decision",
                journey=journey.name,
                step=send.name,
                occurrence=occurrence,
                intent_id=intent,
                channel=send.channels[0],
                purpose=journey.purpose,
                verdict="suppress",
                reason=reason,
                trail=_encode(Trail(note=note)).decode(),
            )
        )

    def _decide_again(self, pending: Pending) -> None:
        """A deferred intent at its time, or one the dispatcher gave back."""
        journey = self.content.journeys.get(pending.journey)
        send = _send_of(journey, pending.step)
        if journey is None or send is None:
            self._end(pending, "exited")
            return
        if self._decide(journey, send, pending, waiting=True) == "defer":
            return
        for instance in self._known().instances:
            if (instance.journey, instance.occurrence) == (pending.journey, pending.occurrence) and (
                journey.steps[instance.step] is send
            ):
                self._advance(replace(instance, step=instance.step + 1))
                return

    def _decide(self, journey: Journey, send: Send, intent: Pending, *, waiting: bool) -> str:
        """Weighs an intent on each of its channels in turn; the verdict it came to: send, defer, suppress."""
        member = self._known()
        weighed: list[Weighed] = []
        # what the channels' rules share: the same places, the same clock on the wall
        memo: dict[object, Any] = {}
        zones = tuple([self.content.zones[name] for name in member.residence.zones])
        for channel in send.channels:
            contact = _contact_for(member, channel)
            if contact is None:
                nothing = Tried(channel=channel, says="suppress", findings=NO_CONTACT_POINT.findings())
                weighed.append(Weighed(NO_CONTACT_POINT, nothing))
                continue
            question = self._question(member, journey, channel, contact, intent, zones, memo)
            panel = self.content.panel(member.residence.jurisdictions, channel, journey.purpose, journey.name)
            found = weigh_by(panel, question, send.drop_on)
            if (suppression := _suppression_of(member, contact, journey.purpose)) is not None:
                found = barred_by(suppression, found)
            weighed.append(found)
            if found.tried.says == "pass":
                return self._send(journey, send, intent, question, contact, weighed, waiting=waiting)
        waits = [each for each in weighed if each.tried.says == "defer"]
        if waits:
            soonest = min(waits, key=lambda each: each.tried.release_at or self.now)
            release = soonest.tried.release_at or self.now
            if release < intent.valid_until:
                self._log_decision(journey, intent, soonest, "defer", weighed, release)
                self._keep(intent)
                if not waiting:
                    self._add("waiting", 1)
                self._arm(f"intent:{intent.intent_id}", release)
                return "defer"
            self._log_decision(journey, intent, soonest, "suppress", weighed, release)
        else:
            self._log_decision(journey, intent, weighed[0], "suppress", weighed, None)
        self._settle(intent, "silent", waiting=waiting)
        return "suppress"

    def _question(
        self,
        member: Member,
        journey: Journey,
        channel: str,
        contact: ContactPoint,
        intent: Pending,
        zones: tuple[ZoneInfo, ...],
        memo: dict[object, Any],
    ) -> Question:
        registries: dict[str, RegistryState] = {}
        for name in self.content.laws.registries_for(member.residence.jurisdictions, channel, journey.purpose):
            registries[name] = self.shared.registries.get((name, contact.fingerprint), UNKNOWN_REGISTRY)
        return Question(
            at=self.now,
            now=self.now,
            channel=channel,
            purpose=journey.purpose,
            journey=journey.name,
            member=member,
            contact=contact,
            zones=zones,
            registries=registries,
            closed=intent.closed,
            memo=memo,
        )

    def _send(
        self,
        journey: Journey,
        send: Send,
        intent: Pending,
        question: Question,
        contact: ContactPoint,
        weighed: list[Weighed],
        *,
        waiting: bool,
    ) -> str:
        """Renders and reserves; a message that can't be rendered is a silence, never a blank."""
        member, channel = question.member, question.channel
        margin = self.content.policies.latency_margin(channel, self.now)
        closes, call_rule = self._closes(journey, question)
        if closes is not None and closes - margin <= self.now:
            # too little is left of the open hours to reach the member within them: this stretch counts as closed
            closed = (*intent.closed, (self.now, closes))
            return self._decide(journey, send, replace(intent, closed=closed[-MAX_CLOSED:]), waiting=waiting)
        touch = ids.touch_id(self.shared.key, intent.intent_id, channel)
        try:
            until = intent.valid_until if closes is None else min(closes, intent.valid_until)
            message = self._message(member, contact, journey, send, intent, touch, until)
        except RenderError as error:
            self._log_decision(journey, intent, weighed[-1], "suppress", weighed, None, str(error))
            self._settle(intent, "silent", waiting=waiting)
            return "suppress"
        self._log_decision(journey, intent, weighed[-1], "send", weighed, None)
        intent = replace(intent, touch_id=touch)
        self._settle(intent, "touched", waiting=waiting)
        place = Place(
            touch_id=touch,
            channel=channel,
            purpose=journey.purpose,
            journey=journey.name,
            contact=contact.fingerprint,
            at=None,
        )
        known = self._known()
        self.member = replace(known, places=(*known.places, place), pending={**known.pending, intent.intent_id: intent})
        self.reservations.append(
            Reservation(
                touch_id=touch,
                intent_id=intent.intent_id,
                journey=journey.name,
                channel=channel,
                purpose=journey.purpose,
                contact=contact.fingerprint,
                rank=self.content.policies.rank(journey.purpose, self.now),
                due=self.now,
                valid_until=intent.valid_until,
                call_by=None if closes is None else closes - margin,
                call_rule=call_rule,
                message=message,
            )
        )
        self.timers.append((intent.valid_until, Expired(touch_id=touch)))
        self.entries.append(
            replace(self._touch_entry(intent, touch, "reserved"), channel=channel, valid_until=intent.valid_until)
        )
        return "send"

    def _message(
        self,
        member: Member,
        contact: ContactPoint,
        journey: Journey,
        send: Send,
        intent: Pending,
        touch: str,
        until: datetime,
    ) -> Message:
        content, channel = self.content, contact.channel
        url = ""
        if content.public_url and journey.purpose == "marketing":
            url = f"{content.public_url}/u/{ids.opaque(self.shared.key, 'opt-out', member.ref, journey.purpose)}"
        view = context.view(member, intent.trigger, content, self.now)
        view["unsubscribe_url"] = url
        view["journey"] = journey.name
        words = content.templates.render(journey.name, send.name, channel, member.locale or content.locale, view)
        sender = content.policies.sender(channel, self.now)
        return Message(
            touch_id=touch,
            channel=channel,
            to=contact.address,
            purpose=journey.purpose,
            journey=journey.name,
            locale=words.locale,
            subject=words.subject,
            html=words.html,
            text=words.text,
            sender_name=sender.name or content.identity.programme,
            sender=sender.address,
            reply_to=sender.reply_to,
            unsubscribe=url,
            template=words.template,
            content_sid=words.content_sid,
            template_language=words.template_language,
            variables=words.variables,
            media=words.media,
            deliver_by=until,
        )

    def _closes(self, journey: Journey, question: Question) -> tuple[datetime | None, str]:
        """When the first of the permitted hours that hold now ends, and whose they are; None: no hours bind."""
        rules = self.content.policies.hours_for(question.channel, journey.purpose, journey.name) + (
            self.content.laws.hours_for(question.member.residence.jurisdictions, question.channel, journey.purpose)
        )
        first: datetime | None = None
        name = ""
        for rule in rules:
            end = open_until(rule, question)
            if end is not None and (first is None or end < first):
                first, name = end, rule.id
        return first, name

    # --- ends

    def _end(self, pending: Pending, reason: str) -> None:
        """An intent without a live touch ends as a silence outside of a weighing."""
        self._end_entry(pending, reason)
        if pending.touch_id:
            self.cancels.append(pending.touch_id)
            self._add("touched", -1)
        else:
            self._add("waiting", -1)
        self._add("silent", 1)
        self._forget(pending)

    def _cancel(
        self, pending: Pending, reason: str, *, outbox: bool = True, occurred_at: datetime | None = None
    ) -> None:
        """A touch that was not called is cancelled for good, and its intent ends as a silence."""
        if outbox:
            self.cancels.append(pending.touch_id)
        entry = self._touch_entry(pending, pending.touch_id, "cancelled", reason)
        self.entries.append(replace(entry, occurred_at=occurred_at))
        self._drop_place(pending.touch_id)
        self._end_entry(pending, "expired" if reason == "expired" else "exited" if reason == "exited" else "suppressed")
        self._add("touched", -1)
        self._add("silent", 1)
        self._forget(pending)

    def _suppress(self, subject: str, channel: str, purpose: str, reason: str, since: datetime | None = None) -> None:
        """Writes a suppression, here and for the outbox, and cancels what it covers and was not called yet."""
        self.suppressions.append((subject, channel, purpose, reason, since))
        member = self._known()
        key = f"{subject}/{channel}/{purpose}"
        # what was ordered ends by an order alone, also where the member says the same
        stands = {**member.suppressed, key: ORDERED if member.suppressed.get(key) == ORDERED else reason}
        self.member = replace(member, suppressed=dict(list(stands.items())[-MAX_SUPPRESSED:]))
        for pending in list(member.pending.values()):
            if not self._uncalled(pending.touch_id):
                continue
            place = next((p for p in self._known().places if p.touch_id == pending.touch_id), None)
            if place is None:
                continue
            covers = subject in ("member", place.contact)
            if covers and channel in ("*", place.channel) and purpose in ("*", place.purpose):
                self._cancel(pending, reason)

    def _agreed(self, channel: str, purpose: str) -> None:
        """A consent ends what was suppressed for want of one; an operator's order stands."""
        if self._known().suppressed.get(f"member/{channel}/{purpose}") in OPTED_OUT:
            self._end_suppression(channel, purpose, None)

    def _end_suppression(self, channel: str, purpose: str, until: datetime | None) -> None:
        member, key = self._known(), f"member/{channel}/{purpose}"
        stands = {name: reason for name, reason in member.suppressed.items() if name != key}
        self.member = replace(member, suppressed=stands)
        self.unsuppressed.append(("member", channel, purpose, until))

    def _unhealthy(self, contact: str, channel: str, health: str, since: datetime) -> None:
        member = self._known()
        points = tuple(
            replace(point, health=health, health_since=since) if point.fingerprint == contact else point
            for point in member.contact_points
        )
        if points == member.contact_points:
            return
        self.member = replace(member, contact_points=points)
        self.entries.append(Entry(kind="contact_point", channel=channel, state=health, occurred_at=since))
        if health in ("hard_bounced", "invalid", "complained"):
            self._suppress(contact, channel, "*", health)

    def _uncalled(self, touch: str) -> bool:
        """Whether a touch waits for its call: one of this turn does."""
        mine = any(reservation.touch_id == touch for reservation in self.reservations)
        return mine or self.shared.touches.get(touch) in ("reserved", "claimed")

    def _settle(self, intent: Pending, end: str, *, waiting: bool) -> None:
        if waiting:
            self._add("waiting", -1)
        self._add(end, 1)
        if intent.intent_id in self._known().pending:
            self._forget(intent)

    # --- small hands

    def _known(self) -> Member:
        if self.member is None:
            raise ValueError("this turn is about no member")
        return self.member

    def _add(self, name: str, n: int) -> None:
        self.totals[name] = self.totals.get(name, 0) + n

    def _arm(self, name: str, due: datetime) -> None:
        member = self._known()
        self.member = replace(member, timers={**member.timers, name: due})
        self.timers.append((due, TimerDue(name, due)))

    def _keep(self, intent: Pending) -> None:
        member = self._known()
        self.member = replace(member, pending={**member.pending, intent.intent_id: intent})

    def _forget(self, intent: Pending) -> None:
        member = self._known()
        pending = {key: value for key, value in member.pending.items() if key != intent.intent_id}
        self.member = replace(member, pending=pending)

    def _keep_instance(self, instance: Instance) -> None:
        self._drop_instance(instance)
        member = self._known()
        self.member = replace(member, instances=(*member.instances, instance))

    def _drop_instance(self, instance: Instance) -> None:
        member = self._known()
        if not member.instances:
            return
        name = (instance.journey, instance.occurrence)
        kept = tuple(i for i in member.instances if (i.journey, i.occurrence) != name)
        if len(kept) != len(member.instances):
            self.member = replace(member, instances=kept)

    def _set_place(self, touch: str, at: datetime) -> None:
        member = self._known()
        places = tuple(replace(p, at=at) if p.touch_id == touch else p for p in member.places)
        self.member = replace(member, places=places)

    def _drop_place(self, touch: str) -> None:
        member = self._known()
        self.member = replace(member, places=tuple(p for p in member.places if p.touch_id != touch))

    @staticmethod
    def _pending_of(member: Member, touch: str) -> Pending | None:
        return next((pending for pending in member.pending.values() if pending.touch_id == touch), None)

    def _touch_entry(self, pending: Pending, touch: str, state: str, reason: str = "") -> Entry:
        place = next((place for place in self._known().places if place.touch_id == touch), None)
        journey = self.content.journeys.get(pending.journey)
        return Entry(
            kind="touch",
            journey=pending.journey,
            step=pending.step,
            occurrence=pending.occurrence,
            intent_id=pending.intent_id,
            touch_id=touch,
            channel=place.channel if place else "",
            purpose=journey.purpose if journey else "",
            reason=reason,
            state=state,
        )

    def _end_entry(self, pending: Pending, reason: str) -> None:
        journey = self.content.journeys.get(pending.journey)
        send = _send_of(journey, pending.step)
        self.entries.append(
            Entry(
                kind="decision",
                journey=pending.journey,
                step=pending.step,
                occurrence=pending.occurrence,
                intent_id=pending.intent_id,
                touch_id=pending.touch_id,
                channel=send.channels[0] if send else "",
                purpose=journey.purpose if journey else "",
                verdict="suppress",
                reason=reason,
                trail=_encode(Trail()).decode(),
            )
        )

    def _log_decision(
        self,
        journey: Journey,
        intent: Pending,
        decisive: Weighed,
        verdict: str,
        weighed: list[Weighed],
        release: datetime | None,
        note: str = "",
    ) -> None:
        """`note` tells of an error in the content: it is the reason then, whatever the rules said."""
        residence = self._known().residence
        trail = Trail(
            zones=residence.zones,
            zone_from=residence.zone_from,
            packs=self.content.laws.names(residence.jurisdictions),
            tried=tuple([each.tried for each in weighed]),
            note=note,
        )
        self.entries.append(
            Entry(
                kind="decision",
                journey=journey.name,
                step=intent.step,
                occurrence=intent.occurrence,
                intent_id=intent.intent_id,
                channel=decisive.tried.channel,
                purpose=journey.purpose,
                verdict=verdict,
                reason="content_error" if note else "" if verdict == "send" else decisive.reason,
                release_at=release,
                trail=_encode(trail).decode(),
            )
        )


# without an address there is nothing to ask the rules about
NO_CONTACT_POINT = said(Finding(rule="contact_point", version="engine", says="suppress", reason="no_contact_point"))
# a suppression that an operator ordered
ORDERED = "suppressed"
# suppressions that a later consent ends
OPTED_OUT = frozenset({"consent_withdrawn", "complained", "opted_out"})
UNKNOWN_REGISTRY = RegistryState(listed=False, checked_at=None)


def operator_entry(command: Command) -> Entry:
    """What the log says of an order: who gave it, with what words, and when, if that was not now."""
    return Entry(
        kind="operator",
        reason=command.verb,
        occurred_at=command.given_at,
        trail=_encode({"actor": command.actor, **command.arguments}).decode(),
    )


def _send_of(journey: Journey | None, name: str) -> Send | None:
    if journey is None:
        return None
    return next((given for given in journey.steps if isinstance(given, Send) and given.name == name), None)


def _suppression_of(member: Member, contact: ContactPoint, purpose: str) -> Finding | None:
    """What the outbox would refuse to call, whatever the rules say."""
    if not member.suppressed:
        return None
    for subject in ("member", contact.fingerprint):
        for channel in (contact.channel, "*"):
            for covered in (purpose, "*"):
                why = member.suppressed.get(f"{subject}/{channel}/{covered}")
                if why is not None:
                    saw: dict[str, str | int | bool | None] = {"why": why, "all_channels": channel == "*"}
                    return Finding(rule="suppression", version="engine", says="suppress", reason="suppressed", saw=saw)
    return None


def _first_of(journey: Journey) -> Send:
    return next(given for given in journey.steps if isinstance(given, Send))


def _contact_for(member: Member, channel: str) -> ContactPoint | None:
    """The member's point for a channel: a preferred one that is well, else one that is well, else the first."""
    best: ContactPoint | None = None
    for point in member.contact_points:
        if point.channel == channel and (
            best is None or (point.health != "ok", not point.preferred) < (best.health != "ok", not best.preferred)
        ):
            best = point
    return best


def _remembered(places: tuple[Place, ...], oldest: datetime) -> tuple[Place, ...]:
    """Those after `oldest`, and what is in flight, MAX_PLACES at most; the same ones as given where all of them are."""
    for place in places:
        if place.at is not None and place.at <= oldest:
            places = tuple([place for place in places if place.at is None or place.at > oldest])
            break
    return places if len(places) <= MAX_PLACES else _fewer(places)


def _fewer(places: tuple[Place, ...]) -> tuple[Place, ...]:
    """At most MAX_PLACES, the oldest that are not marketing left out first: marketing is what caps count."""
    surplus = len(places) - MAX_PLACES
    ranked = sorted(range(len(places)), key=lambda i: (places[i].purpose == "marketing", places[i].at is None, i))
    dropped = set(ranked[:surplus])
    return tuple(place for i, place in enumerate(places) if i not in dropped)


def _state_of(outcome: Outcome) -> str:
    if not outcome.final:
        return "reserved"
    return "rejected" if outcome.kind not in ("accepted", "unknown") else outcome.kind
