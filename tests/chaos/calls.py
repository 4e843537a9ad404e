"""What may be called, when and how often: the ledger against the log, by the instants of the attempts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tests.chaos.evidence import TAKEN_OR_IN_DOUBT, Evidence, Row, Violation, in_order, micros, rfc3339
from tests.chaos.people import People

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
    journey: str
    intent: str
    # instants of its attempts, in order
    attempts: list[int]
    # whose it was at each attempt, (id, reference), and the account that it was made at
    owners: list[tuple[str, str]]
    accounts: list[str]
    # those of them that are not said to have made no call
    called: list[int]
    # reservations: (instant of the turn, valid_until), and for whom each was made: (id, reference, when committed)
    reserved: list[tuple[int, int]]
    made_for: list[tuple[str, str, int]]
    # final outcomes and cancellations, in order
    ends: list[str]


def touches_of(history: Iterable[Row]) -> dict[str, Touch]:
    """touch id -> what the log says of it, from the entries of kind `touch`, in the order of their commits."""
    found: dict[str, Touch] = {}
    for entry in history:
        if entry["kind"] != "touch":
            continue
        id = entry["touch_id"]
        touch = found.get(id)
        if touch is None:
            ref, member = entry["member_ref"] or "", entry["member"] or ""
            about = [entry[name] or "" for name in ("channel", "purpose", "journey", "intent_id")]
            touch = found[id] = Touch(id, member, ref, *about, [], [], [], [], [], [], [])
        state = entry["state"]
        if touch.attempts and len(touch.accounts) < len(touch.attempts):
            # the outcome stands right after its attempt
            touch.accounts.append((entry["trail"] or {}).get("account", ""))
        if entry["reason"] == NOT_CALLED and touch.called:
            # if there was a call nevertheless, it is one without an attempt
            touch.called.pop()
        if state == "attempting":
            touch.attempts.append(micros(entry["occurred_at"]))
            touch.called.append(touch.attempts[-1])
            touch.owners.append(touch.made_for[-1][:2] if touch.made_for else (touch.member, touch.ref))
        elif state == "reserved" and entry["valid_until"]:
            touch.reserved.append((micros(entry["at"]), micros(entry["valid_until"])))
            touch.made_for.append((entry["member"] or "", entry["member_ref"] or "", entry["committed"]))
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
            if line.get("account") != lines[final].get("account"):
                first = f"{lines[final].get('account')} answered {lines[final]['answer']}"
                yield Violation("account", f"touch {id}: called at {line.get('account')} when {first}")
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


def account_violations(evidence: Evidence, touches: dict[str, Touch]) -> Iterator[Violation]:
    """Calls at another account than the one that their attempt on record names, or that the channel does not have."""
    accounts = evidence.truth.get("accounts", {})
    for line in evidence.ledger:
        touch, account = touches.get(line["touch_id"]), line.get("account", "")
        if touch is None or not accounts:
            continue
        if account not in accounts[line["channel"]]:
            yield Violation("account", f"touch {touch.id}: called at {account}, which {line['channel']} does not have")
        made = sum(at <= micros(line["at"]) + CLOCK_US for at in touch.attempts)
        if made and touch.accounts[made - 1 : made] != [account]:
            on_record = touch.accounts[made - 1 : made] or ["nothing"]
            yield Violation("account", f"touch {touch.id}: called at {account}, on record is {on_record[0]}")


class Place(NamedTuple):
    """An attempt that counted."""

    at: int
    channel: str
    purpose: str
    # of the member it was made for
    ref: str
    # address or number
    contact: str


def places_of(evidence: Evidence, touches: dict[str, Touch]) -> list[Place]:
    """The attempts that count, where they went by the provider's word, or by the plan where no call was made."""
    to = {line["touch_id"]: line["to"] for line in evidence.ledger if line.get("to")}
    planned = evidence.truth.get("contacts", {})
    found = []
    for touch in touches.values():
        if touch.attempts and touch.ends and touch.ends[-1] in {"accepted", "unknown"}:
            member, ref = touch.owners[-1]
            contact = to.get(touch.id) or planned.get(member, {}).get(touch.channel, "")
            found.append(Place(touch.attempts[-1], touch.channel, touch.purpose, ref, contact))
    return sorted(found)


def cap_violations(evidence: Evidence, touches: dict[str, Touch], people: People) -> Iterator[Violation]:
    """People and contact points that were reached more often than a cap allows, by the instants of the attempts.

    Of a person with several ids those count together that were one by then. A cap of one channel holds for a contact
    point whoever has it; what channels share is counted of each person alone.
    """
    of_ref: dict[str, list[Place]] = defaultdict(list)
    at_contact: dict[str, list[Place]] = defaultdict(list)
    for place in places_of(evidence, touches):
        of_ref[place.ref].append(place)
        if place.contact:
            at_contact[place.contact].append(place)
    several = people.groups()
    merged = set().union(*several)
    for cap in evidence.truth.get("caps", ()):
        for ref, places in of_ref.items():
            if ref not in merged:
                yield from _exceeded(cap, places, f"member {ref}")
        for group in several:
            places = sorted(place for ref in group for place in of_ref.get(ref, ()))
            yield from _exceeded(cap, places, f"person {min(group)}", people)
        for contact, places in at_contact.items() if len(cap["channels"]) == 1 else ():
            yield from _exceeded(cap, places, f"contact point {contact}")


def _exceeded(cap: Row, places: list[Place], whose: str, people: People | None = None) -> Iterator[Violation]:
    """`places` in order; with `people` an attempt is held against those alone who were one with its member by then."""
    window = int(cap["window_s"] * 1_000_000)
    counted = [place for place in places if place.channel in cap["channels"] and place.purpose in cap["purposes"]]
    for i, last in enumerate(counted):
        inside = [place for place in counted[: i + 1] if last.at - window < place.at]
        if people is not None and len(inside) > cap["max"]:
            one = people.one_with(last.ref, last.at)
            inside = [place for place in inside if place.ref in one]
        if len(inside) > cap["max"]:
            yield Violation(
                "cap", f"{whose}: {len(inside)} in the {cap['window_s']} s of {cap['id']} at {rfc3339(last.at)}"
            )


def alias_violations(touches: dict[str, Touch], people: People) -> Iterator[Violation]:
    """Touches reserved for an id, or attempted as its own, after it had become an alias."""
    for touch in touches.values():
        for member, _, committed in touch.made_for:
            left = people.left.get(member)
            if left is not None and committed > left:
                yield Violation("after_merge", f"touch {touch.id}: reserved for {member}, an alias by then")
        for at, (member, _) in zip(touch.attempts, touch.owners, strict=True):
            left = people.left.get(member)
            if left is not None and at > left:
                late = (at - left) / 1e6
                yield Violation("after_merge", f"touch {touch.id}: attempted {late:.3f} s after {member} was merged")


def moment_violations(evidence: Evidence, touches: dict[str, Touch]) -> Iterator[Violation]:
    """Attempts outside the permitted hours, or at or past the end of what the touch was valid for."""
    closed = evidence.truth.get("closed", ())
    groups = evidence.truth.get("groups", {})
    for id, touch in touches.items():
        ends = max((until for _, until in touch.reserved), default=0)
        for at, (member, _) in zip(touch.attempts, touch.owners, strict=True):
            if ends and at >= ends:
                yield Violation("expired", f"touch {id}: attempted {(at - ends) / 1e6:.3f} s past its validity")
            for window in closed:
                hit = window["from"] <= at < window["until"] and touch.purpose in window["purposes"]
                if hit and groups.get(member) == window["group"]:
                    late = (at - window["from"]) / 1e6
                    yield Violation("hours", f"touch {id}: attempted {late:.3f} s after the hours closed")


def optout_violations(evidence: Evidence, touches: dict[str, Touch], people: People) -> Iterator[Violation]:
    """Attempts made after whoever opted out had been answered, under whichever id that was an alias by then."""
    of_member: dict[str, list[tuple[int, Touch]]] = defaultdict(list)
    for touch in touches.values():
        for at, (member, _) in zip(touch.attempts, touch.owners, strict=True):
            of_member[member].append((at, touch))
    into = dict(evidence.truth.get("merges", ()))
    for optout in evidence.optouts:
        cause = touches.get(optout.get("touch_id") or "")
        whose = "" if cause is None else cause.made_for[-1][0] if cause.made_for else cause.member
        names = [optout.get("member") or whose]
        asked = micros(optout.get("asked_at"))
        # read before the word was taken: who became an alias later hands it on with the record
        while into.get(names[-1], names[0]) not in names and people.left.get(names[-1], asked) < asked:
            names.append(into[names[-1]])
        for at, touch in (made for name in names for made in of_member.get(name, ())):
            covered = optout["channel"] in {"*", touch.channel} and optout["purpose"] in {"*", touch.purpose}
            if covered and at > micros(optout["answered_at"]):
                after = (at - micros(optout["answered_at"])) / 1e6
                yield Violation("after_optout", f"touch {touch.id}: attempted {after:.3f} s after the answer")


def longest_after_optout(evidence: Evidence) -> float:
    """Seconds from an answered opt-out to the last call that still arrived at the provider; 0.0 where none did."""
    members = touches_of(in_order(evidence.log))
    longest = 0
    answered = {(o["member"], o["channel"]): micros(o["answered_at"]) for o in evidence.optouts if o.get("member")}
    for line in evidence.ledger:
        touch = members.get(line["touch_id"])
        for channel in (line["channel"], "*") if touch and touch.purpose == "marketing" else ():
            since = answered.get((touch.member if touch else "", channel))
            if since is not None:
                longest = max(longest, micros(line["at"]) - since)
    return longest / 1e6
