"""What rounds of a dispatcher did."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import asdict


class RoundReport(Struct, frozen=True, kw_only=True):
    """What one or more rounds did, in touches."""

    claimed: int = 0
    # handed back to the member: the moment had closed
    returned: int = 0
    # no attempt was made: suppressed, switched off, erased or over between claim and attempt
    stopped: int = 0
    # no attempt was made: `valid_until` came with the claim
    expired: int = 0
    # attempts on record
    called: int = 0
    accepted: int = 0
    rejected: int = 0
    unknown: int = 0
    # no attempt was made: no account had a slot, or a place in its rate, just then
    deferred: int = 0
    # reserved again after a refusal of the account's own, or because it was too late to call
    again: int = 0
    # answers that came after the claim had lapsed: the record says unknown
    late: int = 0
    # attempts of another dispatcher, or of an earlier life, that were left in doubt
    lapsed: int = 0

    def __add__(self, other: RoundReport) -> RoundReport:
        """Both together."""
        mine, theirs = asdict(self), asdict(other)
        return RoundReport(**{name: mine[name] + theirs[name] for name in mine})
