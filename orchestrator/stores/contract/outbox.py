"""Rows of the outbox: touches, the claims on them and what became of calls, the switches that hold them back."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from orchestrator.stores.contract.rows import NewInbox


class Clock(Enum):
    """Whose time a call of the dispatcher goes by, where it is not given an instant."""

    # that of the touch's own partition, as in `progress`: the virtual clock
    partition = "partition"
    # the store's own at that moment, as `Store.clock` tells it: the real clock
    store = "store"


class TouchRow(NamedTuple):
    """A place in the outbox and what became of it."""

    touch_id: str
    partition: int
    member: bytes
    ref: str
    intent_id: str
    journey: str
    channel: str
    purpose: str
    # keyed fingerprint of the contact point
    contact: str
    # lower is sooner: service before marketing
    rank: int
    # not to be called before
    due: int
    # not to be called at or after
    valid_until: int
    # reserved | claimed | attempting | accepted | rejected | unknown | cancelled
    state: str
    # compare-and-set token of the claim; "" when not claimed
    token: str
    lease_until: int
    # attempts on record
    attempts: int
    # instant of the last one; 0 before the first
    attempted_at: int
    # when the permitted hours seen at the decision end, latency margin taken off: at or after it the dispatcher hands
    # the touch back to be decided anew; 0: no hours bind
    call_by: int
    # the rule whose hours end then
    call_rule: str
    # sealed bytes of the rendered message (with the address)
    message: bytes
    # the provider account of the last attempt; "" before the first
    account: str = ""


class Claim(NamedTuple):
    """A touch claimed by a dispatcher; every later compare-and-set names `token`."""

    touch: TouchRow
    token: str


class OutcomeRow(NamedTuple):
    """What became of a call, for the outbox: compare-and-set on (touch_id, token, attempting)."""

    touch_id: str
    token: str
    # accepted | rejected | unknown, or reserved when it may be called again
    state: str
    # reserved: the next call is not before this
    due: int
    # the inbox row that tells the member
    inbox: NewInbox


class SwitchRow(NamedTuple):
    """A kill switch or pause: scope is "all", "channel:<c>", "journey:<j>", or "account:<a>" for attempts there."""

    scope: str
    since: int
    actor: str


class Backlog(NamedTuple):
    """What waits in one partition."""

    # inbox rows due at the instant asked for, and those due later
    due: int
    later: int
    # touches waiting for their call, and those claimed or being called
    reserved: int
    in_flight: int


class Queue(NamedTuple):
    """What is yet to be answered of one channel; or, with an account, of the calls that it has under way."""

    channel: str
    # "": that of none yet
    account: str
    # touches that may be called at the instant asked for, and those that are put off beyond it
    waiting: int = 0
    later: int = 0
    # taken up by a dispatcher, not called yet
    claimed: int = 0
    # called, not yet answered
    calling: int = 0
