"""The outbox's words, the same for every store: states, what a suppression covers, what a switch stops."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from orchestrator.errors import UsageError
from orchestrator.events.inputs import Cancelled, write_input
from orchestrator.stores.contract import NewInbox, Queue, SuppressionRow, TouchRow
from orchestrator.times import instant

# not yet called
WAITING = frozenset({"reserved", "claimed"})
# a member has at most one of these
IN_FLIGHT = frozenset({"claimed", "attempting"})
STATES = WAITING | IN_FLIGHT | {"accepted", "rejected", "unknown", "cancelled"}
# called, with an attempt that counts at its instant
SETTLED = frozenset({"accepted", "unknown"})
# what takes a place in caps
COUNTED = WAITING | IN_FLIGHT | SETTLED
# what a claim may be released to
RELEASED = frozenset({"reserved", "cancelled"})
# what may become of a call
CALLED = frozenset({"reserved", "accepted", "rejected", "unknown"})
ANY = "*"
ALL = "all"
# beside `journey:<journey>`: it is not only paused, who is inside leaves it
STOPPED = "stopped"


def known(state: str, among: Container[str] = STATES) -> str:
    """`state` itself; raises ValueError for a word outside the vocabulary."""
    if state not in among:
        raise ValueError(f"{state!r} is no state a touch can have here")
    return state


def covers(row: SuppressionRow, touch: TouchRow) -> bool:
    """Whether the suppression names the touch's contact point or member, its channel and its purpose."""
    return (
        row.subject in {touch.contact, touch.member.hex()}
        and row.channel in {touch.channel, ANY}
        and row.purpose in {touch.purpose, ANY}
    )


def covering(touch: TouchRow) -> list[tuple[str, str, str]]:
    """The (subject, channel, purpose) of every suppression that would cover the touch."""
    return covering_contact(touch.member, touch.contact, touch.channel, touch.purpose)


def covering_contact(member: bytes, contact: str, channel: str, purpose: str) -> list[tuple[str, str, str]]:
    """The (subject, channel, purpose) of every suppression that would cover such a contact."""
    return [
        (subject, its_channel, its_purpose)
        for subject in (contact, member.hex())
        for its_channel in (channel, ANY)
        for its_purpose in (purpose, ANY)
    ]


def still_open(touch: TouchRow, at: int) -> bool:
    """Whether the touch may be called at this instant: valid, and within the hours that bind it."""
    return at < touch.valid_until and not 0 < touch.call_by <= at


def scopes(touch: TouchRow) -> tuple[str, str, str]:
    """The scopes of every switch that would stop the touch."""
    return ALL, f"channel:{touch.channel}", f"journey:{touch.journey}"


def at_account(account: str) -> str:
    """The scope of the switch that stops attempts at an account."""
    return f"account:{account}"


def known_scope(scope: str) -> str:
    """`scope` itself; raises UsageError, since a switch that stops nothing would look like one that does."""
    kind, _, name = scope.partition(":")
    if scope == ALL or (kind in {"channel", "journey", "account", STOPPED} and name):
        return scope
    raise UsageError(f"{scope!r} is no switch: use all, channel:<channel>, journey:<journey> or account:<account>")


def reserved_again(row: TouchRow) -> TouchRow:
    """A claim given back: reserved, held by nobody."""
    return row._replace(state="reserved", token="", lease_until=0)


def queues_of(counts: Mapping[tuple[str, str, str], int]) -> list[Queue]:
    """Counts by (channel, account, field of Queue) as rows, in order."""
    found = sorted({key[:2] for key in counts})
    fields = Queue._fields[2:]
    return [Queue(*key, *(counts.get((*key, field), 0) for field in fields)) for key in found]


def told_now(left: int, enough: int, told: int) -> int:
    """What an operator heard of a pool of voucher codes that was just added to, and has so many left.

    That one is still low is no news; that it runs dry will be.
    """
    if left and left >= enough:
        return 0
    return min(told, 1) if left else told


def told(touch: TouchRow, row: SuppressionRow) -> NewInbox:
    """The inbox row that tells a touch's member that `row` cancelled it."""
    cancelled = Cancelled(touch_id=touch.touch_id, reason=row.reason, occurred_at=instant(row.since))
    return NewInbox(touch.partition, row.since, touch.member, write_input(cancelled))


def told_late(touch: TouchRow, rows: Iterable[SuppressionRow]) -> NewInbox:
    """The same for a touch that was reserved under suppressions: named is the eldest, from the reservation on."""
    row = min(rows, key=lambda row: (row.since, row[:3]))
    return told(touch, row._replace(since=max(row.since, touch.due)))
