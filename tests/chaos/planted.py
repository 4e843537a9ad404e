"""Violations to plant into a story, each by the kind that the checker must find."""

from __future__ import annotations

from collections.abc import Callable

from tests.chaos.evidence import micros
from tests.chaos.story import Story, at


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


def merged_and_sent_once(story: Story) -> None:
    """Bob is sent to as well, when Ann's message is long ago."""
    story.merged(20)
    story.sent(80, touch="t2")
    story.called(81.5, touch="t2")


def _reserved_for_an_alias(story: Story) -> None:
    merged_and_sent_once(story)
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
    merged_and_sent_once(story)
    story.entries = [entry for entry in story.entries if entry["state"] != "absorbed"]


def _never_an_alias(story: Story) -> None:
    merged_and_sent_once(story)
    story.entries = [entry for entry in story.entries if entry["state"] != "merged"]


def _merged_twice(story: Story) -> None:
    merged_and_sent_once(story)
    story.entry(90, "member", state="absorbed", trail={"ref": "r1"})


def _merged_unasked(story: Story) -> None:
    story.entry(20, "member", state="merged")


def _merged_elsewhere(story: Story) -> None:
    merged_and_sent_once(story)
    story.truth["people"]["m2"] = "m3"


def _opted_out_under_the_old_id(story: Story) -> None:
    merged_and_sent_once(story)
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
