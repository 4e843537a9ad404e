"""What a member's message changes of the contact point that it came from, and by what names points are known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from orchestrator.decide.addresses import read_address
from orchestrator.decide.facts import apply_event
from orchestrator.decide.member import ContactPoint, Member
from orchestrator.decide.points import wrote
from orchestrator.events.types import Identifiers, MessageReceived
from orchestrator.testing.builders import event
from orchestrator.testing.world import shipped_content

AT = datetime(2026, 11, 18, 12, tzinfo=UTC)
NUMBER, USER_ID = "+525512345678", "MX.13491208655302741918"
POINT = ContactPoint(channel="whatsapp", address=NUMBER, fingerprint="f", country="MX")


def said(sender: str = NUMBER, channel: str = "whatsapp", **identifiers: str) -> MessageReceived:
    return MessageReceived(channel=channel, sender=sender, identifiers=identifiers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("point", "data", "heard"),
    [
        (POINT, said(), True),
        (POINT, said("55 1234 5678"), True),
        (POINT, said(USER_ID), False),
        (POINT, said(channel="sms"), False),
        (POINT, said("+525512345679", user_id=USER_ID), False),
        (replace(POINT, identifiers={"user_id": USER_ID}), said(USER_ID), True),
        (replace(POINT, identifiers={"user_id": USER_ID}), said("+525512345679", user_id=USER_ID), True),
        (replace(POINT, address=USER_ID), said(NUMBER, user_id=USER_ID), True),
        # WhatsApp's spelling of a number is not what its owner is found by
        (replace(POINT, identifiers={"wa_id": "1"}), said("+525512345679", wa_id="1"), False),
    ],
    ids=[
        *("number", "national", "stranger's id", "other channel", "stranger's number", "known id", "id with number"),
        *("hidden number", "spelling"),
    ],
)
def test_a_message_is_heard_from_the_point_it_names(point: ContactPoint, data: MessageReceived, heard: bool) -> None:
    assert (AT if heard else None) == wrote(point, data, "MX", AT).heard_at


def test_of_two_messages_the_later_says_what_the_platform_calls_the_point() -> None:
    first = said(wa_id="5215512345678", user_id=USER_ID)
    later = said(user_id="MX.55555")
    both: Identifiers = {"wa_id": "5215512345678", "user_id": "MX.55555"}
    an_hour = timedelta(hours=1)
    in_order = wrote(wrote(POINT, first, "MX", AT), later, "MX", AT + an_hour)
    late = wrote(wrote(POINT, later, "MX", AT + an_hour), first, "MX", AT)
    assert [(AT + an_hour, both)] * 2 == [(point.heard_at, point.identifiers) for point in (in_order, late)]


def test_a_message_shows_that_the_point_works() -> None:
    bounced = replace(POINT, health="soft_bounced", soft_bounces=(AT - timedelta(days=1),))
    assert "ok" == wrote(bounced, said(), "MX", AT).health
    assert "complained" == wrote(replace(POINT, health="complained"), said(), "MX", AT).health


def test_whatsapp_s_own_id_is_a_contact_point_where_the_number_is_hidden() -> None:
    known = read_address("whatsapp", f" {USER_ID} ", "ES")
    assert known is not None
    assert (USER_ID, "MX") == (known.text, known.country)
    for channel, text in (("sms", USER_ID), ("whatsapp", "MX.1"), ("whatsapp", "mx.13491208655"), ("whatsapp", "")):
        assert read_address(channel, text, "") is None


@pytest.mark.parametrize("address", [USER_ID, "nobody's number"], ids=["user id", "no number"])
def test_a_contact_point_without_a_number_says_nothing_of_the_zone_and_stops_nothing(address: str) -> None:
    data = {"contact_points": [{"channel": "whatsapp", "address": address}]}
    joined = event("member.enrolled", "ann", AT, data)
    content = shipped_content()
    known = apply_event(Member(id="ann", ref="r"), joined, content, lambda *_: "f").member
    assert "phone_prefix" != known.residence.zone_from
    assert [address] == [point.address for point in known.contact_points]


def test_identifiers_that_are_told_stay_with_the_point() -> None:
    content = shipped_content()

    def told(member: Member, minutes: int, **point: object) -> Member:
        points = [{"channel": "whatsapp", "address": NUMBER, **point}]
        given = event("member.updated", "ann", AT + timedelta(minutes=minutes), {"contact_points": points})
        return apply_event(member, given, content, lambda *_: "f").member

    known = told(Member(id="ann", ref="r"), 0, identifiers={"user_id": USER_ID})
    known = told(known, 1, identifiers={"wa_id": "5215512345678"})
    known = told(known, 2)
    assert [{"user_id": USER_ID, "wa_id": "5215512345678"}] == [point.identifiers for point in known.contact_points]
    assert USER_ID not in repr(known)
