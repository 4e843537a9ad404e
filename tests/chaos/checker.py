"""Judges a chaos run by its evidence. Shares no code with the engine: the standard library, and the promises.

    .venv/bin/python -m tests.chaos.checker build/chaos

The promises are those of the design: each input decided once, every cap held by attempt time, no call after one that
was accepted or left in doubt, an attempt on record before every call, nothing after an answered opt-out, nothing
outside the hours or past its validity, nothing to whom turned out to be somebody else, each voucher code once, every
timer fired, chains that verify, books that balance, a relay that left nothing out.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from tests.chaos.calls import (
    FINAL,
    account_violations,
    alias_violations,
    call_violations,
    cap_violations,
    end_violations,
    moment_violations,
    optout_violations,
    touches_of,
)
from tests.chaos.chains import chain_violations
from tests.chaos.codes import code_violations
from tests.chaos.evidence import Evidence, Row, Violation, in_order, micros, read
from tests.chaos.people import People, merge_violations

# a timer may be this late when the run ends
TIMER_GRACE_US = 5_000_000


def check(evidence: Evidence) -> list[Violation]:
    """Every promise that did not hold; an empty run is a violation too."""
    history = in_order(evidence.log)
    touches, people = touches_of(history), People(history)
    return list(
        chain(
            _something_happened(evidence),
            chain_violations(evidence.log),
            call_violations(evidence, touches),
            end_violations(touches),
            account_violations(evidence, touches),
            cap_violations(evidence, touches, people),
            alias_violations(touches, people),
            merge_violations(evidence, people),
            code_violations(evidence, touches, history),
            moment_violations(evidence, touches),
            optout_violations(evidence, touches, people),
            decision_violations(history),
            expectation_violations(evidence),
            consent_violations(evidence, history),
            timer_violations(evidence, history),
            book_violations(evidence),
            relay_violations(evidence),
        )
    )


def _something_happened(evidence: Evidence) -> Iterator[Violation]:
    if not evidence.ledger or not evidence.log:
        yield Violation("empty", f"{len(evidence.ledger)} calls and {len(evidence.log)} log entries: nothing was tried")


def decision_violations(history: Iterable[Row]) -> Iterator[Violation]:
    """Intents decided again after they ended, or sent twice at a time."""
    state: dict[str, str] = {}
    release: dict[str, int] = {}
    for entry in history:
        intent = entry["intent_id"]
        if not intent:
            continue
        was = state.get(intent, "new")
        if entry["kind"] == "decision":
            verdict = entry["verdict"]
            if was in {"ended", "live"}:
                yield Violation("decided_once", f"intent {intent}: {verdict} when it was {was}")
            early = release.get(intent, 0) > micros(entry["at"])
            if was == "waiting" and early and entry["reason"] not in {"exited", "erased", "merged"}:
                yield Violation("decided_once", f"intent {intent}: decided again before its time")
            state[intent] = {"send": "live", "defer": "waiting"}.get(verdict, "ended")
            release[intent] = micros(entry["release_at"])
        elif entry["kind"] == "touch" and entry["state"] == "cancelled":
            state[intent] = "returned"
        elif entry["kind"] == "touch" and entry["state"] in FINAL:
            state[intent] = "ended"
    for intent, last in state.items():
        if last in {"live", "returned"}:
            yield Violation("one_end", f"intent {intent}: it ended the run {last}")


def expectation_violations(evidence: Evidence) -> Iterator[Violation]:
    """Events that made fewer or more intents than they must, for any person."""
    people = evidence.truth.get("people", {})
    made: dict[tuple[str, str], set[str]] = defaultdict(set)
    # what else ends where a merge finds the new id in the same journey, at whatever step
    ended: set[tuple[str, str]] = set()
    for entry in evidence.log:
        if entry["kind"] == "decision":
            member = entry["member"] or ""
            name = people.get(member, member), f"{entry['journey']}/{entry['step']}"
            made[name].add(entry["intent_id"])
            if member in people and entry["reason"] in {"merged", "holdout"}:
                ended.add(name)
    for member, steps in evidence.truth.get("intents", {}).items():
        for step, (least, most) in steps.items():
            n = len(made.get((member, step), ()))
            if not least <= n <= most:
                yield Violation("decided_once", f"member {member}: {n} intents of {step}, expected {least} to {most}")
    planned = evidence.truth.get("intents", {})
    for member, step in made:
        if step not in planned.get(member, {}) and (member, step) not in ended:
            yield Violation("decided_once", f"member {member}: intents of {step}, which no event asked for")


def consent_violations(evidence: Evidence, history: Iterable[Row]) -> Iterator[Violation]:
    """Sends decided after the record says that consent was taken back, or before it says that it was given."""
    given: dict[tuple[str, str, str], str] = {}
    withdrawn: dict[str, int] = defaultdict(int)
    people = evidence.truth.get("people", {})
    for entry in history:
        ref, channel, purpose = entry["member_ref"] or "", entry["channel"], entry["purpose"]
        if entry["kind"] == "consent":
            given[ref, channel, purpose] = entry["state"]
            member = entry["member"] or ""
            withdrawn[people.get(member, member)] += entry["state"] == "withdrawn"
        elif entry["verdict"] == "send" and purpose in evidence.truth.get("consent_purposes", ()):
            state = given.get((ref, channel, purpose), "never given")
            if state != "granted":
                yield Violation("consent", f"intent {entry['intent_id']}: sent on {channel}, consent {state}")
    for member in evidence.truth.get("withdrawn", ()):
        if not withdrawn[people.get(member, member)]:
            yield Violation("consent", f"member {member}: the withdrawal is not in the log")


def timer_violations(evidence: Evidence, history: Iterable[Row]) -> Iterator[Violation]:
    """Timers that neither fired nor were cancelled by the end of the run."""
    overdue = evidence.books.get("inbox_overdue", 0)
    if overdue:
        yield Violation("timer", f"{overdue} inbox rows were due and not taken")
    ended = evidence.truth.get("ended_at", 0) - TIMER_GRACE_US
    last: dict[str, Row] = {}
    for entry in history:
        if entry["kind"] == "decision":
            last[entry["intent_id"]] = entry
    for intent, entry in last.items():
        if entry["verdict"] == "defer" and micros(entry["release_at"]) < ended:
            yield Violation("timer", f"intent {intent}: deferred until {entry['release_at']} and never decided again")


def book_violations(evidence: Evidence) -> Iterator[Violation]:
    """Books that do not balance: inputs and intents by partition, offsets, and all of it against the plan."""
    sums: dict[str, int] = defaultdict(int)
    for number, book in sorted(evidence.books.get("partitions", {}).items(), key=lambda item: int(item[0])):
        totals = defaultdict(int, book["totals"])
        parts = sum(totals[name] for name in ("applied", "duplicate", "dead", "parked", "forwarded"))
        if totals["inputs"] != parts:
            yield Violation("equation", f"partition {number}: inputs {totals['inputs']}, parts {parts}")
        parts = sum(totals[name] for name in ("touched", "silent", "waiting"))
        if totals["intents"] != parts:
            yield Violation("equation", f"partition {number}: intents {totals['intents']}, parts {parts}")
        if book["next_offset"] != book["end_offset"]:
            yield Violation("equation", f"partition {number}: stands at {book['next_offset']} of {book['end_offset']}")
        arrived = book["journal_events"] + totals["duplicate"] + totals["dead"] + totals["misplaced"] + book["parked"]
        # what came for an alias is in the journal of another partition
        sent_on = book["next_offset"] - arrived
        if not 0 <= sent_on <= totals["forwarded"] - totals["misplaced"]:
            yield Violation(
                "decided_once", f"partition {number}: {book['next_offset']} arrived, {arrived} accounted for"
            )
        sums["left_for_alias"] += sent_on
        sums["journal_events"] += book["journal_events"] + book.get("sent_on", 0)
        sums["sent_on"] += book.get("sent_on", 0)
        for name, n in (*totals.items(), ("parked_rows", book["parked"])):
            sums[name] += n
    if sums["left_for_alias"] != sums["sent_on"]:
        lost = f"{sums['left_for_alias']} events came for aliases, {sums['sent_on']} were applied"
        yield Violation("decided_once", lost)
    planned = evidence.truth.get("events", {})
    for name, counted in (
        ("distinct", sums["journal_events"]),
        ("dead", sums["dead"]),
        ("parked", sums["parked_rows"]),
    ):
        if name in planned and planned[name] != counted:
            yield Violation("decided_once", f"{name}: {planned[name]} planned, {counted} counted")
    for name, counted in (("duplicate", sums["duplicate"]), ("misplaced", sums["misplaced"])):
        if counted < planned.get(name, 0):
            yield Violation("decided_once", f"{name}: {planned[name]} planned, {counted} counted")


def relay_violations(evidence: Evidence) -> Iterator[Violation]:
    """Records left out of the topics, told out of order, or told otherwise than they stand in the log."""
    for topic, kind in evidence.truth.get("relayed", {}).items():
        must = {(entry["partition"], entry["n"]) for entry in evidence.log if entry["kind"] == kind}
        told: set[tuple[int, int]] = set()
        # records are keyed by member, so the order of a chain holds within each partition of the topic
        newest: dict[tuple[int, int], int] = defaultdict(int)
        for record in evidence.relayed:
            if record["topic"] != topic:
                continue
            place, stream = (record["chain"], record["n"]), (record["chain"], record["partition"])
            if place not in told and record["n"] < newest[stream]:
                yield Violation("relay", f"{topic}: entry {place} was told first after entry {newest[stream]}")
            newest[stream] = max(newest[stream], record["n"])
            told.add(place)
        for missing in sorted(must - told)[:20]:
            yield Violation("relay", f"{topic}: entry {missing} was never told")
        for extra in sorted(told - must)[:20]:
            yield Violation("relay", f"{topic}: entry {extra} is not in the log")


def main() -> int:
    """Checks the folder named; 1 on any violation."""
    found = check(read(Path(sys.argv[1])))
    for violation in found[:50]:
        sys.stdout.write(f"{violation.kind}: {violation.what}\n")
    sys.stdout.write(f"{len(found)} violations\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
