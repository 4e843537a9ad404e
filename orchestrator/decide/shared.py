"""What a turn is given beside the member, and what it must be given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from orchestrator.decide.member import Place
from orchestrator.decide.rules import RegistryState
from orchestrator.masked import hiding


def nobody(_: str) -> bool:
    """No contact point is known to be another's too."""
    return False


class Links(Protocol):
    """Tokens of the links in messages, keyed; the same for the same arguments. Instants are aware."""

    def opt_out(self, member_id: str, channel: str, purpose: str) -> str:
        """That which ends this purpose on this channel."""

    def preferences(self, member_id: str, at: datetime) -> str:
        """That which opens the member's own preferences for a while from `at` on."""

    def confirm(self, member_id: str, channel: str, purpose: str, asked_at: datetime, until: datetime) -> str:
        """That which confirms the double opt-in that was asked for at `asked_at`, before `until`."""

    def contact(self, member_id: str, channel: str, asked_at: datetime, until: datetime) -> str:
        """That which confirms the contact point that was asked for at `asked_at`, before `until`."""


class Stock(Struct, frozen=True, omit_defaults=True):
    """What a turn is given of a pool of voucher codes."""

    # taken for this turn alone, in the order in which they are used
    codes: tuple[str, ...] = ()
    # codes in the pool, these included; counted no farther than an alarm needs
    left: int = 0
    # what an operator heard of the pool since it was last filled: 0 nothing, 1 that few are left, 2 that none is
    told: int = 0

    __repr__ = hiding("codes")


class Shared(Struct, frozen=True, kw_only=True):
    """What a turn is given beside the member: all of it data, or keyed hashes."""

    # key of intent and touch ids
    key: bytes
    # (channel, address) -> keyed fingerprint
    fingerprint: Callable[[str, str], str]
    # tokens of the links in messages
    links: Links
    # random reference for a member who is not known yet
    new_ref: str = ""
    # (registry, fingerprint) -> what the list says
    registries: Mapping[tuple[str, str], RegistryState] = {}
    # whether others have a contact point, of whom the member's record may not know; only `needs` asks
    has_others: Callable[[str], bool] = nobody
    # touch id -> state in the outbox, locked for this turn
    touches: Mapping[str, str] = {}
    # journeys whose runs hold for the time being, and those whose runs end
    paused: frozenset[str] = frozenset()
    stopped: frozenset[str] = frozenset()
    # journeys whose content nobody approved as yet: nobody enters them, and nothing of them is sent
    unapproved: frozenset[str] = frozenset()
    # channel -> its last outage, when none of its provider accounts could be called: [since, until), None: it goes on
    outages: Mapping[str, tuple[datetime, datetime | None]] = {}
    # fingerprint of a contact point that others have too -> their touches to it
    points: Mapping[str, tuple[Place, ...]] = {}
    # pool -> its voucher codes for this turn; not there: nobody looked yet
    vouchers: Mapping[str, Stock] = {}


class Needs(Struct, frozen=True):
    """What `step` must be given for a turn."""

    registries: frozenset[tuple[str, str]] = frozenset()
    touches: frozenset[str] = frozenset()
    outages: bool = False
    # contact points that others have too
    points: frozenset[str] = frozenset()


NOTHING = Needs()
