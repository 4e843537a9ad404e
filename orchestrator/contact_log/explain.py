"""What happened to a member and why, in paragraphs that a person reads: one for each intent, one for each other fact.

An intent is told whole: deferred, decided anew, sent, delivered. Each decision says when, by the member's clock and in
UTC, which rules were asked, their versions, the numbers they saw, the article and its link. Nothing is added to what
the log holds, but the law's titles and links, which lie in the pack of the version that the log names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from typing import get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Struct

from orchestrator.contact_log import sentences
from orchestrator.contact_log.sentences import because, channel_name, moment
from orchestrator.contact_log.stops import Stop, held_back, stops
from orchestrator.decide.result import Trail, Tried
from orchestrator.decide.rules import Finding
from orchestrator.events.inputs import ReceiptState, RefusalKind
from orchestrator.stores.contract import LogRow
from orchestrator.times import instant, micros, rfc3339

# (rule, version) -> title and link of the article; None where there is none, or the pack is not at hand
CiteOf = Callable[[str, str], tuple[str, str] | None]

_trail = msgspec.json.Decoder(Trail)
# how far a touch is: a late word never takes the place of a later state
_RANKS = (
    *("reserved", "attempting", "unknown", "accepted", "rejected", "cancelled"),
    *get_args(ReceiptState),
)


class Sentence(Struct, frozen=True):
    """One sentence of a story."""

    text: str
    # True: for whoever wants every rule, also those that let it pass
    detail: bool = False

    def __str__(self) -> str:
        """The sentence."""
        return self.text


class Paragraph(Struct, frozen=True, kw_only=True):
    """One story: an intent from its beginning to where it stands, or one fact about the member."""

    # RFC 3339 UTC, the turn that began it
    at: str
    # touch | silence | waiting for an intent, else the entry's kind
    outcome: str
    # the story in one line
    title: str
    journey: str
    step: str
    intent_id: str
    sentences: tuple[Sentence, ...]
    # "partition/n" of the entries it rests on
    entries: tuple[str, ...]


def no_cite(_rule: str, _version: str) -> None:
    """No law pack is at hand."""
    return


def explain(
    rows: Iterable[LogRow],
    cite_of: CiteOf = no_cite,
    zone: ZoneInfo | None = None,
    *,
    journey: str = "",
    until: datetime | None = None,
    house: Iterable[LogRow] = (),
) -> list[Paragraph]:
    """The paragraphs for one member's log rows, by the moment each story began.

    `zone` is the clock used where an entry names none. With `journey`, only its intents. With `until` (inclusive), the
    story as it stood then. `cite_of` finds the article of a rule of law. `house` are the entries about no member of the
    same partition: whoever switched something off that held a touch back is named.
    """
    stories: dict[str, list[LogRow]] = {}
    story_of_touch: dict[str, str] = {}
    last = None if until is None else micros(until)
    for row in rows:
        if (last is not None and row.at > last) or row.kind == "tick":
            continue
        # a receipt knows its touch alone
        key = row.intent_id or story_of_touch.get(row.touch_id) or row.touch_id or _key_of_fact(row)
        if row.touch_id and row.intent_id:
            story_of_touch[row.touch_id] = row.intent_id
        stories.setdefault(key, []).append(row)
    off = stops(row for row in house if last is None or row.at <= last)
    told = (
        _story(story, cite_of, zone, held_back(story, off)) if _is_intent(story) else _fact(story, zone)
        for story in stories.values()
    )
    return sorted(
        (paragraph for paragraph in told if not journey or paragraph.journey == journey),
        key=lambda paragraph: paragraph.at,
    )


def _key_of_fact(row: LogRow) -> str:
    """Consents given or taken back in one turn, for the same purpose, are one fact."""
    if row.kind == "consent":
        return f"{row.partition}/{row.turn}/{row.state}/{row.purpose}"
    return f"{row.partition}/{row.n}"


def _is_intent(story: list[LogRow]) -> bool:
    return any(row.kind in ("decision", "touch") for row in story)


# --- an intent


def _story(story: list[LogRow], cite_of: CiteOf, zone: ZoneInfo | None, off: list[Stop]) -> Paragraph:
    told: list[Sentence] = []
    for row in story:
        if row.kind == "decision":
            trail = _trail_of(row)
            zone = _zone_of(trail, zone)
            told.extend(_decision(row, trail, cite_of, zone))
        elif row.kind == "alarm":
            told.append(Sentence(_alarm(row, zone)))
        else:
            told.append(Sentence(_touch(row, zone)))
    told += [Sentence(_stop(stop, zone)) for stop in off]
    first, outcome = story[0], _outcome(story)
    return Paragraph(
        at=rfc3339(instant(first.at)),
        outcome=outcome,
        title=_title(story, outcome, zone),
        journey=next((row.journey for row in story if row.journey), ""),
        step=next((row.step for row in story if row.step), ""),
        intent_id=next((row.intent_id for row in story if row.intent_id), ""),
        sentences=tuple(told),
        entries=(*_entries(story), *[entry for stop in off for entry in stop.entries]),
    )


def _stop(stop: Stop, zone: ZoneInfo | None) -> str:
    kind, _, name = stop.scope.partition(":")
    what = {"channel": f"Sending by {channel_name(name)}", "journey": f"The journey {name}"}.get(kind, "All sending")
    until = f", and on again on {moment(instant(stop.until), zone)}" if stop.until else "; it still is"
    by = f" by {stop.actor}" if stop.actor else ""
    return f"{what} was switched off{by} on {moment(instant(stop.since), zone)}{until}."


def _outcome(story: list[LogRow]) -> str:
    verdict = next((row.verdict for row in reversed(story) if row.kind == "decision"), "send")
    return {"send": "touch", "defer": "waiting"}.get(verdict, "silence")


def _title(story: list[LogRow], outcome: str, zone: ZoneInfo | None) -> str:
    decision = next((row for row in reversed(story) if row.kind == "decision"), story[-1])
    name = " / ".join(filter(None, (decision.journey, decision.step))) or "A touch"
    channel = channel_name(decision.channel)
    if outcome == "silence":
        return f"{name}: nothing was sent, because {because(decision.reason)}."
    if outcome == "waiting":
        when = moment(instant(decision.release_at), zone) if decision.release_at else "a later moment"
        return f"{name}: waits by {channel} until {when}, because {because(decision.reason)}."
    return f"{name}: {_sent(_furthest(story), channel)}."


def _furthest(story: list[LogRow]) -> str:
    """The state of the touch that lives: a new reservation begins anew."""
    state = "reserved"
    for row in story:
        if row.kind == "touch" and row.state in _RANKS:
            ahead = _RANKS.index(row.state) > _RANKS.index(state)
            state = row.state if ahead or row.state == "reserved" else state
    return state


def _sent(state: str, channel: str) -> str:
    return {
        "reserved": f"to be sent by {channel}",
        "attempting": f"handed over by {channel}, without an answer so far",
        "unknown": f"sent by {channel}, and whether it arrived is not known",
        "rejected": f"sent by {channel}, and refused by the provider",
        "cancelled": f"not sent by {channel}: cancelled before it was handed over",
        "sent": f"sent by {channel}, and on its way",
        "failed": f"sent by {channel}, and it did not arrive",
        "replied": f"sent by {channel}, and the member replied",
        "complained": f"sent by {channel}, whereupon the member complained",
        "opted_out": f"sent by {channel}, whereupon the member opted out",
    }.get(state, f"sent by {channel}, and {state.replace('_', '-')}")


def _decision(row: LogRow, trail: Trail | None, cite_of: CiteOf, zone: ZoneInfo | None) -> Iterable[Sentence]:
    when = moment(instant(row.at), zone)
    by = f"to send it by {channel_name(row.channel)}"
    if row.verdict == "send":
        yield Sentence(f"Decided on {when}: {by}.")
    elif row.verdict == "defer":
        release = f"until {moment(instant(row.release_at), zone)}, at the earliest" if row.release_at else "for now"
        yield Sentence(f"Decided on {when}: {by}, but to wait {release}, because {because(row.reason)}.")
    else:
        yield Sentence(f"Decided on {when}: to stay silent, because {because(row.reason)}.")
        if row.release_at:
            earliest = moment(instant(row.release_at), zone)
            yield Sentence(f"It could have gone out from {earliest}: too late for it, or the journey is not to wait.")
    if trail is None:
        yield Sentence("The ground of this decision can't be read.")
        return
    if trail.instead_of:
        yield Sentence(_instead(trail))
    if trail.outranked_by is not None:
        winner = trail.outranked_by
        name = f"{winner.journey} / {winner.step}"
        yield Sentence(
            f"{name} wanted the member at the same moment, goes first and took the place: {winner.intent_id}."
        )
    if trail.voucher is not None:
        pool, code = trail.voucher.pool, trail.voucher.code
        yield Sentence(
            f"It carries a voucher code of the pool {pool}, known here as {code}."
            if code
            else f"It was to carry a voucher code of the pool {pool}."
        )
    if trail.note:
        yield Sentence(f"The error: {trail.note}")
    if trail.tried:
        packs = f" Laws asked: {sentences.listed(trail.packs)}." if trail.packs else ""
        revision = f" Content revision: {row.revision}." if row.revision else ""
        yield Sentence(f"{sentences.zones(trail.zones, trail.zone_from)}{packs}{revision}")
    for tried in trail.tried:
        yield from _tried(tried, cite_of, zone)


def _instead(trail: Trail) -> str:
    """Which touch it is decided again in the place of, what became of that, and who has it decided again."""
    former = f"It is decided again in the place of touch {trail.instead_of}"
    if trail.instead_because in get_args(RefusalKind):
        former += f", which was refused: {because(trail.instead_because)}"
    else:
        former += ", which did not arrive"
    if trail.instead_by:
        rules = sentences.listed(tuple(f"{rule} ({version})" for rule, version in trail.instead_by))
        return f"{former}; that it goes by another channel then is said by {rules}."
    return f"{former}."


def _tried(tried: Tried, cite_of: CiteOf, zone: ZoneInfo | None) -> Iterable[Sentence]:
    """One channel: first what spoke against it, then what let it pass, then what was only noted."""
    channel, asked = channel_name(tried.channel), len(tried.findings)
    against = [found for found in tried.findings if found.says != "pass" and not found.advisory]
    rules = f"{asked} rule{'' if asked == 1 else 's'} asked"
    yield Sentence(f"By {channel}: {rules}, {f'{len(against)} against' if against else 'none against'}.")
    if tried.spread_s:
        minutes = f"{tried.spread_s // 60} min {tried.spread_s % 60} s"
        yield Sentence(f"The hours open {minutes} before that: releases are spread so that not all go at once.")
    if tried.shared:
        messages = f"{tried.shared} message{'' if tried.shared == 1 else 's'}"
        yield Sentence(f"Others have this contact point too: {messages} to them counted in the caps as well.")
    for found in against:
        yield Sentence(f"Against: {because(found.reason)}. {_ground(found, cite_of, zone)}")
    for found in tried.findings:
        if found.says == "pass" and not found.advisory:
            rests = tried.says == "pass" and found.saw.get("consent") is not None
            word = "Rests on" if rests else "Passed"
            yield Sentence(f"{word}: {_ground(found, cite_of, zone)}", detail=not rests)
    for found in tried.findings:
        if found.advisory:
            word = "it would have passed" if found.says == "pass" else because(found.reason)
            yield Sentence(f"Noted, binding nobody here: {word}. {_ground(found, cite_of, zone)}", detail=True)


def _ground(found: Finding, cite_of: CiteOf, zone: ZoneInfo | None) -> str:
    """`Rule co.hours (CO@2026.11.0): 21:14 in America/Bogota, permitted 07:00-19:00. Law: art. 3 (Ley 2300, https://…)`."""
    saw = sentences.numbers(found.saw)
    text = f"Rule {found.rule} ({found.version}){f': {saw}' if saw else ''}.{_until(found, zone)}"
    if not found.cite:
        return text
    article = cite_of(found.rule, found.version)
    return f"{text} Law: {found.cite}" + (f" ({', '.join(filter(None, article))})." if article else ".")


def _until(found: Finding, zone: ZoneInfo | None) -> str:
    if found.until is None:
        return ""
    return f" This rule alone would let it pass from {moment(found.until, zone)}."


def _alarm(row: LogRow, zone: ZoneInfo | None) -> str:
    """An alarm with the date that the member needs the message by."""
    facts = msgspec.json.decode(row.trail, type=dict[str, str | int])
    if "pool" in facts:
        said = sentences.ALARMS.get(row.reason, row.reason).format(**facts)
        return f"Alarm on {moment(instant(row.at), zone)}: {said}."
    why = str(facts["because"])
    by = moment(datetime.fromisoformat(str(facts["reach_by"])), zone)
    said = sentences.ALARMS.get(row.reason, row.reason).format(by=by)
    because = sentences.REASONS.get(why) or sentences.TOUCH_REASONS.get(why) or why.replace("_", " ")
    return f"Alarm on {moment(instant(row.at), zone)}: {said}: {because}."


def _touch(row: LogRow, zone: ZoneInfo | None) -> str:
    said = sentences.STATES.get(row.state, f"State {row.state}").format(channel=channel_name(row.channel))
    when = moment(instant(row.occurred_at or row.at), zone)
    facts = _facts(row)
    if row.state == "reserved" and not row.valid_until:
        # called already, and it may be called again
        again = f", from {moment(instant(row.release_at), zone)}" if row.release_at else ""
        return f"It was not taken on {when}, and may be tried again{again}: {because(row.reason)}{facts}."
    reason = f", because {because(row.reason)}" if row.reason else ""
    before = f", to be handed over before {moment(instant(row.valid_until), zone)}" if row.valid_until else ""
    return f"{said} on {when}{before}{reason}{facts}."


# --- a fact that is no intent


def _fact(story: list[LogRow], zone: ZoneInfo | None) -> Paragraph:
    row = story[0]
    channels = sentences.listed(tuple(channel_name(each.channel) for each in story))
    words = {"channel": channels, "purpose": row.purpose or "every purpose", "journey": row.journey}
    when = moment(instant(row.occurred_at or row.at), zone)
    if row.kind == "operator":
        said = f"An operator {sentences.COMMANDS.get(row.reason, f'gave the order {row.reason}')}"
    else:
        lists = {
            "consent": sentences.CONSENT,
            "contact_point": sentences.HEALTH,
            "member": sentences.MEMBER,
            "journey": sentences.JOURNEY,
        }
        known = lists.get(row.kind, {}).get(row.state)
        said = known.format(**words) if known else f"{row.kind} {row.state}".strip()
    return Paragraph(
        at=rfc3339(instant(row.at)),
        outcome=row.kind,
        title=f"{said}.",
        journey=row.journey,
        step=row.step,
        intent_id="",
        sentences=(Sentence(f"{said} on {when}{_facts(row)}."),),
        entries=_entries(story),
    )


def _facts(row: LogRow) -> str:
    """The small object of facts that an entry carries, in words: ` (code 550, provider id x)`."""
    if not row.trail:
        return ""
    try:
        facts = msgspec.json.decode(row.trail, type=dict[str, object])
    except msgspec.DecodeError:
        return " (its details can't be read)"
    told = [f"{key.replace('_', ' ')} {value}" for key, value in facts.items() if value not in ("", None)]
    return f" ({', '.join(told)})" if told else ""


# --- small hands


def _entries(story: list[LogRow]) -> tuple[str, ...]:
    return tuple(f"{row.partition}/{row.n}" for row in story)


def _trail_of(row: LogRow) -> Trail | None:
    try:
        return _trail.decode(row.trail) if row.trail else Trail()
    except msgspec.DecodeError:
        return None


def _zone_of(trail: Trail | None, otherwise: ZoneInfo | None) -> ZoneInfo | None:
    """The member's clock as the decision saw it; None where it had several candidates: none of them is the clock."""
    if trail is None or not trail.zones:
        return otherwise
    return _zone(trail.zones[0]) or otherwise if len(trail.zones) == 1 else None


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None
