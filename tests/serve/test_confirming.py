"""Double opt-in, from the request to the consent: the mail, its link, the button, and nothing before it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from msgspec.structs import replace

from orchestrator.events.inputs import Withdrawal
from orchestrator.links import Confirming, Links, read_confirming
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import World
from orchestrator.vault import Vault
from tests.kafka.workers import where_it_is_noon
from tests.serve.club import Club, club

__all__ = ["club"]

NOW = datetime.now(UTC).replace(microsecond=0)
ASKED = NOW - timedelta(minutes=30)


def asks(world: World, at: datetime, channel: str = "email") -> None:
    data = {
        "channel": channel,
        "wording": "club-v3",
        "method": "web form",
        "evidence": "form 1",
        "double_opt_in": True,
    }
    world.live(event("consent.granted", "ann", at, data), until=at.isoformat())


@pytest.fixture
def ann(club: Club) -> Club:
    """Ann, who agreed to nothing, and asked for e-mails half an hour ago; it is noon where she lives."""
    home = {"country": "GB", "region": "GB-LND", "zone": where_it_is_noon(NOW)}
    joins = enrolled("ann", ASKED - timedelta(days=1), consents=(), given_name="Ann", **home)
    club[0].live(joins, until=(ASKED - timedelta(hours=1)).isoformat())
    asks(club[0], ASKED)
    return club


def link_of(world: World, n: int = -1) -> str:
    """The path of the link in a message that asks for confirmation."""
    asking = [message for message in world.calls("ann") if message.journey == "confirm-consent"]
    found = re.findall(r"https://example\.com(/c/[\w-]+)", asking[n].text)
    assert 1 == len(found)
    assert found[0] in (asking[n].html or asking[n].text)
    return str(found[0])


def settle(world: World) -> None:
    world.live(until=(datetime.now(UTC) + timedelta(seconds=1)).isoformat())


def consent(world: World, key: str = "email/marketing") -> str:
    member = world.member("ann")
    assert member is not None
    stands = member.consents.get(key)
    return stands.state if stands is not None else "asked" if member.unconfirmed(key) else "none"


def test_from_the_request_to_the_consent(ann: Club) -> None:
    world, client = ann
    assert "asked" == consent(world)
    # nothing of marketing goes out before it
    world.live(purchase("ann", ASKED + timedelta(minutes=1)), until=(ASKED + timedelta(minutes=20)).isoformat())
    assert {"service"} == {message.purpose for message in world.calls("ann")}
    assert ("suppress", "consent_pending") in {row[1:] for row in world.decisions("ann", "thank-you")}
    shown = client.get(link_of(world))
    settle(world)
    assert (200, "asked") == (shown.status_code, consent(world)), "a scanner that follows the link confirms nothing"
    assert "<button" in shown.text
    for _ in range(2):
        done = client.post(link_of(world))
        assert (200, True) == (done.status_code, "Confirmed" in done.text)
        settle(world)
    member = world.member("ann")
    assert member is not None
    given = member.consents["email/marketing"]
    assert ("granted", "club-v3", ASKED, True) == (given.state, given.wording, given.asked_at, given.is_proven())
    confirmed = [row for row in world.log("ann", "consent") if row.state == "confirmed"]
    assert 1 == len(confirmed), "a second click changes nothing"
    assert "Confirmed" in client.post(link_of(world)).text
    later = datetime.now(UTC) + timedelta(days=2)
    world.live(purchase("ann", later), until=(later + timedelta(days=2)).isoformat())
    assert "marketing" in {message.purpose for message in world.calls("ann")}
    world.check()


def test_a_link_to_confirm_names_one_request_and_no_letter_may_change(vault: Vault) -> None:
    until = NOW + timedelta(days=7)
    token = Links(vault).confirm("ann", "sms", "marketing", NOW, until)
    assert Confirming(vault.member("ann"), "sms", "marketing", NOW, until) == read_confirming(vault, token)
    for i in range(len(token)):
        assert read_confirming(vault, token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :]) is None
    for other in (Links(vault).opt_out("ann", "sms", "marketing"), Links(vault).preferences("ann", NOW), "", "x"):
        assert read_confirming(vault, other) is None


def test_the_link_of_an_older_request_confirms_no_newer_one(ann: Club) -> None:
    world, client = ann
    older = link_of(world)
    asks(world, ASKED + timedelta(minutes=10))
    newer = link_of(world)
    assert older != newer
    assert (410, 410) == (client.get(older).status_code, client.post(older).status_code)
    settle(world)
    assert "asked" == consent(world)
    client.post(newer)
    settle(world)
    assert "granted" == consent(world)


def test_what_was_taken_back_is_confirmed_by_no_link(ann: Club) -> None:
    world, client = ann
    at = datetime.now(UTC)
    world.tell("ann", at.isoformat(), Withdrawal(channel="email", purpose="marketing", method="reply", occurred_at=at))
    settle(world)
    assert 410 == client.post(link_of(world)).status_code
    settle(world)
    assert "withdrawn" == consent(world)


def test_a_confirmation_in_time_counts_and_a_late_one_is_told_so(club: Club) -> None:
    world, client = club
    asked = datetime.now(UTC) - timedelta(days=7, minutes=1)
    joins = enrolled("ann", asked - timedelta(days=1), consents=(), given_name="Ann")
    world.live(joins, until=(asked - timedelta(hours=1)).isoformat())
    asks(world, asked)
    answer: httpx.Response = client.post(link_of(world))
    settle(world)
    assert (410, "asked") == (answer.status_code, consent(world))


def test_one_channel_is_confirmed_and_no_other(ann: Club) -> None:
    world, client = ann
    asks(world, ASKED + timedelta(minutes=5), "sms")
    calls = [message for message in world.calls("ann") if message.channel == "sms"]
    assert 1 == len(calls)
    path = re.findall(r"https://example\.com(/c/[\w-]+)", calls[0].text)[0]
    client.post(path)
    settle(world)
    assert ("granted", "asked") == (consent(world, "sms/marketing"), consent(world))


def test_no_message_asks_where_there_is_no_link_to_give(ann: Club) -> None:
    """Without `public_url` the text is not sent, instead of one that nobody can answer."""
    world, _ = ann
    bare = World(world.store, world.vault, replace(world.content, public_url=""))
    asks(bare, ASKED + timedelta(minutes=5), "sms")
    assert ("confirm-by-sms", "suppress", "content_error") in bare.decisions("ann", "confirm-consent")
    assert [] == bare.calls("ann")


def test_a_link_sent_to_an_id_that_is_an_alias_by_now_confirms_for_the_person(ann: Club) -> None:
    world, client = ann
    merged = event("member.merged", "ann", ASKED + timedelta(minutes=5), {"into": "cid"})
    joins = enrolled("cid", ASKED - timedelta(days=1), consents=())
    world.live(joins, merged, until=(ASKED + timedelta(minutes=10)).isoformat())
    assert 200 == client.post(link_of(world)).status_code
    settle(world)
    member = world.member("cid")
    assert member is not None
    assert "granted" == member.consents["email/marketing"].state
    world.check()
