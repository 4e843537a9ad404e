"""What starts a journey for a member."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from msgspec.structs import replace

from orchestrator.decide import ids
from orchestrator.decide.content import Content
from orchestrator.decide.entry import barred, facts_of_silence, key_of, mark_of
from orchestrator.decide.facts import rolling
from orchestrator.decide.intents import silence
from orchestrator.decide.journey import Gather, Holdout, Journey, Threshold, first_of
from orchestrator.decide.journeys.walking import gathered, go, same_key
from orchestrator.decide.member import Aggregate, Instance, Member
from orchestrator.decide.turn import Turn
from orchestrator.events.envelope import Event
from orchestrator.render.contract import RenderError

MAX_INSTANCES = 40
# of entries by key, such as one a booking, the oldest are forgotten first
MAX_ENTERED = 200


def trigger(turn: Turn, journey: Journey, event: Event, facts: dict[str, object], occurrence: str) -> None:
    """An event that may start the journey, or be one more for a run that gathers them."""
    if not _collected(turn, journey, facts):
        enter(turn, journey, facts, occurrence, event.time)


def crossed(
    turn: Turn, journey: Journey, before: Aggregate | None, event: Event, facts: dict[str, object], occurrence: str
) -> None:
    """An event that may have led a figure to its threshold: each crossing starts the journey once."""
    threshold = journey.trigger.threshold
    if threshold is None:
        return
    former = 0 if before is None else figure(before, threshold, turn.now)
    latter = figure(turn.known().aggregates[event.type], threshold, turn.now)
    if threshold.each:
        reached = former // threshold.each < latter // threshold.each
    else:
        reached = former < threshold.reaches <= latter
    if reached:
        trigger(turn, journey, event, facts, occurrence)


def figure(aggregate: Aggregate, threshold: Threshold, now: datetime) -> int:
    """What a threshold is compared with."""
    if threshold.days:
        count, total = rolling(aggregate, threshold.days, now)
    else:
        count, total = aggregate.count, aggregate.sum
    return count if threshold.of == "count" else total


def ordered(turn: Turn, journey: Journey, occasion: datetime) -> None:
    """An operator has the member enter a journey that starts by hand."""
    enter(turn, journey, {}, occasion.strftime("%Y%m%dT%H%M%S%fZ"), occasion)


def watch_silence(turn: Turn, member: Member, journey: Journey, event: Event) -> None:
    """An event after which silence may start the journey."""
    name = f"inactive:{journey.name}"
    if journey.trigger.inactivity is None or name in member.timers:
        return
    due = event.time + journey.trigger.inactivity
    if event.history and due < turn.now:
        return
    turn.arm(name, max(due, turn.now))


def silence_over(turn: Turn, member: Member, journey: Journey, inactivity: timedelta) -> None:
    """It has been silent for so long, unless something came since."""
    last = member.aggregates[journey.trigger.event].last
    due = last + inactivity
    if due > turn.now:
        turn.arm(f"inactive:{journey.name}", due)
        return
    facts = facts_of_silence(last, turn.now)
    enter(turn, journey, facts, last.strftime("%Y%m%dT%H%M%SZ"), due)


def enter(turn: Turn, journey: Journey, facts: dict[str, object], occurrence: str, occasion: datetime) -> None:
    """Starts a journey if its conditions hold; a condition that can't be read is a silence `content_error`."""
    member = turn.known()
    try:
        if barred(member, journey, facts, turn.views):
            return
    except RenderError as error:
        silence(turn, journey, first_of(journey), occurrence, "content_error", str(error))
        return
    why = _kept_out(turn, member, journey, occasion)
    if why:
        silence(turn, journey, first_of(journey), occurrence, why)
        return
    key = key_of(journey, facts)
    if journey.reentry != "each":
        turn.member = replace(member, entered=_entered(member.entered, mark_of(journey, key), turn.now))
    go(
        turn,
        Instance(
            journey=journey.name,
            occurrence=occurrence,
            step=journey.steps[0].label,
            entered_at=turn.now,
            trigger=facts,
            key=key,
        ),
    )


def _kept_out(turn: Turn, member: Member, journey: Journey, occasion: datetime) -> str:
    """Why a member whom the journey is for does not enter it all the same; "" where nothing stands against it."""
    if journey.name in turn.shared.stopped:
        return "stopped"
    if journey.name in turn.shared.unapproved:
        return "not_approved"
    if occasion + journey.trigger.fresh_for < turn.now:
        return "stale"
    if len(member.instances) >= MAX_INSTANCES:
        return "journey_limit"
    if any(held_out(turn.shared.key, member.id, holdout) for holdout in holdouts(turn.content, journey)):
        return "holdout"
    return ""


def holdouts(content: Content, journey: Journey) -> tuple[Holdout, ...]:
    """The holdouts that keep members out of a journey: the house's is for marketing alone."""
    house = content.holdout if journey.purpose == "marketing" else None
    return tuple(each for each in (house, journey.holdout) if each is not None)


def held_out(key: bytes, member: str, holdout: Holdout) -> bool:
    """Whether a member is left out for comparison: the same ones as long as the salt stays."""
    return ids.draw(key, 10_000, "holdout", holdout.salt, member) < holdout.share


def _entered(entered: Mapping[str, datetime], mark: str, now: datetime) -> dict[str, datetime]:
    """With this entry; what is kept by key is forgotten first."""
    kept = {name: at for name, at in entered.items() if name != mark} | {mark: now}
    if len(kept) > MAX_ENTERED:
        oldest = next((name for name in kept if "/" in name), next(iter(kept)))
        del kept[oldest]
    return kept


def _collected(turn: Turn, journey: Journey, facts: dict[str, object]) -> bool:
    """Whether a run of this key was waiting for one more of these."""
    for run in turn.known().instances:
        if run.journey != journey.name or run.held or not same_key(journey, run.key, facts):
            continue
        place = journey.places.get(run.step)
        step = None if place is None else journey.steps[place]
        if not isinstance(step, Gather):
            continue
        where = journey.trigger.where
        try:
            if where is not None and not where(turn.views.of(turn.known(), facts)):
                return False
        except RenderError:
            # told where it would have started the journey
            return False
        gathered(turn, journey, run, facts, step.most)
        return True
    return False
