"""A member's wishes changed: what they forbid, and was not called yet, goes back to its intent and is weighed anew."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.decide import context
from orchestrator.decide.journeys.walking import resume
from orchestrator.decide.member import Member
from orchestrator.decide.preferences import WISHES
from orchestrator.decide.rules import Question
from orchestrator.decide.turn import Turn, place_of


def wished(turn: Turn, before: Member | None) -> None:
    """Takes touches back that a pause, a cap or a declined topic forbids, the latest first: a cap keeps the oldest.

    Each is cancelled for that reason, and its intent waits, or ends, by the rules as they now answer.
    """
    member = turn.known()
    if before is None or not member.pending or member.preferences == before.preferences:
        return
    zones = context.zones_of(turn.content, member)
    for intent in reversed(list(member.pending.values())):
        member = turn.known()
        place = place_of(member, intent.touch_id)
        if place is None or not turn.uncalled(intent.touch_id):
            continue
        # as if it had no place yet
        without = replace(member, places=tuple(each for each in member.places if each.touch_id != intent.touch_id))
        question = Question(
            at=turn.now, now=turn.now, channel=place.channel, purpose=place.purpose, journey=place.journey,
            member=without, contact=None, zones=zones, registries={}, category=place.category,
        )  # fmt: skip
        rules = turn.content.policies.rules_for(place.channel, place.purpose, place.journey)
        reason = next((found for rule in rules if (found := rule.judge(question).reason) in WISHES), "")
        if not reason:
            continue
        turn.cancels.append(intent.touch_id)
        turn.entries.append(turn.touch_entry(intent, intent.touch_id, "cancelled", reason))
        turn.drop_place(intent.touch_id)
        turn.give_code_back(intent)
        waiting = replace(intent, touch_id="", voucher="")
        turn.keep(waiting)
        turn.add("touched", -1)
        turn.add("waiting", 1)
        resume(turn, waiting)
