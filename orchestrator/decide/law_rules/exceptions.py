"""What a law rule may name under `unless`: a circumstance that makes it pass."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.decide.dealings import months_after
from orchestrator.decide.rules import Question

EBR_MONTHS = 18


def _granted_opt_in(question: Question) -> bool:
    record = question.member.consents.get(question.channel + "/" + question.purpose)
    return (
        record is not None
        and record.state == "granted"
        and record.basis == "opt_in"
        and (record.expires_at is None or question.at < record.expires_at)
    )


def _bought_lately(question: Question) -> bool:
    bought = question.member.aggregates.get("purchase.completed")
    return bought is not None and question.at < months_after(bought.last, EBR_MONTHS)


def _not_known(_: Question) -> bool:
    """A circumstance that no record of ours tells: it never holds, so the rule binds."""
    return False


# what a rule may name under `unless`; the stricter answer where we can't know
EXCEPTIONS: dict[str, Callable[[Question], bool]] = {
    # the member agreed to this channel and purpose, and the word still holds
    "opt_in": _granted_opt_in,
    # established business relationship: a purchase within eighteen months
    "ebr_18m": _bought_lately,
    "member_asked_other_hours_in_separate_document": _not_known,
    "member_agreed_to_stated_time": _not_known,
}
# exceptions that rest on the member's own recorded word: they hold for unverified rules too
OWN_WORD = frozenset({"opt_in"})


def excepted(names: tuple[str, ...], question: Question) -> str:
    """The first of these exceptions that holds, or ""."""
    return next((name for name in names if EXCEPTIONS[name](question)), "")
