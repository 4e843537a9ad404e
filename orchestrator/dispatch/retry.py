"""What follows from an answer: a final state, or another call and when. Pure: same arguments, same answer.

    accepted                                accepted
    rejected_recipient, rejected_message    rejected: never called again
    throttled, transient, rejected_sender   the account's own. Another account may take it: called there at once. None
                                            can be called: it waits for one. Else called again after a growing gap; out
                                            of calls or of time: rejected
    unknown                                 unknown: never called again, unless the touch is declared at least once

Gaps grow threefold (transient: from 5 minutes, since that is what a greylisting mail server asks for; so for a refused
sender, for whom a person must do something) or twofold
(throttled: from 30 seconds, never sooner than the provider's own wait), and spread by up to a quarter, drawn from the
touch id and the attempt, so that a backlog does not come back as one wave and a replay comes to the same instant.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Literal

from msgspec import Struct

from orchestrator.channels.contract import Answer
from orchestrator.events.inputs import AnswerKind, OutcomeKind

State = Literal["accepted", "rejected", "unknown", "reserved"]

_MICROSECOND = timedelta(microseconds=1)
_SPREAD = 4


class Gap(Struct, frozen=True):
    """How long to wait before calling again."""

    first: timedelta
    # each wait is this many times the one before
    growth: int
    longest: timedelta


GAPS: dict[AnswerKind, Gap] = {
    "throttled": Gap(timedelta(seconds=30), 2, timedelta(hours=1)),
    "transient": Gap(timedelta(minutes=5), 3, timedelta(hours=6)),
    "rejected_sender": Gap(timedelta(minutes=5), 3, timedelta(hours=6)),
    # only where a touch is declared at least once
    "unknown": Gap(timedelta(minutes=5), 3, timedelta(hours=6)),
}


# definite refusals that are the account's own, not the member's nor the message's: nothing was taken
_ACCOUNTS_OWN = frozenset[AnswerKind]({"throttled", "transient", "rejected_sender"})


def may_go_elsewhere(answer: Answer) -> bool:
    """Whether the same touch may be called by another account right away; never after accepted, or in doubt."""
    return answer.kind in _ACCOUNTS_OWN and answer.in_the_end != "rejected_recipient"


def fault(answer: Answer) -> bool:
    """Whether a call failed for the account's own reasons; asking to slow down is none, nor is a mailbox that is full.

    A call in doubt counts: an account that answers nothing, or with errors of its own, is not well.
    """
    return answer.kind == "unknown" or (answer.kind != "throttled" and may_go_elsewhere(answer))


class Next(Struct, frozen=True):
    """What becomes of a touch after a call."""

    # reserved: it may be called again, not before `retry_at`
    state: State
    # the outcome as it goes on record: the answer's, or what it comes to in the end
    kind: OutcomeKind
    # microseconds since 1970; 0 where the state is final
    retry_at: int = 0

    @property
    def final(self) -> bool:
        """No further call will be made."""
        return self.state != "reserved"


def after(
    answer: Answer,
    *,
    touch_id: str,
    attempt: int,
    max_attempts: int,
    at_least_once: bool,
    now: int,
    valid_until: int,
    accounts: int = 1,
    elsewhere: bool = False,
    out: bool = False,
) -> Next:
    """What follows from the answer to call number `attempt` (1 is the first), known at `now`.

    `valid_until` is exclusive: a call that could only be made at or after it is not made. `now` and `valid_until` are
    microseconds since 1970. `accounts` share the calls so far. `elsewhere`: another account may take what this one
    refused. `out`: none is well, so that there is nothing to wait for but an account, and the refusal tells nothing of
    the touch: it is not given up for the number of its calls, which the accounts' rests keep small. Out of calls or of
    time, what the provider never took ends as rejected, what it may have taken as unknown.
    """
    if answer.kind == "accepted":
        return Next("accepted", answer.kind)
    if answer.kind in ("rejected_recipient", "rejected_message"):
        return Next("rejected", answer.kind)
    given_up: State = "unknown" if answer.kind == "unknown" else "rejected"
    if answer.kind == "unknown" and not at_least_once:
        return Next(given_up, answer.kind)
    waits = may_go_elsewhere(answer) and now < valid_until
    if waits and out:
        return Next("reserved", answer.kind, now)
    if attempt >= max_attempts:
        return Next(given_up, answer.in_the_end or answer.kind)
    if waits and elsewhere:
        return Next("reserved", answer.kind, now)
    passes = -(-attempt // accounts)
    retry_at = now + gap(answer.kind, touch_id, passes, answer.retry_after) // _MICROSECOND
    return Next(given_up, answer.kind) if retry_at >= valid_until else Next("reserved", answer.kind, retry_at)


def gap(kind: AnswerKind, touch_id: str, attempt: int, asked: timedelta | None = None) -> timedelta:
    """The wait after call number `attempt`; never shorter than what the provider `asked` for.

    Raises KeyError for an outcome that is never called again.
    """
    rule = GAPS[kind]
    wait = rule.first
    for _ in range(attempt - 1):
        wait = min(wait * rule.growth, rule.longest)
    wait = max(wait, asked or timedelta(0))
    drawn = int.from_bytes(hashlib.blake2b(f"{touch_id}/{attempt}".encode(), digest_size=4).digest(), "big")
    return wait + wait / _SPREAD * (drawn / 2**32)
