"""`orchestrator data-quality`: who can be reached, why others can't, what members lack; in one pass over members."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.engine import Engine
from typer.testing import CliRunner

from orchestrator import records as module
from orchestrator import starter
from orchestrator.cli.app import app
from orchestrator.contact_log.sentences import REASONS
from orchestrator.data_quality import CURES, PARTS, Quality, data_quality
from orchestrator.events.envelope import Event
from orchestrator.events.inputs import Command, Receipt
from orchestrator.stores.contract import Store
from orchestrator.stores.memory import MemoryStore
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.builders import enrolled, event, purchase
from orchestrator.testing.world import World, lines, shipped_content
from orchestrator.vault import KeyFile, Vault

NOON = "2026-03-02T17:00:00Z"
LATER = datetime(2026, 3, 20, 3, tzinfo=UTC)  # in the quiet hours of New York
PROOF = {"wording": "w1", "method": "form", "evidence": "form 1"}


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault(KeyFile.create(tmp_path_factory.mktemp("keys") / "key", datetime(2026, 1, 1, tzinfo=UTC)))


def found(world: World, at: datetime = LATER) -> Quality:
    return data_quality(world.store, world.vault, world.content, at)


def reach(quality: Quality, channel: str, purpose: str = "marketing") -> tuple[int, dict[str, int]]:
    (row,) = [row for row in quality.reach if (row.channel, row.purpose) == (channel, purpose)]
    return row.reachable, {why.reason: why.members for why in row.others}


def test_each_member_stands_once_under_what_keeps_them_from_being_reached(vault: Vault) -> None:
    world = World(MemoryStore(3), vault, shipped_content())
    spain = {"country": "ES", "zone": "Europe/Madrid", "locale": "es"}
    world.live(
        enrolled("ana", NOON),
        enrolled("bea", NOON, channels=("email",), consents=()),
        enrolled("cleo", NOON, channels=("sms",), consents=("email",)),
        enrolled("dan", NOON),
        enrolled("eva", NOON, consents=()),
        enrolled("fay", NOON),
        event("consent.granted", "eva", NOON, {"channel": "email", **PROOF, "double_opt_in": True}),
        event("consent.withdrawn", "dan", "2026-03-02T17:10:00Z", {"channel": "email", "method": "link"}),
        event("member.cancelled", "fay", "2026-03-02T17:10:00Z"),
        event("member.enrolled", "gil", NOON, {
            **spain,
            "contact_points": [{"channel": "sms", "address": "+34910123456"}, {"channel": "email", "address": "no"*3}],
            "consents": [{"channel": "sms", **PROOF}, {"channel": "email", **PROOF}],
        }),
        dispatch=False,
    )  # fmt: skip
    quality = found(world)
    assert (7, 6, 0) == (quality.members, quality.enrolled, quality.unreadable)
    assert (
        1,
        {
            "consent_pending": 1,
            "consent_withdrawn": 1,
            "contact_point_unhealthy": 1,
            "membership_ended": 1,
            "no_consent": 1,
            "no_contact_point": 1,
        },
    ) == reach(quality, "email")
    # of SMS: ana, dan; quiet hours and caps are no reason
    assert 2 == reach(quality, "sms")[0]
    assert 1 == reach(quality, "sms")[1]["contact_point_unfit"]
    for row in quality.reach:
        assert 7 == row.reachable + sum(why.members for why in row.others)
        assert [] == [why for why in row.others if not why.because or not why.cure]


def test_a_bounce_an_order_and_an_erasure_are_seen(vault: Vault) -> None:
    world = World(MemoryStore(3), vault, shipped_content())
    world.live(*[enrolled(name, NOON) for name in ("ana", "bea", "cleo", "dan")])
    at = datetime.fromisoformat("2026-03-02T18:00:00Z")
    (touch,) = world.touches("ana")
    world.tell("ana", "2026-03-02T18:00:00Z", Receipt(touch_id=touch.touch_id, state="bounced", occurred_at=at))
    world.tell("bea", "2026-03-02T18:00:00Z", Command(verb="suppress", actor="operator", arguments={}))
    world.tell("cleo", "2026-03-02T18:00:00Z", Command(verb="erase", actor="operator"))
    world.live(until="2026-03-03T00:00:00Z")
    quality = found(world)
    assert (3, 1) == (quality.members, reach(quality, "email")[0])
    assert {"contact_point_unhealthy": 1, "suppressed": 1} == reach(quality, "email")[1]
    assert [("email", "hard_bounced", 1)] == [
        (row.channel, row.what, row.points) for row in quality.points if row.what == "hard_bounced"
    ]


def test_what_journeys_ask_for_and_enrolled_members_lack_is_counted(vault: Vault) -> None:
    world = World(MemoryStore(3), vault, shipped_content())
    world.live(
        enrolled("ana", NOON, given_name="Ana"),
        enrolled("bea", NOON),
        enrolled("cleo", NOON),
        event("member.cancelled", "cleo", "2026-03-02T17:10:00Z"),
        dispatch=False,
    )
    lacking = {(row.journey, row.field): row.members for row in found(world).lacking}
    assert 1 == lacking["welcome", "member.given_name"]
    assert [] == [key for key, n in lacking.items() if n < 1 or not key[1].startswith("member.")]


def test_points_that_several_members_hold_and_desks_addresses_are_counted(vault: Vault) -> None:
    world = World(MemoryStore(3), vault, shipped_content())
    shared = {"contact_points": [{"channel": "email", "address": "info@example.com"}], "country": "ES"}
    world.live(*[event("member.enrolled", name, NOON, shared) for name in ("a", "b", "c")], dispatch=False)
    world.live(enrolled("ana", NOON), dispatch=False)
    points = {(row.channel, row.what): (row.points, row.members) for row in found(world).points}
    assert {("email", "role"): (3, 3), ("email", "shared"): (1, 3)} == points


def test_every_reason_that_keeps_somebody_out_for_good_names_its_cure() -> None:
    passing = {"registry_listed", "registry_unknown", "frequency_cap", "law_cap", "minimum_gap", "member_limit"}
    of_intents = {"stale", "expired", "content_error", "exited", "journey_limit", "erased", "dispatch_window_closed"}
    of_intents |= {"provider_unavailable", "voucher_none_left"}
    of_journeys = {
        "merged",
        "not_approved",
        "holdout",
        "goal_reached",
        "stopped",
        "step_gone",
        "date_missing",
        "channel_refused",
    }
    passing |= {"conversation_closed", "topic_declined"}
    assert set(REASONS) - set(CURES) <= passing | of_intents | of_journeys
    assert set(CURES) <= set(REASONS)


# --- cost


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path}/store.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    opened = SqlStore.open(url, 3)
    yield opened
    opened.close()


def members(n: int, start: int = 0) -> list[Event]:
    return [enrolled(f"member-{i}", NOON) for i in range(start, start + n)]


def statements(work: Callable[[], object]) -> list[str]:
    """What a store was asked: SQLite through SQLAlchemy, PostgreSQL by the driver, whoever calls it."""
    seen: list[str] = []
    execute = psycopg.Cursor.execute

    def note(statement: str) -> None:
        if statement.lstrip().startswith("SELECT"):
            seen.append(statement)

    def of_sqlite(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if connection.dialect.name == "sqlite":
            note(statement)

    def of_postgres(cursor: psycopg.Cursor[Any], query: str | bytes, *arguments: Any, **named: Any) -> Any:
        note(query.decode() if isinstance(query, bytes) else str(query))
        return execute(cursor, query, *arguments, **named)  # type: ignore[arg-type]  # as it was given

    sqlalchemy_event.listen(Engine, "before_cursor_execute", of_sqlite)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", of_postgres)
        try:
            work()
        finally:
            sqlalchemy_event.remove(Engine, "before_cursor_execute", of_sqlite)
    assert seen
    return seen


def test_its_cost_goes_with_the_members_and_not_with_what_they_lived(
    store: Store, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One statement more for each page of members; no table of history is read, however much is in it."""
    monkeypatch.setattr(module, "PAGE", 10)
    world = World(store, vault, shipped_content())
    world.live(*members(30), dispatch=False)
    few = statements(lambda: found(world))
    world.live(
        *[purchase(f"member-{i}", f"2026-03-{day:02}T17:00:00Z") for day in range(4, 10) for i in range(30)],
        dispatch=False,
    )
    assert few == statements(lambda: found(world))
    world.live(*members(30, start=30), dispatch=False)
    more = statements(lambda: found(world))
    of_keys = [statement for statement in more if "keys" in statement]
    assert (3, 6) == (len(more) - len(few), len(of_keys))
    assert [] == [each for each in more if any(table in each for table in ("journal", "contact_log", "touches"))]
    assert 60 == found(world).members


def test_progress_ends_at_the_end(vault: Vault) -> None:
    world = World(MemoryStore(3), vault, shipped_content())
    told: list[int] = []
    data_quality(world.store, vault, world.content, LATER, told.append)
    assert PARTS == sum(told)
    world.live(*members(20), dispatch=False)
    told.clear()
    data_quality(world.store, vault, world.content, LATER, told.append)
    assert (PARTS, True) == (sum(told), all(moved >= 0 for moved in told))


# --- the verb


def test_the_verb_shows_tables_and_json_without_anybodys_address(tmp_path: Path) -> None:
    folder = tmp_path / "club"
    starter.create(folder)
    world = lines(tmp_path / "events.jsonl", [enrolled("ana", NOON), enrolled("bea", NOON, consents=())])
    call = CliRunner().invoke
    ran = call(app, ["--project", str(folder), "run", str(world), "--clock", "events"])
    assert 0 == ran.exit_code, ran.output
    shown = call(app, ["--project", str(folder), "data-quality"])
    assert 0 == shown.exit_code, shown.output
    for words in (
        "2 members, 2 of them enrolled",
        "Can be reached",
        "the member never consented to it",
        "ask for consent",
    ):
        assert words in shown.output
    told = call(app, ["--project", str(folder), "--json", "data-quality"])
    email = next(
        row for row in json.loads(told.output)["reach"] if (row["channel"], row["purpose"]) == ("email", "marketing")
    )
    assert (1, "no_consent", 1) == (email["reachable"], email["others"][0]["reason"], email["others"][0]["members"])
    assert "example.com" not in shown.output.replace("https://example.com", "") + told.output
    shutil.rmtree(folder)
