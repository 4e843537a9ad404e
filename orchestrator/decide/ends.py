"""What ends an intent outside of a weighing: its journey ended, its time is over, a word against it."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from orchestrator.decide.member import Health, Pending
from orchestrator.decide.points import DEAD, ended, soft_bounced, worked
from orchestrator.decide.result import Entry
from orchestrator.decide.turn import Turn, place_of

# the oldest are forgotten first; the outbox forgets none
MAX_SUPPRESSED = 60
# a suppression that an operator ordered
ORDERED = "suppressed"
# a touch that is cancelled for one of these ends its intent for the same reason
SAME_END = frozenset(
    {
        *("expired", "provider_unavailable", "exited", "complaint_open", "goal_reached", "stopped", "step_gone"),
        *("content_error", "date_missing", "merged"),
    }
)
# suppressions that a later consent ends
OPTED_OUT = frozenset({"consent_withdrawn", "complained", "opted_out"})


def end(turn: Turn, pending: Pending, reason: str) -> None:
    """An intent without a live touch ends as a silence outside of a weighing."""
    turn.end_entry(pending, reason)
    if pending.touch_id:
        turn.cancels.append(pending.touch_id)
        turn.give_code_back(pending)
        turn.add("touched", -1)
    else:
        turn.add("waiting", -1)
    turn.add("silent", 1)
    turn.forget(pending)


def cancel(
    turn: Turn, pending: Pending, reason: str, *, outbox: bool = True, occurred_at: datetime | None = None
) -> None:
    """A touch that was not called is cancelled for good, and its intent ends as a silence."""
    if outbox:
        turn.cancels.append(pending.touch_id)
    turn.give_code_back(pending)
    entry = turn.touch_entry(pending, pending.touch_id, "cancelled", reason)
    turn.entries.append(replace(entry, occurred_at=occurred_at))
    turn.drop_place(pending.touch_id)
    turn.end_entry(pending, reason if reason in SAME_END else "suppressed")
    turn.add("touched", -1)
    turn.add("silent", 1)
    turn.forget(pending)


def settle(turn: Turn, intent: Pending, end: str, *, waiting: bool) -> None:
    """A weighed intent ends as `touched` or `silent`; `waiting`: it had been put off."""
    if waiting:
        turn.add("waiting", -1)
    turn.add(end, 1)
    if intent.intent_id in turn.known().pending:
        turn.forget(intent)


def suppress(turn: Turn, subject: str, channel: str, purpose: str, reason: str, since: datetime | None = None) -> None:
    """Writes a suppression, here and for the outbox, and cancels what it covers and was not called yet."""
    turn.suppressions.append((subject, channel, purpose, reason, since))
    member = turn.known()
    key = f"{subject}/{channel}/{purpose}"
    # what was ordered ends by an order alone, also where the member says the same
    stands = {**member.suppressed, key: ORDERED if member.suppressed.get(key) == ORDERED else reason}
    turn.member = replace(member, suppressed=dict(list(stands.items())[-MAX_SUPPRESSED:]))
    for pending in list(member.pending.values()):
        if not turn.uncalled(pending.touch_id):
            continue
        place = place_of(turn.known(), pending.touch_id)
        if place is None:
            continue
        covers = subject in ("member", place.contact)
        if covers and channel in ("*", place.channel) and purpose in ("*", place.purpose):
            cancel(turn, pending, reason)


def agreed(turn: Turn, channel: str, purpose: str) -> None:
    """A consent ends what was suppressed for want of one; an operator's order stands."""
    if turn.known().suppressed.get(f"member/{channel}/{purpose}") in OPTED_OUT:
        end_suppression(turn, channel, purpose, None)


def end_suppression(turn: Turn, channel: str, purpose: str, until: datetime | None) -> None:
    """Ends what the member's suppression of this channel and purpose began by `until`; None: by now."""
    member, key = turn.known(), f"member/{channel}/{purpose}"
    stands = {name: reason for name, reason in member.suppressed.items() if name != key}
    turn.member = replace(member, suppressed=stands)
    turn.unsuppressed.append(("member", channel, purpose, until))


def bounced(turn: Turn, contact: str, channel: str, word: Health, at: datetime) -> None:
    """What a bounce, a complaint or an arrival (`ok`) makes of a contact point; a dead one is not called any more."""
    member = turn.known()
    former = next((point for point in member.contact_points if point.fingerprint == contact), None)
    if former is None:
        return
    if word == "ok":
        point = worked(former, at)
    elif word == "soft_bounced":
        point = soft_bounced(former, at)
    else:
        point = ended(former, word, at)
    if point is former:
        return
    turn.member = replace(
        member, contact_points=tuple(point if each is former else each for each in member.contact_points)
    )
    turn.entries.append(Entry(kind="contact_point", channel=channel, state=point.health, occurred_at=at))
    if word in DEAD:
        suppress(turn, contact, channel, "*", word)
