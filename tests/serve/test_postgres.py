"""Members' pages and providers' requests on PostgreSQL, under a login that may do that and no more."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import httpx
import pytest
from msgspec.structs import replace

from orchestrator.channels.twilio_api.webhooks import INBOUND, STATUS
from orchestrator.content import locate
from orchestrator.content.topics import load_topics
from orchestrator.links import opt_out_token
from orchestrator.stores.sql.postgres.grants import grant
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import World, shipped_content
from orchestrator.vault import Vault
from tests.serve.club import SETTINGS, Club, own_page, stand
from tests.serve.inside import inside
from tests.servers import Postgres

PARTITIONS, TOKEN = 2, "0123456789abcdef0123456789abcdef"


@pytest.fixture
def club(postgres: Postgres, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> Iterator[Club]:
    """A world that its owner turns, and a client of a server that is none."""
    monkeypatch.setenv("ORCHESTRATOR_TWILIO_AUTH_TOKEN", TOKEN)
    url, prefix = postgres.fresh_database(), f"s{uuid.uuid4().hex[:8]}"
    owner = SqlStore.open(url, PARTITIONS)
    grant(url, prefix)
    postgres.run(f"CREATE ROLE {prefix}_login LOGIN IN ROLE {prefix}_server")
    serving = SqlStore.open(url.replace("postgres@", f"{prefix}_login@"), PARTITIONS)
    dispatch = replace(SETTINGS.dispatch, adapters={"sms": "twilio"})
    topics = load_topics(locate.shipped("templates"))
    with inside(replace(SETTINGS, dispatch=dispatch), serving, vault, topics=topics) as client:
        yield World(owner, vault, shipped_content()), client
    serving.close()
    owner.close()
    postgres.drop(url)
    for name in (
        f"{prefix}_login",
        *(f"{prefix}_{role}" for role in ("owner", "inbox_writer", "server", "relay", "reader")),
    ):
        postgres.run(f"DROP ROLE {name}")


def twilio(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    text = SETTINGS.public_url + path + "".join(f"{name}{fields[name]}" for name in sorted(fields))
    mac = base64.b64encode(hmac.new(TOKEN.encode(), text.encode(), hashlib.sha1).digest()).decode()
    headers = {"X-Twilio-Signature": mac, "Content-Type": "application/x-www-form-urlencoded"}
    return client.post(path, content=urlencode(fields).encode(), headers=headers)


def test_everything_that_members_and_providers_do_is_within_the_rights_of_its_login(club: Club) -> None:
    world, client = club
    then = datetime.now(UTC) - timedelta(days=2)
    asked = {"channel": "email", "wording": "w", "method": "form", "evidence": "f", "double_opt_in": True}
    world.live(enrolled("ann", then, locale="en"), purchase("ann", then + timedelta(minutes=1)))
    world.live(event("consent.granted", "ann", then + timedelta(hours=1), asked))
    mails = [message for message in world.calls("ann") if message.channel == "email"]
    page = own_page(world.vault, "ann")
    shown = {"shown": "email sms", "topics": "acquisition retention"}
    confirm = re.findall(r"https://example\.com(/c/[\w-]+)", " ".join(mail.text for mail in mails))
    assert 200 == client.get("/health/ready").status_code
    for path in (page, *confirm):
        assert 200 == client.get(path).status_code
    # a page each of wishes and contact data, the two ways out, a confirmation
    assert [200, 200, 200] == [
        client.post(page, data={**shown, "channel": ["sms"], "pause": "7", "topic": "acquisition"}).status_code,
        client.post(page, data={"do": "contact", "email": "ann@example.org"}).status_code,
        client.post(f"/u/{opt_out_token(world.vault, 'ann', 'sms', 'marketing')}").status_code,
    ]
    assert [200] * len(confirm) == [client.post(path).status_code for path in confirm]
    touch = world.touches("ann")[0].touch_id
    member = world.member("ann")
    assert member is not None
    number = next(point.address for point in member.contact_points if point.channel == "sms")
    answers = [
        twilio(client, f"{STATUS}?touch={touch}", MessageSid="SM1", MessageStatus="delivered"),
        twilio(client, INBOUND, MessageSid="SM2", From=number, Body="hello"),
        twilio(client, INBOUND, MessageSid="SM2", From=number, Body="hello"),
        twilio(client, INBOUND, MessageSid="SM3", From=number, Body="STOP"),
        client.post(page, data={"do": "leave"}),
    ]
    assert [200] * 5 == [answer.status_code for answer in answers]
    assert ("sms", "marketing") in stand(world)
    world.live(until=(datetime.now(UTC) + timedelta(minutes=1)).isoformat())
    member = world.member("ann")
    assert member is not None
    assert ({"email"}, "retention" in member.preferences.topics_off) == (set(member.requested), True)
    assert "withdrawn" == member.consents["email/marketing"].state
    assert {"heard"} <= {row.state for row in world.log("ann", "contact_point")}
    world.check()
