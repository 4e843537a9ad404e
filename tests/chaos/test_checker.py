"""The checker of chaos runs finds each kind of planted violation, and nothing in a run that kept every promise."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.calls import longest_after_optout
from tests.chaos.chains import entry_hash
from tests.chaos.checker import check
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


def found(story: Story) -> set[str]:
    return {violation.kind for violation in check(story.evidence())}


def test_a_run_that_kept_every_promise_has_no_violation() -> None:
    assert [] == check(good().evidence())


def test_the_hash_is_that_of_the_engines_own_documented_form() -> None:
    """The one place where the checker meets the engine: both must hash the same row alike."""
    from orchestrator.contact_log import chain
    from orchestrator.contact_log.export import line, msgspec  # type: ignore[attr-defined]  # its own encoder
    from orchestrator.decide.result import Entry
    from orchestrator.times import instant

    made = Entry(kind="decision", step='s"é\n', valid_until=instant(NOON), trail='{"a":"ü \\" \\u2028"}')
    rows, _, _ = chain.append(3, 0, chain.GENESIS, 9, NOON, "ref", "rev", [made, Entry(kind="tick", trail="plain")])
    for row in rows:
        raw = msgspec.json.encode(line(row)).decode()
        assert row.hash.hex() == entry_hash(json.loads(raw) | {"line": raw})


def _second_call(story: Story) -> None:
    story.called(20)


def _call_without_attempt(story: Story) -> None:
    story.ledger[0]["at"] = at(10.9)


def _call_of_nobody(story: Story) -> None:
    story.called(12, touch="t9")


def _after_hang_up(story: Story) -> None:
    story.ledger[0]["answer"] = "hung_up"
    story.called(13)


def _accepted_and_rejected(story: Story) -> None:
    story.entries[-1]["state"] = "rejected"


def _never_accepted(story: Story) -> None:
    story.ledger[0]["answer"] = "4xx"


def _two_ends(story: Story) -> None:
    story.touch(30, "unknown", occurred_at=at(30))


def _no_end(story: Story) -> None:
    del story.entries[-1]


def _too_many(story: Story) -> None:
    story.truth["intents"]["m1"]["thanks/thanks"] = [2, 2]
    story.sent(40, touch="t2")
    story.called(41.5, touch="t2")


def _closed(story: Story) -> None:
    story.truth["closed"][0]["from"] = micros(at(10.5))


def _past_validity(story: Story) -> None:
    story.entries[2]["valid_until"] = at(11)


def _opted_out(story: Story) -> None:
    said = {"answered_at": at(10.5), "member": "m1", "touch_id": "", "channel": "*", "purpose": "marketing"}
    story.optouts.append(said)


def _complained(story: Story) -> None:
    _too_many(story)
    story.truth["caps"] = []
    said = {"answered_at": at(30), "member": "", "touch_id": "t1", "channel": "email", "purpose": "marketing"}
    story.optouts.append(said)


def _decided_twice(story: Story) -> None:
    story.decided(50, "suppress")


def _not_decided(story: Story) -> None:
    story.truth["intents"]["m1"]["greeting/hello"] = [1, 1]


def _unasked(story: Story) -> None:
    story.truth["intents"] = {}


def _before_its_time(story: Story) -> None:
    story.truth["intents"]["m1"]["thanks/thanks"] = [2, 2]
    story.decided(50, "defer", "i2", release_at=at(60))
    story.decided(55, "suppress", "i2")


def _timer_lost(story: Story) -> None:
    story.truth["intents"]["m1"]["thanks/thanks"] = [2, 2]
    story.decided(50, "defer", "i2", release_at=at(60))


def _overdue(story: Story) -> None:
    story.books["inbox_overdue"] = 1


def _no_consent(story: Story) -> None:
    story.entries[0]["state"] = "withdrawn"


def _withdrawal_lost(story: Story) -> None:
    story.truth["withdrawn"] = ["m1"]


def _inputs(story: Story) -> None:
    story.books["partitions"]["0"]["totals"]["inputs"] = 8


def _intents(story: Story) -> None:
    story.books["partitions"]["0"]["totals"]["waiting"] = 1


def _not_read(story: Story) -> None:
    story.books["partitions"]["0"]["end_offset"] = 5


def _applied_twice(story: Story) -> None:
    story.books["partitions"]["0"]["journal_events"] = 3


def _event_lost(story: Story) -> None:
    story.truth["events"]["distinct"] = 3


def _not_told(story: Story) -> None:
    story.told = [("decisions", 2), ("touches", 3), ("touches", 4)]


def _out_of_order(story: Story) -> None:
    story.told = [("decisions", 2), ("touches", 4), ("touches", 3), ("touches", 5)]


def _made_up(story: Story) -> None:
    story.told = [("decisions", 2), ("touches", 3), ("touches", 4), ("touches", 5), ("touches", 9)]


def _second_account(story: Story) -> None:
    story.called(20, account="south")


def _account_not_on_record(story: Story) -> None:
    story.ledger[0]["account"] = "south"


def _account_of_nobody(story: Story) -> None:
    story.ledger[0]["account"] = "east"


def _merged_and_sent_once(story: Story) -> None:
    """Bob is sent to as well, when Ann's message is long ago."""
    story.merged(20)
    story.sent(80, touch="t2")
    story.called(81.5, touch="t2")


def _reserved_for_an_alias(story: Story) -> None:
    _merged_and_sent_once(story)
    for entry in story.entries:
        if entry["touch_id"] == "t2":
            entry |= {"member": "m1", "member_ref": "r1"}


def _attempted_as_an_alias(story: Story) -> None:
    story.merged(10.5)


def _joined_cap(story: Story) -> None:
    story.merged(20)
    story.sent(40, touch="t2")
    story.called(41.5, touch="t2")


def _merge_lost(story: Story) -> None:
    _merged_and_sent_once(story)
    story.entries = [entry for entry in story.entries if entry["state"] != "absorbed"]


def _never_an_alias(story: Story) -> None:
    _merged_and_sent_once(story)
    story.entries = [entry for entry in story.entries if entry["state"] != "merged"]


def _merged_twice(story: Story) -> None:
    _merged_and_sent_once(story)
    story.entry(90, "member", state="absorbed", trail={"ref": "r1"})


def _merged_unasked(story: Story) -> None:
    story.entry(20, "member", state="merged")


def _merged_elsewhere(story: Story) -> None:
    _merged_and_sent_once(story)
    story.truth["people"]["m2"] = "m3"


def _opted_out_under_the_old_id(story: Story) -> None:
    _merged_and_sent_once(story)
    said = {"asked_at": at(30), "answered_at": at(30.1), "member": "m1", "channel": "*", "purpose": "marketing"}
    story.optouts.append(said)


def _shared_point(story: Story) -> None:
    """Bob has Ann's address."""
    story.who = ("m2", "r2")
    story.consent(12, "granted")
    story.sent(40, touch="t2")
    story.called(41.5, touch="t2", to="ann@example.com")
    story.ledger[0]["to"] = "ann@example.com"
    story.truth["intents"]["m2"] = {"thanks/thanks": [1, 1]}


def _shared_point_that_was_not_called(story: Story) -> None:
    _shared_point(story)
    story.entries[-1]["state"] = "unknown"
    del story.ledger[1]
    story.truth["contacts"] = {"m2": {"email": "ann@example.com"}}


def gifts(story: Story) -> None:
    """Ann is sent a code, Bob another one; a third is left."""
    story.truth["codes"] = ["GIFT-1", "GIFT-2", "GIFT-3"]
    story.truth["caps"] = []
    story.truth["intents"]["m1"] = {"thanks/thanks": [1, 1], "gift/thanks": [2, 2]}
    story.sent(100, touch="t2", code="f1")
    story.called(101.5, touch="t2", code="GIFT-1")
    story.sent(200, touch="t3", code="f2")
    story.called(201.5, touch="t3", code="GIFT-2")
    held = {"f1": "t2", "f2": "t3", "f3": ""}
    story.books["vouchers"] = [{"fingerprint": code, "touch_id": touch} for code, touch in held.items()]


def _code_in_two_messages(story: Story) -> None:
    gifts(story)
    story.ledger[-1]["code"] = "GIFT-1"


def _code_promised_twice(story: Story) -> None:
    gifts(story)
    story.entries[-4]["trail"]["voucher"]["code"] = "f1"


def _code_of_nobody(story: Story) -> None:
    gifts(story)
    story.ledger[-1]["code"] = "GIFT-9"


def _gift_without_a_code(story: Story) -> None:
    gifts(story)
    story.ledger[-1]["code"] = ""


def _code_in_a_thanks(story: Story) -> None:
    gifts(story)
    story.ledger[0]["code"] = "GIFT-3"


def _attempted_and_given_back(story: Story) -> None:
    gifts(story)
    story.books["vouchers"][0]["touch_id"] = ""


def _attempted_and_someone_elses_in_the_end(story: Story) -> None:
    gifts(story)
    story.books["vouchers"][0]["touch_id"] = "t3"


def _never_sent_and_not_given_back(story: Story) -> None:
    gifts(story)
    story.books["vouchers"][2]["touch_id"] = "t4"


def _codes_missing(story: Story) -> None:
    gifts(story)
    del story.books["vouchers"][2]


def _lost_on_its_way_to_another(story: Story) -> None:
    """Both came for an alias, one was applied."""
    story.books["partitions"]["0"] |= {"next_offset": 5, "end_offset": 5, "journal_events": 2}
    story.books["partitions"]["0"]["totals"] |= {"inputs": 8, "forwarded": 1}


PLANTED: list[tuple[str, Callable[[Story], None]]] = [
    ("call_after_final", _second_call),
    ("call_without_attempt", _second_call),
    ("call_without_attempt", _call_without_attempt),
    ("call_without_attempt", _call_of_nobody),
    ("call_after_final", _after_hang_up),
    ("told_otherwise", _accepted_and_rejected),
    ("told_otherwise", _never_accepted),
    ("one_end", _two_ends),
    ("one_end", _no_end),
    ("cap", _too_many),
    ("hours", _closed),
    ("expired", _past_validity),
    ("after_optout", _opted_out),
    ("after_optout", _complained),
    ("decided_once", _decided_twice),
    ("decided_once", _not_decided),
    ("decided_once", _unasked),
    ("decided_once", _before_its_time),
    ("timer", _timer_lost),
    ("timer", _overdue),
    ("consent", _no_consent),
    ("consent", _withdrawal_lost),
    ("equation", _inputs),
    ("equation", _intents),
    ("equation", _not_read),
    ("decided_once", _applied_twice),
    ("decided_once", _event_lost),
    ("account", _second_account),
    ("account", _account_not_on_record),
    ("account", _account_of_nobody),
    ("after_merge", _reserved_for_an_alias),
    ("after_merge", _attempted_as_an_alias),
    ("cap", _joined_cap),
    ("merge", _merge_lost),
    ("merge", _never_an_alias),
    ("merge", _merged_twice),
    ("merge", _merged_unasked),
    ("merge", _merged_elsewhere),
    ("after_optout", _opted_out_under_the_old_id),
    ("cap", _shared_point),
    ("cap", _shared_point_that_was_not_called),
    ("voucher", _code_in_two_messages),
    ("voucher", _code_promised_twice),
    ("voucher", _code_of_nobody),
    ("voucher", _gift_without_a_code),
    ("voucher", _code_in_a_thanks),
    ("voucher", _attempted_and_given_back),
    ("voucher", _attempted_and_someone_elses_in_the_end),
    ("voucher", _never_sent_and_not_given_back),
    ("voucher", _codes_missing),
    ("decided_once", _lost_on_its_way_to_another),
    ("relay", _not_told),
    ("relay", _out_of_order),
    ("relay", _made_up),
]


@pytest.mark.parametrize(("kind", "plant"), PLANTED, ids=[f"{kind}{plant.__name__}" for kind, plant in PLANTED])
def test_a_planted_violation_is_found(kind: str, plant: Callable[[Story], None]) -> None:
    story = good()
    plant(story)
    assert kind in found(story)


@pytest.mark.parametrize("tell", [_merged_and_sent_once, gifts])
def test_merges_and_codes_as_they_should_be_are_no_violation(tell: Callable[[Story], None]) -> None:
    story = good()
    tell(story)
    assert [] == check(story.evidence())


@pytest.mark.parametrize(("heard", "kinds"), [(1, {"cap"}), (30, set())])
def test_a_cap_of_both_ids_holds_from_the_moment_in_which_the_new_one_heard_of_the_old(
    heard: float, kinds: set[str]
) -> None:
    """Ann, sent to at 11 s, is an alias at 20 s; Bob's message is attempted at 41 s, in the same minute."""
    story = good()
    story.merged(20, apart=heard)
    story.entries[-1]["at"] = at(20)
    story.sent(40, touch="t2")
    story.called(41.5, touch="t2")
    assert kinds == found(story)


def test_a_code_of_a_message_that_never_went_out_may_go_to_another_one() -> None:
    story = good()
    gifts(story)
    story.truth["intents"]["m1"]["gift/thanks"] = [3, 3]
    story.decided(300, "send", "i4", journey="gift", trail={"voucher": {"pool": "gifts", "code": "f3"}})
    story.touch(300, "reserved", "t4", journey="gift", valid_until=at(345))
    story.touch(301, "cancelled", "t4", journey="gift", reason="opted_out")
    story.decided(301, "suppress", "i4", journey="gift")
    story.sent(400, touch="t5", code="f3")
    story.called(401.5, touch="t5", code="GIFT-3")
    story.truth["intents"]["m1"]["gift/thanks"] = [4, 4]
    story.books["vouchers"][2]["touch_id"] = "t5"
    assert [] == check(story.evidence())


@pytest.mark.parametrize(("since", "kinds"), [(399, set()), (401, {"voucher"})])
def test_a_code_whose_message_was_suppressed_as_it_was_reserved_may_go_to_another_one_at_once(
    since: float, kinds: set[str]
) -> None:
    """Reserved at 400 s, in one transaction with the other; that it came to nothing is on record later."""
    story = good()
    gifts(story)
    promised = {"journey": "gift", "trail": {"voucher": {"pool": "gifts", "code": "f3"}}}
    story.decided(400, "send", "i4", **promised)
    story.touch(400, "reserved", "t4", journey="gift", valid_until=at(445))
    story.sent(400, touch="t5", code="f3")
    story.called(401.5, touch="t5", code="GIFT-3")
    story.touch(410, "cancelled", "t4", journey="gift", reason="opted_out", occurred_at=at(since))
    story.decided(410, "suppress", "i4", journey="gift")
    story.truth["intents"]["m1"]["gift/thanks"] = [4, 4]
    story.books["vouchers"][2]["touch_id"] = "t5"
    assert kinds == found(story)


def test_what_one_account_refused_another_may_take() -> None:
    story = Story()
    story.consent(0, "granted")
    story.decided(10, "send")
    story.touch(10, "reserved", valid_until=at(55))
    story.touch(12, "attempting", occurred_at=at(11))
    story.touch(12, "reserved", reason="rejected_sender", trail={"account": "north"})
    story.attempted(13, "accepted", account="south")
    story.called(11.1, "403")
    story.called(13.1, account="south")
    assert [] == check(story.evidence())


@pytest.mark.parametrize(
    ("seconds", "kinds"), [(499.999_999, set()), (500, {"hours"}), (559.999_999, {"hours"}), (560, set())]
)
def test_hours_are_half_open(seconds: float, kinds: set[str]) -> None:
    story = good()
    story.truth["intents"]["m1"]["thanks/thanks"] = [2, 2]
    story.sent(seconds - 1, touch="t2")
    story.called(seconds + 0.5, touch="t2")
    assert kinds == found(story)


@pytest.mark.parametrize(("apart", "kinds"), [(59.999_999, {"cap"}), (60, set())])
def test_a_window_holds_what_is_less_than_its_length_ago(apart: float, kinds: set[str]) -> None:
    story = good()
    story.truth["intents"]["m1"]["thanks/thanks"] = [2, 2]
    story.sent(10 + apart, touch="t2")
    story.called(12 + apart, touch="t2")
    assert kinds == found(story)


def test_a_touch_that_was_handed_back_may_be_reserved_again() -> None:
    story = Story()
    story.consent(0, "granted")
    story.decided(1, "send")
    story.touch(1, "reserved", valid_until=at(46))
    story.touch(2, "cancelled", reason="dispatch_window_closed")
    story.decided(2, "defer", release_at=at(10))
    story.sent(10)
    story.called(11.2)
    assert [] == check(story.evidence())


def test_a_refused_call_may_be_made_again_and_frees_its_place() -> None:
    story = Story()
    story.consent(0, "granted")
    story.decided(10, "send")
    story.touch(10, "reserved", valid_until=at(55))
    story.touch(12, "attempting", occurred_at=at(11))
    story.touch(12, "reserved", reason="throttled", release_at=at(45), trail={"account": "north"})
    story.attempted(45, "accepted")
    story.called(11.1, "429")
    story.called(45.1)
    assert [] == check(story.evidence())


def _not_called() -> Story:
    """The moment was found to have passed when the attempt was on record; the touch ended with its validity."""
    story = good()
    story.consent(0, "granted")
    story.decided(10, "send", "i2")
    story.touch(10, "reserved", "t2", valid_until=at(55))
    story.touch(12, "attempting", "t2", occurred_at=at(11))
    story.touch(12, "reserved", "t2", reason="not_called", occurred_at=at(20))
    story.touch(55, "cancelled", "t2", reason="expired")
    story.decided(55, "suppress", "i2", reason="expired")
    story.truth["intents"]["m1"]["thanks/thanks"] = [2, 2]
    return story


def test_an_attempt_that_no_call_followed_may_be_on_record() -> None:
    assert [] == check(_not_called().evidence())


def test_a_call_that_the_log_denies_is_one_without_an_attempt() -> None:
    story = _not_called()
    story.called(11.2, "4xx", "t2")
    assert "call_without_attempt" in found(story)


def test_an_attempt_that_no_call_followed_keeps_its_hours_and_its_validity_all_the_same() -> None:
    story = _not_called()
    story.entries[-5]["valid_until"] = at(11)
    assert "expired" in found(story)


@pytest.mark.parametrize("column", ["state", "trail", "at", "member_ref", "hash", "prev_hash"])
def test_an_altered_entry_breaks_its_chain(column: str) -> None:
    evidence = good().evidence()
    new = {"trail": {"x": 1}, "at": at(1), "hash": "f" * 64, "prev_hash": "f" * 64}.get(column, "x")
    altered = evidence.log[1] | {column: new}
    evidence.log[1] = altered | {"line": line_of(altered)}
    assert "chain" in {violation.kind for violation in check(evidence)}


def test_a_missing_entry_breaks_its_chain() -> None:
    evidence = good().evidence()
    del evidence.log[1]
    assert "chain" in {violation.kind for violation in check(evidence)}


def test_a_run_in_which_nothing_happened_is_no_success() -> None:
    assert {"empty"} <= {violation.kind for violation in check(Evidence([], [], {}, [], {}, []))}


def test_the_last_call_after_an_answered_opt_out_is_measured() -> None:
    story = good()
    said = {"answered_at": at(11.1), "member": "m1", "touch_id": "", "channel": "email", "purpose": "marketing"}
    story.optouts.append(said)
    assert [] == check(story.evidence())
    assert 0.1 == pytest.approx(longest_after_optout(story.evidence()))
