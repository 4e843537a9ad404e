"""The form of a table of a provider's numbers: what each means in the answer to a call, and told later."""

from __future__ import annotations

from typing import NamedTuple

from orchestrator.events.inputs import AnswerKind, ReceiptState


class Row(NamedTuple):
    """What one number means."""

    # in the answer to a call
    kind: AnswerKind
    # told later, of a message that has failed
    later: ReceiptState


def mean(kind: AnswerKind, *numbers: int, later: ReceiptState = "failed") -> dict[int, Row]:
    """Rows of numbers that mean the same."""
    return dict.fromkeys(numbers, Row(kind, later))


# an answer whose number says nothing, or that has none: HTTP's own word
BY_STATUS: dict[int, AnswerKind] = {401: "rejected_sender", 403: "rejected_sender", 429: "throttled"}
