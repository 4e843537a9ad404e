"""Events by HTTP, into the engine of the same process: what is answered is what is so, and a repeat changes nothing."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.contact_log.reconcile import reconcile
from orchestrator.contact_log.verify import verify
from orchestrator.events.envelope import write_event
from orchestrator.project import open_project
from orchestrator.testing.builders import enrolled, event, purchase
from tests.own_types import declare
from tests.serve.serving import Serving, project, serving

ONE, BATCH = {"Content-Type": "application/cloudevents+json"}, {"Content-Type": "application/cloudevents-batch+json"}
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder, key = project(tmp_path_factory.mktemp("served") / "club")
    declare(folder, "stay.booked")
    with serving(folder, key) as running:
        yield running


def joins(name: str) -> bytes:
    return write_event(enrolled(name, NOW - timedelta(minutes=1)))


def total(server: Serving, name: str) -> int:
    with open_project(server.words.parent) as opened:
        return sum(n for (_, known), n in opened.store.totals().items() if known == name)


# --- what is taken


def test_an_event_that_was_taken_is_applied_by_the_time_of_the_answer(server: Serving) -> None:
    before = total(server, "applied")
    answer = server.http.post("/events", content=joins("ann"), headers=ONE)
    assert (202, {"accepted": 1, "refused": 0, "results": [{"status": "accepted"}]}) == (
        answer.status_code,
        answer.json(),
    )
    assert total(server, "applied") >= before + 1


def test_the_same_event_again_is_taken_and_applied_once_however_its_json_is_laid_out(server: Serving) -> None:
    raw = joins("ben")
    duplicates = total(server, "duplicate")
    again = json.dumps(dict(reversed(json.loads(raw).items())), indent=3).encode()
    answers = [server.http.post("/events", content=body, headers=ONE).status_code for body in (raw, raw, again)]
    assert [202, 202, 202] == answers
    # what was applied is not counted: at some hours ben is also written to at once, and the outcome is applied too
    assert duplicates + 2 == total(server, "duplicate")
    with open_project(server.words.parent) as opened:
        assert opened.store.knows(opened.vault.member("ben"))


def test_a_batch_is_answered_event_by_event_and_a_bad_one_takes_no_other_with_it(server: Serving) -> None:
    wrong = json.loads(joins("cid")) | {"type": "member.enroled"}
    half = json.loads(write_event(purchase("cid", NOW))) | {"data": {"purchase_id": "1", "amount": "ana@example.com"}}
    body = b"[" + b",".join([joins("cid"), json.dumps(wrong).encode(), json.dumps(half).encode(), b"3"]) + b"]"
    answer = server.http.post("/events", content=body, headers=BATCH)
    told = answer.json()
    assert (207, 1, 3) == (answer.status_code, told["accepted"], told["refused"])
    assert ["", "unknown_type", "bad_data", "bad_envelope"] == [one.get("reason", "") for one in told["results"]]
    assert "ana@example.com" not in answer.text


def test_a_type_that_the_project_declares_is_taken_checked_by_its_schema_and_described(server: Serving) -> None:
    stay = json.loads(joins("eva")) | {"id": "stay", "type": "stay.booked", "data": {"booking_id": "b-1"}}
    wrong = stay | {"id": "wrong", "data": {"booking_id": 7}}
    answer = server.http.post("/events", content=json.dumps([stay, wrong]).encode(), headers=BATCH)
    assert [{"status": "accepted"}, {
        "status": "refused", "reason": "bad_data",
        "cure": "Expected `str`, got `int` - at `$.booking_id`; see schemas/events/stay.booked.v1.json",
    }] == answer.json()["results"]  # fmt: skip
    told = server.http.get("/openapi.json").json()["components"]["schemas"]
    assert ["booking_id"] == told["stay.booked"]["required"]
    assert "stay.booked" in [each["title"] for each in told["event"]["oneOf"]]


def test_what_none_of_can_be_taken_is_422(server: Serving) -> None:
    answer = server.http.post("/events", content=b"{}", headers=ONE)
    assert (422, 0) == (answer.status_code, answer.json()["accepted"])


def test_many_callers_at_once_lose_nothing_and_double_nothing(server: Serving) -> None:
    before = total(server, "applied")
    bodies = [b"[" + b",".join(joins(f"many-{i}-{j}") for j in range(10)) + b"]" for i in range(30)]
    with ThreadPoolExecutor(8) as pool:
        # each is sent twice, as by callers who lost the answer
        answers = list(pool.map(lambda body: server.http.post("/events", content=body, headers=BATCH), bodies * 2))
    assert {202} == {answer.status_code for answer in answers}
    with open_project(server.words.parent) as opened:
        assert all(opened.store.knows(opened.vault.member(f"many-{i}-{j}")) for i in range(30) for j in range(10))
    assert total(server, "applied") >= before + 300


def test_a_member_who_joins_is_written_to_by_the_same_process(server: Serving) -> None:
    answer = server.http.post(
        "/events", content=write_event(event("complaint.closed", "ann", NOW, {"complaint_id": "c1"})), headers=ONE
    )
    assert 202 == answer.status_code
    with open_project(server.words.parent) as opened:
        decided = [row for row in opened.store.log() if row.kind == "decision"]
        assert decided, "an event that starts a journey leaves a decision"


# --- what is refused


@pytest.mark.parametrize(
    ("headers", "status", "title"),
    [
        ({"Authorization": ""}, 401, "unauthorized"),
        ({"Authorization": "Bearer ok_somebody-elses"}, 401, "unauthorized"),
        ({"Authorization": "Basic b2s6b2s="}, 401, "unauthorized"),
        ({"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        ({"Content-Type": ""}, 415, "unsupported_media_type"),
    ],
)
def test_who_may_not_and_what_is_no_event_is_refused(
    server: Serving, headers: dict[str, str], status: int, title: str
) -> None:
    answer = server.http.post("/events", content=joins("dan"), headers={**ONE, **headers})
    assert (status, title, "application/problem+json") == (
        answer.status_code,
        answer.json()["title"],
        answer.headers["content-type"],
    )


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[]", 400),
        (b"[1", 400),
        (b"{}", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b"[" + b"1," * 1_000 + b"1]", 413),
    ],
)
def test_a_batch_that_is_none_is_refused(server: Serving, body: bytes, status: int) -> None:
    assert status == server.http.post("/events", content=body, headers=BATCH).status_code


def test_a_body_beyond_the_limit_is_refused_also_where_its_length_is_not_told(server: Serving) -> None:
    too_long = b" " * ((1 << 20) + 1)
    told = server.http.post("/events", content=too_long, headers=ONE)
    untold = server.http.post("/events", content=iter([too_long[:700_000], too_long[:700_000]]), headers=ONE)
    assert [413, 413] == [told.status_code, untold.status_code]


def test_other_paths_and_methods_are_told_as_problems(server: Serving) -> None:
    assert (404, "not_found") == ((answer := server.http.get("/")).status_code, answer.json()["title"])
    assert (405, "method_not_allowed") == ((answer := server.http.get("/events")).status_code, answer.json()["title"])


def test_health_needs_no_key(server: Serving) -> None:
    nobody = {"Authorization": ""}
    assert {"status": "live"} == server.http.get("/health/live", headers=nobody).json()
    ready = server.http.get("/health/ready", headers=nobody)
    assert (200, {"store": "ok", "events": "ok"}) == (ready.status_code, ready.json()["parts"])


# --- the process


def test_a_key_without_the_role_is_403_and_a_caller_who_comes_too_often_is_429(tmp_path: Path) -> None:
    from orchestrator.serve.keys import new_key

    key = new_key("pages", ["links"])
    folder, mine = project(tmp_path / "club", serve_key_requests_per_minute="20")
    text = (folder / "orchestrator.toml").read_text(encoding="utf-8")
    (folder / "orchestrator.toml").write_text(text.replace('api_keys = ["', f'api_keys = ["{key.line}", "'))
    with serving(folder, mine) as server:
        other = {**ONE, "Authorization": f"Bearer {key.key}"}
        assert 403 == server.http.post("/events", content=joins("eve"), headers=other).status_code
        answers = [server.http.post("/events", content=joins("eve"), headers=ONE) for _ in range(12)]
        assert [202] * 10 + [429] * 2 == [answer.status_code for answer in answers]
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 3


def test_it_ends_in_order_when_told_and_starts_again_where_it_was(tmp_path: Path) -> None:
    folder, key = project(tmp_path / "club")
    with serving(folder, key) as server:
        assert 202 == server.http.post("/events", content=joins("fay"), headers=ONE).status_code
        assert 0 == server.end(), server.said()
    with serving(folder, key) as server:
        assert 202 == server.http.post("/events", content=joins("fay"), headers=ONE).status_code
        assert (1, 1) == (total(server, "applied") - orders(server), total(server, "duplicate"))
    with open_project(folder) as opened:
        assert reconcile(opened.store).holds
        assert verify(opened.store).ok


def orders(server: Serving) -> int:
    """The inputs that are no events: orders, timers, outcomes."""
    with open_project(server.words.parent) as opened:
        rows = [row for partition in range(opened.store.partitions) for row in opened.store.journal(partition)]
        return sum(row.kind != "event" for row in rows)


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    folder, key = project(tmp_path / "club")
    with serving(folder, key) as server:
        for i in range(20):
            assert 202 == server.http.post("/events", content=joins(f"gil-{i}"), headers=ONE).status_code
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
    with open_project(folder) as opened:
        assert all(opened.store.knows(opened.vault.member(f"gil-{i}")) for i in range(20))


def test_another_engine_that_takes_the_store_ends_this_one(tmp_path: Path) -> None:
    from orchestrator.runtimes.embedded.project_runner import open_runner

    folder, key = project(tmp_path / "club")
    with serving(folder, key) as server, open_project(folder) as opened, open_runner(opened, dispatch=False):
        assert 70 == server.process.wait(30), server.said()
        assert "the engine failed" in server.said()


def test_neither_keys_nor_members_stand_in_the_log(server: Serving) -> None:
    server.http.post("/events", content=joins("a-name-of-its-own"), headers=ONE)
    said = server.said()
    assert server.key not in said
    assert "a-name-of-its-own" not in said


def test_a_line_of_keys_that_is_none_is_told_without_quoting_it(tmp_path: Path) -> None:
    from orchestrator.errors import SetupError
    from orchestrator.serve.keys import Keys, new_key

    with pytest.raises(SetupError, match="--new-key") as told:
        Keys([f"shop events {new_key('shop', ['events']).key}"])
    assert "ok_" not in str(told.value)
