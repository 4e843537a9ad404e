"""A touch that was refused for good, or fell short: whether its message is decided anew on the channels that are left.

It is one more decision on the same intent, linked to the former touch. Every rule is asked again; a channel that
refused the message once is not tried again, so that there are no more touches than channels. What was accepted, or left
in doubt, is no refusal.
"""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.decide import deadlines
from orchestrator.decide.member import Pending, Place
from orchestrator.decide.rules import Finding, Question, Reading, Saw
from orchestrator.decide.turn import Turn
from orchestrator.events.inputs import Outcome

MARKETING = "marketing"
STANDS = "channel_refused"


class RefusalRule(Struct, frozen=True, kw_only=True):
    """What becomes of a message that a channel's provider refused for good: it goes by another channel, or ends."""

    reads: ClassVar[tuple[Reading, ...]] = ()

    id: str
    version: str
    # it goes by another channel
    elsewhere: bool
    # outcomes after which it does; None: any refusal
    after: frozenset[str] | None = None

    def judge(self, question: Question) -> Finding:
        """Pass where the message is decided anew on another channel; suppress where the refusal stands."""
        saw: Saw = {"refused": question.refused}
        if self.elsewhere and (self.after is None or question.refused in self.after):
            return Finding(rule=self.id, version=self.version, says="pass", saw=saw)
        return Finding(rule=self.id, version=self.version, says="suppress", reason=STANDS, saw=saw)


def after_refusal(turn: Turn, intent: Pending, place: Place, outcome: Outcome) -> Pending | None:
    """The intent of a touch that was refused for good, open again; None: the refusal stands.

    It is open again until a date by which it must reach the member, and where policies say so. Never after its time,
    nor where the run that it belongs to is over, nor marketing that the member has just declined at the provider, nor
    what an alias had been sent, whose books it is in.
    """
    if (
        intent.over
        or intent.of_alias
        or intent.valid_until <= turn.now
        or (outcome.opted_out and place.purpose == MARKETING)
    ):
        return None
    if deadlines.to_come(intent, turn.now):
        return _open(turn, deadlines.endangered_by(turn, intent, outcome.kind), place.channel, outcome.kind, ())
    by = _says_so(turn, place, outcome.kind)
    return _open(turn, intent, place.channel, outcome.kind, by) if by else None


def after_bounce(turn: Turn, touch: str, channel: str, state: str) -> Pending | None:
    """The intent of an accepted touch that did not arrive, open again until its deadline; None: it has none to come."""
    intent = deadlines.watched_of(turn.known(), touch)
    if intent is None:
        return None
    deadlines.forget(turn, intent.intent_id)
    if not deadlines.to_come(intent, turn.now):
        return None
    return _open(turn, deadlines.endangered_by(turn, intent, state), channel, state, ())


def _says_so(turn: Turn, place: Place, kind: str) -> tuple[tuple[str, str], ...]:
    """(rule, version) of the policies that have it go elsewhere; none where one has the refusal stand."""
    question = Question(
        at=turn.now, now=turn.now, channel=place.channel, purpose=place.purpose, journey=place.journey,
        member=turn.known(), contact=None, zones=(), registries={}, category=place.category, refused=kind,
    )  # fmt: skip
    rules = turn.content.policies.refusals_for(place.channel, place.purpose, place.journey)
    found = [rule.judge(question) for rule in rules]
    if any(each.says != "pass" for each in found):
        return ()
    return tuple([(each.rule, each.version) for each in found if each.version != "none"])


def _open(turn: Turn, intent: Pending, channel: str, because: str, by: tuple[tuple[str, str], ...]) -> Pending:
    """The intent waits again, without its touch."""
    intent = replace(
        intent,
        touch_id="",
        voucher="",
        refused=(*intent.refused, channel),
        instead_of=intent.touch_id,
        because=because,
        by=by,
        closed=(),
    )
    turn.keep(intent)
    turn.add("touched", -1)
    turn.add("waiting", 1)
    return intent
