"""Everything that may change what we know of a member, as one closed union; the journal and the inbox hold these."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec
from msgspec import Struct, field

from orchestrator.events.envelope import Event
from orchestrator.events.types import Channel, Purpose

# a provider's refusal for good; the last two: no call or no time was left
RefusalKind = Literal["rejected_recipient", "rejected_message", "rejected_sender", "throttled", "transient"]
AnswerKind = Literal["accepted", RefusalKind, "unknown"]
# not_called: the attempt was on record when the moment for the call had passed; nothing was sent
OutcomeKind = Literal[AnswerKind, "not_called"]


# What a provider says later of a touch, in the order of precedence: a late or repeated word never takes the place of
# one that stands after it. sent: it is on its way, so it was taken; failed: it will not arrive, and not for want of a
# living contact point; soft_bounced: not for the time being; bounced: the contact point does not exist
ReceiptState = Literal[
    "sent",
    "soft_bounced",
    "delivered",
    "failed",
    "bounced",
    "opened",
    "clicked",
    "replied",
    "complained",
    "opted_out",
]


class EventInput(Struct, frozen=True, tag="event"):
    """An event from outside."""

    event: Event


class TimerDue(Struct, frozen=True, tag="timer"):
    """An armed moment came: `name` says which.

    `intent:<id>`, `journey:<name>:<occurrence>`, `inactive:<journey>`, `date:<journey>` (a moment of its calendar).
    """

    name: str
    due: datetime


class Outcome(Struct, frozen=True, kw_only=True, tag="outcome"):
    """What became of one attempt for a touch."""

    touch_id: str
    kind: OutcomeKind
    # 1 for the first attempt of this touch
    attempt: int
    attempted_at: datetime
    occurred_at: datetime
    # no further call will be made for this touch
    final: bool
    # the provider's id and its own code, never free text
    provider_id: str = ""
    code: str = ""
    # not final: the next call is not before this
    retry_at: datetime | None = None
    # the provider refused since the owner of the contact point opted out there
    opted_out: bool = False
    # the provider account that was called
    account: str = ""


class Returned(Struct, frozen=True, kw_only=True, tag="returned"):
    """The dispatcher found the moment closed: the touch is cancelled and its intent decided anew."""

    touch_id: str
    rule: str
    # the closed window, half-open; `step` treats it as closed
    closed_from: datetime
    closed_until: datetime


class Expired(Struct, frozen=True, kw_only=True, tag="expired"):
    """`valid_for` of a touch ended: what was not called is cancelled."""

    touch_id: str


class Cancelled(Struct, frozen=True, kw_only=True, tag="cancelled"):
    """A touch was cancelled outside the member's turn (suppression or switch)."""

    touch_id: str
    reason: str
    occurred_at: datetime


class Receipt(Struct, frozen=True, kw_only=True, tag="receipt"):
    """A provider's later word on a touch."""

    touch_id: str
    state: ReceiptState
    occurred_at: datetime
    code: str = ""


class Withdrawal(Struct, frozen=True, kw_only=True, tag="withdrawal"):
    """The member does not want to be written to any more: by a link, a reply, a word at the provider."""

    # "*": on any
    channel: Channel | Literal["*"]
    purpose: Purpose
    # how it was said: one_click, link, reply, provider, preferences
    method: str
    occurred_at: datetime


class Absorbed(Struct, frozen=True, kw_only=True, tag="absorbed"):
    """The member is also who another id stood for until now, which hands over all that is known of it."""

    # ids: who takes over, and who was taken over
    into: str
    former: str
    # JSON of the former's record
    state: msgspec.Raw
    # ids that were aliases themselves by the time it came to them, and passed it on; the former's own, once a round
    via: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Without anything of the member."""
        return "Absorbed()"


class Forwarded(Struct, frozen=True, kw_only=True, tag="forwarded"):
    """What came for an id that is an alias by now, or what it hands over; each is a turn of its own."""

    # an event, with the id that it is for now; else an internal input
    event: bool
    # reference of the alias, with whose key it is sealed: whoever is forgotten meanwhile has nothing to say any more
    ref: str
    sealed: bytes


class PointShared(Struct, frozen=True, kw_only=True, tag="point_shared"):
    """Another member came to a contact point of this one: from now on they share it."""

    # keyed fingerprint
    contact: str


class Command(Struct, frozen=True, kw_only=True, tag="command"):
    """An operator's order, with its actor."""

    verb: Literal[
        "activate",
        "suppress",
        "unsuppress",
        "switch",
        "erase",
        "restrict",
        "redrive",
        "start",
        "propose",
        "approve",
        "merge",
    ]
    actor: str
    arguments: dict[str, str] = field(default_factory=dict)
    # when it was given: a partition that is behind carries it out at an earlier moment of its own
    given_at: datetime | None = None


class Plan(Struct, frozen=True, tag="plan"):
    """The journeys may be others than before: a member's moments are planned anew, stopped runs end."""


class Sweep(Struct, frozen=True, kw_only=True, tag="sweep"):
    """Of no member: the partition's members, some at a time, are given an order each, or plan anew."""

    # the members after this one, in hex; "": from the first
    after: str = ""
    order: Command | None = None
    # instead: what was put off as its journey was paused comes due; `after` is the number of an inbox row
    held: bool = False


class Redriven(Struct, frozen=True, kw_only=True, tag="redriven"):
    """An event that comes by the inbox, and is applied like any other; each is a turn of its own.

    It was parked with its member, or `serve` heard it from the member: by a page, a link, a message.
    """

    # where it stood in its source; -1: it came by none
    offset: int
    # when it was parked or heard, microseconds: it was not too old then
    parked_at: int
    # sealed with the dead letters' key
    sealed: bytes


class Tick(Struct, frozen=True, tag="tick"):
    """The clock reached this moment with nothing else to do; of a member: a touch may be called again from now on."""

    at: datetime


# what we tell ourselves: the inbox and the journal hold these beside events
InternalInput = (
    TimerDue
    | Outcome
    | Returned
    | Expired
    | Cancelled
    | Receipt
    | Withdrawal
    | PointShared
    | Absorbed
    | Forwarded
    | Command
    | Tick
    | Plan
    | Sweep
    | Redriven
)
Input = EventInput | InternalInput
__all__ = ["Channel", "Input", "Purpose"]

_internal: msgspec.json.Decoder[InternalInput] = msgspec.json.Decoder(InternalInput)


def write_input(input: InternalInput) -> bytes:
    """JSON of an internal input, tagged by `type`."""
    return msgspec.json.encode(input)


def read_input(raw: bytes) -> InternalInput:
    """The internal input in these bytes, as `write_input` made them."""
    return _internal.decode(raw)
