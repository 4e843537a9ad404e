"""Voucher codes: each goes out once, and comes back to its pool only where nothing was attempted.

What the provider read in the messages is held against what the log says was promised (a code's fingerprint) and against
the pool as it stands at the end. The pool's rows are in the order in which the codes were loaded, so that codes and
fingerprints are told one by the other without the key.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby

from tests.chaos.calls import Touch
from tests.chaos.evidence import Evidence, Row, Violation, micros


def code_violations(evidence: Evidence, touches: dict[str, Touch], history: Iterable[Row]) -> Iterator[Violation]:
    """Codes that two messages carry, that are not of the pool, that came back though attempted, or were lost."""
    loaded = evidence.truth.get("codes", [])
    pool = evidence.books.get("vouchers", [])
    yield from _sent(evidence, touches, set(loaded))
    history = list(history)
    holders = _Holders(_void(history))
    for _, entries in groupby(history, key=lambda entry: entry["committed"]):
        yield from holders.after(entries)
    if len(pool) != len(loaded) or len({row["fingerprint"] for row in pool}) != len(pool):
        yield Violation("voucher", f"{len(loaded)} codes were loaded, {len(pool)} are in the pool")
    at = {row["fingerprint"]: row["touch_id"] for row in pool}
    for row in pool:
        touch = touches.get(row["touch_id"])
        if row["touch_id"] and (touch is None or not touch.attempts):
            yield Violation("voucher", f"code {row['fingerprint']}: not given back, though its message never went out")
    for fingerprint, intent in holders.attempted:
        touch_id = at.get(fingerprint, "")
        if touch_id not in touches or touches[touch_id].intent != intent:
            yield Violation("voucher", f"code {fingerprint}: given back, though intent {intent} was attempted with it")
    held = {code: row["touch_id"] for code, row in zip(loaded, pool, strict=False)}
    for line in evidence.ledger:
        if line.get("code") in held and held[line["code"]] != line["touch_id"]:
            other = held[line["code"]] or "nobody"
            yield Violation("voucher", f"touch {line['touch_id']}: went out with a code that {other} has in the end")


def _sent(evidence: Evidence, touches: dict[str, Touch], loaded: set[str]) -> Iterator[Violation]:
    """What the provider saw."""
    carried: dict[str, set[str]] = defaultdict(set)
    promising = evidence.truth.get("voucher_journeys", ())
    for line in evidence.ledger:
        code, touch = line.get("code", ""), touches.get(line["touch_id"])
        if code:
            carried[code].add(line["touch_id"])
        if touch is not None and (touch.journey in promising) != bool(code):
            yield Violation(
                "voucher", f"touch {line['touch_id']}: {'a code' if code else 'no code'} in {touch.journey}"
            )
        if code and code not in loaded:
            yield Violation("voucher", f"touch {line['touch_id']}: a code that was never loaded")
    for code, ids in carried.items():
        if len(ids) > 1:
            yield Violation("voucher", f"code {code}: in the messages of {', '.join(sorted(ids))}")


def _void(history: Iterable[Row]) -> set[tuple[int, int]]:
    """(partition, n) of promises that never held: a suppression stood when they were written, and nothing was called.

    It is on record when the touch's member hears of it: cancelled, as of an instant before the promise was committed.
    """
    void: set[tuple[int, int]] = set()
    promised: dict[str, Row] = {}
    for entry in history:
        if entry["kind"] == "decision" and entry["verdict"] == "send":
            promised[entry["intent_id"]] = entry
        elif entry["kind"] == "touch" and entry["state"] in {"cancelled", "attempting"}:
            told = promised.pop(entry["intent_id"], None)
            if told and entry["state"] == "cancelled" and 0 < micros(entry["occurred_at"]) <= told["committed"]:
                void.add((told["partition"], told["n"]))
    return void


class _Holders:
    """Which intents have which code, as the log goes on."""

    def __init__(self, void: set[tuple[int, int]]) -> None:
        self._void = void
        # fingerprint -> intents whose message promises it
        self._of: dict[str, set[str]] = defaultdict(set)
        self._by: dict[str, str] = {}
        # intents with an attempt since they had their code
        self._called: set[str] = set()
        # (fingerprint, intent) of those that were attempted
        self.attempted: set[tuple[str, str]] = set()

    def after(self, entries: Iterable[Row]) -> Iterator[Violation]:
        """One commit; what its turns did to each other in between is seen by nobody."""
        given: set[str] = set()
        for entry in entries:
            intent = entry["intent_id"]
            if entry["kind"] == "decision" and entry["verdict"] == "send":
                code = ((entry["trail"] or {}).get("voucher") or {}).get("code")
                if code and (entry["partition"], entry["n"]) not in self._void:
                    given.add(code)
                    self._of[code].add(intent)
                    self._by[intent] = code
                    self._called.discard(intent)
            elif entry["kind"] == "touch" and intent in self._by:
                if entry["state"] == "attempting":
                    self._called.add(intent)
                    self.attempted.add((self._by[intent], intent))
                elif entry["state"] == "cancelled" and intent not in self._called:
                    self._of[self._by.pop(intent)].discard(intent)
        for code in given:
            if len(self._of[code]) > 1:
                yield Violation("voucher", f"code {code}: promised by intents {', '.join(sorted(self._of[code]))}")
