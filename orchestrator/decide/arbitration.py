"""Intents of one member and one moment, weighed together: who goes first takes the place that there is."""

from __future__ import annotations

from orchestrator.decide.intents import decide
from orchestrator.decide.journeys.walking import go_on
from orchestrator.decide.turn import Turn, Wanted


def arbitrate(turn: Turn) -> None:
    """Weighs all that this turn wants to send, and what it leads on to, until nothing is left.

    Service before marketing by the `rank` of purposes, then journeys by `priority`, then what has waited longest, then
    by name. An order, not a choice: whoever comes later is refused by the rules themselves, which count the places that
    were taken before, and what is kept for some journeys stays theirs.
    """
    while turn.wanted and turn.member is not None:
        wanted, turn.wanted = turn.wanted, []
        if len(wanted) > 1:
            wanted.sort(key=lambda each: _order(turn, each))
        for each in wanted:
            intent = turn.member.pending.get(each.intent.intent_id) if each.waiting else each.intent
            if intent is None or intent.touch_id:
                # another input of this turn ended it, or it is sent already
                continue
            if decide(turn, each.journey, each.send, intent, waiting=each.waiting) != "defer":
                go_on(turn, each.journey, each.send, intent)


def _order(turn: Turn, wanted: Wanted) -> tuple[int, int, float, str, str, str]:
    policies, journey, intent = turn.content.policies, wanted.journey, wanted.intent
    return (
        policies.rank(journey.purpose, turn.now),
        policies.precedence(journey.name, turn.now),
        intent.created_at.timestamp(),
        journey.name,
        intent.step,
        intent.occurrence,
    )
