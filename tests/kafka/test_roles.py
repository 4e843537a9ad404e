"""Each kind of work under a login that may do no more, over encrypted connections to a broker that asks for one.

A worker decides as `owner`, one sends as `inbox_writer`, one tells as `relay`; orders are given as `inbox_writer`, and
read is as `reader`. The tests tell one story, in order, so that processes are started once.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any

import httpx
import pytest

from orchestrator.events.envelope import Event
from orchestrator.stores.sql.postgres.grants import RIGHTS, grant
from orchestrator.stores.sql.store import SqlStore
from orchestrator.testing.builders import enrolled
from tests.detector import found_in
from tests.kafka.workers import Town, until, where_it_is_noon
from tests.servers import PASSWORD, USER, Kafka, Postgres, free_ports

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

PARTITIONS = 4
NOW = datetime.now(UTC)
MEMBERS = [f"member-{n}" for n in range(12)]
LATE = [f"late-{n}" for n in range(6)]
NEWEST = [f"newest-{n}" for n in range(6)]
STOPPED = LATE[0]
GREETED = len(MEMBERS) + len(LATE) - 1 + len(NEWEST)
SECRET = {"ORCHESTRATOR_KAFKA_PASSWORD": PASSWORD}


def joined(members: list[str]) -> list[Event]:
    """They get a greeting at once: it is noon where they live."""
    where = {"zone": where_it_is_noon(NOW), "country": "GB", "region": "GB-LND"}
    by_email = {"channels": ("email",), "consents": ("email",)}
    return [enrolled(member, NOW - timedelta(hours=2), **by_email, **where) for member in members]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> Iterator[str]:
    """A database with roles of its own and a login for each."""
    url, prefix = postgres.fresh_database(), f"r{uuid.uuid4().hex[:8]}"
    SqlStore.open(url, PARTITIONS).close()
    grant(url, prefix)
    for role in RIGHTS:
        postgres.run(f"CREATE ROLE {prefix}_{role}_login LOGIN IN ROLE {prefix}_{role}")
    yield url.replace("postgres@", f"{prefix}_ROLE_login@")
    postgres.drop(url)
    for role in RIGHTS:
        for name in (f"{prefix}_{role}_login", f"{prefix}_{role}"):
            postgres.run(f"DROP ROLE {name}")


@pytest.fixture(scope="module")
def town(url: str, kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    secure = {
        "bootstrap": kafka.address("LOGIN"),
        "security": "sasl_tls",
        "ca_file": str(kafka.certificates / "ca.pem"),
        "user": USER,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORCHESTRATOR_KAFKA_PASSWORD", PASSWORD)
        town = Town(tmp_path_factory.mktemp("roles") / "project", kafka, as_role(url, "reader"), PARTITIONS, **secure)
        yield town
        town.close()


def as_role(url: str, role: str) -> str:
    return url.replace("ROLE", role)


def calls(town: Town) -> int:
    index = town.folder / "captured" / "index.jsonl"
    return len(index.read_text(encoding="utf-8").splitlines()) if index.exists() else 0


def waiting(town: Town) -> int:
    return len(list(town.store.touches(state="reserved")))


@pytest.fixture(scope="module")
def story(town: Town, url: str) -> dict[str, Any]:
    """What the commands answered on the way."""

    def order(*words: str) -> tuple[int, Any]:
        return town.command(*words, ORCHESTRATOR_STORE_URL=as_role(url, "inbox_writer"))

    logins = {"decide": "owner", "dispatch": "inbox_writer", "relay": "relay"}
    figures = {role: f"127.0.0.1:{port}" for role, port in zip(logins, free_ports(len(logins)), strict=True)}
    workers = [
        town.worker(
            role,
            ORCHESTRATOR_STORE_URL=as_role(url, login),
            ORCHESTRATOR_METRICS_LISTEN=figures[role],
            **SECRET,
        )
        for role, login in logins.items()
    ]
    town.send(joined(MEMBERS))
    until(lambda: calls(town) == len(MEMBERS) and town.settled(), "everybody was greeted", workers=workers)
    answers = {"off": order("switch", "off", "channel:email", "--actor", "carol")}
    town.send(joined(LATE))
    until(lambda: waiting(town) == len(LATE), "the others were decided on", workers=workers)
    answers["suppress"] = order("suppress", STOPPED, "--actor", "carol")
    answers["while off"] = (calls(town), waiting(town))
    answers["on"] = order("switch", "on", "channel:email", "--actor", "carol")
    until(town.settled, "what waited was sent", workers=workers)
    greeting = town.folder / "templates" / "welcome" / "journey.yaml"
    greeting.write_text(f"# of today\n{greeting.read_text(encoding='utf-8')}", encoding="utf-8")
    answers["activate"] = order("content", "activate", "--actor", "carol")
    town.send(joined(NEWEST))
    until(lambda: calls(town) == GREETED and town.settled(), "the newest were greeted", workers=workers)
    answers |= {
        "explain": town.command("explain", STOPPED),
        "log": town.command("log", "show", "--kind", "operator", "--limit", "100"),
        "verify": town.command("log", "verify"),
        "lag": town.command("lag"),
    }
    answers["figures"] = {role: httpx.get(f"http://{address}/metrics").text for role, address in figures.items()}
    answers["left"] = [worker.end() for worker in workers]
    return answers


def test_each_role_does_its_work_under_its_own_login(town: Town, story: dict[str, Any]) -> None:
    assert [0, 0, 0] == story["left"]
    assert {"accepted"} == {touch.state for touch in town.store.touches() if touch.attempts}
    assert GREETED == calls(town)


def test_workers_decide_by_a_revision_from_the_moment_that_it_is_activated_beside_them(
    town: Town, story: dict[str, Any]
) -> None:
    code, done = story["activate"]
    assert (0, True, "carol") == (code, done["done"], done["actor"])
    assert [("journey", "welcome", "comments or layout alone")] == [
        (each["kind"], each["name"], each["what"]) for each in done["changes"]
    ]
    by = {
        town.project.vault.member(name): {row.revision for row in town.store.log(ref=row.ref)}
        for name in (*LATE, *NEWEST)
        if (row := town.store.member(town.project.vault.member(name)))
    }
    assert {done["before"]} == set().union(*(by[town.project.vault.member(name)] for name in LATE))
    assert {done["revision"]} == set().union(*(by[town.project.vault.member(name)] for name in NEWEST))
    given = [row for row in town.store.log() if row.reason == "activate" and row.revision == done["revision"]]
    assert [("carol", PARTITIONS)] == [
        (name, len(list(rows))) for name, rows in groupby(given, lambda row: json.loads(row.trail)["actor"])
    ]


def test_nothing_is_called_while_a_switch_is_off_on_whatever_worker(story: dict[str, Any]) -> None:
    assert 0 == story["off"][0] == story["on"][0]
    assert (len(MEMBERS), len(LATE) - 1) == story["while off"]


def test_who_is_suppressed_is_not_called_and_what_waited_was_cancelled_at_once(
    town: Town, story: dict[str, Any]
) -> None:
    code, done = story["suppress"]
    (theirs,) = town.store.touches(member=town.project.vault.member(STOPPED))
    assert (0, [theirs.touch_id]) == (code, done["cancelled"])
    assert ("cancelled", 0) == (theirs.state, theirs.attempts)


def test_orders_are_in_the_log_with_their_actor_and_explained(story: dict[str, Any]) -> None:
    code, shown = story["log"]
    given = [(entry["reason"], entry["trail"]["actor"]) for entry in shown["entries"] if entry["reason"] != "activate"]
    assert 0 == code
    assert {("switch", "carol"): 2 * PARTITIONS, ("suppress", "carol"): 1} == {
        each: given.count(each) for each in given
    }
    code, told = story["explain"]
    assert 0 == code
    assert "actor carol" in str(told)


def test_who_may_read_sees_the_log_verify_and_the_lag(story: dict[str, Any]) -> None:
    assert (0, 0) == (story["verify"][0], story["lag"][0])
    assert 0 == story["lag"][1]["lag"]
    accounts = {each["account"]: (each["breaker"], each["calling"]) for each in story["lag"][1]["accounts"]}
    assert {("closed", 0)} == set(accounts.values())


def test_each_worker_tells_figures_within_its_rights(story: dict[str, Any]) -> None:
    figures = story["figures"]
    decides = figures["decide"]
    assert ["1.0", "1.0"] == re.findall(r"(?m)^orchestrator_(?:store|log)_up (.*)$", decides)
    assert ["0.0"] * PARTITIONS == re.findall(r"(?m)^orchestrator_lag_records{.*} (.*)$", decides)
    assert re.search(r"(?m)^orchestrator_decisions_total{.*send.*} [1-9]", decides)
    assert re.search(r'(?m)^orchestrator_calls_total{.*"accepted".*} [1-9]', figures["dispatch"])
    assert "_up 0" not in "".join(figures.values())
    assert [] == found_in("".join(figures.values()))


def test_who_may_not_decide_is_told_what_right_is_missing(town: Town, url: str) -> None:
    wrong = town.worker("decide", ORCHESTRATOR_STORE_URL=as_role(url, "reader"), **SECRET)
    assert 3 == wrong.exit_code()
    assert "orchestrator store grants" in wrong.log.read_text(encoding="utf-8")


def test_no_password_is_in_any_log(town: Town, story: dict[str, Any]) -> None:
    for worker in town.workers:
        assert PASSWORD not in worker.log.read_text(encoding="utf-8")
