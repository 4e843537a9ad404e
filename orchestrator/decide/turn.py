"""The working copy of one turn: what has come of it so far, with the small hands that move it on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from orchestrator.decide.content import Content
from orchestrator.decide.context import Views
from orchestrator.decide.decision import Weighed
from orchestrator.decide.journey import Journey, Send, send_of
from orchestrator.decide.member import Instance, Member, Pending, Place
from orchestrator.decide.result import Entry, Promised, Reservation, Result, Trail, Winner
from orchestrator.decide.shared import Shared
from orchestrator.events.inputs import InternalInput, TimerDue

MAX_PLACES = 400

_encode = msgspec.json.Encoder().encode


class Wanted(NamedTuple):
    """An intent that waits to be weighed in this turn."""

    journey: Journey
    send: Send
    intent: Pending
    # it had been put off before
    waiting: bool


class Turn:
    """What the inputs applied so far make of a member; never outlives `step`."""

    def __init__(self, member: Member | None, shared: Shared, content: Content, now: datetime) -> None:
        self.member = member
        self.shared = shared
        self.content = content
        self.now = now
        self.views = Views(content, now)
        self.entries: list[Entry] = []
        self.reservations: list[Reservation] = []
        self.cancels: list[str] = []
        self.timers: list[tuple[datetime, InternalInput]] = []
        self.suppressions: list[tuple[str, str, str, str, datetime | None]] = []
        self.unsuppressed: list[tuple[str, str, str, datetime | None]] = []
        self.sent: list[tuple[str, InternalInput]] = []
        self.totals: dict[str, int] = {}
        self.erase = False
        # intents to be weighed together, and those of them that took a place
        self.wanted: list[Wanted] = []
        self.won: list[Pending] = []
        # of each pool: codes used, codes wanted beyond those given, what an operator heard
        self.used: dict[str, int] = {}
        self.lacked: dict[str, int] = {}
        self.told: dict[str, int] = {}
        self.codes_back: list[str] = []

    def result(self) -> Result:
        """All that follows from the turn."""
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
            lacked=tuple(self.lacked.items()),
            codes_back=tuple(self.codes_back),
            told=tuple(self.told.items()),
            sent=tuple(self.sent),
            erase=self.erase,
        )

    def known(self) -> Member:
        """The member, of whom something is known by now."""
        if self.member is None:
            raise ValueError("this turn is about no member")
        return self.member

    def add(self, name: str, n: int) -> None:
        """Moves a total: intents, touched, silent, waiting."""
        self.totals[name] = self.totals.get(name, 0) + n

    def arm(self, name: str, due: datetime) -> None:
        """A timer of the member; one of this name that was armed before is void."""
        member = self.known()
        self.member = replace(member, timers={**member.timers, name: due})
        self.timers.append((due, TimerDue(name, due)))

    def disarm(self, name: str) -> None:
        """A timer is not armed any more."""
        member = self.known()
        if name in member.timers:
            self.member = replace(member, timers={key: due for key, due in member.timers.items() if key != name})

    def keep(self, intent: Pending) -> None:
        """The intent is, or remains, open."""
        member = self.known()
        self.member = replace(member, pending={**member.pending, intent.intent_id: intent})

    def forget(self, intent: Pending) -> None:
        """The intent is over."""
        member = self.known()
        pending = {key: value for key, value in member.pending.items() if key != intent.intent_id}
        self.member = replace(member, pending=pending)

    def keep_instance(self, instance: Instance) -> None:
        """The member stands at this step of a journey now."""
        self.drop_instance(instance)
        member = self.known()
        self.member = replace(member, instances=(*member.instances, instance))

    def drop_instance(self, instance: Instance) -> None:
        """The member is through with a run of a journey."""
        member = self.known()
        if not member.instances:
            return
        name = (instance.journey, instance.occurrence)
        kept = tuple(i for i in member.instances if (i.journey, i.occurrence) != name)
        if len(kept) != len(member.instances):
            self.member = replace(member, instances=kept)

    def set_place(self, touch: str, at: datetime) -> None:
        """The attempt of a touch is known: its place counts at that instant."""
        member = self.known()
        places = tuple(replace(p, at=at) if p.touch_id == touch else p for p in member.places)
        self.member = replace(member, places=places)

    def drop_place(self, touch: str) -> None:
        """The touch did not come about: its place is given back."""
        member = self.known()
        self.member = replace(member, places=tuple(p for p in member.places if p.touch_id != touch))

    def give_code_back(self, pending: Pending) -> None:
        """The intent's touch is cancelled: a code that it carries returns to its pool if it was never called."""
        if pending.voucher:
            self.codes_back.append(pending.touch_id)

    def touch_entry(self, pending: Pending, touch: str, state: str, reason: str = "") -> Entry:
        """A line for the log on a touch of this intent."""
        place = place_of(self.known(), touch)
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

    def alarm(
        self, intent: Pending, reason: str, told: Mapping[str, object], *, touch: str = "", purpose: str = ""
    ) -> None:
        """An operator hears of it: a line in the log, and a warning from whoever runs this turn."""
        self.entries.append(
            Entry(
                kind="alarm",
                journey=intent.journey,
                step=intent.step,
                occurrence=intent.occurrence,
                intent_id=intent.intent_id,
                touch_id=touch,
                purpose=purpose,
                reason=reason,
                trail=_encode(told).decode(),
            )
        )

    def end_entry(self, pending: Pending, reason: str) -> None:
        """The line for the log on an intent that ends as a silence outside of a weighing."""
        journey = self.content.journeys.get(pending.journey)
        send = send_of(journey, pending.step)
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

    def log_decision(
        self,
        journey: Journey,
        intent: Pending,
        decisive: Weighed,
        verdict: str,
        weighed: list[Weighed],
        release: datetime | None,
        note: str = "",
        outranked_by: Winner | None = None,
        reason: str = "",
        voucher: Promised | None = None,
    ) -> None:
        """`note` tells of an error in the content: it is the reason then, whatever the rules said; so is `reason`."""
        residence = self.known().residence
        trail = Trail(
            zones=residence.zones,
            zone_from=residence.zone_from,
            packs=self.content.laws.names(residence.jurisdictions),
            tried=tuple([each.tried for each in weighed]),
            outranked_by=outranked_by,
            instead_of=intent.instead_of,
            instead_because=intent.because,
            instead_by=intent.by,
            reach_by=intent.reach_by,
            voucher=voucher,
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
                reason=reason or ("content_error" if note else "" if verdict == "send" else decisive.reason),
                release_at=release,
                trail=_encode(trail).decode(),
            )
        )

    def uncalled(self, touch: str) -> bool:
        """Whether a touch waits for its call: one of this turn does, one of an alias's never does."""
        if any(reservation.touch_id == touch for reservation in self.reservations):
            return True
        if self.shared.touches.get(touch) not in ("reserved", "claimed"):
            return False
        pending = pending_of(self.known(), touch)
        return pending is None or not pending.of_alias


def pending_of(member: Member, touch: str) -> Pending | None:
    """The open intent that this touch is for."""
    return next((pending for pending in member.pending.values() if pending.touch_id == touch), None)


def place_of(member: Member, touch: str) -> Place | None:
    """The place that this touch has in the caps; None where it has none, or none any more."""
    return next((place for place in member.places if place.touch_id == touch), None)


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
