"""Why a journey did not start for a member: the log holds what started, the rest is worked out when it is asked for.

journal of the member ─▶ step, from nothing ─▶ the member at each event ─▶ what kept them out of the journey
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from zoneinfo import ZoneInfo

from orchestrator.contact_log.about import NotStarted, Why
from orchestrator.contact_log.sentences import moment
from orchestrator.decide import context
from orchestrator.decide.content import Content
from orchestrator.decide.entry import barred, facts_of_silence, key_of, mark_of
from orchestrator.decide.facts import apply_event
from orchestrator.decide.journey import Journey
from orchestrator.decide.member import Member
from orchestrator.decide.step import step
from orchestrator.events.envelope import Event
from orchestrator.events.inputs import EventInput, TimerDue
from orchestrator.render.contract import RenderError
from orchestrator.render.sandbox import Expression
from orchestrator.stores.contract import Store
from orchestrator.times import in_words, micros, rfc3339
from orchestrator.turns import Turn, opened
from orchestrator.vault import Vault


def not_started(
    store: Store,
    vault: Vault,
    contents: Mapping[str, Content],
    current: Content,
    member_id: str,
    journey: Journey,
    at: datetime,
) -> list[NotStarted]:
    """Each occasion up to `at` (inclusive) on which a journey of the `current` content did not start, in order.

    Empty for a member who is not known, and where every occasion started it: what became of that is in the log.
    `contents` are the revisions at hand, by name: each turn is looked at under its own; one that is not there ends the
    telling. Steps through all turns of the member.
    """
    key = vault.member(member_id)
    row = store.member(key)
    if row is None:
        return []
    wrapped = store.key(row.ref)
    asked = _Asked(journey, at)
    if row.erased or wrapped is None:
        return [asked.told("erased", "The member was erased: what came before can't be read any more")]
    revisions = _revisions(store, row.partition)
    sealer = vault.sealer(row.ref, wrapped)
    mine = (each for each in store.journal(row.partition) if each.ref == row.ref and each.at <= micros(at))
    member: Member | None = None
    for number, rows in groupby(mine, key=attrgetter("turn")):
        content = contents.get(_at_turn(revisions, number, current.revision))
        turn = opened(list(rows), sealer, vault)
        if content is None:
            text = f"From {moment(turn.now, asked.zone)} on it can't be told: the content of then is not at hand"
            return [*asked.found, asked.told("unreadable", text, turn.now)]
        asked.look(member, turn, content)
        member = step(member, turn.shared, turn.inputs, content, turn.now).member
    waiting = store.parked(key)
    if waiting:
        text = f"{len(waiting)} inputs of the member wait in quarantine, and start nothing (orchestrator dlq list)"
        asked.found.append(asked.told("parked", text))
    return [*asked.found, *asked.so_far(member)]


class _Asked:
    """The question, and what was found so far."""

    def __init__(self, journey: Journey, at: datetime) -> None:
        self.journey, self.at = journey, at
        self.found: list[NotStarted] = []
        # whether anything came that the journey looks at
        self.any = False
        self.zone: ZoneInfo | None = None

    def told(self, why: Why, text: str, at: datetime | None = None) -> NotStarted:
        return NotStarted(at=rfc3339(at or self.at), journey=self.journey.name, why=why, text=f"{text}.")

    def look(self, before: Member | None, turn: Turn, content: Content) -> None:
        """What of this turn might have started the journey, and what kept the member out."""
        # as it was then
        journey = content.journeys.get(self.journey.name)
        trigger = (journey or self.journey).trigger
        for given in turn.inputs:
            if isinstance(given, EventInput) and given.event.type == trigger.event:
                self.any = True
                known = before or Member(id=given.event.subject, ref=turn.shared.new_ref)
                after = apply_event(known, given.event, content, turn.shared.fingerprint).member
                self.zone = _clock(after, content)
                if trigger.inactivity is None:
                    self._event(after, given.event, turn.now, content, journey)
            elif isinstance(given, TimerDue) and before is not None and journey is not None:
                self._silence(before, given, turn.now, content, journey)

    def _event(self, member: Member, event: Event, now: datetime, content: Content, journey: Journey | None) -> None:
        came = f"{event.type} of {moment(event.time, self.zone)}"
        if journey is None:
            self.found.append(self.told("no_journey", f"{came} came when there was no such journey", now))
        elif event.history:
            self.found.append(self.told("history", f"{came} was loaded as history, which starts nothing", now))
        else:
            self._ask(member, came, context.plain(event.data), now, content, journey)

    def _silence(self, member: Member, timer: TimerDue, now: datetime, content: Content, journey: Journey) -> None:
        inactivity = journey.trigger.inactivity
        if timer.name != f"inactive:{journey.name}" or member.timers.get(timer.name) != timer.due or inactivity is None:
            return
        last = member.aggregates[journey.trigger.event].last
        # where something came since, the silence is counted anew
        if last + inactivity <= now:
            came = f"The silence since {moment(last, self.zone)}"
            self._ask(member, came, facts_of_silence(last, now), now, content, journey)

    def _ask(
        self, member: Member, came: str, facts: Mapping[str, object], now: datetime, content: Content, journey: Journey
    ) -> None:
        try:
            bar = barred(member, journey, facts, content, now)
        except RenderError:
            # a silence `content_error`, which is in the log
            return
        if bar == "reentry":
            entered = moment(member.entered[mark_of(journey, key_of(journey, facts))], self.zone)
            again = f"again only after {in_words(journey.gap)}" if journey.gap is not None else "once only"
            text = f"{came} did not start it: the member entered it on {entered}, and it is entered {again}"
            self.found.append(self.told(bar, text, now))
        elif bar == "running":
            key = key_of(journey, facts)
            text = f"{came} did not start it: a run of it{f' for {key}' if key else ''} was going on"
            self.found.append(self.told(bar, text, now))
        elif bar:
            condition = journey.trigger.where if bar == "where" else journey.audience
            ground = _ground(condition, context.view(member, facts, content, now))
            whose = "its condition" if bar == "where" else "its audience"
            self.found.append(self.told(bar, f"{came} did not start it: {whose} {ground}", now))

    def so_far(self, member: Member | None) -> Iterator[NotStarted]:
        """What is to be said where nothing came, and where a silence still runs."""
        trigger = self.journey.trigger
        if not self.any:
            text = f"No {trigger.event} of the member is on record up to {moment(self.at, self.zone)}"
            yield self.told("no_event", text)
        elif trigger.inactivity is not None and member is not None:
            due = member.aggregates[trigger.event].last + trigger.inactivity
            if due > self.at:
                text = f"It may start on {moment(due, self.zone)}, unless there is a {trigger.event} before that"
                yield self.told("silence_runs", text)


def _ground(condition: object, view: Mapping[str, object]) -> str:
    """The condition as written, and what it read: `event.amount >= 500` is not met (event.amount is 499)."""
    if not isinstance(condition, Expression):
        return "is not met"
    read = ", ".join(f"{path} is {_value(view, path)}" for path in sorted(condition.fields))
    return f"`{condition.source}` is not met ({read})"


def _value(view: Mapping[str, object], path: str) -> str:
    value: object = view
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    return "unknown" if value in (None, "") else str(value)


def _clock(member: Member, content: Content) -> ZoneInfo | None:
    zones = member.residence.zones
    return content.zones[zones[0]] if len(zones) == 1 else None


def _revisions(store: Store, partition: int) -> list[tuple[int, str]]:
    """(turn, revision) of each row from which on the partition decided by another revision, in order."""
    changes: list[tuple[int, str]] = []
    for row in store.log(partition=partition):
        if not changes or changes[-1][1] != row.revision:
            changes.append((row.turn, row.revision))
    return changes


def _at_turn(changes: list[tuple[int, str]], turn: int, otherwise: str) -> str:
    """The revision of a turn: that of the last row up to it, the first row's before that."""
    known = [revision for since, revision in changes if since <= turn]
    return known[-1] if known else changes[0][1] if changes else otherwise
