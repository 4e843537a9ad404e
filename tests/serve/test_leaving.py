"""Opting out by a link: who pressed it is written to no more, whatever waits; who only opened it is not taken out."""

from __future__ import annotations

import asyncio
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace

from orchestrator.channels.contract import Answer, Message
from orchestrator.clocks import elapsed, wall_clock
from orchestrator.decide.content import Content
from orchestrator.dispatch.dispatcher import Dispatcher
from orchestrator.events.partition import partition_of
from orchestrator.links import OptOut, opt_out_token, read_opt_out
from orchestrator.outbox_body import write_body
from orchestrator.settings import DispatchSettings, Settings
from orchestrator.stores.contract import Changes, Clock, KeyRow, MemberRow, Store, TouchRow
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import Ledger, World, shipped_content
from orchestrator.vault import Vault
from tests.serve.inside import inside

PARTITIONS = 2
SETTINGS = replace(Settings(), programme="Círculo <Uno>", public_url="https://club.example.com")


@pytest.fixture(scope="module")
def content() -> Content:
    return shipped_content()


@pytest.fixture
def world(vault: Vault, content: Content, empty: Path, tmp_path: Path) -> Iterator[World]:
    shutil.copy(empty, tmp_path / "store.db")
    store = SqlStore.open(f"sqlite:///{tmp_path}/store.db", PARTITIONS)
    yield World(store, vault, content)
    store.close()


@pytest.fixture
def club(world: World) -> Iterator[tuple[World, httpx.Client]]:
    world.live(enrolled("ann", "2026-11-20T15:00:00Z"), dispatch=False)
    with inside(SETTINGS, world.store, world.vault) as client:
        yield world, client


def way_out(vault: Vault, member: str, channel: str = "email") -> str:
    return f"/u/{opt_out_token(vault, member, channel, 'marketing')}"


def stands(world: World) -> set[tuple[str, str]]:
    return {(row.channel, row.purpose) for row in world.store.suppressions()}


# --- the token


def test_a_token_names_member_and_stream_and_no_letter_of_it_may_change(vault: Vault) -> None:
    token = opt_out_token(vault, "ann@example.com", "sms", "marketing")
    assert OptOut(vault.member("ann@example.com"), "sms", "marketing") == read_opt_out(vault, token)
    assert (36, False) == (len(token), "ann" in token)
    for i in range(len(token)):
        assert read_opt_out(vault, token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1 :]) is None
    for wrong in (
        "",
        token[:-1],
        token + "A",
        token + "=",
        f" {token}",
        "é" * 36,
        vault.token("preferences", b"x" * 17),
    ):
        assert read_opt_out(vault, wrong) is None


def test_the_header_that_holds_the_link_is_never_folded(vault: Vault) -> None:
    uri = f"<https://news.some-loyalty-club.com{way_out(vault, 'x' * 200)}>"
    assert len(uri) <= 76


def test_the_link_of_a_real_message_is_one_that_opens(club: tuple[World, httpx.Client]) -> None:
    world, client = club
    world.live(purchase("ann", "2026-11-20T16:00:00Z"), until="2026-11-21T20:00:00Z")
    sent = [message for message in world.calls("ann") if message.purpose == "marketing"]
    assert sent, "ann is written to"
    for message in sent:
        answer = client.get(message.unsubscribe.removeprefix("https://example.com"))
        assert (200, True) == (answer.status_code, message.unsubscribe in (message.html or message.text))


# --- the page and the one click


def test_opening_the_link_changes_nothing_and_shows_a_page_with_buttons(club: tuple[World, httpx.Client]) -> None:
    world, client = club
    answer = client.get(way_out(world.vault, "ann"), headers={"Accept-Language": "es-CO,es;q=0.9"})
    assert (200, set()) == (answer.status_code, stands(world))
    assert '<html lang="es">' in answer.text
    assert "Círculo &lt;Uno&gt;" in answer.text
    assert 'value="all"' in answer.text
    assert "ann@example.com" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert ("no-store", "no-referrer") == (answer.headers["cache-control"], answer.headers["referrer-policy"])


@pytest.mark.parametrize(
    "sent",
    [
        {"content": b"List-Unsubscribe=One-Click", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
        {"content": b""},
    ],
    ids=["form", "multipart", "nothing"],
)
def test_one_click_takes_back_the_stream_of_the_token_as_often_as_it_is_sent(
    club: tuple[World, httpx.Client], sent: dict[str, object]
) -> None:
    world, client = club
    for _ in range(2):
        answer = client.post(way_out(world.vault, "ann"), follow_redirects=False, **sent)  # type: ignore[arg-type]
        assert 200 == answer.status_code
    assert {("email", "marketing")} == stands(world)
    world.live(until="2026-12-31T00:00:00Z")
    member = world.member("ann")
    assert member is not None
    assert ("withdrawn", "one_click") == (
        member.consents["email/marketing"].state,
        member.consents["email/marketing"].method,
    )
    assert "granted" == member.consents["sms/marketing"].state
    world.check()


def test_all_advertising_can_be_stopped_on_the_page(club: tuple[World, httpx.Client]) -> None:
    world, client = club
    assert 200 == client.post(way_out(world.vault, "ann"), data={"scope": "all"}).status_code
    assert {("email", "marketing"), ("sms", "marketing"), ("whatsapp", "marketing")} <= stands(world)
    world.live(until="2026-12-31T00:00:00Z")
    member = world.member("ann")
    assert member is not None
    assert {"withdrawn"} == {consent.state for consent in member.consents.values()}


@pytest.mark.parametrize("new", ["dan", "cid"], ids=["elsewhere", "beside"])
def test_a_link_sent_to_an_id_that_is_an_alias_by_now_takes_the_person_out_at_once(
    club: tuple[World, httpx.Client], new: str
) -> None:
    world, client = club
    assert (partition_of(new, PARTITIONS) == partition_of("ann", PARTITIONS)) == (new == "cid")
    merged = event("member.merged", "ann", "2026-11-20T15:10:00Z", {"into": new})
    world.live(enrolled(new, "2026-11-20T15:00:00Z"), merged, dispatch=False)
    assert ["reserved"] == [touch.state for touch in world.touches(new)]
    assert 200 == client.post(way_out(world.vault, "ann")).status_code
    assert ["cancelled"] == [touch.state for touch in world.touches(new)]
    world.live(until="2026-12-31T00:00:00Z")
    member = world.member(new)
    assert member is not None
    assert "withdrawn" == member.consents["email/marketing"].state
    world.check()


def test_a_token_that_is_none_is_404_and_can_t_be_tried_by_the_thousand(club: tuple[World, httpx.Client]) -> None:
    world, client = club
    answers = [client.post(f"/u/{'A' * 36}") for _ in range(15)]
    assert {404, 429} == {answer.status_code for answer in answers}
    assert 200 == client.post(way_out(world.vault, "ann")).status_code, "who has a true one is let through"


def test_a_later_consent_of_the_member_s_own_lets_them_be_written_to_again(club: tuple[World, httpx.Client]) -> None:
    world, client = club
    client.post(way_out(world.vault, "ann"))
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    world.live(enrolled("ann", later))
    assert set() == stands(world)


# --- whatever the backlog


def backlog(store: Store, vault: Vault, members: int) -> dict[str, str]:
    """`members` members with three touches each that wait to be called; touch id -> member."""
    held = store.take([0])[0]
    rows: dict[str, str] = {}
    people, keys, touches = [], [], []
    now = wall_clock()
    for n in range(members):
        name = f"member-{n}"
        ref, wrapped, sealer = vault.new_key()
        people.append(MemberRow(0, vault.member(name), ref, sealer.seal(b"{}"), erased=False))
        keys.append(KeyRow(ref, wrapped))
        for i in range(3):
            touch = f"touch-{n}-{i}"
            rows[touch] = name
            message = Message(
                touch_id=touch,
                channel="email",
                to=f"{name}@example.com",
                purpose="marketing",
                journey="welcome",
                locale="en",
            )
            touches.append(
                TouchRow(
                    *(touch, 0, vault.member(name), ref, touch, "welcome", "email", "marketing"),
                    *(
                        vault.fingerprint("email", message.to),
                        2,
                        now,
                        now + 3_600_000_000,
                        "reserved",
                        "",
                        0,
                        0,
                        0,
                        0,
                        "",
                    ),
                    sealer.seal(write_body(message)),
                )
            )
    with store.batch([held]) as batch:
        batch.write(Changes(progress=[(held, held._replace(turn=1))], members=people, keys=keys, reserved=touches))
    return rows


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_no_attempt_starts_after_the_answer_whatever_waits(
    kind: str, request: pytest.FixtureRequest, vault: Vault, tmp_path: Path
) -> None:
    """Two real dispatchers empty a backlog while a third of its members leave by one click, over HTTP."""
    url = f"sqlite:///{tmp_path}/race.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    store = SqlStore.open(url, PARTITIONS)
    whose = backlog(store, vault, 150)
    called: list[tuple[str, int]] = []

    class Slow(Ledger):
        async def send(self, message: Message) -> Answer:
            called.append((message.touch_id, wall_clock()))
            await asyncio.sleep(0.01)
            return Answer(kind="accepted")

    ended = threading.Event()

    def dispatch() -> None:
        async def run() -> None:
            dispatcher = Dispatcher(
                store,
                {"email": Slow("email")},
                lambda touch: Message(
                    touch_id=touch.touch_id,
                    channel="email",
                    to="x@example.com",
                    purpose="marketing",
                    journey="w",
                    locale="en",
                ),
                lambda _touch, _at: None,
                DispatchSettings(),
                lambda: secrets.token_hex(8),
                elapsed=elapsed,
            )
            while not ended.is_set():
                await dispatcher.round(Clock.store)
            await dispatcher.finish(Clock.store)

        asyncio.run(run())

    answered: dict[str, int] = {}
    with inside(SETTINGS, store, vault) as client, ThreadPoolExecutor(8) as pool:
        dispatchers = [threading.Thread(target=dispatch) for _ in range(2)]
        for thread in dispatchers:
            thread.start()

        def leave(name: str) -> None:
            assert 200 == client.post(way_out(vault, name), content=b"List-Unsubscribe=One-Click").status_code
            answered[name] = wall_clock()

        list(pool.map(leave, [f"member-{n}" for n in range(149, 99, -1)]))
        deadline = time.monotonic() + 120
        while any(touch.state in ("reserved", "claimed", "attempting") for touch in store.touches()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        ended.set()
        for thread in dispatchers:
            thread.join()
    touches = {touch.touch_id: touch for touch in store.touches()}
    store.close()
    # an attempt goes on record just before its call: of one that began in time the call may be a moment later
    late = [touch for touch, _ in called if touches[touch].attempted_at > answered.get(whose[touch], 1 << 62)]
    begun = [touch for touch, row in touches.items() if row.attempted_at > answered.get(whose[touch], 1 << 62)]
    assert ([], []) == (late, begun)
    assert 300 == sum(touches[touch].state == "accepted" for touch in touches if whose[touch] not in answered)
    spared = [touch for touch, row in touches.items() if row.state == "cancelled"]
    assert spared, "some had not been called yet when they left, or this shows nothing"
    assert {whose[touch] for touch in spared} <= answered.keys()
