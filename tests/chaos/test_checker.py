"""The checker of chaos runs finds each kind of planted violation, and nothing in a run that kept every promise."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.chaos.calls import longest_after_optout
from tests.chaos.chains import entry_hash
from tests.chaos.checker import check
from tests.chaos.evidence import Evidence
from tests.chaos.planted import PLANTED, gifts, merged_and_sent_once
from tests.chaos.story import NOON, Story, at, good, line_of


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


@pytest.mark.parametrize(("kind", "plant"), PLANTED, ids=[f"{kind}{plant.__name__}" for kind, plant in PLANTED])
def test_a_planted_violation_is_found(kind: str, plant: Callable[[Story], None]) -> None:
    story = good()
    plant(story)
    assert kind in found(story)


@pytest.mark.parametrize("tell", [merged_and_sent_once, gifts])
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
