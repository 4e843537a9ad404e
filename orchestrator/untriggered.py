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
from orchestrator.decide.journey import Expression as Condition
from orchestrator.decide.journey import Journey
from orchestrator.decide.journeys.triggers import figure
from orchestrator.decide.member import Member
from orchestrator.decide.step import step
from orchestrator.events.envelope import Event
from orchestrator.events.inputs import Command, EventInput, TimerDue
from orchestrator.render.contract import RenderError
from orchestrator.render.sandbox import Expression
from orchestrator.stores.contract import Store
from orchestrator.times import in_words, instant, micros, rfc3339
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
        given = list(rows)
        if content is None:
            since = instant(given[0].at)
            text = f"From {moment(since, asked.zone)} on it can't be told: the content of then is not at hand"
            return [*asked.found, asked.told("unreadable", text, since)]
        turn = opened(given, sealer, vault, content.events)
        asked.look(member, turn, content)
        after = step(member, turn.shared, turn.inputs, content, turn.now).member
        asked.look_at_group(member, after, turn, content)
        member = after
    waiting = store.parked(key)
    if waiting:
        text = f"{len(waiting)} inputs of the member wait in quarantine, and start nothing (orchestrator dlq list)"
        asked.found.append(asked.told("parked", text))
    return [*asked.found, *asked.so_far(member, current)]


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
                    self._event(before, after, given.event, turn.now, content, journey)
            elif isinstance(given, TimerDue) and before is not None and journey is not None:
                self._silence(before, given, turn.now, content, journey)
                self._moment(before, given, turn.now, content, journey)
            elif isinstance(given, Command) and before is not None and journey is not None:
                self._order(before, given, turn.now, content, journey)

    def look_at_group(self, before: Member | None, after: Member | None, turn: Turn, content: Content) -> None:
        """Whether this turn led the member into the audience that the journey starts by, or out of it."""
        journey = content.journeys.get(self.journey.name)
        group = None if journey is None else journey.trigger.group
        if journey is None or group is None or after is None:
            return
        if any(isinstance(given, EventInput) and given.event.history for given in turn.inputs):
            return
        was = before is not None and _belongs(group, before, content, turn.now)
        belongs = _belongs(group, after, content, turn.now)
        if was == belongs or belongs != (journey.trigger.kind == "enters"):
            return
        self.any = True
        self.zone = _clock(after, content)
        verb = "came to belong to" if belongs else "left"
        came = f"That the member {verb} its audience on {moment(turn.now, self.zone)}"
        self._ask(after, came, {}, turn.now, content, journey)

    def _event(
        self,
        before: Member | None,
        member: Member,
        event: Event,
        now: datetime,
        content: Content,
        journey: Journey | None,
    ) -> None:
        came = f"{event.type} of {moment(event.time, self.zone)}"
        if journey is None:
            self.found.append(self.told("no_journey", f"{came} came when there was no such journey", now))
        elif event.history:
            self.found.append(self.told("history", f"{came} was loaded as history, which starts nothing", now))
        elif short := _short_of(before, member, event, now, journey):
            self.found.append(self.told("figure", f"{came} did not start it: {short}", now))
        else:
            self._ask(member, came, context.plain(event.data), now, content, journey)

    def _moment(self, member: Member, timer: TimerDue, now: datetime, content: Content, journey: Journey) -> None:
        """A moment of a journey of the calendar."""
        if timer.name != f"date:{journey.name}" or member.timers.get(timer.name) != timer.due:
            return
        self.any = True
        self.zone = _clock(member, content)
        day = timer.due.astimezone(context.clock_of(content, member)).date().isoformat()
        if day > member.planned.get(journey.name, ""):
            self._ask(member, f"Its moment on {moment(timer.due, self.zone)}", {"day": day}, now, content, journey)

    def _order(self, member: Member, order: Command, now: datetime, content: Content, journey: Journey) -> None:
        """An order to start the journey by hand."""
        if order.verb != "start" or order.arguments.get("journey") != journey.name or journey.trigger.kind != "manual":
            return
        self.any = True
        self.zone = _clock(member, content)
        self._ask(member, f"The order of {moment(order.given_at or now, self.zone)}", {}, now, content, journey)

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
        views = context.Views(content, now)
        try:
            bar = barred(member, journey, facts, views)
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
            ground = _ground(condition, views.of(member, facts))
            whose = "its condition" if bar == "where" else "its audience"
            self.found.append(self.told(bar, f"{came} did not start it: {whose} {ground}", now))

    def so_far(self, member: Member | None, content: Content) -> Iterator[NotStarted]:
        """What is to be said where nothing came, and where a silence still runs or a moment is to come."""
        trigger = self.journey.trigger
        if trigger.kind in ("date", "schedule"):
            if member is not None:
                yield from self._to_come(member, content)
        elif trigger.group is not None:
            if not self.any and member is not None:
                yield from self._apart(member, trigger.group, content)
        elif trigger.kind == "manual":
            if not self.any:
                text = "It starts by hand alone, and nobody ordered it for the member (orchestrator journey start)"
                yield self.told("by_hand", text)
        elif not self.any:
            text = f"No {trigger.event} of the member is on record up to {moment(self.at, self.zone)}"
            yield self.told("no_event", text)
        elif trigger.inactivity is not None and member is not None:
            due = member.aggregates[trigger.event].last + trigger.inactivity
            if due > self.at:
                text = f"It may start on {moment(due, self.zone)}, unless there is a {trigger.event} before that"
                yield self.told("silence_runs", text)

    def _to_come(self, member: Member, content: Content) -> Iterator[NotStarted]:
        """The next moment of a journey of the calendar, or why there is none."""
        due, date = member.timers.get(f"date:{self.journey.name}"), self.journey.trigger.date
        if due is not None and due > self.at:
            yield self.told("to_come", f"It may start on {moment(due, _clock(member, content))}")
        elif due is None and not self.any and date is not None:
            read = _read(date.date, context.view(member, {}, content, self.at))
            yield self.told("no_date", f"No moment of it is to come: it goes by `{date.source}` ({read})")

    def _apart(self, member: Member, group: Condition, content: Content) -> Iterator[NotStarted]:
        """Why nothing is known of a member's coming to belong to the audience, or of their leaving it."""
        view = context.view(member, {}, content, self.at)
        read = f"`{group.source}` ({_read(group, view)})" if isinstance(group, Expression) else "its condition"
        belongs, enters = _belongs(group, member, content, self.at), self.journey.trigger.kind == "enters"
        if enters and not belongs:
            text = f"The member does not belong to its audience: {read} is not met"
        elif enters:
            text = f"The member has belonged to its audience since before it was there: {read} is met"
        elif belongs:
            text = f"The member has not left its audience: {read} is met"
        else:
            text = f"The member was never seen in its audience: {read} is not met"
        yield self.told("group", text)


def _short_of(before: Member | None, after: Member, event: Event, now: datetime, journey: Journey) -> str:
    """Why an event did not lead a figure to its threshold; "" where it did, and where there is none."""
    threshold = journey.trigger.threshold
    if threshold is None:
        return ""
    known = None if before is None else before.aggregates.get(event.type)
    former = 0 if known is None else figure(known, threshold, now)
    latter = figure(after.aggregates[event.type], threshold, now)
    within = f" of the last {threshold.days} days" if threshold.days else ""
    said = f"the {threshold.of} of {event.type}{within} is {latter}"
    if threshold.each:
        reached = former // threshold.each < latter // threshold.each
        return "" if reached else f"{said}, and it starts at the next multiple of {threshold.each}"
    if former >= threshold.reaches:
        return f"{said}, and had reached {threshold.reaches} before"
    return "" if latter >= threshold.reaches else f"{said}, and it starts at {threshold.reaches}"


def _belongs(group: Condition, member: Member, content: Content, now: datetime) -> bool:
    """Whether the member belongs to an audience; who can't be told apart does not."""
    try:
        return bool(group(context.view(member, {}, content, now)))
    except RenderError:
        return False


def _ground(condition: object, view: Mapping[str, object]) -> str:
    """The condition as written, and what it read: `event.amount >= 500` is not met (event.amount is 499)."""
    if not isinstance(condition, Expression):
        return "is not met"
    return f"`{condition.source}` is not met ({_read(condition, view)})"


def _read(expression: object, view: Mapping[str, object]) -> str:
    """What an expression read: `event.amount is 499`."""
    fields = sorted(expression.fields) if isinstance(expression, Expression) else []
    return ", ".join(f"{path} is {_value(view, path)}" for path in fields)


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
