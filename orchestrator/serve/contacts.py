"""Contact data on a member's own page: what was entered, checked, and what follows from it. No I/O.

A new number holds at once. A new e-mail address holds once whoever reads it says so, by a link that is sent there: a
wrong letter would give somebody else a member's mail.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct

from orchestrator.decide.addresses import PHONE_CHANNELS, Address, read_address
from orchestrator.decide.facts import rolling
from orchestrator.decide.member import Member
from orchestrator.events.envelope import Event
from orchestrator.events.types import Channel, ContactData, ContactRequested, Data, MemberUpdated
from orchestrator.serve.choices import SOURCE, BadForm

# longer ones are no address (RFC 5321, 4.5.3.1), nor a number
LONGEST = 320
# addresses that a member may ask for in a day: each is sent a message, and may be somebody else's
A_DAY = 5
_SMS: tuple[Channel, ...] = ("sms",)
_PHONES: tuple[Channel, ...] = ("sms", "whatsapp", "phone")
# lines on which nobody reads a text
_NO_TEXT = frozenset({"fixed_line", "premium_rate", "shared_cost", "toll_free", "uan", "pager", "voicemail"})
Field = Literal["email", "phone"]


class Contacts(Struct, frozen=True, kw_only=True):
    """What a form comes to."""

    events: tuple[Event, ...] = ()
    # field -> what is wrong with it, as `own_words` names it
    wrong: Mapping[Field, str] = {}
    # what was entered, to be shown again beside what is wrong
    entered: Mapping[Field, str] = {}
    # an e-mail address that is sent a link
    asked: str = ""
    # a number that holds from now on
    kept: str = ""


NOTHING = Contacts()


def read(form: Mapping[str, Sequence[str]], member: Member, now: datetime) -> Contacts:
    """What the fields `email` and `phone` ask for; one left empty changes nothing. `now` is aware.

    Where anything is wrong, nothing is changed. Raises BadForm for what no form of ours sends.
    """
    email, phone = _entered(form, "email"), _entered(form, "phone")
    wrong: dict[Field, str] = {}
    events: list[Event] = []
    asked = kept = ""
    if email:
        address = read_address("email", email, "")
        if address is None:
            wrong["email"] = "email_wrong"
        elif _has(member, "email", address):
            wrong["email"] = "address_known"
        elif _today(member, now) >= A_DAY:
            wrong["email"] = "email_too_often"
        else:
            asked = address.text
            events.append(_event("contact.requested", member, now, ContactRequested(channel="email", address=asked)))
    if phone:
        number = read_address("sms", phone, member.country)
        if number is None:
            wrong["phone"] = "phone_wrong" if phone.startswith("+") or member.country else "phone_country"
        elif number.kind in _NO_TEXT:
            wrong["phone"] = "phone_line"
        elif all(_has(member, channel, number) for channel in _phones(member)):
            wrong["phone"] = "address_known"
        else:
            kept = number.text
            points = tuple(ContactData(channel=channel, address=kept) for channel in _phones(member))
            events.append(_event("member.updated", member, now, MemberUpdated(contact_points=points)))
    if not email and not phone:
        wrong["email"] = "nothing_entered"
    if wrong:
        return Contacts(wrong=wrong, entered={"email": email, "phone": phone})
    return Contacts(events=tuple(events), asked=asked, kept=kept)


def _entered(form: Mapping[str, Sequence[str]], name: Field) -> str:
    values = form.get(name, ())
    if len(values) > 1 or any(len(value) > LONGEST for value in values):
        raise BadForm(name)
    return values[0].strip() if values else ""


def _phones(member: Member) -> tuple[Channel, ...]:
    """The channels that the number is of; SMS for a member without any."""
    has = {point.channel for point in member.contact_points if point.channel in PHONE_CHANNELS}
    return tuple(channel for channel in _PHONES if channel in has) or _SMS


def _has(member: Member, channel: Channel, address: Address) -> bool:
    return any((point.channel, point.address) == (channel, address.text) for point in member.contact_points)


def _today(member: Member, now: datetime) -> int:
    """How many addresses were asked for today."""
    known = member.aggregates.get("contact.requested")
    return 0 if known is None else rolling(known, 1, now)[0]


def _event(type: str, member: Member, now: datetime, data: Data) -> Event:
    return Event(id=uuid.uuid4().hex, source=SOURCE, type=type, subject=member.id, time=now, data=data)
