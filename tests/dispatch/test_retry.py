"""What follows from an answer."""

from __future__ import annotations

from datetime import timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.channels.contract import Answer
from orchestrator.dispatch.retry import GAPS, Next, after, gap
from orchestrator.events.inputs import AnswerKind

SECOND = 1_000_000
DAY = 86_400 * SECOND
FAR = 30 * DAY


def follows(
    kind: AnswerKind,
    *,
    attempt: int = 1,
    at_least_once: bool = False,
    now: int = 0,
    until: int = FAR,
    elsewhere: bool = False,
    out: bool = False,
    **answer: object,
) -> Next:
    return after(
        Answer(kind=kind, **answer),  # type: ignore[arg-type]  # fields as given
        touch_id="touch-1",
        attempt=attempt,
        max_attempts=5,
        at_least_once=at_least_once,
        now=now,
        valid_until=until,
        elsewhere=elsewhere,
        out=out,
    )


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("accepted", "accepted"),
        ("rejected_recipient", "rejected"),
        ("rejected_message", "rejected"),
        ("rejected_sender", "reserved"),
        ("throttled", "reserved"),
        ("transient", "reserved"),
        ("unknown", "unknown"),
    ],
)
def test_only_what_the_provider_surely_did_not_take_is_called_again(kind: AnswerKind, state: str) -> None:
    assert state == follows(kind).state
    assert (state != "reserved") == follows(kind).final


OWN: list[AnswerKind] = ["throttled", "transient", "rejected_sender"]


@pytest.mark.parametrize("kind", get_args(AnswerKind))
def test_another_account_is_called_at_once_and_only_for_a_refusal_of_the_accounts_own(kind: AnswerKind) -> None:
    assert (kind in OWN) == (Next("reserved", kind, 7) == follows(kind, now=7, elsewhere=True))
    full = follows(kind, now=7, elsewhere=True, in_the_end="rejected_recipient")
    assert Next("reserved", kind, 7) != full


@pytest.mark.parametrize("kind", OWN)
def test_hops_count_as_calls_and_waiting_for_an_account_does_not(kind: AnswerKind) -> None:
    assert follows(kind, attempt=5, elsewhere=True).final
    assert Next("reserved", kind, 7) == follows(kind, attempt=5, now=7, out=True)
    assert follows(kind, attempt=1, now=FAR, until=FAR, out=True).final


def test_an_unknown_call_is_repeated_only_where_it_is_declared_at_least_once() -> None:
    assert "unknown" == follows("unknown").state
    assert "reserved" == follows("unknown", at_least_once=True).state
    assert "unknown" == follows("unknown", at_least_once=True, attempt=5).state


@pytest.mark.parametrize("kind", ["throttled", "transient"])
def test_the_last_call_allowed_is_the_last(kind: AnswerKind) -> None:
    assert "reserved" == follows(kind, attempt=4).state
    assert Next("rejected", kind) == follows(kind, attempt=5)


def test_a_mailbox_that_stays_full_is_the_recipients_in_the_end_and_not_before() -> None:
    assert "transient" == follows("transient", in_the_end="rejected_recipient", attempt=4).kind
    assert "rejected_recipient" == follows("transient", in_the_end="rejected_recipient", attempt=5).kind
    # out of time is not out of calls
    assert "transient" == follows("transient", in_the_end="rejected_recipient", until=1).kind


def test_the_end_of_validity_is_exclusive() -> None:
    again = follows("transient").retry_at
    assert "rejected" == follows("transient", until=again).state
    assert "reserved" == follows("transient", until=again + 1).state


def test_gaps_grow_and_are_the_same_every_time() -> None:
    gaps = [gap("transient", "touch-1", attempt) for attempt in range(1, 6)]
    assert gaps == [gap("transient", "touch-1", attempt) for attempt in range(1, 6)]
    assert gaps == sorted(gaps)
    assert timedelta(minutes=5) <= gaps[0] < timedelta(minutes=6, seconds=15)


def test_touches_do_not_come_back_as_one_wave() -> None:
    assert len({gap("throttled", f"touch-{n}", 1) for n in range(1000)}) > 990


@given(
    kind=st.sampled_from(sorted(GAPS)),
    touch_id=st.text(max_size=40),
    attempt=st.integers(1, 20),
    asked=st.none() | st.timedeltas(timedelta(0), timedelta(days=2)),
)
def test_a_gap_is_never_shorter_than_what_the_provider_asked_for_nor_a_quarter_longer(
    kind: AnswerKind, touch_id: str, attempt: int, asked: timedelta | None
) -> None:
    least = max(min(GAPS[kind].first * GAPS[kind].growth ** (attempt - 1), GAPS[kind].longest), asked or timedelta(0))
    assert least <= gap(kind, touch_id, attempt, asked) <= least * 1.25


@given(
    kind=st.sampled_from(get_args(AnswerKind)),
    attempt=st.integers(1, 10),
    now=st.integers(0, 10 * DAY),
    until=st.integers(0, 11 * DAY),
    at_least_once=st.booleans(),
)
def test_no_call_is_ever_planned_out_of_calls_or_out_of_time(
    kind: AnswerKind, attempt: int, now: int, until: int, at_least_once: bool
) -> None:
    following = follows(kind, attempt=attempt, now=now, until=until, at_least_once=at_least_once)
    if not following.final:
        assert attempt < 5
        assert now < following.retry_at < until
    else:
        assert 0 == following.retry_at
