"""What may be called, when and how often: the ledger against the log, by the instants of the attempts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from tests.chaos.evidence import TAKEN_OR_IN_DOUBT, Evidence, Row, Violation, micros

FINAL = frozenset({"accepted", "rejected", "unknown"})
# what an attempt came to where its moment was found to have passed: no call was made
NOT_CALLED = "not_called"
# a call and its record are told by two processes of one machine: their clocks are one, their rounding is not
CLOCK_US = 1_000


class Touch(NamedTuple):
    """What the log says of one touch."""

    id: str
    member: str
    ref: str
    channel: str
    purpose: str
    # instants of its attempts, in order
    attempts: list[int]
    # those of them that are not said to have made no call
    called: list[int]
    # reservations: (instant of the turn, valid_until)
    reserved: list[tuple[int, int]]
    # final outcomes and cancellations, in order
    ends: list[str]


def touches_of(log: list[Row]) -> dict[str, Touch]:
    """touch id -> what the log says of it, from the entries of kind `touch`."""
    found: dict[str, Touch] = {}
    for entry in log:
        if entry["kind"] != "touch":
            continue
        id = entry["touch_id"]
        touch = found.get(id)
        if touch is None:
            ref, member = entry["member_ref"] or "", entry["member"] or ""
            touch = Touch(id, member, ref, entry["channel"] or "", entry["purpose"] or "", [], [], [], [])
            found[id] = touch
        state = entry["state"]
        if entry["reason"] == NOT_CALLED and touch.called:
            # if there was a call nevertheless, it is one without an attempt
            touch.called.pop()
        if state == "attempting":
            touch.attempts.append(micros(entry["occurred_at"]))
            touch.called.append(touch.attempts[-1])
        elif state == "reserved" and entry["valid_until"]:
            touch.reserved.append((micros(entry["at"]), micros(entry["valid_until"])))
        elif state in FINAL or state == "cancelled":
            touch.ends.append(state)
    return found


def call_violations(evidence: Evidence, touches: dict[str, Touch]) -> Iterator[Violation]:
    """Calls without an attempt before them, after a final answer, or told otherwise than they ended."""
    calls: dict[str, list[Row]] = defaultdict(list)
    for line in evidence.ledger:
        calls[line["touch_id"]].append(line)
    for id, lines in calls.items():
        touch = touches.get(id)
        attempts = sorted(touch.called) if touch else []
        for number, line in enumerate(lines, 1):
            at = micros(line["at"])
            if sum(attempt <= at + CLOCK_US for attempt in attempts) < number:
                yield Violation("call_without_attempt", f"touch {id}: call {number} at {line['at']}")
        final = next((i for i, line in enumerate(lines) if line["answer"] in TAKEN_OR_IN_DOUBT), len(lines))
        for line in lines[final + 1 :]:
            yield Violation("call_after_final", f"touch {id}: called at {line['at']} after {lines[final]['answer']}")
        end = touch.ends[-1] if touch and touch.ends else "nothing"
        if final < len(lines) and end not in {"accepted", "unknown"}:
            yield Violation("told_otherwise", f"touch {id}: the provider had it ({lines[final]['answer']}), log: {end}")
    for id, touch in touches.items():
        if "accepted" in touch.ends and not any(line["answer"] == "accepted" for line in calls.get(id, ())):
            yield Violation("told_otherwise", f"touch {id}: accepted by the log, never by the provider")


def end_violations(touches: dict[str, Touch]) -> Iterator[Violation]:
    """Touches that did not end, or ended twice."""
    for id, touch in touches.items():
        finals = [end for end in touch.ends if end in FINAL]
        if len(finals) > 1 or (finals and touch.ends[-1] not in FINAL):
            yield Violation("one_end", f"touch {id}: {', '.join(touch.ends)}")
        if touch.reserved and len(touch.ends) != len(touch.reserved):
            yield Violation("one_end", f"touch {id}: reserved {len(touch.reserved)} times, ended {len(touch.ends)}")


def cap_violations(evidence: Evidence, touches: dict[str, Touch]) -> Iterator[Violation]:
    """Members who were reached more often than a cap allows, by the instants of the attempts that counted."""
    reached: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
    for touch in touches.values():
        if touch.attempts and touch.ends and touch.ends[-1] in {"accepted", "unknown"}:
            reached[touch.ref].append((touch.attempts[-1], touch.channel, touch.purpose))
    for cap in evidence.truth.get("caps", ()):
        window = int(cap["window_s"] * 1_000_000)
        for ref, places in reached.items():
            at = sorted(
                t for t, channel, purpose in places if channel in cap["channels"] and purpose in cap["purposes"]
            )
            for i, last in enumerate(at):
                n = sum(last - window < t for t in at[: i + 1])
                if n > cap["max"]:
                    yield Violation("cap", f"member {ref}: {n} in the {cap['window_s']} s of {cap['id']} at {last}")


def moment_violations(evidence: Evidence, touches: dict[str, Touch]) -> Iterator[Violation]:
    """Attempts outside the permitted hours, or at or past the end of what the touch was valid for."""
    closed = evidence.truth.get("closed", ())
    groups = evidence.truth.get("groups", {})
    for id, touch in touches.items():
        ends = max((until for _, until in touch.reserved), default=0)
        for at in touch.attempts:
            if ends and at >= ends:
                yield Violation("expired", f"touch {id}: attempted {(at - ends) / 1e6:.3f} s past its validity")
            for window in closed:
                hit = window["from"] <= at < window["until"] and touch.purpose in window["purposes"]
                if hit and groups.get(touch.member) == window["group"]:
                    late = (at - window["from"]) / 1e6
                    yield Violation("hours", f"touch {id}: attempted {late:.3f} s after the hours closed")


def optout_violations(evidence: Evidence, touches: dict[str, Touch]) -> Iterator[Violation]:
    """Attempts made after whoever opted out had been answered."""
    of_member: dict[str, list[Touch]] = defaultdict(list)
    for touch in touches.values():
        of_member[touch.member].append(touch)
    for optout in evidence.optouts:
        cause = touches.get(optout.get("touch_id") or "")
        member = optout.get("member") or (cause.member if cause else "")
        for touch in of_member.get(member, ()):
            covered = optout["channel"] in {"*", touch.channel} and optout["purpose"] in {"*", touch.purpose}
            for at in touch.attempts:
                if covered and at > micros(optout["answered_at"]):
                    after = (at - micros(optout["answered_at"])) / 1e6
                    yield Violation("after_optout", f"touch {touch.id}: attempted {after:.3f} s after the answer")


def longest_after_optout(evidence: Evidence) -> float:
    """Seconds from an answered opt-out to the last call that still arrived at the provider; 0.0 where none did."""
    members = {touch.id: touch for touch in touches_of(evidence.log).values()}
    longest = 0
    answered = {(o["member"], o["channel"]): micros(o["answered_at"]) for o in evidence.optouts if o.get("member")}
    for line in evidence.ledger:
        touch = members.get(line["touch_id"])
        for channel in (line["channel"], "*") if touch and touch.purpose == "marketing" else ():
            since = answered.get((touch.member if touch else "", channel))
            if since is not None:
                longest = max(longest, micros(line["at"]) - since)
    return longest / 1e6
