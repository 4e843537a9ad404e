"""Why a row was not taken; it never quotes a value, since values may be personal data."""

from __future__ import annotations

from typing import Literal, get_args

from msgspec import Struct

Reason = Literal[
    # the row itself
    "bad_csv", "bad_json", "bad_encoding", "wrong_column_count", "too_long", "not_scalar",
    # one column
    "required", "not_a_number", "not_whole", "too_precise", "negative", "out_of_range", "not_a_date",
    "not_an_instant", "skipped_hour", "repeated_hour", "not_a_truth_value", "not_one_of",
    # making an event of it
    "no_key", "not_in_table", "expression_failed", "bad_id", "bad_subject", "bad_time", "bad_data",
    # against rows before it
    "conflict",
]  # fmt: skip
REASONS: tuple[str, ...] = get_args(Reason)


class RowRefused(Exception):
    """This row gives no event: which field, the reason code, and what would cure it."""

    # an answer about a row, caught by the loop over rows; hence its name
    def __init__(self, field: str, reason: Reason, cure: str) -> None:
        self.field: str = field
        self.reason: Reason = reason
        self.cure: str = cure
        super().__init__(f"{field}: {reason}: {cure}")


class Refusal(Struct, frozen=True, kw_only=True):
    """One line of the report of refused rows."""

    # name of the file, without its folder
    file: str
    # number of the record in it, from 1, the header not counted
    row: int
    # the physical line it ends on, from 1
    line: int
    # column, or event and field; "" where the row as a whole is meant
    field: str
    reason: str
    cure: str
