"""Intents: each is weighed on its channels, and is sent, put off or ends as a silence."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from msgspec.structs import replace

from orchestrator.channels.contract import Message
from orchestrator.decide import context, deadlines, ids, vouchers
from orchestrator.decide.asking import asked
from orchestrator.decide.consent import COMPLAINT
from orchestrator.decide.decision import Spread, Weighed, barred_by, most_telling, spread_of, spread_out, weigh_by
from orchestrator.decide.ends import cancel, settle
from orchestrator.decide.hours import open_until
from orchestrator.decide.journey import Journey, Send, send_of
from orchestrator.decide.member import ContactPoint, Instance, Member, Pending, Place
from orchestrator.decide.panel import Panel, said
from orchestrator.decide.points import contact_for
from orchestrator.decide.result import Entry, Promised, Reservation, Trail, Tried, Winner
from orchestrator.decide.rules import Finding, Question, RegistryState
from orchestrator.decide.sharing import others_at
from orchestrator.decide.turn import Turn, Wanted, place_of
from orchestrator.decide.vouchers import Voucher
from orchestrator.events.inputs import Expired
from orchestrator.render.contract import RenderError
from orchestrator.render.links import with_parameters

MAX_PENDING = 200
MARKETING = "marketing"
MAX_CLOSED = 8
# without an address there is nothing to ask the rules about
NO_CONTACT_POINT = said(Finding(rule="contact_point", version="engine", says="suppress", reason="no_contact_point"))
# what refused a message once is not asked again: the touch would have the same id
REFUSED = said(Finding(rule="refused_before", version="engine", says="suppress", reason="channel_refused"))
UNKNOWN_REGISTRY = RegistryState(listed=False, checked_at=None)

_encode = msgspec.json.Encoder().encode


def intend(turn: Turn, journey: Journey, send: Send, instance: Instance) -> None:
    """A send step is reached: its intent is weighed at the end of the turn, with all others of the same moment."""
    occurrence = occurrence_of(instance)
    intent = Pending(
        intent_id=ids.intent_id(turn.shared.key, turn.known().id, journey.name, send.label, occurrence),
        journey=journey.name,
        step=send.label,
        occurrence=occurrence,
        created_at=turn.now,
        valid_until=turn.now + send.valid_for,
        trigger=instance.trigger,
        key=instance.key,
        gathered=instance.gathered,
        heard=instance.heard,
    )
    turn.wanted.append(Wanted(journey, send, intent, waiting=False))


def silence(turn: Turn, journey: Journey, send: Send, occurrence: str, reason: str, note: str = "") -> None:
    """An intent that ends as it begins."""
    base = Entry(kind="decision", journey=journey.name, step=send.label, occurrence=occurrence, purpose=journey.purpose)
    _end_at_once(turn, replace(base, channel=send.channels[0]), occurrence, reason, note)


def silence_at(turn: Turn, instance: Instance, purpose: str, reason: str, note: str = "") -> None:
    """A run ends at a step that contacts nobody: that is a silence too, of an intent that ends as it begins."""
    name, occurrence = instance.journey, instance.occurrence
    base = Entry(kind="decision", journey=name, step=instance.step, occurrence=occurrence, purpose=purpose)
    _end_at_once(turn, base, f"{occurrence}#end", reason, note)


def _end_at_once(turn: Turn, base: Entry, occurrence: str, reason: str, note: str) -> None:
    """Counts and logs an intent of this occurrence that is a silence from its beginning."""
    turn.add("intents", 1)
    turn.add("silent", 1)
    intent = ids.intent_id(turn.shared.key, turn.known().id, base.journey, base.step, occurrence)
    trail = _encode(Trail(note=note)).decode()
    turn.entries.append(replace(base, intent_id=intent, verdict="suppress", reason=reason, trail=trail))


def occurrence_of(instance: Instance) -> str:
    """The occurrence with the rounds of its repetitions, from the second on: each round has intents of its own."""
    if not instance.counters:
        return instance.occurrence
    rounds = list(instance.counters.values())
    return instance.occurrence if max(rounds) == 1 else f"{instance.occurrence}#{'.'.join(map(str, rounds))}"


def decide(turn: Turn, journey: Journey, send: Send, intent: Pending, *, waiting: bool) -> str:
    """Weighs an intent on each of its channels in turn; the verdict it came to: send, defer, suppress."""
    if journey.name in turn.shared.unapproved:
        silence(turn, journey, send, intent.occurrence, "not_approved")
        return "suppress"
    if not waiting and len(turn.known().pending) >= MAX_PENDING:
        silence(turn, journey, send, intent.occurrence, "journey_limit")
        return "suppress"
    if not waiting:
        if send.reach_by is not None:
            try:
                intent = deadlines.given(turn, send.reach_by, intent)
            except RenderError as error:
                silence(turn, journey, send, intent.occurrence, "content_error", str(error))
                return "suppress"
        turn.add("intents", 1)
    return _weigh(turn, journey, send, intent, waiting=waiting)


def _weigh(turn: Turn, journey: Journey, send: Send, intent: Pending, *, waiting: bool) -> str:
    member = turn.known()
    weighed: list[Weighed] = []
    # what the channels' rules share: the same places, the same clock on the wall
    memo: dict[object, Any] = {}
    zones = context.zones_of(turn.content, member)
    channels = _channels(turn, member, send)
    late = deque(() if send.reach_by is None else [each for each in send.reach_by.escalate if each not in channels])
    to_try = deque(channels)
    while to_try or (late and deadlines.endangered(intent, weighed)):
        escalated = not to_try
        channel = late.popleft() if escalated else to_try.popleft()
        if channel in intent.refused:
            weighed.append(Weighed(REFUSED, Tried(channel=channel, says="suppress", findings=REFUSED.findings())))
            continue
        contact = _contact(member, send, channel)
        if contact is None:
            nothing = Tried(channel=channel, says="suppress", findings=NO_CONTACT_POINT.findings())
            weighed.append(Weighed(NO_CONTACT_POINT, nothing))
            continue
        question = _question(turn, member, journey, send, contact, intent, zones, memo)
        panel = turn.content.panel(member.residence.jurisdictions, channel, journey.purpose, journey.name)
        found = weigh_by(panel, question, send.drop_on)
        if (suppression := suppression_of(member, contact, journey.purpose)) is not None:
            found = barred_by(suppression, found)
        if found.tried.says == "defer":
            found = _spread(turn, intent, panel, question, found)
        weighed.append(found)
        if found.tried.says == "pass":
            if escalated and not intent.alarmed:
                deadlines.alarm(turn, intent, most_telling(weighed[:-1]).reason)
            return _reserve(turn, journey, send, intent, question, contact, weighed, waiting=waiting)
        held = found.tried.says == "defer" and send.on_refusal != "other_channel"
        if held and not deadlines.endangered(intent, weighed):
            # it comes in time there
            to_try.clear()
    return _refused(turn, journey, send, intent, weighed, waiting=waiting)


def _spread(turn: Turn, intent: Pending, panel: Panel, question: Question, found: Weighed) -> Weighed:
    """A deferral with the member's part of the channel's spread; what has a deadline keeps it."""
    policies, channel = turn.content.policies, question.channel
    over = policies.release_spread(channel, turn.now)
    if not over:
        return found
    latest = intent.valid_until if intent.reach_by is None else min(intent.valid_until, intent.reach_by)
    margin = policies.latency_margin(channel, turn.now)
    return spread_out(panel, question, found, Spread(spread_of(question.member.id, over), margin, latest))


def _channels(turn: Turn, member: Member, send: Send) -> tuple[str, ...]:
    """The channels in the order of trial: the member's own, then from the least intrusive, then as they are written."""
    channels = send.channels
    if len(channels) == 1:
        return channels
    ranked = dict.fromkeys((*member.preferences.channels, *turn.content.policies.channel_order(turn.now), *channels))
    return tuple([channel for channel in ranked if channel in channels])


def _refused(
    turn: Turn, journey: Journey, send: Send, intent: Pending, weighed: list[Weighed], *, waiting: bool
) -> str:
    """No channel lets it pass now: it waits for the first that will, or ends as a silence."""
    winner = _winner(turn, journey, send, intent, weighed) if turn.won else None
    if not intent.alarmed and deadlines.endangered(intent, weighed):
        deadlines.alarm(turn, intent, most_telling(weighed).reason)
        intent = replace(intent, alarmed=True)
    waits = [each for each in weighed if each.tried.says == "defer"]
    if waits:
        soonest = min(waits, key=lambda each: each.tried.release_at or turn.now)
        release = soonest.tried.release_at or turn.now
        if release < intent.valid_until and send.on_refusal != "drop":
            turn.log_decision(journey, intent, soonest, "defer", weighed, release, outranked_by=winner)
            turn.keep(intent)
            if not waiting:
                turn.add("waiting", 1)
            turn.arm(f"intent:{intent.intent_id}", release)
            return "defer"
        turn.log_decision(journey, intent, soonest, "suppress", weighed, release, outranked_by=winner)
    else:
        turn.log_decision(journey, intent, most_telling(weighed), "suppress", weighed, None, outranked_by=winner)
    settle(turn, intent, "silent", waiting=waiting)
    return "suppress"


def _winner(turn: Turn, journey: Journey, send: Send, intent: Pending, weighed: list[Weighed]) -> Winner | None:
    """Who of those that took a place in this turn took the one that this intent had been sent with; None: nobody."""
    known = turn.known()
    zones = context.zones_of(turn.content, known)

    def passes(others: list[Pending]) -> bool:
        gone = {other.touch_id for other in others}
        member = replace(known, places=tuple(place for place in known.places if place.touch_id not in gone))
        for each in weighed:
            contact = _contact(member, send, each.tried.channel)
            if contact is None or suppression_of(member, contact, journey.purpose) is not None:
                continue
            question = _question(turn, member, journey, send, contact, intent, zones, {})
            panel = turn.content.panel(member.residence.jurisdictions, contact.channel, journey.purpose, journey.name)
            if panel.ask(question).says == "pass":
                return True
        return False

    if not passes(turn.won):
        return None
    # with the places of these it still passed, with the next one's it did not any more
    winner = next(won for n, won in enumerate(turn.won, start=1) if n == len(turn.won) or not passes(turn.won[n:]))
    return Winner(journey=winner.journey, step=winner.step, intent_id=winner.intent_id)


def _contact(member: Member, send: Send, channel: str) -> ContactPoint | None:
    """Where a message of this step goes on a channel."""
    if not send.to_requested:
        return contact_for(member, channel)
    requested = member.requested.get(channel)
    return None if requested is None else requested.point


def _question(
    turn: Turn,
    member: Member,
    journey: Journey,
    send: Send,
    contact: ContactPoint,
    intent: Pending,
    zones: tuple[ZoneInfo, ...],
    memo: dict[object, Any],
) -> Question:
    content, channel = turn.content, contact.channel
    locale = member.locale or content.locale
    registries: dict[str, RegistryState] = {}
    for name in content.laws.registries_for(member.residence.jurisdictions, channel, journey.purpose):
        registries[name] = turn.shared.registries.get((name, contact.fingerprint), UNKNOWN_REGISTRY)
    return Question(
        at=turn.now,
        now=turn.now,
        channel=channel,
        purpose=journey.purpose,
        journey=journey.name,
        member=member,
        contact=contact,
        zones=zones,
        registries=registries,
        closed=intent.closed,
        category=journey.category,
        free_text=not content.templates.is_approved(journey.name, send.name, channel, locale),
        others=others_at(turn, contact.fingerprint),
        memo=memo,
    )


def stands(turn: Turn, pending: Pending) -> bool:
    """Whether the touch of an intent, were its place free, might still be sent to where it goes."""
    member, content = turn.known(), turn.content
    place, journey = place_of(member, pending.touch_id), content.journeys.get(pending.journey)
    send = send_of(journey, pending.step)
    if journey is None or send is None or place is None:
        return True
    there = (place.channel, place.contact)
    point = next((each for each in member.contact_points if (each.channel, each.fingerprint) == there), None)
    if point is None:
        return True
    rest = replace(member, places=tuple(each for each in member.places if each is not place))
    question = _question(turn, rest, journey, send, point, pending, context.zones_of(content, rest), {})
    panel = content.panel(rest.residence.jurisdictions, place.channel, journey.purpose, journey.name)
    return panel.ask(question).says == "pass"


def _reserve(
    turn: Turn,
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
    margin = turn.content.policies.latency_margin(channel, turn.now)
    closes, call_rule = _closes(turn, journey, question)
    if closes is not None and closes - margin <= turn.now:
        # too little is left of the open hours to reach the member within them: this stretch counts as closed
        return _weigh(turn, journey, send, closed_too(intent, turn.now, closes), waiting=waiting)
    voucher = vouchers.draw(turn, send.voucher, intent) if send.voucher else None
    if send.voucher and voucher is None:
        lacking = Promised(pool=send.voucher)
        turn.log_decision(
            journey, intent, weighed[-1], "suppress", weighed, None, reason=vouchers.NONE_LEFT, voucher=lacking
        )
        settle(turn, intent, "silent", waiting=waiting)
        return "suppress"
    if voucher is not None and voucher.until is not None:
        intent = replace(intent, valid_until=min(intent.valid_until, voucher.until))
    touch = ids.touch_id(turn.shared.key, intent.intent_id, channel)
    try:
        until = intent.valid_until if closes is None else min(closes, intent.valid_until)
        message = _message(turn, member, contact, journey, send, intent, touch, until, voucher)
    except RenderError as error:
        turn.log_decision(journey, intent, weighed[-1], "suppress", weighed, None, str(error))
        settle(turn, intent, "silent", waiting=waiting)
        return "suppress"
    promised = None if voucher is None else voucher.promised(turn.shared.fingerprint)
    turn.log_decision(journey, intent, weighed[-1], "send", weighed, None, voucher=promised)
    intent = replace(intent, touch_id=touch, voucher=send.voucher)
    settle(turn, intent, "touched", waiting=waiting)
    place = Place(
        touch_id=touch,
        channel=channel,
        purpose=journey.purpose,
        journey=journey.name,
        contact=contact.fingerprint,
        at=None,
        category=journey.category,
    )
    known = asked(turn.known(), turn.content.policies.asking(turn.now), journey.name, turn.now)
    turn.member = replace(known, places=(*known.places, place), pending={**known.pending, intent.intent_id: intent})
    turn.won.append(intent)
    turn.reservations.append(
        Reservation(
            touch_id=touch,
            intent_id=intent.intent_id,
            journey=journey.name,
            channel=channel,
            purpose=journey.purpose,
            contact=contact.fingerprint,
            rank=turn.content.policies.rank(journey.purpose, turn.now),
            due=turn.now,
            valid_until=intent.valid_until,
            call_by=None if closes is None else closes - margin,
            call_rule=call_rule,
            message=message,
            pool=send.voucher,
            code="" if voucher is None else voucher.code,
        )
    )
    if voucher is not None:
        vouchers.use(turn, voucher, intent)
    turn.timers.append((intent.valid_until, Expired(touch_id=touch)))
    turn.entries.append(
        replace(turn.touch_entry(intent, touch, "reserved"), channel=channel, valid_until=intent.valid_until)
    )
    return "send"


def _message(
    turn: Turn,
    member: Member,
    contact: ContactPoint,
    journey: Journey,
    send: Send,
    intent: Pending,
    touch: str,
    until: datetime,
    voucher: Voucher | None,
) -> Message:
    content, channel = turn.content, contact.channel
    links = _links(turn, member, channel, journey.purpose, to_requested=send.to_requested)
    view = turn.views.of(member, intent.trigger, intent.gathered, intent.heard)
    view |= links
    view["journey"] = journey.name
    if voucher is not None:
        view["voucher"] = voucher.view()
    words = content.templates.render(journey.name, send.name, channel, member.locale or content.locale, view)
    sender = content.policies.sender(channel, turn.now)
    site, parameters = content.identity.site, journey.link_parameters
    return Message(
        touch_id=touch,
        channel=channel,
        to=contact.address,
        purpose=journey.purpose,
        journey=journey.name,
        locale=words.locale,
        subject=words.subject,
        html=with_parameters(words.html, site, parameters, html=True),
        text=with_parameters(words.text, site, parameters, html=False),
        sender_name=sender.name or content.identity.programme,
        sender=sender.address,
        reply_to=sender.reply_to,
        unsubscribe=links["unsubscribe_url"] or "",
        identifiers={str(kind): value for kind, value in contact.identifiers.items()},
        open_until=_conversation(turn, contact, journey.purpose),
        template=words.template,
        content_sid=words.content_sid,
        template_language=words.template_language,
        variables=words.variables,
        media=words.media,
        deliver_by=until,
    )


def _conversation(turn: Turn, contact: ContactPoint, purpose: str) -> datetime | None:
    """Until when the member's own last message lets free texts through; None: they did not write, or nothing binds."""
    if contact.heard_at is None:
        return None
    lasts = turn.content.policies.conversation(contact.channel, purpose, turn.now)
    return contact.heard_at + lasts if lasts else None


def _links(turn: Turn, member: Member, channel: str, purpose: str, *, to_requested: bool) -> dict[str, str | None]:
    """The member's own links, by the names that templates know them by; "" or none where there is nothing to open."""
    at, made = turn.content.public_url, turn.shared.links
    links: dict[str, str | None] = {
        "unsubscribe_url": f"{at}/u/{made.opt_out(member.id, channel, purpose)}" if purpose == MARKETING else "",
        "preferences_url": f"{at}/p/{made.preferences(member.id, turn.now)}",
    }
    asked = member.requested.get(channel) if to_requested else member.unconfirmed(f"{channel}/{MARKETING}")
    if not at or asked is None:
        # none: a text that holds it is not sent
        return {**(links if at else dict.fromkeys(links, "")), "confirm_url": None}
    until = asked.at + turn.content.policies.confirm_within(channel, MARKETING, turn.now)
    if to_requested:
        # whoever reads this address may not be the member: no link that opens what is known of them
        return {
            **dict.fromkeys(links, ""),
            "confirm_url": f"{at}/c/{made.contact(member.id, channel, asked.at, until)}",
        }
    return {**links, "confirm_url": f"{at}/c/{made.confirm(member.id, channel, MARKETING, asked.at, until)}"}


def _closes(turn: Turn, journey: Journey, question: Question) -> tuple[datetime | None, str]:
    """When the first of the permitted hours that hold now ends, and whose they are; None: no hours bind."""
    rules = turn.content.policies.hours_for(question.channel, journey.purpose, journey.name) + (
        turn.content.laws.hours_for(question.member.residence.jurisdictions, question.channel, journey.purpose)
    )
    first: datetime | None = None
    name = ""
    for rule in rules:
        end = open_until(rule, question)
        if end is not None and (first is None or end < first):
            first, name = end, rule.id
    return first, name


def hushed(turn: Turn) -> None:
    """A complaint was opened: touches that a rule about it stops, and that were not called yet, are cancelled."""
    for intent in list(turn.known().pending.values()):
        member = turn.known()
        place = place_of(member, intent.touch_id)
        journey = turn.content.journeys.get(intent.journey)
        if place is None or journey is None or not turn.uncalled(intent.touch_id):
            continue
        question = Question(
            at=turn.now, now=turn.now, channel=place.channel, purpose=place.purpose, journey=place.journey,
            member=member, contact=None, zones=(), registries={},
        )  # fmt: skip
        rules = turn.content.policies.rules_for(place.channel, place.purpose, place.journey)
        if any(rule.judge(question).reason == COMPLAINT for rule in rules):
            cancel(turn, intent, COMPLAINT)


def closed_too(intent: Pending, since: datetime, until: datetime) -> Pending:
    """The intent for which this window counts as closed as well."""
    return replace(intent, closed=(*intent.closed, (since, until))[-MAX_CLOSED:])


def suppression_of(member: Member, contact: ContactPoint, purpose: str) -> Finding | None:
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
