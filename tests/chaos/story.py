"""A small run that kept every promise, told entry by entry: what the tests of the checker begin with."""

from __future__ import annotations

import json
from typing import Any

from tests.chaos.chains import entry_hash
from tests.chaos.evidence import Evidence, Row, micros, rfc3339

NOON = micros("2026-11-20T12:00:00.000000Z")
SECOND = 1_000_000
CAPS = [{"id": "email.minute", "channels": ["email"], "purposes": ["marketing"], "max": 1, "window_s": 60}]
COLUMNS = (
    "partition n turn at occurred_at valid_until kind member member_ref journey step occurrence intent_id touch_id"
    " channel purpose verdict reason release_at state revision trail prev_hash hash"
)


def at(seconds: float) -> str:
    """An instant so long after noon."""
    return rfc3339(NOON + int(seconds * SECOND))


class Story:
    """A small run, told entry by entry; Ann is m1, and every entry is of partition 0."""

    def __init__(self) -> None:
        self.ledger: list[Row] = []
        self.entries: list[Row] = []
        self.optouts: list[Row] = []
        self.truth: Row = {
            "caps": CAPS,
            "closed": [
                {"group": "a", "from": NOON + 500 * SECOND, "until": NOON + 560 * SECOND, "purposes": ["marketing"]}
            ],
            "groups": {"m1": "a"},
            "intents": {"m1": {"thanks/thanks": [1, 1]}},
            "events": {"distinct": 2, "duplicate": 1, "dead": 1, "misplaced": 0, "parked": 0},
            "consent_purposes": ["marketing"],
            "withdrawn": [],
            "relayed": {"decisions": "decision", "touches": "touch"},
            "accounts": {"email": ["north", "south"]},
            "voucher_journeys": ["gift"],
            "ended_at": NOON + 1_000 * SECOND,
        }
        totals = {"inputs": 7, "applied": 5, "duplicate": 1, "dead": 1, "intents": 1, "touched": 1}
        book = {"next_offset": 4, "end_offset": 4, "journal_events": 2, "parked": 0, "totals": totals}
        self.books: Row = {"inbox_overdue": 0, "live_touches": 0, "partitions": {"0": book}}
        self.told: list[tuple[str, int]] | None = None
        # whom entries are about: id and reference
        self.who = ("m1", "r1")

    def entry(self, seconds: float, kind: str, **columns: Any) -> None:
        row: Row = dict.fromkeys(COLUMNS.split())
        member, ref = self.who
        row |= {"partition": 0, "turn": 1, "at": at(seconds), "kind": kind, "member": member, "member_ref": ref}
        self.entries.append(row | {"revision": "v1"} | columns)

    def consent(self, seconds: float, state: str) -> None:
        self.entry(seconds, "consent", state=state, channel="email", purpose="marketing")

    def decided(self, seconds: float, verdict: str, intent: str = "i1", **columns: Any) -> None:
        about: Row = {"journey": "thanks", "step": "thanks", "channel": "email", "purpose": "marketing"}
        self.entry(
            seconds, "decision", intent_id=intent, verdict=verdict, **({"trail": {"tried": []}} | about | columns)
        )

    def touch(self, seconds: float, state: str, touch: str = "t1", **columns: Any) -> None:
        intent = touch.replace("t", "i")
        self.entry(
            seconds,
            "touch",
            intent_id=intent,
            touch_id=touch,
            state=state,
            channel="email",
            purpose="marketing",
            **({"journey": "thanks"} | columns),
        )

    def attempted(self, seconds: float, state: str, touch: str = "t1", account: str = "north", **columns: Any) -> None:
        """An attempt and its outcome a second later, as the owner logs them together."""
        self.touch(seconds + 1, "attempting", touch, occurred_at=at(seconds), **columns)
        told = {"trail": {"account": account}} | columns
        self.touch(seconds + 1, state, touch, occurred_at=at(seconds + 1), **told)

    def sent(self, seconds: float, state: str = "accepted", touch: str = "t1", code: str = "") -> None:
        """A whole touch: decided, reserved, attempted, and its outcome; with a code it is a gift."""
        about: Row = {"journey": "gift"} if code else {}
        promised = {"trail": {"voucher": {"pool": "gifts", "code": code}}} if code else {}
        self.decided(seconds, "send", touch.replace("t", "i"), **about, **promised)
        self.touch(seconds, "reserved", touch, valid_until=at(seconds + 45), **about)
        self.attempted(seconds + 1, state, touch, **about)

    def called(self, seconds: float, answer: str = "accepted", touch: str = "t1", **columns: Any) -> None:
        line = {"at": at(seconds), "touch_id": touch, "channel": "email", "answer": answer, "account": "north"}
        self.ledger.append(line | columns)

    def merged(self, seconds: float, apart: float = 1) -> None:
        """Ann turns out to be Bob, m2, who hears of it so much later."""
        self.who = ("m1", "r1")
        self.entry(seconds, "member", state="merged")
        self.who = ("m2", "r2")
        self.entry(seconds + apart, "member", state="absorbed", trail={"ref": "r1"})
        self.consent(seconds + apart, "granted")
        self.truth["merges"] = [["m1", "m2"]]
        self.truth["people"] = {"m1": "m1", "m2": "m1"}
        self.truth["intents"]["m1"]["thanks/thanks"] = [1, 3]

    def evidence(self) -> Evidence:
        """The story with its chain made and everything told, unless it says otherwise."""
        head, log = "0" * 64, []
        for n, row in enumerate(self.entries, 1):
            made = row | {"n": n, "prev_hash": head, "hash": "0" * 64}
            made["hash"] = head = entry_hash(made | {"line": line_of(made)})
            log.append(made | {"line": line_of(made), "committed": micros(made["at"])})
        kinds = {"decision": "decisions", "touch": "touches"}
        told = [(kinds[row["kind"]], row["n"]) for row in log if row["kind"] in kinds]
        relayed = [
            {"topic": topic, "partition": 0, "chain": 0, "n": n}
            for topic, n in (self.told if self.told is not None else told)
        ]
        return Evidence(self.ledger, log, self.truth, self.optouts, self.books, relayed)


def line_of(row: Row) -> str:
    return json.dumps({name: row[name] for name in COLUMNS.split()}, separators=(",", ":"), ensure_ascii=False)


def good() -> Story:
    """Ann agrees, buys, is thanked once."""
    story = Story()
    story.consent(0, "granted")
    story.sent(10)
    story.called(11.2)
    return story
