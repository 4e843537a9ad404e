"""Rows of contact points: who has one, who was reached there, who may not be called, what was heard from there."""

from __future__ import annotations

from typing import NamedTuple


class ContactRow(NamedTuple):
    """A member has this contact point: so whoever answers from there is found."""

    # keyed fingerprint
    contact: str
    member: bytes


class HolderRow(NamedTuple):
    """A member who has a contact point, or had it once."""

    # keyed fingerprint of the contact point
    contact: str
    # in the order in which members came to it, from 0
    n: int
    member: bytes
    partition: int


class Reached(NamedTuple):
    """A touch to a contact point, as the caps of all who share it count it."""

    contact: str
    member: bytes
    touch_id: str
    channel: str
    purpose: str
    journey: str
    # the attempt's instant; 0 while reserved, claimed or attempting: counts as now
    at: int


class SuppressionRow(NamedTuple):
    """Nobody may be called who stands here, from `since` on. "*" stands for every channel or purpose.

    Standing here is enough: clocks differ, and who opted out must not wait for a slower one. The same (subject,
    channel, purpose) again keeps the later `since` and its reason.
    """

    # contact fingerprint, or member hash in hex
    subject: str
    channel: str
    purpose: str
    since: int
    reason: str


# members of one contact point who are told of a word from there, at most
MEMBERS_AT = 100
# providers repeat themselves for days; who replays what they once said is not believed for that much longer
HEARD_DAYS = 90


class HeardRow(NamedTuple):
    """A word from outside that was taken in: the same one again is dropped."""

    # hash of the key that its repeats share, 16 bytes
    key: bytes
    # whole days since 1970 when it was heard: it is forgotten `HEARD_DAYS` later
    day: int


class HeardBefore(Exception):
    """One of these words was taken in before: nothing was written."""
